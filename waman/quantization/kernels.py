"""Compiled products of quantized matrices. There is no library yet: PyTorch's operators serve."""

from typing import Protocol

from torch import Tensor

from waman.quantization.matrix import Quantized


class Packed(Protocol):
    """A matrix as a kernel reads it."""


class Native(Protocol):
    """A compiled library."""

    def pack(self, matrix: Quantized | Tensor) -> Packed | None:
        """None: a shape or scheme that it has no kernel for. A Tensor is bfloat16."""

    def multiply(self, x: Tensor, matrix: Packed, bias: Tensor | None) -> Tensor:
        """(rows, inputs) -> (rows, outputs), float32."""


def native() -> Native | None:
    """The compiled library, if there is one for this source and processor."""
    return None
