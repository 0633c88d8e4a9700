"""In which numbers a model computes. The weights themselves, their gradients and the optimizer stay in float32."""

import torch

from waman.training.recipe import Auto, Bfloat16, Float32, Precision

_NATIVE_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
"""Names under which PyTorch reports a processor's instructions that multiply bfloat16."""


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
