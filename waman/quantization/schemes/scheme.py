"""Any scheme: what it makes of a matrix, and whether it can."""

import torch
from torch import Tensor

from waman.errors import InputError, RecipeError
from waman.quantization.matrix import Matrix
from waman.quantization.recipe import Int4, Int8, Keep, Nf4, Scheme
from waman.quantization.schemes import int4, int8, nf4


def quantize(weight: Tensor, scheme: Scheme, name: str) -> Matrix | None:
    """(outputs, inputs) -> by the scheme; None: kept.

    Raises InputError for a weight that is not finite, RecipeError where the inputs cannot be cut into groups.
    """
    require_fit(name, weight.shape[1], scheme)
    match scheme:
        case Keep():
            return None
        case Int8():
            return int8.quantize(finite(weight, name), scheme)
        case Int4():
            return int4.quantize(finite(weight, name), scheme)
        case Nf4():
            return nf4.quantize(finite(weight, name), scheme)


def group_of(scheme: Scheme) -> int | None:
    """Inputs that share a scale; None: all of them."""
    match scheme:
        case Int8(group=group) | Int4(group=group):
            return group
        case Nf4():
            return nf4.BLOCK
        case Keep():
            return None


def require_fit(name: str, inputs: int, scheme: Scheme) -> None:
    """Raises RecipeError where the inputs of a module cannot be cut into the scheme's groups."""
    group = group_of(scheme)
    if group is not None and inputs % group:
        fitting = [size for size in (32, 64, 128) if inputs % size == 0]
        instead = (
            f"take groups of {' or '.join(map(str, fitting))}" if fitting else "take int8 with one scale an output"
        )
        raise RecipeError(
            f"{name}: {inputs} inputs cannot be cut into groups of {group}; {instead}, or keep it (modules)"
        )


def finite(weight: Tensor, name: str) -> Tensor:
    """The weight. Raises InputError where it holds NaN or infinity."""
    for part in torch.split(weight, max(1, (1 << 22) // max(1, weight[0].numel()))):
        if not bool(part.isfinite().all()):
            bad = int((~weight.isfinite()).sum())
            raise InputError(
                f"{name}: {bad} of {weight.numel()} weights are NaN or infinite; expected finite ones: the model is "
                "damaged or diverged in training; take another checkpoint"
            )
    return weight
