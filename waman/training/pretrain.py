"""`waman pretrain`: token shards in, a run of a decoder out, fresh or from another model's weights."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

from waman.artifact import Artifact
from waman.dataflow import Counts
from waman.draft import begin, seal
from waman.errors import InputError, RecipeError
from waman.log import get_logger
from waman.tokens.shards import Stream, TokenShards
from waman.training.batches import Batches
from waman.training.checkpoint import restore_moments_of
from waman.training.loop import AfterStep, Trainer
from waman.training.recipe import PretrainRecipe
from waman.training.run import OnCheckpoint, Run
from waman.training.start import begin_fresh, begin_from

VERSION = 2
REPLAY_SHARE = 0.1
"""Where the recipe says none."""


def pretrain(
    recipe: PretrainRecipe,
    *,
    tokens: Artifact,
    tokenizer: Artifact | None = None,
    start: Artifact | None = None,
    replay: Artifact | None = None,
    out: Path,
    replace: bool = False,
    after_step: AfterStep | None = None,
    on_checkpoint: OnCheckpoint | None = None,
    foretell: Callable[[], Counts | None] | None = None,
) -> Artifact:
    """Trains a decoder on the train split; gives a run with `checkpoints/`, `final/` and `metrics.jsonl`.

    The decoder is fresh, or `start`'s, whose config and tokenizer are taken with its weights; `tokenizer` may then be
    left out, or extend that of `start`. A share of the sequences is read from `replay`. Killed and called again it goes
    on from its newest checkpoint, to the same weights and losses. What `foretell` says, which is asked when
    the inputs are known to fit, stands in the manifest as `planned`, beside the outcome.

    Raises InputError for a corpus smaller than a sequence or another tokenizer than the tokens', RecipeError for a
    model or proportions that do not fit the inputs, DivergedError for a loss that is no longer finite, NoSpaceError if
    the last checkpoint was not saved.
    """
    named = {"tokens": tokens, "tokenizer": tokenizer, "start": start, "replay": replay}
    inputs = {name: one for name, one in named.items() if one is not None}
    draft = begin(out, kind="run", version=VERSION, recipe=recipe, inputs=inputs, replace=replace)
    if draft.finished is not None:
        return draft.finished
    shards = TokenShards.open(tokens)
    if start is None:
        beginning = begin_fresh(recipe, shards.info, tokenizer)
    else:
        beginning = begin_from(recipe, shards.info, tokenizer, start=start)
    context_length = beginning.decoder.config.context_length
    streams, proportions = _sources(recipe, shards, _open_replay(recipe, shards, replay))
    batches = Batches(
        streams,
        proportions=proportions,
        context_length=recipe.sequence_length or context_length,
        batch_sequences=recipe.batch_sequences(context_length),
        seed=recipe.seed,
    )
    trainer = Trainer(
        beginning.decoder,
        batches,
        num_steps=recipe.num_steps,
        optimizer=recipe.optimizer,
        schedule=recipe.schedule,
        precision=recipe.precision,
        micro_batch_sequences=recipe.micro_batch_sequences,
        z_loss=recipe.z_loss,
        recompute_layers=recipe.recomputation == "full",
    )
    planned = None if foretell is None else foretell()  # before the run's memory is watched
    with draft:
        if start is not None and recipe.optimizer_state == "restored":
            restore_moments_of(trainer, start.path)
        sealed = functools.partial(seal, kind="weights", version=VERSION, recipe=recipe, inputs=inputs)
        run = Run(trainer, draft, seal=sealed, tokenizer_folder=beginning.tokenizer, keep=recipe.keep)
        counts = run.train(recipe.checkpoints, after_step=after_step, on_checkpoint=on_checkpoint)
        epochs = batches.epochs(recipe.num_steps * recipe.batch_sequences(context_length))
        foretold = {} if planned is None else {"planned": planned}
        return draft.finish(counts=counts | {"epochs": epochs} | foretold)


def _open_replay(recipe: PretrainRecipe, shards: TokenShards, replay: Artifact | None) -> TokenShards | None:
    """Raises InputError where the shards were made with another tokenizer, RecipeError for a share of nothing."""
    if replay is None:
        if recipe.replay_share is not None:
            raise RecipeError(f"replay_share = {recipe.replay_share}, but there is no --replay DIR to read it from")
        return None
    opened = TokenShards.open(replay)
    if opened.info.tokenizer != shards.info.tokenizer:
        raise InputError(
            f"{replay.path}: made with tokenizer {opened.info.tokenizer[:16]}, the tokens with "
            f"{shards.info.tokenizer[:16]}: their ids mean other tokens. Tokenize the documents to replay with the "
            "tokenizer of the tokens"
        )
    return opened


def _sources(
    recipe: PretrainRecipe, shards: TokenShards, replay: TokenShards | None
) -> tuple[Mapping[str, Stream], dict[str, float]]:
    """The streams to read and their proportions; those to replay are called `replay/SOURCE`."""
    streams, proportions = dict(shards.streams["train"]), _proportions(shards, recipe)
    if replay is None:
        return streams, proportions
    share = REPLAY_SHARE if recipe.replay_share is None else recipe.replay_share
    again = _present(replay)
    streams |= {f"replay/{source}": replay.streams["train"][source] for source in again}
    return streams, {
        **{source: (1 - share) * part for source, part in _shares(proportions).items()},
        **{f"replay/{source}": share * part for source, part in _shares(again).items()},
    }


def _shares(proportions: Mapping[str, float]) -> dict[str, float]:
    """Proportions that sum to 1."""
    total = sum(proportions.values())
    return {source: part / total for source, part in proportions.items()}


def _proportions(shards: TokenShards, recipe: PretrainRecipe) -> dict[str, float]:
    """The recipe's proportions, else the mixture's."""
    if recipe.proportions is None:
        return _present(shards)
    present = shards.streams["train"]
    unknown = sorted(recipe.proportions.keys() - present.keys())
    if unknown or not any(recipe.proportions.values()):
        raise RecipeError(
            f"proportions: no source {', '.join(unknown) or 'has a share above 0'}; the train split has "
            f"{', '.join(sorted(present)) or 'none'}"
        )
    return recipe.proportions


def _present(shards: TokenShards) -> dict[str, float]:
    """The mixture's proportions for the sources that have tokens to train on."""
    present = shards.streams["train"]
    for source in sorted(shards.proportions.keys() - present.keys()):
        get_logger().warning("source '%s' has no tokens in the train split: left out", source)
    return {source: share for source, share in shards.proportions.items() if source in present}
