import tomllib
from dataclasses import dataclass, field
from typing import Literal

import pytest

from waman import settings
from waman.errors import RecipeError
from waman.settings import Off


@dataclass(frozen=True)
class Circle:
    """A part."""

    radius: float = 1.0
    """Metres."""


@dataclass(frozen=True)
class RightAngle:
    width: int = 2
    """Metres."""
    height: int | None = None


@dataclass(frozen=True)
class Recipe:
    name: str = "x"
    """What it is called."""
    shape: Circle | RightAngle = Circle()
    guard: Circle | Off = Off()
    colour: Literal["red", "blue"] = "red"
    sizes: tuple[int, ...] = (1, 2)
    parts: tuple[Circle | RightAngle, ...] = (Circle(), RightAngle())
    shares: dict[str, float] = field(default_factory=dict)
    chains: dict[str, tuple[Circle | RightAngle, ...]] = field(default_factory=lambda: {"a": (Circle(),)})
    single: Circle = Circle()
    pair: tuple[int, int] = (1, 2)
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 0:
            raise RecipeError(f"limit: found {self.limit}, expected at least 0")


def test_a_rendered_recipe_parses_to_itself() -> None:
    recipe = Recipe(
        name="y\n'\"", shape=RightAngle(3), guard=Circle(2.5), sizes=(), parts=(RightAngle(1, 0), Circle()),
        shares={"web": 0.5}, limit=0,
    )  # fmt: skip
    assert settings.parse(Recipe, tomllib.loads(settings.render(recipe))) == recipe
    assert settings.parse(Recipe, tomllib.loads(settings.render(Recipe()))) == Recipe()


def test_zero_is_a_value_and_none_is_absence() -> None:
    assert settings.to_table(Recipe(limit=0))["limit"] == 0
    assert "limit" not in settings.to_table(Recipe())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("nmae=y", "recipe: no field 'nmae'; did you mean 'name'?"),
        ("shape.radios=2", "shape: no field 'radios'; did you mean 'radius'?"),
        (
            "shape.kind=circel",
            "shape.kind: found str 'circel', expected one of circle, right_angle; did you mean 'circle'?",
        ),
        ("name=3", "name: found int 3, expected str"),
        ("limit=true", "limit: found bool True, expected int"),
        ("colour=green", "colour: found str 'green', expected one of 'red', 'blue'"),
        ("sizes=3", "sizes: found int 3, expected a list"),
        ("sizes=['a']", "sizes[0]: found str 'a', expected int"),
        ("limit=-1", "limit: found -1, expected at least 0"),
        ("limit", "override 'limit' is not of the form section.field=value"),
        ("name.first=1", "name: found a table, expected str"),
        ("single=3", "single: found int 3, expected a table with fields of Circle"),
        ("shares=0.5", "shares: found float 0.5, expected a table"),
        ("pair=[1]", "pair: found 1 values, expected 2"),
    ],
)
def test_a_wrong_value_says_what_was_found_and_expected(override: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        settings.load(Recipe, None, [override])
    assert str(caught.value) == message


@dataclass(frozen=True)
class Outer:
    inner: Recipe = Recipe(name="kept", shape=RightAngle(5))


def test_what_a_nested_table_leaves_out_keeps_the_outer_default() -> None:
    recipe = settings.load(Outer, None, ["inner.colour=blue", "inner.shape.height=1"])
    assert recipe.inner == Recipe(name="kept", colour="blue", shape=RightAngle(5, 1))


@dataclass(frozen=True)
class Inner:
    size: int | None = None
    shape: Circle | None = None


@dataclass(frozen=True)
class Around:
    inner: Inner = Inner(size=3, shape=Circle(2.0))


def test_none_is_said_where_leaving_out_would_mean_something_else() -> None:
    recipe = Around(Inner(None, None))
    assert settings.to_table(recipe) == {"inner": {"size": {"kind": "none"}, "shape": {"kind": "none"}}}
    assert settings.parse(Around, tomllib.loads(settings.render(recipe))) == recipe
    assert settings.load(Around, None, ["inner.shape.kind=none"]) == Around(Inner(3, None))
    assert settings.to_table(Around(Inner(4, Circle(2.0)))) == {"inner": {"size": 4, "shape": {"radius": 2.0}}}
    assert settings.to_table(Inner()) == {}


def test_overrides_reach_into_parts_and_a_new_kind_forgets_the_old_fields() -> None:
    recipe = settings.load(Recipe, None, ["shape.kind=right_angle", "shape.width=7", "name=plain text", "limit=4"])
    assert recipe == Recipe(name="plain text", shape=RightAngle(7), limit=4)


def test_a_section_of_what_is_a_value_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"override 'name.first=1': 'name' is a value, not a section"):
        settings.load(Recipe, None, ["name=x", "name.first=1"])


@dataclass(frozen=True)
class Demanding:
    number: int
    """Nobody can guess it."""


def test_a_field_without_a_default_has_to_be_given() -> None:
    with pytest.raises(RecipeError, match="number: missing; expected int"):
        settings.load(Demanding, None)


def test_an_unknown_recipe_name_lists_the_shipped_ones() -> None:
    with pytest.raises(RecipeError, match="recipe 'nothing' not found"):
        settings.load(Recipe, "nothing")


def test_every_field_is_described_with_type_default_and_documentation() -> None:
    described = {one.path: one for one in settings.describe(Recipe)}
    assert described["name"] == settings.Field("name", "str", "x", "What it is called.")
    assert described["shape"].type == "circle | right_angle"
    assert described["shape.radius"].documentation == "[circle] Metres."
    assert described["single.radius"].default == "1.0"
    assert described["limit"].default == "absent"
    assert described["shares"].default == "none"
    assert described["chains"].default == "a: [circle]"
    assert described["chains.radius"].documentation == "[circle] Metres."
