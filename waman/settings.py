"""Recipes: frozen dataclasses to TOML and back, strictly.

A field is a bool, int, float, str, `Literal`, tuple, dict with string keys, dataclass, union of dataclasses, or any of
these `| None`. A union's member is chosen by `kind`, the snake_case of its class name; `kind = "none"` is None, for
where leaving the field out means something else. The string after a field is its documentation.
"""

import ast
import dataclasses
import difflib
import functools
import inspect
import itertools
import re
import sys
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import tomli_w

from waman.errors import RecipeError

T = TypeVar("T")
RECIPES_FOLDER = Path(__file__).parent / "recipes"
NONE: Mapping[str, str] = types.MappingProxyType({"kind": "none"})
"""How None is written where leaving a field out would mean its usual value."""


@dataclass(frozen=True)
class Off:
    """Switches an optional part off (`kind = "off"`)."""


@dataclass(frozen=True)
class Field:
    """One settable field of a recipe, as `--help` lists it."""

    path: str
    type: str
    default: str | None
    documentation: str


def kind_of(member: Any) -> str:
    """The `kind` under which a union's member is written: the snake_case of its class name."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", member.__name__).lower()


def parse(cls: type[T], table: Mapping[str, Any]) -> T:
    """The recipe that a TOML table describes. Raises RecipeError on an unknown field, a wrong type, a missing value."""
    return typing.cast(T, _parse_dataclass(cls, table, path=""))


def load(cls: type[T], source: str | Path | None, overrides: Sequence[str] = ()) -> T:
    """The recipe of a shipped name or a TOML file (None: all defaults), with `section.field=value` overrides."""
    return parse(cls, apply_overrides(_read_table(source) if source is not None else {}, overrides))


def apply_overrides(table: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """The table with each `section.field=value` set; a value is TOML, or else plain text."""
    for override in overrides:
        _override(table, override)
    return table


def render(recipe: Any) -> str:
    """The recipe as TOML, every value spelled out: `parse(type(recipe), tomllib.loads(...)) == recipe`."""
    return tomli_w.dumps(to_table(recipe))


def to_table(recipe: Any) -> dict[str, Any]:
    """The recipe as plain tables, lists, strings and numbers; None is absence, or NONE where something is usual."""
    return _dataclass_to_table(type(recipe), recipe, default=None)


def describe(cls: type) -> list[Field]:
    """Every settable field under the recipe, depth first, with type, default and documentation."""
    return list(_describe(cls, prefix="", default=dataclasses.MISSING))


def documentation(cls: type) -> dict[str, str]:
    """The string that follows each field in the class body."""
    definition = _classes(cls.__module__).get(cls.__name__)
    if definition is None:
        return {}
    found: dict[str, str] = {}
    for statement, following in itertools.pairwise(definition.body):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = inspect.cleandoc(text)
    return found


@functools.cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    """The classes that a module's source defines, by name; parsed once, since help asks for many of them."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, KeyError, TypeError):
        return {}
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


# Reading


def _read_table(source: str | Path) -> dict[str, Any]:
    path = Path(source)
    if path.suffix != ".toml":
        path = RECIPES_FOLDER / f"{source}.toml"
    if not path.is_file():
        shipped = sorted(recipe.stem for recipe in RECIPES_FOLDER.glob("*.toml"))
        raise RecipeError(
            f"recipe '{source}' not found: give the path of a .toml file or a shipped name: "
            f"{', '.join(shipped) or 'none'}"
        )
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"recipe {path} is not valid TOML: {error}") from error


def _override(table: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys):
        raise RecipeError(f"override '{override}' is not of the form section.field=value")
    for key in keys[:-1]:
        inner = table.setdefault(key, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"override '{override}': '{key}' is a value, not a section")
        table = inner
    try:
        value: Any = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    if keys[-1] == "kind" and table.get("kind", value) != value:
        table.clear()
    table[keys[-1]] = value


