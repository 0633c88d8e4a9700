"""From a base and what each variant says to the arms, which may differ in nothing else.

An override can carry more than it says: a new `kind` brings its own defaults for fields that both kinds have. Such a
difference is found by comparing the resolved recipes leaf by leaf, and refused until it is said.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from waman import settings
from waman.ablation.recipe import AblateRecipe, Pipeline
from waman.errors import RecipeError
from waman.model.config import ModelConfig
from waman.model.count import flops_per_token, kv_bytes_per_token, num_parameters
from waman.training.recipe import PretrainRecipe

Leaves = dict[str, Any]
"""Dotted path -> value, lists whole."""

_ALIKE: Mapping[str, str] = {
    "evaluate": "all arms are measured alike",
    "refine.presets": "a preset only fills in refine.filters, which may be",
    "mix.held_out": "all arms are judged on the same held-out groups",
    "plant.seed": "seeds are the ablation's own, the same across arms",
    "pretrain.seed": "seeds are the ablation's own, the same across arms",
    "pretrain.num_tokens": "arms are matched by tokens or FLOPs",
}
"""What no variant may name, and why."""
_SIZED = "pretrain."
_MATCHED = "pretrain.num_tokens"


@dataclass(frozen=True)
class Arm:
    """One way to make a model: the base, or the base with what a variant says."""

    name: str
    size: str | None
    """Which of the recipe's sizes; None where it has none."""
    says: tuple[str, ...]
    """The variant's own words; none for the reference."""
    pipeline: Pipeline
    differs: Mapping[str, tuple[Any, Any]]
    """Field -> the reference's value and the arm's; None where one has no such field."""

    @property
    def model(self) -> ModelConfig:
        """The model's shape, its vocabulary that of the arm's tokenizer."""
        model = self.pipeline.pretrain.model
        assert model is not None
        return replace(model, vocab_size=self.pipeline.train_tokenizer.vocab_size)

    @property
    def num_parameters(self) -> int:
        """Trainable numbers."""
        return num_parameters(self.model)

    @property
    def flops(self) -> int:
        """Floating-point operations of one training run, by the model's formula."""
        recipe = self.pipeline.pretrain
        return _flops_per_token(self.pipeline) * recipe.num_steps * recipe.batch_tokens

    @property
    def kv_bytes(self) -> int:
        """Bytes of keys and values that decoding keeps per token, in 16 bits."""
        return kv_bytes_per_token(self.model)


def resolve(recipe: AblateRecipe) -> dict[str | None, list[Arm]]:
    """The arms of each size, the reference first. Raises RecipeError unless they differ in what they say alone."""
    if not recipe.variants:
        raise RecipeError(
            "variants: none given, expected at least one to compare with the base, as name = ['section.field=value']"
        )
    found: dict[str | None, list[Arm]] = {}
    for size in recipe.sizes or (None,):
        base = recipe.base if size is None else _sized(recipe, size)
        reference = Arm(recipe.reference, size, (), base, {})
        arms = [reference, *(_vary(recipe, reference, name) for name in recipe.variants)]
        _require_distinct(arms)
        _require_parameters(arms, recipe.max_parameter_difference)
        found[size] = arms
    return found


def _sized(recipe: AblateRecipe, size: str) -> Pipeline:
    for override in recipe.sizes[size]:
        if not override.startswith(_SIZED):
            raise RecipeError(f"size '{size}': '{override}' is no field of pretrain; a size changes the model alone")
    said = {leaf for override in recipe.sizes[size] for leaf in _said(override)}
    for name, overrides in recipe.variants.items():
        both = sorted(said & {leaf for override in overrides for leaf in _said(override)})
        if both:
            raise RecipeError(
                f"size '{size}' and variant '{name}' both set {', '.join(both)}: it would be the variant's at every "
                "size; leave it to one of them"
            )
    return _apply(recipe.base, recipe.sizes[size], f"size '{size}'")


def _vary(recipe: AblateRecipe, reference: Arm, name: str) -> Arm:
    overrides = recipe.variants[name]
    if not overrides:
        raise RecipeError(
            f"variant '{name}' names no field; '{recipe.reference}' is the base as it stands, so give it at least one "
            "'section.field=value'"
        )
    for override in overrides:
        _require_allowed(name, override)
    pipeline = _apply(reference.pipeline, overrides, f"variant '{name}'")
    there, here = _leaves(reference.pipeline), _leaves(pipeline)
    differs = {
        leaf: (there.get(leaf), here.get(leaf))
        for leaf in sorted(there.keys() | here.keys())
        if there.get(leaf) != here.get(leaf)
    }
    _require_said(name, recipe.reference, overrides, differs)
    if recipe.matched == "flops":
        pipeline = _match_flops(reference.pipeline, pipeline)
        tokens = (reference.pipeline.pretrain.num_tokens, pipeline.pretrain.num_tokens)
        differs |= {_MATCHED: tokens} if tokens[0] != tokens[1] else {}
    return Arm(name, reference.size, overrides, pipeline, differs)


