"""Rotary positions: queries and keys are turned by their place, so that their product sees distance only."""

import torch
from torch import Tensor, nn

from waman.model.config import Rope


class Rotary(nn.Module):
    """Tables of cos and sin for every position (Su et al. 2021), halves of a head paired as Hugging Face's LLaMA does.

    Meta's release pairs neighbours instead; its checkpoints need their query and key rows reordered.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, config: Rope, *, head_dim: int, context_length: int) -> None:
        super().__init__()
        self.theta = config.theta
        self.head_dim = head_dim
        self.context_length = context_length
        self.build_tables()

    def build_tables(self, device: torch.device | None = None) -> None:
        """Fills the tables in fp32; needed again after a model built on the meta device gets real memory."""
        exponents = torch.arange(0, self.head_dim, 2, dtype=torch.float32, device=device) / self.head_dim
        places = torch.arange(self.context_length, dtype=torch.float32, device=device)
        angles = torch.outer(places, 1.0 / (self.theta**exponents))
        self.register_buffer("cos", torch.cat((angles.cos(), angles.cos()), dim=-1), persistent=False)
        self.register_buffer("sin", torch.cat((-angles.sin(), angles.sin()), dim=-1), persistent=False)

    def forward(self, positions: Tensor | slice, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """positions: a slice or (batch, time) -> cos, sin with the sign of the rotation: (..., time, 1, head_dim)."""
        return self.cos[positions].to(dtype).unsqueeze(-2), self.sin[positions].to(dtype).unsqueeze(-2)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x: (batch, time, heads, head_dim) turned by cos, sin: (..., time, 1, head_dim) as `Rotary` gives them."""
    return x * cos + x.roll(x.shape[-1] // 2, dims=-1) * sin
