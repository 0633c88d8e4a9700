"""One layer of the decoder."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from waman.model.attention import Attend, SelfAttention
from waman.model.cache import KeyValueCache
from waman.model.config import ModelConfig, Parallel, Sequential
from waman.model.feed_forward import build_feed_forward
from waman.model.norm import build_norm
from waman.model.position import Rotation

Part = Callable[[Tensor], Tensor]


class Block(nn.Module):
    """Attention and feed-forward on the residual stream, put together as the config's `block` says."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.layout = config.block
        self.attention_norm = build_norm(config.norm, config.model_dim)
        self.attention = SelfAttention(config.attention, config.model_dim)
        has_two = self.layout != Parallel(num_norms=1)
        self.feed_forward_norm = build_norm(config.norm, config.model_dim) if has_two else None
        self.feed_forward = build_feed_forward(config.feed_forward, config.model_dim)

    def forward(
        self,
        x: Tensor,
        *,
        attention: Attend,
        rotation: Rotation | None,
        layer: int,
        cache: KeyValueCache | None,
    ) -> Tensor:
        """x: (batch, time, model_dim) -> (batch, time, model_dim)."""
        read = partial(self.attention, attention=attention, rotation=rotation, layer=layer, cache=cache)
        return put_together(
            self.layout,
            x,
            attention_norm=self.attention_norm,
            attention=read,
            feed_forward_norm=self.feed_forward_norm,
            feed_forward=self.feed_forward,
        )


def put_together(
    layout: Sequential | Parallel,
    x: Tensor,
    *,
    attention_norm: Part,
    attention: Part,
    feed_forward_norm: Part | None,
    feed_forward: Part,
) -> Tensor:
    """The parts of a block on the residual stream; only one that is parallel with one norm has no second."""
    match layout:
        case Parallel(num_norms=1):
            normed = attention_norm(x)
            return x + attention(normed) + feed_forward(normed)
    assert feed_forward_norm is not None
    match layout:
        case Parallel():
            return x + attention(attention_norm(x)) + feed_forward(feed_forward_norm(x))
        case Sequential(norm="before"):
            x = x + attention(attention_norm(x))
            return x + feed_forward(feed_forward_norm(x))
        case Sequential():
            x = attention_norm(x + attention(x))
            return feed_forward_norm(x + feed_forward(x))
