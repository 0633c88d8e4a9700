"""What a plan is for: a preset's name, a recipe of pretraining, a run, a demo, a model's directory."""

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waman import settings
from waman.errors import InputError, RecipeError
from waman.manifest import MANIFEST, Manifest, read_manifest
from waman.model.config import ModelConfig
from waman.model.presets import PRESETS, preset
from waman.training.recipe import PretrainRecipe

ASSUMED_VOCAB_SIZE = 4096
"""Of a recipe whose tokenizer is not there yet: the laptop presets are named by it."""
_CONFIG = "config.json"


@dataclass(frozen=True)
class Target:
    """A model, and how it is or was trained as far as that is known."""

    name: str
    config: ModelConfig
    pretrain: PretrainRecipe | None = None
    finished: Manifest | None = None
    """of a run that is done"""
    assumes: str | None = None
    """what had to be filled in"""


def read_target(target: str | Path | ModelConfig | PretrainRecipe) -> Target:
    """Raises RecipeError or InputError where it is none of what a plan is made for."""
    if isinstance(target, ModelConfig):
        return _with_vocabulary(Target("the model", target))
    if isinstance(target, PretrainRecipe):
        return _with_vocabulary(Target("the recipe", target.model or ModelConfig(), target))
    path = Path(target)
    if path.is_dir():
        return _read_directory(path)
    if path.suffix == ".toml" or path.is_file():
        return _read_recipe(path)
    if isinstance(target, str) and (target in PRESETS or "/" not in target):
        return _with_vocabulary(Target(target, _preset(target)))
    raise InputError(f"{target} does not exist; {_EXPECTED}")


_EXPECTED = "give a preset's name, a recipe of pretrain (.toml), a run, a demo, or a model's directory"


def _preset(name: str) -> ModelConfig:
    try:
        return preset(name)
    except RecipeError as error:
        raise RecipeError(f"{error}. No such file or directory either: {_EXPECTED}") from error


def _read_recipe(path: Path) -> Target:
    """A recipe of pretrain, or one of more stages that has a part for it."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; {_EXPECTED}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not TOML: {error}; {_EXPECTED}") from error
    recipe = _parse_pretrain(table.get("pretrain", table))
    return _with_vocabulary(Target(path.name, recipe.model or ModelConfig(), recipe))


def _parse_pretrain(table: Any) -> PretrainRecipe:
    return settings.parse(PretrainRecipe, table)


def _read_directory(path: Path) -> Target:
    if (path / MANIFEST).is_file():
        manifest = read_manifest(path)
        if manifest.kind == "run":
            return _read_run(path, manifest)
        if manifest.kind == "demo":
            return _read_demo(path, manifest)
    if not (path / _CONFIG).is_file():
        raise InputError(f"{path} holds neither a run nor a model's {_CONFIG}; {_EXPECTED}")
    return Target(path.name, _load_config(path))


def _read_run(path: Path, manifest: Manifest) -> Target:
    config = _load_config(path / "final")
    recipe = _parse_pretrain(manifest.recipe) if "num_tokens" in manifest.recipe else None
    return Target(path.name, config, recipe, manifest)


def _read_demo(path: Path, manifest: Manifest) -> Target:
    """What a demo trains, or, where it ended before that, would train on its tokens."""
    recipe = _parse_pretrain(manifest.recipe["pretrain"])
    config = dataclasses.replace(recipe.model or ModelConfig(), vocab_size=_vocab_size(path / "tokens"))
    return Target(path.name, config, recipe)


def _vocab_size(tokens: Path) -> int:
    from waman.artifact import open_artifact
    from waman.tokens.shards import TokenShards  # loads Arrow, which a preset's plan does not wait for

    return TokenShards.open(open_artifact(tokens, "tokens")).info.vocab_size


def _load_config(path: Path) -> ModelConfig:
    from waman.weights.configuration import load_config  # loads torch, which a preset's plan does not wait for

    return load_config(path)


def _with_vocabulary(target: Target) -> Target:
    if target.config.vocab_size is not None:
        return target
    config = dataclasses.replace(target.config, vocab_size=ASSUMED_VOCAB_SIZE)
    note = f"a vocabulary of {ASSUMED_VOCAB_SIZE}: the tokenizer that sets it is not known"
    return dataclasses.replace(target, config=config, assumes=note)
