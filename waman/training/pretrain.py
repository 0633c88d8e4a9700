"""`waman pretrain`: token shards in, a run of a fresh decoder out."""

import dataclasses
import functools
from pathlib import Path

from waman.artifact import Artifact
from waman.draft import begin, seal
from waman.errors import RecipeError
from waman.log import get_logger
from waman.model.config import ModelConfig
from waman.model.decoder import Decoder
from waman.model.initialize import initialize
from waman.tokens.shards import TokenShards, TokensInfo
from waman.tokens.tokenizer import Tokenizer, require_same
from waman.training.batches import Batches
from waman.training.loop import AfterStep, Trainer
from waman.training.recipe import PretrainRecipe
from waman.training.run import OnCheckpoint, Run

VERSION = 1


def pretrain(
    recipe: PretrainRecipe,
    *,
    tokens: Artifact,
    tokenizer: Artifact,
    out: Path,
    replace: bool = False,
    after_step: AfterStep | None = None,
    on_checkpoint: OnCheckpoint | None = None,
) -> Artifact:
    """Trains a fresh decoder on the train split; gives a run with `checkpoints/`, `final/` and `metrics.jsonl`.

    Killed and called again it goes on from its newest checkpoint, to the same weights and losses. Raises InputError
    for a corpus smaller than a sequence or another tokenizer than the tokens', RecipeError for a model or proportions
    that do not fit them or for a loss that is no longer finite, NoSpaceError if the last checkpoint was not saved.
    """
    inputs = {"tokens": tokens, "tokenizer": tokenizer}
    draft = begin(out, kind="run", version=VERSION, recipe=recipe, inputs=inputs, replace=replace)
    if draft.finished is not None:
        return draft.finished
    with draft:
        shards = TokenShards.open(tokens)
        batches = Batches(
            shards.streams["train"],
            proportions=_proportions(shards, recipe),
            context_length=recipe.model.context_length,
            batch_sequences=recipe.batch_sequences,
            seed=recipe.seed,
        )
        decoder = Decoder(_complete(recipe.model, shards.info, Tokenizer.load(tokenizer.path)))
        initialize(decoder, recipe.seed)
        trainer = Trainer(
            decoder,
            batches,
            num_steps=recipe.num_steps,
            optimizer=recipe.optimizer,
            schedule=recipe.schedule,
            precision=recipe.precision,
            micro_batch_sequences=recipe.micro_batch_sequences,
        )
        sealed = functools.partial(seal, kind="weights", version=VERSION, recipe=recipe, inputs=inputs)
        run = Run(trainer, draft, seal=sealed, tokenizer_folder=tokenizer.path, keep=recipe.keep)
        counts = run.train(recipe.checkpoints, after_step=after_step, on_checkpoint=on_checkpoint)
        epochs = batches.epochs(recipe.num_steps * recipe.batch_sequences)
        return draft.finish(counts=counts | {"epochs": epochs})


def _complete(config: ModelConfig, info: TokensInfo, tokenizer: Tokenizer) -> ModelConfig:
    """The config with the tokenizer's vocab_size."""
    require_same(tokenizer, info.tokenizer, what="the token shards")
    if config.vocab_size not in (None, info.vocab_size):
        raise RecipeError(
            f"model.vocab_size = {config.vocab_size}, but the tokenizer has {info.vocab_size} entries; leave it out"
        )
    return dataclasses.replace(config, vocab_size=info.vocab_size)


def _proportions(shards: TokenShards, recipe: PretrainRecipe) -> dict[str, float]:
    """The recipe's proportions, else the mixture's for the sources that have tokens to train on."""
    present = shards.streams["train"]
    if recipe.proportions is None:
        for source in sorted(shards.proportions.keys() - present.keys()):
            get_logger().warning("source '%s' has no tokens in the train split: left out", source)
        return {source: share for source, share in shards.proportions.items() if source in present}
    unknown = sorted(recipe.proportions.keys() - present.keys())
    if unknown or not any(recipe.proportions.values()):
        raise RecipeError(
            f"proportions: no source {', '.join(unknown) or 'has a share above 0'}; the train split has "
            f"{', '.join(sorted(present)) or 'none'}"
        )
    return recipe.proportions
