"""Normalisation of the residual stream."""

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

from waman.model.config import LayerNorm, Norm, RmsNorm
from waman.model.precision import at_least_fp32, product_dtype


class RootMeanSquareNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight over the last dim, computed in fp32."""

    def __init__(self, config: RmsNorm, dim: int) -> None:
        super().__init__()
        self.eps = config.eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., dim) -> (..., dim), in the dtype of the matrix product that follows."""
        result: Tensor = _Normalise.apply(x, self.weight, self.eps, product_dtype(x))  # type: ignore[no-untyped-call]
        return result


class MeanVarianceNorm(nn.Module):
    """(x - mean(x)) / sqrt(variance(x) + eps) * weight + bias over the last dim, computed in fp32.

    PyTorch's own keeps what the one above keeps: its input and two numbers per row.
    """

    def __init__(self, config: LayerNorm, dim: int) -> None:
        super().__init__()
        self.eps = config.eps
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim)) if config.bias else None

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., dim) -> (..., dim), in the dtype of the matrix product that follows."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps).to(product_dtype(x))


def build_norm(config: Norm, dim: int) -> nn.Module:
    """The module of a norm over `dim` numbers."""
    match config:
        case RmsNorm():
            return RootMeanSquareNorm(config, dim)
        case LayerNorm():
            return MeanVarianceNorm(config, dim)


class _Normalise(torch.autograd.Function):
    """Keeps the input and one number per row; plain autograd keeps four tensors and passes over each again."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        wide = x.to(at_least_fp32(x))
        inverse = torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + eps)
        ctx.save_for_backward(x, weight, inverse)
        return (wide * inverse).mul_(weight).to(dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """With n = x * inverse: dx = inverse * (g * w - n * mean(g * w * n)), dw = sum(g * n)."""
        x, weight, inverse = ctx.saved_tensors  # type: ignore[attr-defined]
        wide_gradient = gradient.to(inverse.dtype)
        normal = x * inverse
        product = wide_gradient * normal
        with torch.autocast(x.device.type, enabled=False):
            mean = (product @ weight.to(product.dtype)).unsqueeze(-1).mul_(-1 / x.shape[-1])
        grad_weight = product.flatten(0, -2).sum(dim=0).to(weight.dtype)
        grad_x = (wide_gradient * weight).addcmul_(normal, mean).mul_(inverse)
        return grad_x.to(x.dtype), grad_weight, None, None
