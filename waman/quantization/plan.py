"""Which module gets which scheme, decided before a weight is read."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import nn

from waman.errors import RecipeError
from waman.model.config import ModelConfig
from waman.model.decoder import Decoder
from waman.quantization.recipe import Keep, Nf4, QuantizeRecipe, Scheme
from waman.quantization.schemes.scheme import require_fit
from waman.weights.configuration import obstacles
from waman.weights.families.family import Family
from waman.weights.families.own import OWN
from waman.weights.huggingface import Place, places

EMBEDDING, HEAD = "embedding.weight", "unembedding.weight"
"""Our names of what comes before and after the blocks."""
_WEIGHT = ".weight"


@dataclass(frozen=True)
class Plan:
    """What is written."""

    config: ModelConfig
    """of the model as it is written: a tied head that is quantized is one of its own"""
    family: Family
    """in which it is written"""
    places: Mapping[str, Place]
    """every tensor by its name there, in order, before quantization"""
    schemes: Mapping[str, Scheme]
    """the modules with a matrix, by their names there; Keep for those that stay"""

    def scheme(self, tensor: str) -> Scheme:
        """The scheme of a tensor by its name there."""
        return self.schemes.get(tensor.removesuffix(_WEIGHT), Keep()) if tensor.endswith(_WEIGHT) else Keep()

    def source(self, tensor: str, config: ModelConfig) -> str:
        """Our name of what a tensor is made from, in a model of this config."""
        ours = self.places[tensor].name
        return EMBEDDING if ours == HEAD and config.tie_embeddings else ours


def make_plan(config: ModelConfig, family: Family, recipe: QuantizeRecipe) -> Plan:
    """Raises RecipeError where a pattern fits nothing, or inputs cannot be cut into a scheme's groups."""
    whole = (recipe.head, recipe.embeddings) == (Keep(), Keep())
    written = config if whole else dataclasses.replace(config, tie_embeddings=False)
    known = places(config, family)
    # Matrices that lie transposed are no linear layers to other programs' readers of quantized weights.
    if any(place.transposed for place in known.values()) or obstacles(family, written):
        family = OWN
    found = places(written, family)
    matrices = matrix_modules(written)
    schemes: dict[str, Scheme] = {}
    for name, place in found.items():
        if place.name in matrices:
            schemes[name.removesuffix(_WEIGHT)] = _choose(name.removesuffix(_WEIGHT), place.name, recipe)
    _require_used(recipe, schemes)
    for module, scheme in schemes.items():
        require_fit(module, found[module + _WEIGHT].shape[-1], scheme)
    _require_whole(schemes, found)
    return Plan(written, family, found, schemes)


def matrix_modules(config: ModelConfig) -> dict[str, nn.Module]:
    """Our names of the weights of linear layers and of the embedding, with their modules (on the meta device)."""
    with torch.device("meta"):
        decoder = Decoder(config)
    named = decoder.named_modules()
    found: dict[str, nn.Module] = {EMBEDDING: decoder.embedding}
    return found | {f"{name}{_WEIGHT}": module for name, module in named if isinstance(module, nn.Linear)}


def _choose(module: str, ours: str, recipe: QuantizeRecipe) -> Scheme:
    for rule in recipe.modules:
        if fnmatchcase(module, rule.pattern):
            return rule.scheme
    if ours == EMBEDDING:
        return recipe.embeddings
    return recipe.head if ours == HEAD else recipe.layers


def _require_used(recipe: QuantizeRecipe, schemes: Mapping[str, Scheme]) -> None:
    for rule in recipe.modules:
        if not any(fnmatchcase(module, rule.pattern) for module in schemes):
            shown = ", ".join(list(schemes)[:9])
            raise RecipeError(
                f"modules: the pattern {rule.pattern!r} fits no module; expected names such as {shown}; mend it"
            )


def _require_whole(schemes: Mapping[str, Scheme], found: Mapping[str, Place]) -> None:
    for module, scheme in schemes.items():
        if isinstance(scheme, Nf4) and found[module + _WEIGHT].name == EMBEDDING:
            raise RecipeError(f"{module}: nf4 is for linear layers; take int8, int4 or keep")
