"""Rotary positions: queries and keys are turned by their place, so that their product sees distance only."""

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

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
        """positions: a slice or (batch, time) -> cos, sin: (batch or none, 1, time, head_dim), for `split_and_turn`."""
        return self.cos[positions].to(dtype).unsqueeze(-3), self.sin[positions].to(dtype).unsqueeze(-3)


def split_and_turn(
    heads: Tensor, rotation: tuple[Tensor, Tensor], *, num_heads: int, num_kv_heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of a fused product, queries and keys turned by their position.

    heads: (batch, time, num_heads + 2 * num_kv_heads, head_dim)
    -> (batch, num_heads, time, head_dim), and twice (batch, num_kv_heads, time, head_dim); contiguous.
    """
    cos, sin = rotation
    queries, keys, values = _SplitAndTurn.apply(heads, cos, sin, (num_heads, num_kv_heads, num_kv_heads))  # type: ignore[no-untyped-call]
    return queries, keys, values


class _SplitAndTurn(torch.autograd.Function):
    """Writes each part once, in the layout that attention reads; keeps no activation."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, heads: Tensor, cos: Tensor, sin: Tensor, sizes: tuple[int, int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(cos, sin)
        ctx.sizes = sizes  # type: ignore[attr-defined]
        queries, keys, values = torch.split(heads.transpose(1, 2), list(sizes), dim=1)
        return _turn(queries, cos, sin), _turn(keys, cos, sin), values.contiguous()

    @staticmethod
    @once_differentiable
    def backward(
        ctx: FunctionCtx, grad_queries: Tensor, grad_keys: Tensor, grad_values: Tensor
    ) -> tuple[Tensor, None, None, None]:
        """The gradient turns back: by the negative angle."""
        cos, sin = ctx.saved_tensors  # type: ignore[attr-defined]
        batch, _, time, head_dim = grad_queries.shape
        sizes = ctx.sizes  # type: ignore[attr-defined]
        gradient = grad_queries.new_empty(batch, time, sum(sizes), head_dim)
        queries, keys, values = torch.split(gradient.transpose(1, 2), list(sizes), dim=1)
        queries.copy_(_turn(grad_queries, cos, -sin))
        keys.copy_(_turn(grad_keys, cos, -sin))
        values.copy_(grad_values)
        return gradient, None, None, None


def _turn(x: Tensor, cos: Tensor, signed_sin: Tensor) -> Tensor:
    """x: (batch, heads, time, head_dim) -> the same, contiguous."""
    turned = x.new_empty(x.shape)
    torch.mul(x, cos, out=turned)
    first, second = x.chunk(2, dim=-1)
    return turned.addcmul_(torch.cat((second, first), dim=-1), signed_sin)
