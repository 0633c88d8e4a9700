"""What a quantized matrix is: integers on a grid per group, or codes of a table."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Quantized:
    """A matrix as integers: weight[o, i] = (integers[o, i] - zeros[o, g]) * scales[o, g], g = i // group."""

    bits: int
    """4 or 8"""
    group: int
    """inputs that share a scale; the number of inputs for one scale per output channel"""
    integers: Tensor
    """(outputs, inputs) int8: -8..7 for 4 bits, -128..127 for 8"""
    scales: Tensor
    """(outputs, inputs / group), float16, bfloat16 or float32, as stored"""
    zeros: Tensor | None = None
    """the same shape, int8, in the integers' range; absent: 0"""

    @property
    def shape(self) -> tuple[int, int]:
        """(outputs, inputs)"""
        outputs, inputs = self.integers.shape
        return outputs, inputs

    def dequantize(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """(outputs, inputs): integers times scales in float32, rounded once."""
        outputs, inputs = self.shape
        grouped = self.integers.view(outputs, -1, self.group).float()
        if self.zeros is not None:
            grouped -= self.zeros.float()[:, :, None]
        grouped *= self.scales.float()[:, :, None]
        return grouped.view(outputs, inputs).to(dtype)

    def rows(self, start: int, stop: int) -> "Quantized":
        """The outputs from `start` to before `stop`, as views."""
        zeros = None if self.zeros is None else self.zeros[start:stop]
        return Quantized(self.bits, self.group, self.integers[start:stop], self.scales[start:stop], zeros)


@dataclass(frozen=True)
class Table4:
    """A matrix as codes of a table of 16 values: weight[o, i] = table[codes[o, i]] * absmax[o, i // group]."""

    group: int
    """inputs that share an absmax"""
    codes: Tensor
    """(outputs, inputs) uint8, 0..15"""
    absmax: Tensor
    """(outputs, inputs / group), float32"""
    table: Tensor
    """(16,), float32, rising"""

    @property
    def shape(self) -> tuple[int, int]:
        """(outputs, inputs)"""
        outputs, inputs = self.codes.shape
        return outputs, inputs

    def dequantize(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """(outputs, inputs): values times absmax in float32, rounded once."""
        outputs, inputs = self.shape
        values = self.table[self.codes.view(outputs, -1, self.group).int()]
        values *= self.absmax[:, :, None]
        return values.view(outputs, inputs).to(dtype)

    def rows(self, start: int, stop: int) -> "Table4":
        """The outputs from `start` to before `stop`, as views."""
        return Table4(self.group, self.codes[start:stop], self.absmax[start:stop], self.table)


Matrix = Quantized | Table4


def join_rows(parts: Sequence[Quantized]) -> Quantized:
    """The outputs of several matrices of one form, one below the other."""
    first = parts[0]
    assert all(
        (one.bits, one.group, one.zeros is None) == (first.bits, first.group, first.zeros is None) for one in parts
    )
    zeros = None if first.zeros is None else torch.cat([one.zeros for one in parts if one.zeros is not None])
    return Quantized(
        first.bits,
        first.group,
        torch.cat([one.integers for one in parts]),
        torch.cat([one.scales for one in parts]),
        zeros,
    )


def pack_nibbles(integers: Tensor) -> Tensor:
    """(outputs, inputs) int8, -8..7, inputs even -> (outputs, inputs / 2) uint8: the first of two in the low half."""
    codes = (integers + 8).view(torch.uint8)
    return codes[:, ::2] | codes[:, 1::2] << 4


def unpack_nibbles(packed: Tensor) -> Tensor:
    """The other way: (outputs, inputs / 2) uint8 -> (outputs, inputs) int8, -8..7."""
    return torch.stack((packed & 15, packed >> 4), dim=-1).view(len(packed), -1).view(torch.int8).sub_(8)
