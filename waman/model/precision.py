"""In which dtype a part computes."""

import torch
from torch import Tensor, nn

from waman.model.recipe import Auto, Bfloat16, Float32, Precision

_NATIVE_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
"""Names under which PyTorch reports a processor's instructions that multiply bfloat16."""


def product_dtype(x: Tensor) -> torch.dtype:
    """The dtype of a matrix product with x: that of autocast where it is on, else its own."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def at_least_fp32(x: Tensor) -> torch.dtype:
    """fp32, or x's own dtype where that is wider."""
    return torch.promote_types(x.dtype, torch.float32)


def compute_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The dtype of the matrix products on a device."""
    match precision:
        case Bfloat16():
            return torch.bfloat16
        case Float32():
            return torch.float32
        case Auto():
            return torch.bfloat16 if _multiplies_bfloat16(device) else torch.float32


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(bool(capabilities.get(name)) for name in _NATIVE_BFLOAT16)


def cast_weights(module: nn.Module, dtype: torch.dtype) -> None:
    """Casts the weights alone: tables, such as those of positions, stay as exact as they are."""
    for weight in module.parameters():
        weight.data = weight.data.to(dtype)
