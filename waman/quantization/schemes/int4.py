"""Whole numbers of 4 bits with a scale for each group of inputs, around 0 or around a zero point."""

from torch import Tensor

from waman.quantization.matrix import Quantized
from waman.quantization.recipe import Int4
from waman.quantization.schemes.grid import Search, quantize_groups, shifted, symmetric

BITS = 4
CANDIDATES = 20


def quantize(weight: Tensor, scheme: Int4) -> Quantized:
    """(outputs, inputs), finite -> 4-bit integers with the scales of least squared error among those tried."""
    return quantize_groups(weight, bits=BITS, group=scheme.group, search=search(scheme))


def search(scheme: Int4) -> Search:
    """How a group's scale, and zero point, are found."""
    return (shifted if scheme.zeros else symmetric)(BITS, candidates=CANDIDATES)


def bits_per_weight(scheme: Int4) -> float:
    """Bits of a weight and of its part of the scale, in float16, and of the zero point."""
    return BITS + (16 + (BITS if scheme.zeros else 0)) / scheme.group
