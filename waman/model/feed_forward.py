"""The feed-forward part of a block."""

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

from waman.model.config import FeedForward, Geglu, Gelu, Relu, SquaredRelu, Swiglu


class GatedFeedForward(nn.Module):
    """down(activation(gate(x)) * up(x)); gate and up are one matrix, gate's rows first."""

    def __init__(self, config: Swiglu | Geglu, model_dim: int) -> None:
        super().__init__()
        self.gelu_approximation = config.approximation if isinstance(config, Geglu) else None
        self.gate_up = nn.Linear(model_dim, 2 * config.hidden_dim, bias=config.bias)
        self.down = nn.Linear(config.hidden_dim, model_dim, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., model_dim) -> (..., model_dim)."""
        result: Tensor = self.down(_Gated.apply(self.gate_up(x), self.gelu_approximation))  # type: ignore[no-untyped-call]
        return result


class PlainFeedForward(nn.Module):
    """down(activation(up(x)))."""

    def __init__(self, config: Gelu | Relu | SquaredRelu, model_dim: int) -> None:
        super().__init__()
        self.config = config
        self.up = nn.Linear(model_dim, config.hidden_dim, bias=config.bias)
        self.down = nn.Linear(config.hidden_dim, model_dim, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., model_dim) -> (..., model_dim)."""
        result: Tensor = self.down(self.activate(self.up(x)))
        return result

    def activate(self, x: Tensor) -> Tensor:
        """x: any shape -> the same."""
        match self.config:
            case Gelu(approximation=approximation):
                return F.gelu(x, approximate=approximation)
            case Relu():
                return F.relu(x)
            case SquaredRelu():
                return F.relu(x).square()


def build_feed_forward(config: FeedForward, model_dim: int) -> nn.Module:
    """The module of a feed-forward part."""
    match config:
        case Swiglu() | Geglu():
            return GatedFeedForward(config, model_dim)
        case Gelu() | Relu() | SquaredRelu():
            return PlainFeedForward(config, model_dim)


class _Gated(torch.autograd.Function):
    """activation(gate) * up: silu, or gelu where its approximation is given.

    Keeps the matrix product alone and computes the activation again (Touvron et al. 2023, section 2.4).
    """

    @staticmethod
    def forward(ctx: FunctionCtx, gate_up: Tensor, gelu_approximation: str | None) -> Tensor:
        ctx.save_for_backward(gate_up)
        ctx.gelu_approximation = gelu_approximation  # type: ignore[attr-defined]
        gate, up = gate_up.chunk(2, dim=-1)
        return activate_gate(gate, gelu_approximation).mul_(up)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        (gate_up,) = ctx.saved_tensors  # type: ignore[attr-defined]
        approximation: str | None = ctx.gelu_approximation  # type: ignore[attr-defined]
        gate, up = gate_up.chunk(2, dim=-1)
        result = torch.empty_like(gate_up)
        grad_gate, grad_up = result.chunk(2, dim=-1)
        torch.mul(gradient, activate_gate(gate, approximation), out=grad_up)
        if approximation is None:
            grad_gate.copy_(torch.ops.aten.silu_backward(gradient * up, gate))
        else:
            grad_gate.copy_(torch.ops.aten.gelu_backward(gradient * up, gate, approximate=approximation))
        return result, None


def activate_gate(gate: Tensor, gelu_approximation: str | None) -> Tensor:
    """silu, or gelu where its approximation is given; any shape -> the same."""
    return F.silu(gate) if gelu_approximation is None else F.gelu(gate, approximate=gelu_approximation)
