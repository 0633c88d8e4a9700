"""Products by the compiled library, where there is one: quantized and plain matrices, from one row to many.

`waman build-kernels` compiles `native/` once for this machine; a wheel brings it compiled. Nothing is compiled here.
"""

import ctypes
import mmap
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from waman.quantization.build_kernels import find_library
from waman.quantization.matrix import Quantized

PANEL = 16
"""Outputs whose weights lie together."""
GROUP = 32
"""Inputs of a row of numbers that are rounded to bytes by one scale."""
CHUNK = 4
"""Groups of a panel whose scales and zeros lie together before their weights: each part begins at a cache line."""
_INT4, _INT8, _BF16, _F32 = range(4)
_SCALES = {torch.float16: 0, torch.bfloat16: 1, torch.float32: 2}


class Matrix(ctypes.Structure):
    """`waman_matrix` of native/waman.h."""

    _fields_ = (
        ("panels", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("panel_bytes", ctypes.c_int64),
        ("kind", ctypes.c_int32),
        ("outputs", ctypes.c_int32),
        ("inputs", ctypes.c_int32),
        ("group", ctypes.c_int32),
        ("scales", ctypes.c_int32),
        ("has_zeros", ctypes.c_int32),
    )


@dataclass(frozen=True, eq=False)
class Packed:
    """A matrix as the kernels read it: panels of 16 outputs, in each what four groups of inputs need, and so on."""

    memory: Tensor
    """(panels, panel_bytes) uint8"""
    kind: int
    shape: tuple[int, int]
    """(outputs, inputs)"""
    group: int
    scales: int
    has_zeros: bool

    def matrix(self, bias: Tensor | None = None) -> Matrix:
        """The structure that the library takes; valid while this and the bias (float32) live."""
        outputs, inputs = self.shape
        return Matrix(
            panels=self.memory.data_ptr(),
            bias=None if bias is None else bias.data_ptr(),
            panel_bytes=self.memory.shape[1],
            kind=self.kind,
            outputs=outputs,
            inputs=inputs if self.kind == _F32 else _up(inputs, GROUP),
            group=self.group,
            scales=self.scales,
            has_zeros=self.has_zeros,
        )


class Native:
    """The compiled library. Its threads are as many as PyTorch's, in a team for each number."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.functions = ctypes.CDLL(str(path))
        self.functions.waman_open.restype = ctypes.c_void_p
        self.functions.waman_open.argtypes = [ctypes.c_int32]
        self.functions.waman_multiply.argtypes = [
            *(ctypes.c_void_p, ctypes.POINTER(Matrix), ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32),
            ctypes.c_void_p,
        ]
        self.functions.waman_block_bytes.restype = ctypes.c_int64
        self.functions.waman_pass.argtypes = [
            *(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p),
            *(ctypes.c_int32, ctypes.c_void_p),
        ]
        self._teams: dict[int, int] = {}

    @property
    def team(self) -> int:
        """The address of a team of as many threads as PyTorch has."""
        threads = torch.get_num_threads()
        if threads not in self._teams:
            self._teams[threads] = self.functions.waman_open(threads)
        return self._teams[threads]

    def pack(self, matrix: Quantized | Tensor) -> Packed | None:
        """The panels of a matrix; a Tensor's are bfloat16 or float32, as it is. None: there is no kernel for it."""
        if not is_packable(matrix):
            return None
        return _pack_integers(matrix) if isinstance(matrix, Quantized) else _pack_plain(matrix)

    def multiply(self, x: Tensor, matrix: Packed, bias: Tensor | None = None) -> Tensor:
        """x: (..., inputs) -> (..., outputs), float32. A row's result is the same alone and beside any others.

        Integers meet x rounded to bytes by 32s, bfloat16 weights x rounded to bfloat16; sums are float32.
        """
        rows = x.reshape(-1, x.shape[-1]).to(torch.float32).contiguous()
        found = torch.empty(len(rows), matrix.shape[0])
        bias = None if bias is None else bias.to(torch.float32).contiguous()
        failed = self.functions.waman_multiply(
            self.team, matrix.matrix(bias), rows.data_ptr(), rows.shape[1], len(rows), found.data_ptr()
        )
        if failed:
            raise MemoryError(f"no memory for {len(rows)} rows of {rows.shape[1]} numbers")
        return found.view(*x.shape[:-1], -1)


class Grid(Protocol):
    """What tells whether there is a kernel for integers: the fields of a `Quantized` but the integers."""

    @property
    def bits(self) -> int: ...
    @property
    def group(self) -> int: ...
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def scales(self) -> Tensor: ...


def is_packable(matrix: Grid | Tensor) -> bool:
    """Whether there is a kernel for a matrix."""
    if isinstance(matrix, Tensor):
        return matrix.dtype in (torch.bfloat16, torch.float32)
    whole = matrix.group == matrix.shape[1]
    return (whole or matrix.group % GROUP == 0) and matrix.scales.dtype in _SCALES and matrix.bits in (4, 8)


@cache
def native() -> Native | None:
    """The compiled library, if there is one for this source and processor."""
    path = find_library()
    return None if path is None else Native(path)


def _pack_integers(matrix: Quantized) -> Packed:
    outputs, inputs = matrix.shape
    group, scales, integers = matrix.group, matrix.scales, matrix.integers
    if group == inputs:
        group = _up(inputs, GROUP)
        integers = torch.nn.functional.pad(integers, (0, group - inputs))
    num_groups = scales.shape[1]
    chunks = -(-num_groups // CHUNK)
    header_bytes = CHUNK * PANEL * (scales.element_size() + (matrix.zeros is not None))
    panel_bytes = chunks * header_bytes + num_groups * PANEL * group * matrix.bits // 8
    memory = _room(_up(outputs, PANEL) // PANEL, panel_bytes)
    interleave = _interleave_nibbles if matrix.bits == 4 else _interleave_bytes
    for number in range(len(memory)):
        rows = slice(number * PANEL, number * PANEL + PANEL)
        parts = [_by_chunk(scales[rows], chunks)]
        if matrix.zeros is not None:
            parts.append(_by_chunk(matrix.zeros[rows], chunks))
        weights = interleave(_whole(integers[rows])).reshape(num_groups, -1)
        weights = torch.nn.functional.pad(weights, (0, 0, 0, chunks * CHUNK - num_groups))
        panel = torch.cat([*parts, weights.view(chunks, -1)], dim=1).view(-1)
        memory[number] = panel[:panel_bytes]  # the last chunk may lack groups
    kind = _INT4 if matrix.bits == 4 else _INT8
    return Packed(memory, kind, (outputs, inputs), group, _SCALES[scales.dtype], matrix.zeros is not None)


def _pack_plain(matrix: Tensor) -> Packed:
    outputs, inputs = matrix.shape
    halves = matrix.dtype == torch.bfloat16
    width = _up(inputs, GROUP) if halves else inputs
    memory = _room(_up(outputs, PANEL) // PANEL, PANEL * width * matrix.element_size())
    for number in range(len(memory)):
        rows = _whole(matrix[number * PANEL : number * PANEL + PANEL].detach())
        rows = torch.nn.functional.pad(rows, (0, width - inputs))
        together = 2 if halves else 1
        panel = rows.view(PANEL, width // together, together).transpose(0, 1).contiguous()
        memory[number] = panel.view(torch.uint8).view(-1)
    return Packed(memory, _BF16 if halves else _F32, (outputs, inputs), width, 0, has_zeros=False)


def _by_chunk(rows: Tensor, chunks: int) -> Tensor:
    """(up to 16 outputs, groups) -> (chunks, bytes of 16 outputs for each of four groups)."""
    groups = torch.nn.functional.pad(_whole(rows), (0, chunks * CHUNK - rows.shape[1]))
    return groups.T.contiguous().view(torch.uint8).view(chunks, -1)


def _interleave_bytes(integers: Tensor) -> Tensor:
    """(16, inputs) -> (inputs / 4, 16, 4) uint8, 128 added."""
    return (integers.view(PANEL, -1, 4).transpose(0, 1).to(torch.int16) + 128).to(torch.uint8)


def _interleave_nibbles(integers: Tensor) -> Tensor:
    """(16, inputs) -> (inputs / 8, 16, 4) uint8: 8 added; of eight inputs the first four below, the others above."""
    eights = (integers.view(PANEL, -1, 2, 4).transpose(0, 1) + 8).to(torch.uint8)
    return eights[:, :, 0] | eights[:, :, 1] << 4


def _whole(rows: Tensor) -> Tensor:
    """16 rows, those that are missing 0."""
    return torch.nn.functional.pad(rows, (0, 0, 0, PANEL - len(rows)))


def _room(panels: int, panel_bytes: int) -> Tensor:
    """(panels, panel_bytes) uint8, in huge pages where the system has them: fewer addresses to look up."""
    memory = mmap.mmap(-1, max(panels * panel_bytes, 1))
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=torch.uint8)[: panels * panel_bytes].view(panels, panel_bytes)


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