def _where(path: str) -> str:
    return path or "recipe"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _hints(cls: Any) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _parse_dataclass(cls: Any, table: Any, *, path: str, default: Any = None) -> Any:
    """Fields that the table leaves out keep the value they have in `default`, where that is a `cls`."""
    if not isinstance(table, Mapping):
        raise RecipeError(f"{_where(path)}: found {_shown(table)}, expected a table with fields of {cls.__name__}")
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    for name in table:
        if name not in fields:
            close = difflib.get_close_matches(name, fields, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"fields: {', '.join(fields) or 'none'}"
            raise RecipeError(f"{_where(path)}: no field '{name}'; {hint}")
    hints = _hints(cls)
    known = {name: getattr(default, name) for name in fields} if type(default) is cls else {}
    values = dict(known)
    for name, value in table.items():
        usual = known[name] if known else _default_of(fields[name])
        values[name] = _parse_value(hints[name], value, path=_join(path, name), default=usual)
    for name, field in fields.items():
        if name not in values and _default_of(field) is dataclasses.MISSING:
            raise RecipeError(f"{_join(path, name)}: missing; expected {_type_name(hints[name])}")
    try:
        return cls(**values)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}" if path else str(error)) from error


def _parse_value(hint: Any, value: Any, *, path: str, default: Any = None) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _parse_union(hint, value, path=path, default=default)
    if origin is Literal:
        if value not in get_args(hint):
            raise RecipeError(f"{path}: found {_shown(value)}, expected one of {', '.join(map(repr, get_args(hint)))}")
        return value
    if origin is tuple:
        return _parse_tuple(hint, value, path=path)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise RecipeError(f"{path}: found {_shown(value)}, expected a table")
        inner = get_args(hint)[1]
        return {str(key): _parse_value(inner, item, path=_join(path, str(key))) for key, item in value.items()}
    if dataclasses.is_dataclass(hint):
        table = _without_kind(typing.cast(type, hint), value)
        return _parse_dataclass(hint, table, path=path, default=default)
    return _parse_scalar(hint, value, path=path)


def _without_kind(member: type, value: Any) -> Any:
    """A union of one member may carry its kind; a second member then changes no recipe."""
    if isinstance(value, Mapping) and value.get("kind") == kind_of(member) and "kind" not in _hints(member):
        return {name: item for name, item in value.items() if name != "kind"}
    return value


