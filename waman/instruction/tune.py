"""`waman tune`: weights and instructions in, a run of a model that answers out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from waman.artifact import Artifact, require_kind
from waman.dataflow import Counts
from waman.draft import begin, seal
from waman.errors import InputError
from waman.instruction.introduction import choose_examples, write_about
from waman.instruction.mixture import Mixture, PackedBatches
from waman.instruction.recipe import TuneRecipe
from waman.instruction.render import Rendered, render_fitting
from waman.instruction.rows import Row, read_rows
from waman.instruction.wording import TEST, TRAIN
from waman.log import get_logger
from waman.tokens.tokenizer import Tokenizer
from waman.training.loop import AfterStep, Trainer
from waman.training.run import OnCheckpoint, Run
from waman.weights.huggingface import load_decoder

VERSION = 2


def tune(
    recipe: TuneRecipe,
    *,
    weights: Artifact,
    instructions: Sequence[Artifact],
    out: Path,
    replace: bool = False,
    after_step: AfterStep | None = None,
    on_checkpoint: OnCheckpoint | None = None,
) -> Artifact:
    """Trains a model on the rows to train on; gives a run with `checkpoints/`, `final/` and `metrics.jsonl`.

    Killed and called again it goes on from its newest checkpoint, to the same weights and losses. Raises KindError for
    an input of another kind, InputError where no row fits into the model's context, RecipeError for a loss that is no
    longer finite, NoSpaceError if the last checkpoint was not saved.
    """
    inputs: dict[str, Artifact | Sequence[Artifact]] = {"weights": weights, "instructions": instructions}
    draft = begin(out, kind="run", version=VERSION, recipe=recipe, inputs=inputs, replace=replace)
    if draft.finished is not None:
        return draft.finished
    _require_kinds(weights, instructions)
    with draft:
        decoder = load_decoder(weights.path)
        context_length = decoder.config.context_length
        tokenizer = Tokenizer.load(weights.path)
        rows, num_too_long = _rows_to_train_on(instructions, tokenizer, context_length)
        mixture = Mixture(rows, mixing=recipe.mixing, seed=recipe.seed, later_turns=recipe.later_turns)
        batches = PackedBatches(
            mixture,
            context_length=context_length,
            batch_sequences=recipe.batch_sequences(context_length),
            padding_id=tokenizer.eos_id,
        )
        trainer = Trainer(
            decoder,
            batches,
            num_steps=recipe.num_steps(context_length),
            optimizer=recipe.optimizer,
            schedule=recipe.schedule,
            precision=recipe.precision,
            micro_batch_sequences=recipe.micro_batch_sequences,
        )
        seal = _Seal(recipe, weights, tuple(instructions), tuple(rows))
        run = Run(trainer, draft, seal=seal, tokenizer_folder=weights.path, keep=recipe.keep)
        counts = run.train(recipe.checkpoints, after_step=after_step, on_checkpoint=on_checkpoint)
        num_rows = batches.first_row(trainer.num_steps)
        return draft.finish(
            counts=counts | {"rows": num_rows, "epochs": mixture.epochs(num_rows), "too_long": num_too_long}
        )


@dataclass(frozen=True)
class _Seal:
    """Makes a folder of the run a weights artifact that says what it can answer."""

    recipe: TuneRecipe
    weights: Artifact
    instructions: tuple[Artifact, ...]
    tasks: tuple[str, ...]

    def __call__(self, folder: Path, *, part: str, counts: Counts, lineage_from: Path) -> object:
        trained = self.weights.counts.get("tokens")
        write_about(
            folder,
            parameters=counts["parameters"],
            tokens=trained + counts["tokens"] if trained is not None else None,
            examples=choose_examples([row for row in _read(self.instructions, TEST) if row.task in self.tasks]),
        )
        return seal(
            folder,
            kind="weights",
            version=VERSION,
            recipe=self.recipe,
            inputs={"weights": self.weights, "instructions": self.instructions},
            part=part,
            counts=counts,
            lineage_from=lineage_from,
        )


def _require_kinds(weights: Artifact, instructions: Sequence[Artifact]) -> None:
    for one, kind in [(weights, "weights"), *((one, "instructions") for one in instructions)]:
        require_kind(one, kind)


def _read(instructions: Sequence[Artifact], split: str) -> list[Row]:
    return [row for one in instructions for row in read_rows(one.path / split)]


def _rows_to_train_on(
    instructions: Sequence[Artifact], tokenizer: Tokenizer, context_length: int
) -> tuple[dict[str, list[Rendered]], int]:
    rows, num_too_long = render_fitting(_read(instructions, TRAIN), tokenizer, context_length=context_length)
    if not rows:
        raise InputError(
            f"no row to train on: {num_too_long} do not fit into the model's context of {context_length} tokens; "
            "compose with a smaller max_characters, or take a model with a longer context"
        )
    if num_too_long:
        get_logger().warning("%d rows are longer than the context of %d tokens: left out", num_too_long, context_length)
    return rows, num_too_long
