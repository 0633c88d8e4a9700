"""In which numbers a model computes, as training and evaluation are told it. Torch-free."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Auto:
    """Bfloat16 where the processor multiplies it natively, else float32."""


@dataclass(frozen=True)
class Bfloat16:
    """Computes in bfloat16 from float32 weights; where they are trained, they are kept and updated in float32."""


@dataclass(frozen=True)
class Float32:
    """Computes in float32."""


Precision = Auto | Bfloat16 | Float32
