"""The feed-forward part of a block."""

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

from waman.model.config import Swiglu


class GatedFeedForward(nn.Module):
    """down(silu(gate(x)) * up(x)); gate and up are one matrix, gate's rows first."""

    def __init__(self, config: Swiglu, model_dim: int) -> None:
        super().__init__()
        self.gate_up = nn.Linear(model_dim, 2 * config.hidden_dim, bias=False)
        self.down = nn.Linear(config.hidden_dim, model_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., model_dim) -> (..., model_dim)."""
        result: Tensor = self.down(_Gated.apply(self.gate_up(x)))  # type: ignore[no-untyped-call]
        return result


class _Gated(torch.autograd.Function):
    """silu(gate) * up; keeps the matrix product alone and computes silu again (Touvron et al. 2023, section 2.4)."""

    @staticmethod
    def forward(ctx: FunctionCtx, gate_up: Tensor) -> Tensor:
        ctx.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        (gate_up,) = ctx.saved_tensors  # type: ignore[attr-defined]
        gate, up = gate_up.chunk(2, dim=-1)
        result = torch.empty_like(gate_up)
        grad_gate, grad_up = result.chunk(2, dim=-1)
        torch.mul(gradient, F.silu(gate), out=grad_up)
        grad_gate.copy_(torch.ops.aten.silu_backward(gradient * up, gate))
        return result