def _apply(base: Pipeline, overrides: Sequence[str], whose: str) -> Pipeline:
    """The base with the overrides, a `kind` before the fields it brings. Raises RecipeError for an unknown field."""
    ordered = sorted(overrides, key=lambda one: (not _path(one).endswith(".kind"), _path(one).count(".")))
    try:
        return settings.parse(Pipeline, settings.apply_overrides(_table(base), ordered))
    except RecipeError as error:
        raise RecipeError(f"{whose}: {error}") from error


def _require_allowed(name: str, override: str) -> None:
    for place, why in _ALIKE.items():
        if any(leaf == place or leaf.startswith(place + ".") for leaf in _said(override)):
            raise RecipeError(f"variant '{name}': '{override}' may not be varied: {why}; set it in base")


def _require_said(name: str, reference: str, overrides: Sequence[str], differs: Mapping[str, tuple[Any, Any]]) -> None:
    said = {leaf for override in overrides for leaf in _said(override)}
    places = tuple(_path(override) + "." for override in overrides)
    kinds = tuple(leaf.removesuffix("kind") for leaf in differs if leaf.endswith(".kind"))
    for leaf, (there, here) in differs.items():
        belongs = leaf.startswith(kinds) or leaf.startswith(places) if None in (there, here) else False
        if leaf in said or belongs:
            continue
        raise RecipeError(
            f"variant '{name}' differs from '{reference}' in more than it says: {leaf} is {_shown(there)} there and "
            f"{_shown(here)} here, which follows from what it says; add '{leaf}={_written(there)}' to keep it, or "
            f"'{leaf}={_written(here)}' to say it"
        )


def _require_distinct(arms: Sequence[Arm]) -> None:
    known: dict[str, str] = {}
    for arm in arms:
        text = settings.render(arm.pipeline)
        if text in known:
            what = "; ".join(arm.says)
            raise RecipeError(f"variant '{arm.name}' does not differ from '{known[text]}': {what} is so there as well")
        known[text] = arm.name


def _require_parameters(arms: Sequence[Arm], allowed: float | None) -> None:
    if allowed is None:
        return
    expected = arms[0].num_parameters
    for arm in arms[1:]:
        share = abs(arm.num_parameters - expected) / expected
        if share > allowed:
            raise RecipeError(
                f"variant '{arm.name}' has {arm.num_parameters:,} parameters and '{arms[0].name}' {expected:,}: "
                f"{share:.1%} apart, expected at most {allowed:.1%} (max_parameter_difference); change a width"
            )


def _match_flops(base: Pipeline, arm: Pipeline) -> Pipeline:
    """The arm with as many tokens as cost what the base's cost, in whole steps."""
    budget = _flops_per_token(base) * base.pretrain.num_steps * base.pretrain.batch_tokens
    step = _flops_per_token(arm) * arm.pretrain.batch_tokens
    num_tokens = max(round(budget / step), 1) * arm.pretrain.batch_tokens
    if num_tokens == base.pretrain.num_steps * base.pretrain.batch_tokens:
        return arm
    return replace(arm, pretrain=replace(arm.pretrain, num_tokens=num_tokens))


def _flops_per_token(pipeline: Pipeline) -> int:
    recipe: PretrainRecipe = pipeline.pretrain
    assert recipe.model is not None
    model = replace(recipe.model, vocab_size=pipeline.train_tokenizer.vocab_size)
    return flops_per_token(model, recipe.sequence_length or model.context_length)


# Overrides and leaves


def _path(override: str) -> str:
    return override.partition("=")[0].strip()


def _said(override: str) -> set[str]:
    """The leaves that an override names: one, or those of the table that it gives."""
    path, _, text = override.partition("=")
    try:
        value: Any = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    return {leaf for leaf, _ in _walk(value, path.strip())}


def _leaves(pipeline: Pipeline) -> Leaves:
    return dict(_walk(_table(pipeline), ""))


def _table(pipeline: Pipeline) -> dict[str, Any]:
    """The recipes as tables, without the presets that the filters state in full."""
    table = settings.to_table(pipeline)
    table["refine"].pop("presets")
    return table


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield path, value
        return
    for name, inner in value.items():
        yield from _walk(inner, f"{path}.{name}" if path else name)


def _shown(value: Any) -> str:
    return "absent" if value is None else repr(value)


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
