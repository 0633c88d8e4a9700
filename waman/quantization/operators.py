"""Products of quantized matrices by PyTorch's own low-bit operators on a CPU or a CUDA device, for a few rows.

They compute in bfloat16; on a CPU a row's result does not depend on the others'. Those for CUDA need compute capability
8.0 (A100, RTX 30).
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from waman.quantization.matrix import Matrix, Quantized

Product = Callable[[Tensor], Tensor]
"""(rows, inputs) bfloat16 -> (rows, outputs) float32"""

_OUTPUT_STEP = 16
_GROUPS = (32, 64, 128, 256)
"""What `_weight_int4pack_mm` and `_weight_int4pack_mm_for_cpu` take."""
_CUDA_CAPABILITY = (8, 0)
_CUDA_TILES = (8, 4, 2)
"""Runs of 16 inputs that a CUDA matrix may be packed in, from the best; the inputs are a multiple of one."""


def product(matrix: Matrix) -> Product | None:
    """The matrix packed as an operator reads it; None where there is none for its scheme."""
    if not isinstance(matrix, Quantized):
        return None
    if matrix.integers.is_cuda:
        if torch.cuda.get_device_capability(matrix.integers.device) < _CUDA_CAPABILITY:
            return None
        matrix = _grouped(matrix)
    elif matrix.bits == 8 and matrix.group == matrix.shape[1] and matrix.zeros is None:
        return partial(_multiply_8, integers=matrix.integers, scales=matrix.scales.float()[:, 0])
    if matrix.group not in _GROUPS:
        return None
    scales = matrix.scales.float()
    zeros = torch.zeros_like(scales) if matrix.zeros is None else matrix.zeros.float()
    integers, outputs = matrix.integers, len(scales)
    if matrix.bits == 4:
        return partial(_multiply_4, packed=_pack_4(integers, scales, -zeros * scales, matrix.group), outputs=outputs)
    # 8 bits are 16 times the upper four and the lower four: a matrix of 4 bits below another.
    upper, lower = integers >> 4, (integers & 15) - 8
    both = torch.cat([16 * scales, scales]), torch.cat([-zeros * scales, 8 * scales])
    packed = _pack_4(torch.cat([upper, lower]), *both, matrix.group)
    return partial(_multiply_4, packed=packed, outputs=outputs, halves=True)


def _grouped(matrix: Quantized) -> Quantized:
    """The same matrix, one scale an output told for each of the largest groups that cut its inputs."""
    inputs = matrix.shape[1]
    group = max((one for one in _GROUPS if inputs % one == 0), default=None)
    if matrix.group != inputs or matrix.group in _GROUPS or group is None:
        return matrix
    zeros = None if matrix.zeros is None else matrix.zeros.repeat_interleave(inputs // group, dim=1)
    return Quantized(
        matrix.bits, group, matrix.integers, matrix.scales.repeat_interleave(inputs // group, dim=1), zeros
    )


def _pack_4(integers: Tensor, scales: Tensor, shifts: Tensor, group: int) -> tuple[Tensor, int, Tensor]:
    """weight = integers * scales + shifts, as the operator wants it."""
    spare = -len(scales) % _OUTPUT_STEP
    codes = torch.nn.functional.pad(integers.int() + 8, (0, 0, 0, spare), value=8)
    both = torch.nn.functional.pad(torch.stack([scales, shifts], dim=-1), (0, 0, 0, 0, 0, spare))
    packed = _pack_for_cuda(codes) if codes.is_cuda else torch._convert_weight_to_int4pack_for_cpu(codes, 1)
    return packed, group, both.transpose(0, 1).bfloat16().contiguous()


def _pack_for_cuda(codes: Tensor) -> Tensor:
    """codes: (outputs, inputs) from 0 to 15. Two are a byte, the first above."""
    tiles = next(one for one in _CUDA_TILES if codes.shape[1] % (16 * one) == 0)
    pairs = codes[:, ::2] << 4 | codes[:, 1::2]
    return torch._convert_weight_to_int4pack(pairs.to(torch.uint8).contiguous(), tiles)


def _multiply_4(x: Tensor, *, packed: tuple[Tensor, int, Tensor], outputs: int, halves: bool = False) -> Tensor:
    multiply = torch._weight_int4pack_mm if x.is_cuda else torch._weight_int4pack_mm_for_cpu
    found = multiply(x, *packed).float()
    return found[:, :outputs] + found[:, outputs : 2 * outputs] if halves else found[:, :outputs]


def _multiply_8(x: Tensor, *, integers: Tensor, scales: Tensor) -> Tensor:
    # The scale afterwards, in float32: in bfloat16 it would lose digits.
    ones = torch.ones_like(scales, dtype=torch.bfloat16)
    return torch._weight_int8pack_mm(x, integers, ones).float() * scales
