"""`tune`: a model learns the rows, says what it can answer, and goes on where it was stopped."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.documents import python
from tests.tokens import material
from waman.artifact import Artifact, open_artifact, verify
from waman.errors import InputError, KindError, RecipeError, WamanError
from waman.instruction.compose import compose
from waman.instruction.introduction import choose_examples
from waman.instruction.recipe import ByAnswers, ByRows, ComposeRecipe, TuneRecipe
from waman.instruction.rows import Row, read_rows
from waman.instruction.tune import tune
from waman.model.count import num_parameters
from waman.model.recipe import Float32
from waman.settings import parse, to_table
from waman.training.loop import StepInfo
from waman.training.recipe import AdamW, EverySteps
from waman.weights.huggingface import load_config

NUM_STEPS = 12
RECIPE = TuneRecipe(
    num_tokens=NUM_STEPS * 384,
    batch_tokens=384,
    optimizer=AdamW(learning_rate=0.01),
    precision=Float32(),
    checkpoints=EverySteps(5),
    keep=None,
)


class StopError(Exception):
    """Stands for whatever ends a process in the middle."""


def what_was_computed(run: Path) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        del line["tokens_per_second"]
    files = {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*.safetensors"))}
    return lines, files


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, weights: Artifact, instructions: Artifact) -> Artifact:
    out: Path = tmp_path_factory.mktemp("tuned") / "run"
    return tune(RECIPE, weights=weights, instructions=[instructions], out=out)


def test_a_run_holds_checkpoints_final_weights_and_metrics(run: Artifact, weights: Artifact) -> None:
    assert run.kind == "run"
    assert verify(run) == []
    assert [open_artifact(run.path / part, "weights").counts["steps"] for part in ("final", "checkpoints/step-5")] == [
        NUM_STEPS,
        5,
    ]
    lines, _ = what_was_computed(run.path)
    assert [line["step"] for line in lines] == list(range(1, NUM_STEPS + 1))
    assert lines[-1]["loss"] < lines[0]["loss"] / 1.2
    assert run.counts["tokens"] == NUM_STEPS * 384
    assert run.counts["rows"] > NUM_STEPS * 2
    assert (run.path / "final" / "tokenizer.json").read_bytes() == (weights.path / "tokenizer.json").read_bytes()


def test_lineage_leads_to_the_weights_and_the_instructions(
    run: Artifact, weights: Artifact, instructions: Artifact
) -> None:
    final = open_artifact(run.path / "final", "weights")
    assert final.manifest is not None
    found = {name: [one.identity for one in many] for name, many in final.manifest.inputs.items()}
    assert found == {"weights": [weights.identity], "instructions": [instructions.identity]}


def test_a_model_says_how_large_it_is_and_what_it_can_answer(run: Artifact, instructions: Artifact) -> None:
    about = json.loads((run.path / "final" / "about.json").read_text(encoding="utf-8"))
    assert about["parameters"] == num_parameters(load_config(run.path / "final"))
    assert about["tokens"] is None  # the weights it began with tell nothing of theirs
    assert about["answers"] == (
        "say whether a line of Python is well formed; say which sign or keyword comes next in a line of Python; "
        "say which sign or keyword is missing from a line of Python"
    )
    prompts = {row.prompt for row in read_rows(instructions.path / "test")}
    assert len(about["questions"]) == 3
    assert set(about["questions"]) <= prompts
    assert not any("\n" in question for question in about["questions"])


def test_tokens_are_counted_from_the_first_training_on(run: Artifact, instructions: Artifact, tmp_path: Path) -> None:
    base = open_artifact(run.path / "final", "weights")
    again = tune(RECIPE, weights=base, instructions=[instructions], out=tmp_path / "again")
    about = json.loads((again.path / "final" / "about.json").read_text(encoding="utf-8"))
    assert about["tokens"] == 2 * NUM_STEPS * 384


def test_a_run_stopped_anywhere_goes_on_to_the_same_bytes_and_losses(
    run: Artifact, weights: Artifact, instructions: Artifact, tmp_path: Path
) -> None:
    expected = what_was_computed(run.path)
    for stops in ((1,), (5,), (8, 11)):
        out = tmp_path / f"stopped-{stops[0]}"
        for stop in (*stops, None):

            def after_step(info: StepInfo, stop: int | None = stop) -> None:
                if info.step == stop:
                    raise StopError

            try:
                tune(RECIPE, weights=weights, instructions=[instructions], out=out, after_step=after_step)
            except StopError:
                assert out.with_name(out.name + ".partial").is_dir()
        assert what_was_computed(out) == expected


def test_a_finished_run_is_returned_and_another_seed_is_another_run(
    run: Artifact, weights: Artifact, instructions: Artifact
) -> None:
    assert tune(RECIPE, weights=weights, instructions=[instructions], out=run.path).identity == run.identity
    other = dataclasses.replace(RECIPE, seed=1)
    with pytest.raises(WamanError, match=r"recipe\.seed: found 0, asked for 1"):
        tune(other, weights=weights, instructions=[instructions], out=run.path)


def test_a_tiny_model_learns_the_rows_of_one_task_by_heart(
    weights: Artifact, documents: Artifact, mixture: Artifact, tmp_path: Path
) -> None:
    recipe = ComposeRecipe(tasks=("next_token",), max_train=8, turned_share=0.0)
    few = compose(recipe, documents=[documents], mixture=mixture, out=tmp_path / "few")
    learned = tune(
        dataclasses.replace(RECIPE, num_tokens=200 * 384, checkpoints=EverySteps(1000)),
        weights=weights,
        instructions=[few],
        out=tmp_path / "run",
    )
    lines, _ = what_was_computed(learned.path)
    assert lines[-1]["loss"] < 0.05


def test_rows_longer_than_the_context_are_told(
    weights: Artifact, instructions: Artifact, run: Artifact, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    assert run.counts["too_long"] > 0
    short = dataclasses.replace(RECIPE, num_tokens=1)
    with caplog.at_level("WARNING", logger="waman"):
        tune(short, weights=weights, instructions=[instructions], out=tmp_path / "run")
    assert f"{run.counts['too_long']} rows are longer than the context of 192 tokens: left out" in caplog.text


def test_instructions_of_which_no_row_fits_are_refused(weights: Artifact, mixture: Artifact, tmp_path: Path) -> None:
    body = "".join(f"    {letter} = '{letter * 40}' + str(({letter}))\n" for letter in "abcdefghijklmnop")
    source = "def f():\n" + body
    documents = material.write_artifact(tmp_path / "documents", [[python(source, group="group-0")]])
    recipe = ComposeRecipe(tasks=("which_parses",), max_characters=4000)
    long = compose(recipe, documents=[documents], mixture=mixture, out=tmp_path / "long")
    with pytest.raises(InputError, match=r"no row to train on: \d+ do not fit into the model's context of 192 tokens"):
        tune(RECIPE, weights=weights, instructions=[long], out=tmp_path / "run")


def test_inputs_of_another_kind_are_refused(weights: Artifact, instructions: Artifact, tmp_path: Path) -> None:
    with pytest.raises(KindError, match="is of kind 'instructions', expected 'weights'"):
        tune(RECIPE, weights=instructions, instructions=[instructions], out=tmp_path / "run")
    with pytest.raises(KindError, match="is of kind 'weights', expected 'instructions'"):
        tune(RECIPE, weights=weights, instructions=[weights], out=tmp_path / "run")


def test_examples_are_short_questions_of_one_line_one_for_each_task() -> None:
    def row(task: str, prompt: str, target: str, options: tuple[str, ...] | None = ("a",)) -> Row:
        return Row("0", task, "c", "t", "en", prompt, target, options, 0, "0", "d", "s", "g", "test", None)

    rows = [
        row("a", "two\nlines", "x"),
        row("a", "turned", "long " * 9, None),
        row("a", "first", "x"),
        row("a", "second", "x"),
        row("b", "short", "x"),
        row("b", "long answer", "x" * 17),
        row("c", "answer of two lines", "x\ny"),
        row("d", "last", "x" * 16),
    ]
    assert [one.prompt for one in choose_examples(rows)] == ["first", "last"]


def test_a_recipe_is_read_back_as_it_was_written() -> None:
    for recipe in (
        TuneRecipe(),
        TuneRecipe(mixing=ByRows(cap=5), keep=2),
        ComposeRecipe(),
        ComposeRecipe(tasks=("a",)),
    ):
        assert parse(type(recipe), to_table(recipe)) == recipe


def test_steps_are_counted_in_whole_sequences() -> None:
    recipe = TuneRecipe(num_tokens=10_000, batch_tokens=1000)
    assert recipe.batch_sequences(256) == 4
    assert recipe.num_steps(256) == 10  # 9.8 batches of 1,024


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: TuneRecipe(num_tokens=0), "num_tokens = 0; expected at least 1"),
        (lambda: TuneRecipe(batch_tokens=0), "batch_tokens = 0; expected at least 1"),
        (lambda: TuneRecipe(micro_batch_sequences=0), "micro_batch_sequences = 0; expected at least 1"),
        (lambda: TuneRecipe(keep=0), "keep = 0; expected at least 1"),
        (lambda: TuneRecipe(later_turns=1.5), r"later_turns = 1\.5; expected a share from 0 to 1"),
        (lambda: TuneRecipe(later_turns=-0.1), r"later_turns = -0\.1; expected a share from 0 to 1"),
        (lambda: ByRows(cap=0), r"mixing\.cap = 0; expected at least 1"),
        (lambda: ByAnswers(cap=0), r"mixing\.cap = 0; expected at least 1"),
    ],
)
def test_a_recipe_out_of_range_is_refused(attempt: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        attempt()
