"""What a run begins with: fresh weights, or those of another model to go on from."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waman import settings
from waman.artifact import Artifact
from waman.errors import InputError, RecipeError
from waman.manifest import read_table
from waman.model.config import ModelConfig
from waman.model.decoder import Decoder
from waman.model.initialize import initialize
from waman.tokens.extension import new_tokens, num_ids, spell
from waman.tokens.shards import TokensInfo
from waman.tokens.tokenizer import TOKENIZER_FILE, Tokenizer, require_same
from waman.training.recipe import PretrainRecipe
from waman.weights.huggingface import load_config, load_decoder
from waman.weights.vocabulary import add_rows

_SETTLED = ("model.vocab_size", "model.initialization")
"""Parts of a config that the weights gone on from have settled; a recipe that names the model need not repeat them."""


@dataclass(frozen=True)
class Beginning:
    """A decoder before the first step, and the directory of its tokenizer."""

    decoder: Decoder
    tokenizer: Path


def begin_fresh(recipe: PretrainRecipe, info: TokensInfo, tokenizer: Artifact | None) -> Beginning:
    """A fresh decoder for the tokens' vocabulary. Raises InputError for another tokenizer than theirs."""
    if tokenizer is None:
        raise InputError("pretrain: no tokenizer: give --tokenizer DIR, or --from DIR to go on from a model")
    if recipe.optimizer_state == "restored":
        raise RecipeError('optimizer_state = "restored", but there is no --from DIR to restore it from')
    require_same(Tokenizer.load(tokenizer.path), info.tokenizer, what="the token shards")
    config = recipe.model or ModelConfig()
    if config.vocab_size not in (None, info.vocab_size):
        raise RecipeError(
            f"model.vocab_size = {config.vocab_size}, but the tokenizer has {info.vocab_size} entries; leave it out"
        )
    decoder = Decoder(dataclasses.replace(config, vocab_size=info.vocab_size))
    initialize(decoder, recipe.seed, by_name=recipe.fresh_weights == "by_name")
    return Beginning(decoder, tokenizer.path)


def begin_from(recipe: PretrainRecipe, info: TokensInfo, tokenizer: Artifact | None, *, start: Artifact) -> Beginning:
    """The weights of a model, with rows for new tokens where `tokenizer` extends the model's own.

    Raises RecipeError where the recipe's model is another, InputError for tokens of another tokenizer.
    """
    _require_model(recipe.model, load_config(start.path), start)
    own = Tokenizer.load(start.path)
    given = own if tokenizer is None else Tokenizer.load(tokenizer.path)
    if given.identity != info.tokenizer:
        raise InputError(
            f"the token shards were made with tokenizer {info.tokenizer[:16]}, that of {(tokenizer or start).path} is "
            f"{given.identity[:16]}: their ids mean other tokens. Tokenize the documents with --tokenizer {start.path}"
        )
    if tokenizer is None or given.identity == own.identity:
        decoder = load_decoder(start.path)
        _require_rows(decoder.config, own, start)
        return Beginning(decoder, start.path)
    if recipe.optimizer_state == "restored":
        raise RecipeError(
            f'optimizer_state = "restored", but {tokenizer.path} has tokens that {start.path} has no moments for; '
            'set optimizer_state = "fresh"'
        )
    return Beginning(_with_new_tokens(start, tokenizer), tokenizer.path)


def _with_new_tokens(start: Artifact, tokenizer: Artifact) -> Decoder:
    old, new = (read_table(one.path / TOKENIZER_FILE) for one in (start, tokenizer))
    try:
        tokens = new_tokens(old, new)
    except InputError as error:
        raise InputError(f"{tokenizer.path} is not the tokenizer of {start.path}, and {error}") from error
    decoder = load_decoder(start.path)
    state, config = add_rows(decoder.state_dict(), decoder.config, first=num_ids(old), pieces=spell(old, tokens))
    grown = Decoder(config)
    grown.load_state_dict(state)
    return grown


def _require_rows(config: ModelConfig, tokenizer: Tokenizer, start: Artifact) -> None:
    if tokenizer.vocab_size > (config.vocab_size or 0):
        raise InputError(
            f"{start.path}: the tokenizer has {tokenizer.vocab_size} tokens, the model {config.vocab_size}: it is the "
            "tokenizer of another model; put the files of the one it was trained with there"
        )


def _require_model(wanted: ModelConfig | None, found: ModelConfig, start: Artifact) -> None:
    """The recipe's model, where it is given, is the one gone on from."""
    if wanted is None:
        return
    differing = _differences(settings.to_table(wanted), settings.to_table(found), "model")
    if wanted.vocab_size not in (None, found.vocab_size):
        differing.append(f"model.vocab_size = {wanted.vocab_size}, there {found.vocab_size}")
    if differing:
        raise RecipeError(
            f"the recipe's model is not that of {start.path}: {'; '.join(differing)}. Leave model out to go on from it"
        )


def _differences(wanted: Any, found: Any, path: str) -> list[str]:
    if isinstance(wanted, dict) and isinstance(found, dict):
        names = sorted(name for name in wanted.keys() | found.keys() if f"{path}.{name}" not in _SETTLED)
        return [line for name in names for line in _differences(wanted.get(name), found.get(name), f"{path}.{name}")]
    return [] if wanted == found else [f"{path} = {_shown(wanted)}, there {_shown(found)}"]


def _shown(value: Any) -> str:
    return "absent" if value is None else f"{value}"
