"""A decoder's modules replaced from outside by quantized ones; whatever else hangs in it stays as it is."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from waman.model.decoder import Decoder
from waman.quantization.linear import QuantizedEmbedding, QuantizedLinear
from waman.quantization.matrix import Matrix, Quantized, Table4
from waman.quantization.plan import EMBEDDING, make_plan
from waman.quantization.recipe import QuantizeRecipe
from waman.quantization.schemes.scheme import quantize
from waman.weights.configuration import family_of
from waman.weights.huggingface import Place

_WEIGHT = ".weight"


@torch.no_grad()
def quantize_decoder(decoder: Decoder, recipe: QuantizeRecipe) -> None:
    """Quantizes a decoder where it stands, by the names of its checkpoint, matrix by matrix.

    A layer that is no plain `nn.Linear` any more (adapted, quantized) is left alone. Raises RecipeError and InputError
    as the schemes do.
    """
    plan = make_plan(decoder.config, family_of(decoder.config), recipe)
    if decoder.config.tie_embeddings and not plan.config.tie_embeddings:
        decoder.unembedding = nn.Linear(1, 1, bias=False, device="meta")
        decoder.unembedding.weight = decoder.embedding.weight
    plain = {
        f"{name}{_WEIGHT}": module
        for name, module in decoder.named_modules()
        if type(module) in (nn.Linear, nn.Embedding)
    }
    for ours, module in plain.items():
        named = [(name, place) for name, place in plan.places.items() if place.name == ours]
        parts = []
        for name, place in named:
            theirs = place.read(module.weight.detach())
            parts.append((place, quantize(theirs, plan.scheme(name), name) or theirs))
        if any(not isinstance(part, Tensor) for _, part in parts):
            replace(decoder, ours, parts, getattr(module, "bias", None))


def replace(decoder: nn.Module, ours: str, parts: Sequence[tuple[Place, Matrix | Tensor]], bias: Tensor | None) -> None:
    """Puts a quantized module where a plain one was. parts: their matrices, each with its rows of ours."""
    *path, name = ours.removesuffix(_WEIGHT).split(".")
    parent = decoder.get_submodule(".".join(path))
    matrices = [in_our_order(place, part) for place, part in parts]
    if ours == EMBEDDING:
        (matrix,) = matrices
        assert not isinstance(matrix, Tensor)
        setattr(parent, name, QuantizedEmbedding(matrix, _dtype(decoder)))
        return
    setattr(parent, name, QuantizedLinear(matrices, None if bias is None else bias.detach()))


def in_our_order(place: Place, part: Matrix | Tensor) -> Matrix | Tensor:
    """One of their matrices with its rows as they follow each other in ours."""
    if isinstance(place.rows, slice):
        return part
    order = torch.argsort(place.rows)
    match part:
        case Quantized():
            zeros = None if part.zeros is None else part.zeros[order]
            return Quantized(part.bits, part.group, part.integers[order], part.scales[order], zeros)
        case Table4():
            return Table4(part.group, part.codes[order], part.absmax[order], part.table)
        case Tensor():
            return part[order]


def _dtype(decoder: nn.Module) -> torch.dtype:
    """What the decoder computes in: the type of its norms, which no scheme touches."""
    return next((one.dtype for one in decoder.parameters() if one.dim() == 1), torch.float32)
