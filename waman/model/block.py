"""One layer of the decoder."""

from functools import partial

from torch import Tensor, nn

from waman.model.attention import Attend, SelfAttention
from waman.model.cache import KeyValueCache
from waman.model.config import ModelConfig, Parallel, Sequential
from waman.model.feed_forward import build_feed_forward
from waman.model.norm import build_norm
from waman.model.position import Rotation


class Block(nn.Module):
    """Attention and feed-forward on the residual stream, put together as the config's `block` says."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.layout = config.block
        self.attention_norm = build_norm(config.norm, config.model_dim)
        self.attention = SelfAttention(config.attention, config.model_dim)
        if self.layout != Parallel(num_norms=1):
            self.feed_forward_norm = build_norm(config.norm, config.model_dim)
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
        match self.layout:
            case Sequential(norm="before"):
                x = x + read(self.attention_norm(x))
                x = x + self.feed_forward(self.feed_forward_norm(x))
            case Sequential(norm="after"):
                x = self.attention_norm(x + read(x))
                x = self.feed_forward_norm(x + self.feed_forward(x))
            case Parallel(num_norms=1):
                normed = self.attention_norm(x)
                x = x + read(normed) + self.feed_forward(normed)
            case Parallel(num_norms=2):
                x = x + read(self.attention_norm(x)) + self.feed_forward(self.feed_forward_norm(x))
        return x