def _parse_scalar(hint: Any, value: Any, *, path: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (bool, int, float, str) and type(value) is hint:
        return value
    raise RecipeError(f"{path}: found {_shown(value)}, expected {_type_name(hint)}")


def _parse_tuple(hint: Any, value: Any, *, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise RecipeError(f"{path}: found {_shown(value)}, expected a list")
    arguments = get_args(hint)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_parse_value(arguments[0], item, path=f"{path}[{index}]") for index, item in enumerate(value))
    if len(value) != len(arguments):
        raise RecipeError(f"{path}: found {len(value)} values, expected {len(arguments)}")
    return tuple(
        _parse_value(argument, item, path=f"{path}[{index}]")
        for index, (argument, item) in enumerate(zip(arguments, value, strict=True))
    )


def _parse_union(hint: Any, value: Any, *, path: str, default: Any) -> Any:
    if value == NONE and type(None) in get_args(hint):
        return None
    members = [member for member in get_args(hint) if member is not type(None)]
    parts = {kind_of(member): member for member in members if dataclasses.is_dataclass(member)}
    plain = [member for member in members if not dataclasses.is_dataclass(member)]
    if isinstance(value, Mapping) and parts:
        usual = next(iter(parts)) if len(parts) == 1 else None
        usual = kind_of(type(default)) if type(default) in parts.values() else usual
        kind = value.get("kind", usual)
        if kind not in parts:
            close = difflib.get_close_matches(str(kind), parts, n=1)
            hint_text = f"; did you mean '{close[0]}'?" if close else ""
            raise RecipeError(
                f"{path}.kind: found {_shown(kind)}, expected one of {', '.join(sorted(parts))}{hint_text}"
            )
        rest = {name: item for name, item in value.items() if name != "kind"}
        return _parse_dataclass(parts[kind], rest, path=path, default=default)
    for member in plain:
        try:
            return _parse_value(member, value, path=path)
        except RecipeError:
            continue
    raise RecipeError(f"{path}: found {_shown(value)}, expected {_type_name(hint)}")


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    return f"{type(value).__name__} {value!r}" if not isinstance(value, Mapping) else "a table"


# Writing


def _dataclass_to_table(hint: Any, recipe: Any, *, default: Any) -> dict[str, Any]:
    """`default` is what the table's absence would mean, as in `_parse_dataclass`."""
    hints = _hints(type(recipe))
    table: dict[str, Any] = {}
    if _is_union_of_parts(hint):
        table["kind"] = kind_of(type(recipe))
    for field in dataclasses.fields(recipe):
        if not field.init:
            continue
        value = getattr(recipe, field.name)
        usual = getattr(default, field.name) if type(default) is type(recipe) else _default_of(field)
        if value is not None:
            table[field.name] = _value_to_table(hints[field.name], value, default=usual)
        elif usual is not None:
            table[field.name] = dict(NONE)
    return table


def _is_union_of_parts(hint: Any) -> bool:
    members = [member for member in get_args(hint) if member is not type(None)]
    return get_origin(hint) in (Union, types.UnionType) and len([m for m in members if dataclasses.is_dataclass(m)]) > 1


def _value_to_table(hint: Any, value: Any, *, default: Any = None) -> Any:
    if dataclasses.is_dataclass(value):
        return _dataclass_to_table(hint, value, default=default)
    if isinstance(value, tuple):
        arguments = get_args(_without_none(hint))
        same = len(arguments) == 2 and arguments[1] is Ellipsis
        return [_value_to_table(arguments[0] if same else arguments[i], item) for i, item in enumerate(value)]
    if isinstance(value, dict):
        inner = get_args(_without_none(hint))[1]
        return {key: _value_to_table(inner, item) for key, item in value.items()}
    return value


def _without_none(hint: Any) -> Any:
    members = [member for member in get_args(hint) if member is not type(None)]
    return members[0] if get_origin(hint) in (Union, types.UnionType) and len(members) == 1 else hint


# Describing


def _describe(cls: type, *, prefix: str, default: Any) -> typing.Iterator[Field]:
    hints, texts = _hints(cls), documentation(cls)
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        hint, path = hints[field.name], _join(prefix, field.name)
        value = getattr(default, field.name) if isinstance(default, cls) else _default_of(field)
        bare = _without_none(hint)
        if dataclasses.is_dataclass(bare):
            yield from _describe(typing.cast(type, bare), prefix=path, default=value)
            continue
        yield Field(path, _type_name(hint), _default_text(hint, value), texts.get(field.name, ""))
        for member in _parts_of(hint):
            chosen = value if isinstance(value, member) else dataclasses.MISSING
            for inner in _describe(member, prefix=path, default=chosen):
                yield dataclasses.replace(inner, documentation=f"[{kind_of(member)}] {inner.documentation}")


def _parts_of(hint: Any) -> list[type]:
    if get_origin(hint) is dict:
        hint = get_args(hint)[1]
    if get_origin(hint) is tuple:
        hint = get_args(hint)[0]
    members = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return [member for member in members if dataclasses.is_dataclass(member) and isinstance(member, type)]


def _default_of(field: "dataclasses.Field[Any]") -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else dataclasses.MISSING


def _default_text(hint: Any, value: Any) -> str | None:
    if value is dataclasses.MISSING:
        return None
    if value is None:
        return "absent"
    if dataclasses.is_dataclass(value):
        return kind_of(type(value))
    if isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
        return f"[{', '.join(kind_of(type(item)) for item in value)}]"
    if isinstance(value, dict) and get_origin(hint) is dict:
        inner = get_args(hint)[1]
        return "; ".join(f"{key}: {_default_text(inner, item)}" for key, item in value.items()) or "none"
    table = _value_to_table(hint, value)
    return str(table).lower() if isinstance(value, bool) else str(table)


def _type_name(hint: Any) -> str:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return " | ".join(_type_name(member) for member in get_args(hint) if member is not type(None))
    if origin is Literal:
        return " | ".join(map(repr, get_args(hint)))
    if origin is tuple:
        return f"list of {_type_name(get_args(hint)[0])}"
    if origin is dict:
        return f"table of {_type_name(get_args(hint)[1])}"
    return kind_of(hint) if dataclasses.is_dataclass(hint) else getattr(hint, "__name__", str(hint))
