"""Whole numbers of 8 bits: one scale for each output, or for each group of inputs."""

from torch import Tensor

from waman.quantization.matrix import Quantized
from waman.quantization.recipe import Int8
from waman.quantization.schemes.grid import Search, quantize_groups, symmetric

BITS = 8
CANDIDATES = 5
"""Scales tried beside the plain one; more change the error by less than a hundredth."""


def quantize(weight: Tensor, scheme: Int8) -> Quantized:
    """(outputs, inputs), finite -> 8-bit integers with the scales of least squared error among those tried."""
    group = weight.shape[1] if scheme.group is None else scheme.group
    return quantize_groups(weight, bits=BITS, group=group, search=search())


def search() -> Search:
    """How a group's scale is found."""
    return symmetric(BITS, candidates=CANDIDATES)


def bits_per_weight(scheme: Int8, inputs: int) -> float:
    """Bits of a weight and of its part of the scale, in float16."""
    return BITS + 16 / (inputs if scheme.group is None else scheme.group)
