"""Scales of whole numbers: searched for the least squared error, group by group."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from waman.quantization.matrix import Quantized

_CHUNK_ELEMENTS = 1 << 18
"""Searched at a time: five times faster where the candidates stay in the cache."""
_HALF_FROM = 2.0**-14
"""Below it float16 loses digits: it is spaced by 2^-24 there."""
_HALF_UNTIL = 65504.0

Search = Callable[[Tensor], tuple[Tensor, Tensor | None]]
"""(groups, width) float32 -> scales (groups,), and zero points or None"""


def quantize_groups(weight: Tensor, *, bits: int, group: int, search: Search) -> Quantized:
    """The nearest whole numbers on the grid that the search finds for each group.

    weight: (outputs, inputs), finite; inputs a multiple of `group`.
    """
    outputs, inputs = weight.shape
    factor = _power_to_one(weight)  # squares of very large or small weights would leave float32
    parts = [search(chunk.float().reshape(-1, group) * factor) for chunk in _chunks(weight)]
    scales = torch.cat([found for found, _ in parts]).view(outputs, -1) / factor
    scales = scales.to(scale_dtype(scales))
    zeros = None
    if parts[0][1] is not None:
        zeros = torch.cat([found for _, found in parts if found is not None]).to(torch.int8).view(outputs, -1)
    integers = torch.empty(outputs, inputs, dtype=torch.int8)
    for start, chunk in _placed(weight):
        stop = start + len(chunk)
        integers[start:stop] = nearest(
            chunk.float(), scales[start:stop], None if zeros is None else zeros[start:stop], bits
        )
    return Quantized(bits, group, integers, scales, zeros)


def nearest(weight: Tensor, scales: Tensor, zeros: Tensor | None, bits: int) -> Tensor:
    """(outputs, inputs) float32 and scales (outputs, groups) -> the nearest whole numbers of so many bits, int8."""
    outputs, inputs = weight.shape
    grouped = weight.view(outputs, scales.shape[1], -1)
    found = round_to(grouped, scales.float()[:, :, None], None if zeros is None else zeros.float()[:, :, None], bits)
    return found.view(outputs, inputs).to(torch.int8)


def round_to(weight: Tensor, scale: Tensor, zero: Tensor | None, bits: int) -> Tensor:
    """The nearest whole numbers, as float32; where the scale is 0, the zero point."""
    lowest, highest = limits(bits)
    found = torch.where(scale == 0, 0.0, weight / torch.where(scale == 0, 1.0, scale)).round_()
    if zero is not None:
        found += zero
    return found.clamp_(lowest, highest)


def limits(bits: int) -> tuple[int, int]:
    """The least and the greatest whole number of so many bits."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def scale_dtype(scales: Tensor) -> torch.dtype:
    """float16, where it holds the larger scales well: what is far smaller adds little to a product."""
    largest = float(scales.abs().max())
    return torch.float16 if largest == 0 or _HALF_FROM <= largest <= _HALF_UNTIL else torch.float32


def symmetric(bits: int, *, candidates: int) -> Search:
    """Grids around 0. The weight farthest from 0 lies near the grid's longer end, so that a scale may be negative."""
    lowest, _ = limits(bits)
    ends = torch.linspace(0.9, 1.1, candidates) if candidates > 1 else torch.ones(1)

    def search(groups: Tensor) -> tuple[Tensor, Tensor | None]:
        farthest = groups.gather(1, groups.abs().argmax(dim=1, keepdim=True))[:, 0]
        best = _Best(groups, bits)
        best.offer(farthest.abs() / -lowest * (-lowest / (-lowest - 1)), None)  # the plain ones: +-7, +-127
        for end in ends.tolist():
            best.offer(farthest / (lowest * end), None)
        return best.scales, None

    return search


def shifted(bits: int, *, candidates: int) -> Search:
    """Grids with a zero point, from the range that holds all weights and 0 to narrower ones."""
    lowest, highest = limits(bits)

    def search(groups: Tensor) -> tuple[Tensor, Tensor | None]:
        low, high = groups.amin(dim=1).clamp(max=0), groups.amax(dim=1).clamp(min=0)
        best = _Best(groups, bits)
        for share in torch.linspace(1.0, 0.7, candidates).tolist():
            scale = (high - low) * share / (highest - lowest)
            middle = (high + low) / 2
            exact = torch.where(scale == 0, 0.0, middle / torch.where(scale == 0, 1.0, scale))
            zero = ((lowest + highest) / 2 - exact).round().clamp(lowest, highest)
            best.offer(scale, zero)
        return best.scales, best.zeros

    return search


class _Best:
    """The scales with the least squared error so far."""

    def __init__(self, groups: Tensor, bits: int) -> None:
        self._groups, self._bits = groups, bits
        self._error = torch.full((len(groups),), torch.inf)
        self.scales = torch.zeros(len(groups))
        self.zeros = torch.zeros(len(groups))

    def offer(self, scale: Tensor, zero: Tensor | None) -> None:
        """Tries a scale for each group, and then the one that fits best the integers that it gave."""
        steps = self._steps(scale, zero)
        self._take(scale, zero, steps)
        fitted = (steps * self._groups).sum(dim=1) / steps.square().sum(dim=1).clamp_(min=1)
        self._take(fitted, zero, steps)

    def _steps(self, scale: Tensor, zero: Tensor | None) -> Tensor:
        shift = None if zero is None else zero[:, None]
        found = round_to(self._groups, scale[:, None], shift, self._bits)
        return found if shift is None else found - shift

    def _take(self, scale: Tensor, zero: Tensor | None, steps: Tensor) -> None:
        scale = scale.half().float() if scale_dtype(scale) == torch.float16 else scale
        error = (self._groups - steps * scale[:, None]).square_().sum(dim=1)
        better = error < self._error
        self._error = torch.where(better, error, self._error)
        self.scales = torch.where(better, scale, self.scales)
        if zero is not None:
            self.zeros = torch.where(better, zero, self.zeros)


def _power_to_one(weight: Tensor) -> float:
    least, most = weight.aminmax()
    largest = max(float(most), -float(least))
    return 1.0 if largest == 0 or 2.0**-40 < largest < 2.0**40 else 2.0 ** -math.floor(math.log2(largest))


def _chunks(weight: Tensor) -> Iterator[Tensor]:
    return (chunk for _, chunk in _placed(weight))


def _placed(weight: Tensor) -> Iterator[tuple[int, Tensor]]:
    rows = max(1, _CHUNK_ELEMENTS // weight.shape[1])
    for start in range(0, len(weight), rows):
        yield start, weight[start : start + rows]
