"""config.json of a Hugging Face directory <-> ModelConfig, by the families that we know."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from waman.errors import InputError, RecipeError
from waman.model.config import ModelConfig, Ntk, Rope, Unscaled, require_vocab_size
from waman.weights.families.falcon import FALCON
from waman.weights.families.family import Family
from waman.weights.families.gpt2 import GPT2
from waman.weights.families.keys import Keys
from waman.weights.families.llama import LLAMA, MISTRAL
from waman.weights.families.own import OWN

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {family.model_type: family for family in (LLAMA, MISTRAL, GPT2, FALCON, OWN)}
)
"""By model_type; a config is written in the first that can express it."""


def family_of(config: ModelConfig) -> Family:
    """The first family that can express a config."""
    return next(family for family in FAMILIES.values() if not obstacles(family, config))


def to_table(config: ModelConfig, dtype: torch.dtype, family: Family | None = None) -> dict[str, Any]:
    """The content of config.json, without token ids.

    `family` is `family_of(config)` where absent. Raises RecipeError where the family cannot express the config.
    """
    family = family or family_of(config)
    reasons = obstacles(family, config)
    if reasons:
        raise RecipeError(f"a {family.model_type} model cannot be written: {'; '.join(reasons)}")
    require_vocab_size(config)
    return _table(config, dtype, family)


def obstacles(family: Family, config: ModelConfig) -> list[str]:
    """Why a family cannot express a config: what it names itself or, should it know of none, what does not come back.

    Fresh weights are left out: how they were drawn does not matter to those that are there.
    """
    config = dataclasses.replace(config, vocab_size=config.vocab_size or 1)
    found = family.obstacles(config)
    if found:
        return found
    if isinstance(config.position, Rope) and isinstance(config.position.scaling, Ntk):
        # It is written as the larger theta that it is.
        config = dataclasses.replace(config, position=dataclasses.replace(config.position, scaling=Unscaled()))
    again = family.read(Keys(Path("config.json"), _table(config, torch.float32, family)))
    lost = [
        part.name
        for part in dataclasses.fields(config)
        if part.name != "initialization" and getattr(again, part.name) != getattr(config, part.name)
    ]
    return [f"{name} has an option that its config.json has no key for" for name in lost]


def _table(config: ModelConfig, dtype: torch.dtype, family: Family) -> dict[str, Any]:
    name = str(dtype).removeprefix("torch.")
    return {
        "architectures": [family.architecture],
        "model_type": family.model_type,
        "vocab_size": config.vocab_size,
        **family.write(config),
        "torch_dtype": name,  # for transformers before version 5
        "dtype": name,
        "use_cache": True,
    }


def load_config(folder: Path) -> ModelConfig:
    """The model that a Hugging Face directory's config.json describes.

    Raises InputError if it is missing, not JSON, of another family, or has a key or value that our decoder would
    have to ignore; all of them are named.
    """
    return read_config(folder)[0]


def read_config(folder: Path) -> tuple[ModelConfig, Family]:
    """As `load_config`, with the family in which the directory is written."""
    path = folder / "config.json"
    return parse_config(path, read_json(path))


def parse_config(path: Path, table: Mapping[str, Any]) -> tuple[ModelConfig, Family]:
    """The same of a table that was read from `path`."""
    model_type = str(table.get("model_type"))
    if model_type not in FAMILIES:
        known = ", ".join(map(repr, FAMILIES))
        raise InputError(f"{path}: model_type is {model_type!r}; known: {known}")
    family = FAMILIES[model_type]
    try:
        return family.read(Keys(path, table)), family
    except RecipeError as error:
        raise InputError(f"{path}: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds a table. Raises InputError if it is missing or holds anything else."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); expected a Hugging Face model directory"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(table, dict):
        raise InputError(f"{path}: found a {type(table).__name__}, expected a table")
    return table
