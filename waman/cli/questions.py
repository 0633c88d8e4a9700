"""What `waman plan` is asked beside the cost of a run: which size, on how few tokens, by which law."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from waman import settings
from waman.errors import RecipeError

ASKING = ("loss", "served", "flops", "unique_tokens", "runs")
"""Options of which any makes it a question of size."""
OF_SIZE = (*ASKING, "law", "serving_mfu", "second_language", "transfer", "svg")
_SERVING = {
    "loss": "loss",
    "served": "served_tokens",
    "flops": "flops",
    "budget": "budget",
    "law": "law",
    "gpu": "gpu",
    "mfu": "mfu",
    "serving_mfu": "serving_mfu",
    "price": "price_per_hour",
    "currency": "currency",
    "exchange_rate": "exchange_rate",
}
_REPETITION = {
    "unique_tokens": "unique_tokens",
    "flops": "flops",
    "law": "law",
    "second_language": "shares",
    "transfer": "transfers",
}
_FIELDS = {"ServingRecipe": _SERVING, "RepetitionRecipe": _REPETITION, "LawRecipe": dict[str, str]()}


def asks_for_a_size(given: Mapping[str, Any]) -> bool:
    """Whether any option asks for one. Raises RecipeError for an option that only a question of size has use for."""
    if any(given.get(name) is not None for name in ASKING):
        return True
    for name in OF_SIZE:
        if given.get(name) is not None:
            raise RecipeError(
                f"{_shown(name)} belongs to a question of size: give {', '.join(map(_shown, ASKING))} too"
            )
    return False


def answer(given: Mapping[str, Any], *, overrides: Sequence[str], as_json: bool) -> str:
    """What is printed. Raises RecipeError for options that the question has no use for."""
    from waman.artifact import open_artifact
    from waman.planning import recipe as recipes
    from waman.planning.choose import choose

    kind = _kind(given)
    fields = _FIELDS[kind]
    named = {name: value for name, value in given.items() if value is not None and name not in ("runs", "svg")}
    useless = [_shown(name) for name in named if name not in fields]
    if useless:
        raise RecipeError(
            f"{', '.join(useless)}: of no use where the question is {_QUESTIONS[kind]}; leave it out, or ask by itself"
        )
    table = {fields[name]: value for name, value in named.items()}
    recipe = settings.parse(getattr(recipes, kind), settings.apply_overrides(table, overrides))
    found = choose(recipe, runs=[open_artifact(one, "run") for one in given.get("runs") or ()])
    if given.get("svg") is not None:
        _draw(found, given["svg"])
    return json.dumps(found.to_table(), indent=1, ensure_ascii=False) + "\n" if as_json else found.render()


_QUESTIONS = {
    "ServingRecipe": "what to train and serve (--loss, --flops, --budget, --served)",
    "RepetitionRecipe": "what few tokens allow (--unique-tokens)",
    "LawRecipe": "which law runs follow (--runs alone)",
}


def _kind(given: Mapping[str, Any]) -> str:
    if given.get("unique_tokens") is not None:
        return "RepetitionRecipe"
    if any(given.get(name) is not None for name in ("loss", "served", "flops", "budget")):
        return "ServingRecipe"
    return "LawRecipe"


def _draw(found: Any, path: Path) -> None:
    from waman.manifest import write_whole

    if not hasattr(found, "to_svg"):
        raise RecipeError(
            "--svg: there is a curve only of what to train and serve (--loss, --flops, --budget, --served)"
        )
    write_whole(path, found.to_svg())


def _shown(name: str) -> str:
    return "TARGET" if name == "target" else f"--{name.replace('_', '-')}"
