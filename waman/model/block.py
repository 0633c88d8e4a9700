"""One layer of the decoder."""

from torch import Tensor, nn

from waman.model.attention import MaskedAttention, SelfAttention
from waman.model.cache import KeyValueCache
from waman.model.config import ModelConfig
from waman.model.feed_forward import GatedFeedForward
from waman.model.norm import RootMeanSquareNorm


class Block(nn.Module):
    """Attention, then feed-forward, each on the normalised residual stream and added to it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = RootMeanSquareNorm(config.norm, config.model_dim)
        self.attention = SelfAttention(config.attention, config.model_dim)
        self.feed_forward_norm = RootMeanSquareNorm(config.norm, config.model_dim)
        self.feed_forward = GatedFeedForward(config.feed_forward, config.model_dim)

    def forward(
        self,
        x: Tensor,
        *,
        attention: MaskedAttention,
        rotation: tuple[Tensor, Tensor],
        layer: int,
        cache: KeyValueCache | None,
    ) -> Tensor:
        """x: (batch, time, model_dim) -> (batch, time, model_dim)."""
        read = self.attention(self.attention_norm(x), attention=attention, rotation=rotation, layer=layer, cache=cache)
        x = x + read
        result: Tensor = x + self.feed_forward(self.feed_forward_norm(x))
        return result
