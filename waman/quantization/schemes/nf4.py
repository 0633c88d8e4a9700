"""NF4: quantiles of a normal distribution times each block's largest weight (Dettmers et al. 2023, section 3).

The layout is that of bitsandbytes: blocks of 64 along a row; with double quantization the blocks' largest are kept as
codes of a second table, 256 of them to a scale, after their mean is taken off.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from waman.quantization.matrix import Table4
from waman.quantization.recipe import Nf4

BITS = 4
BLOCK = 64
NESTED_BLOCK = 256
_CHUNK_ELEMENTS = 1 << 18
# The paper's appendix E.
TABLE = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)
_SHARES = (1.0, 0.97, 0.94, 0.91, 0.88, 0.85, 0.82)


@dataclass(frozen=True)
class Nested:
    """The blocks' largest in 8 bits: absmax[n] = table[codes[n]] * scales[n // 256] + offset."""

    codes: Tensor
    """(blocks,) uint8"""
    scales: Tensor
    """(blocks / 256, rounded up), float32"""
    offset: Tensor
    """() float32"""
    table: Tensor
    """(256,) float32, rising"""

    def dequantize(self) -> Tensor:
        """(blocks,) float32."""
        scales = self.scales.repeat_interleave(NESTED_BLOCK)[: len(self.codes)]
        return self.table[self.codes.int()] * scales + self.offset


@dataclass(frozen=True)
class Stored:
    """A matrix as it is written."""

    codes: Tensor
    """(outputs, inputs) uint8, 0..15"""
    absmax: Tensor | Nested
    """of each block of 64: (outputs * inputs / 64,) float32, or in 8 bits"""
    table: Tensor

    def matrix(self) -> Table4:
        """What it stands for."""
        absmax = self.absmax.dequantize() if isinstance(self.absmax, Nested) else self.absmax
        return Table4(BLOCK, self.codes, absmax.view(len(self.codes), -1), self.table)


def store(weight: Tensor, scheme: Nf4) -> Stored:
    """(outputs, inputs), finite, inputs a multiple of 64 -> codes that fit the absmax as it will be read."""
    table = torch.tensor(TABLE)
    flat = weight.reshape(-1, BLOCK)
    rows = _CHUNK_ELEMENTS // BLOCK
    found = torch.cat([_search(part.float(), table) for part in torch.split(flat, rows)])
    absmax: Tensor | Nested = nest(found) if scheme.double_quantization else found
    read = absmax.dequantize() if isinstance(absmax, Nested) else absmax
    codes = torch.empty(flat.shape, dtype=torch.uint8)
    for start in range(0, len(flat), rows):
        codes[start : start + rows] = _nearest(flat[start : start + rows].float(), read[start : start + rows], table)
    return Stored(codes.view(weight.shape), absmax, table)


def quantize(weight: Tensor, scheme: Nf4) -> Table4:
    """(outputs, inputs), finite, inputs a multiple of 64 -> codes with the absmax of least squared error tried."""
    return store(weight, scheme).matrix()


def nest(absmax: Tensor) -> Nested:
    """(blocks,) float32 -> in 8 bits."""
    offset, table = absmax.mean(), dynamic_table()
    rest = absmax - offset
    padded = torch.nn.functional.pad(rest, (0, -len(rest) % NESTED_BLOCK)).view(-1, NESTED_BLOCK)
    scales = padded.abs().amax(dim=1)
    shares = rest / scales.clamp(min=torch.finfo(torch.float32).tiny).repeat_interleave(NESTED_BLOCK)[: len(rest)]
    return Nested(_closest(shares, table), scales, offset, table)


def dynamic_table() -> Tensor:
    """(256,): a sign, a power of ten in as many zeros as it takes, and the rest of 8 bits linear (Dettmers 2015)."""
    values = [0.0, 1.0]
    for exponent in range(7):
        edges = torch.linspace(0.1, 1.0, 2**exponent + 1, dtype=torch.float64)
        middles = (edges[:-1] + edges[1:]) / 2 * 10.0 ** (exponent - 6)
        values += [*middles.tolist(), *(-middles).tolist()]
    return torch.tensor(sorted(values))


def bits_per_weight(scheme: Nf4) -> float:
    """Bits of a weight and of its part of the absmax."""
    absmax = 8 + 32 / NESTED_BLOCK if scheme.double_quantization else 32
    return BITS + absmax / BLOCK


def _search(blocks: Tensor, table: Tensor) -> Tensor:
    """The factor of each block with the least squared error: its largest weight, or less."""
    largest = blocks.abs().amax(dim=1)
    best, least = largest, torch.full_like(largest, torch.inf)
    for share in _SHARES:
        values = table[_nearest(blocks, largest * share, table).int()]
        fitted = (values * blocks).sum(dim=1) / values.square().sum(dim=1).clamp_(min=torch.finfo(torch.float32).tiny)
        for absmax in (largest * share, fitted):
            error = (blocks - values * absmax[:, None]).square_().sum(dim=1)
            better = error < least
            least, best = torch.where(better, error, least), torch.where(better, absmax, best)
    return best


def _nearest(blocks: Tensor, absmax: Tensor, table: Tensor) -> Tensor:
    return _closest(blocks / torch.where(absmax == 0, 1.0, absmax)[:, None], table)


def _closest(values: Tensor, table: Tensor) -> Tensor:
    return torch.bucketize(values, (table[:-1] + table[1:]) / 2).to(torch.uint8)
