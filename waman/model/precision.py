"""In which dtype a part computes."""

import torch
from torch import Tensor


def product_dtype(x: Tensor) -> torch.dtype:
    """The dtype of a matrix product with x: that of autocast where it is on, else its own."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def at_least_fp32(x: Tensor) -> torch.dtype:
    """fp32, or x's own dtype where that is wider."""
    return torch.promote_types(x.dtype, torch.float32)
