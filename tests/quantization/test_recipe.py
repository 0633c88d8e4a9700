"""What a recipe refuses, and that it comes back from TOML."""

import tomllib

import pytest

from waman import settings
from waman.errors import RecipeError
from waman.quantization.recipe import (
    AtMost,
    Gptq,
    Int4,
    Int8,
    Keep,
    ModuleScheme,
    Nf4,
    Proof,
    QuantizeRecipe,
)
from waman.settings import Off


@pytest.mark.parametrize(
    "recipe",
    [
        QuantizeRecipe(),
        QuantizeRecipe(layers=Int8(None), head=Int4(64, zeros=True), embeddings=Keep(), max_kl=Off()),
        QuantizeRecipe(modules=(ModuleScheme("*.down_proj", Int8(128)),), gptq=Gptq(8, 64), proof=Proof(1000)),
        QuantizeRecipe(layers=Nf4(double_quantization=False), max_kl=AtMost(0.5)),
    ],
)
def test_a_recipe_comes_back_from_toml(recipe: QuantizeRecipe) -> None:
    assert settings.parse(QuantizeRecipe, tomllib.loads(settings.render(recipe))) == recipe


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"layers": {"kind": "int4", "group": 48}}, r"layers.group: .*48.*32.*64.*128"),
        ({"layers": {"kind": "int5"}}, r"layers: .*int5.*int4.*int8.*keep.*nf4|layers.*int5"),
        ({"layers": {"kind": "nf4"}, "head": {"kind": "int8"}}, r"nf4 beside int4 or int8: .*; take one of them"),
        (
            {"layers": {"kind": "nf4"}, "embeddings": {"kind": "nf4"}},
            r"embeddings: nf4 is for linear layers; take int8",
        ),
        ({"layers": {"kind": "nf4"}, "gptq": {"kind": "gptq"}}, r"gptq: no part .* whole numbers; take int4 or int8"),
        ({"gptq": {"kind": "gptq", "damping": 0.0}}, r"gptq.damping: found 0.0, expected more than 0"),
        ({"proof": {"num_tokens": 0}}, r"proof.num_tokens: found 0, expected more than 0"),
        ({"max_kl": {"nats": -1.0}}, r"max_kl.nats: found -1.0, expected more than 0"),
    ],
)
def test_what_cannot_be_is_refused(table: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        settings.parse(QuantizeRecipe, table)
