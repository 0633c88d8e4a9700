"""`waman`: what no other family can express; the config as a recipe writes it, tensors under our names."""

from typing import Any

import torch

from waman import settings
from waman.errors import InputError, RecipeError
from waman.model.config import ModelConfig
from waman.model.decoder import Decoder
from waman.weights.families.family import Family, Names, Theirs
from waman.weights.families.keys import Keys

_SECTION = "model"


def _read(keys: Keys) -> ModelConfig:
    tables = dict(keys.tables(_SECTION))
    keys.unread("vocab_size", "max_position_embeddings")
    keys.close()
    if _SECTION not in tables:
        raise InputError(f"{keys.path}: no section {_SECTION!r}; expected the config as a recipe writes it")
    try:
        return settings.parse(ModelConfig, tables[_SECTION])
    except RecipeError as error:
        raise InputError(f"{keys.path}: {error}") from error


def _obstacles(config: ModelConfig) -> list[str]:
    return []


def _write(config: ModelConfig) -> dict[str, Any]:
    return {"max_position_embeddings": config.context_length, _SECTION: settings.to_table(config)}


def _names(config: ModelConfig) -> Names:
    with torch.device("meta"):
        state = Decoder(config).state_dict()
    for name in state:
        yield name, [Theirs(name)]


OWN = Family(
    model_type="waman",
    architecture="WamanForCausalLM",
    read=_read,
    obstacles=_obstacles,
    write=_write,
    names=_names,
)
