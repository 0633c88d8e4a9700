"""The feed-forward part of a block."""

from torch import Tensor, nn
from torch.nn import functional as F

from waman.model.config import SwiGlu


class GatedFeedForward(nn.Module):
    """down(silu(gate(x)) * up(x)); gate and up are one matrix, gate's rows first."""

    def __init__(self, config: SwiGlu, model_dim: int) -> None:
        super().__init__()
        self.gate_up = nn.Linear(model_dim, 2 * config.hidden_dim, bias=False)
        self.down = nn.Linear(config.hidden_dim, model_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., model_dim) -> (..., model_dim)."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        result: Tensor = self.down(F.silu(gate) * up)
        return result
