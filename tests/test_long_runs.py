"""Random recipes of every verb through TOML and back."""

import dataclasses
import random
import tomllib
import types
import typing
from typing import Any, Literal, Union, get_args, get_origin

import pytest

from tests.sweep import Sweep
from waman import settings
from waman.cli.verbs import VERBS, resolve
from waman.errors import RecipeError

_TEXTS = (
    "",
    "web",
    "a.b",
    'say "x"',
    "it's",
    "two\nlines",
    "back\\slash",
    "한국어",
    "\x00\x1f",
    "kind",
    "1",
    "true",
    " ",
)
_INTS = (0, 1, 2, 3, 7, 16, 64, 1000, 2**31, 2**62, -1)
_FLOATS = (0.0, 1.0, 0.5, 0.05, 1e-9, 1e300, 3.0, -0.0, 0.1 + 0.2)


@pytest.mark.soak
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_random_recipes_come_back_from_toml(verb: Any, sweep: Sweep) -> None:
    cls = resolve(verb.recipe)
    made = 0
    for draw in sweep(1000):
        try:
            recipe = _mutate(draw, cls())
        except RecipeError:
            continue
        made += 1
        again = settings.parse(cls, tomllib.loads(settings.render(recipe)))
        assert again == recipe
        assert settings.render(again) == settings.render(recipe)
        assert settings.parse(cls, settings.to_table(recipe)) == recipe
    assert made or sweep.only


def _mutate(draw: random.Random, part: Any) -> Any:
    """The part with some of its fields drawn anew. Raises RecipeError where they do not go together."""
    hints = typing.get_type_hints(type(part))
    fields = [field.name for field in dataclasses.fields(part) if field.init]
    chosen = draw.sample(fields, min(len(fields), draw.choice((0, 1, 1, 2, 3))))
    values = {name: _draw_value(draw, hints[name], usual=getattr(part, name)) for name in chosen}
    return dataclasses.replace(part, **values)


def _draw_value(draw: random.Random, hint: Any, *, usual: Any = None) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        member = draw.choice(arguments)
        return None if member is type(None) else _draw_value(draw, member, usual=usual)
    if origin is Literal:
        return draw.choice(arguments)
    if origin is tuple:
        same = len(arguments) == 2 and arguments[1] is Ellipsis
        kinds = [arguments[0]] * draw.randint(0, 3) if same else arguments
        return tuple(_draw_value(draw, kind) for kind in kinds)
    if origin is dict:
        return {draw.choice(_TEXTS): _draw_value(draw, arguments[1]) for _ in range(draw.randint(0, 3))}
    if dataclasses.is_dataclass(hint):
        return _mutate(draw, usual if type(usual) is hint else _make(draw, hint))
    simple: dict[Any, tuple[Any, ...]] = {bool: (True, False), int: _INTS, float: _FLOATS, str: _TEXTS}
    return draw.choice(simple[hint])


def _make(draw: random.Random, cls: Any) -> Any:
    """A part with its defaults, and what has none drawn."""
    hints = typing.get_type_hints(cls)
    missing = [
        field.name
        for field in dataclasses.fields(cls)
        if field.init and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    return cls(**{name: _draw_value(draw, hints[name]) for name in missing})
