import dataclasses
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import VOCAB_SIZE, MakeTokens, write_tokenizer
from waman.artifact import Artifact, open_artifact, verify
from waman.errors import InputError, RecipeError, StaleError
from waman.model.config import ModelConfig
from waman.model.recipe import Bfloat16
from waman.training.loop import StepInfo
from waman.training.pretrain import pretrain
from waman.training.recipe import AdamW, Evenly, EverySteps, PretrainRecipe

NUM_STEPS = 20


class StopError(Exception):
    """Stands for whatever ends a process in the middle."""


@pytest.fixture
def recipe(tiny_model: ModelConfig) -> PretrainRecipe:
    """20 steps of 4 sequences of 16 tokens, a checkpoint every 6."""
    return PretrainRecipe(
        model=tiny_model,
        num_tokens=NUM_STEPS * 64,
        batch_tokens=64,
        micro_batch_sequences=3,
        optimizer=AdamW(learning_rate=0.01),
        precision=Bfloat16(),
        checkpoints=EverySteps(6),
        seed=5,
    )


@pytest.fixture
def tokens(make_tokens: MakeTokens) -> Artifact:
    """Two sources of a few hundred tokens."""
    return make_tokens({"web": [5, 90, 33, 120], "github": [200, 60, 4]})


def what_was_computed(run: Path) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """The metrics without the clock, and every weight and moment of the run."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        del line["tokens_per_second"]
    files = {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*.safetensors"))}
    return lines, files


def test_a_run_holds_checkpoints_final_weights_and_metrics(
    recipe: PretrainRecipe, tokens: Artifact, tokenizer: Artifact, tmp_path: Path
) -> None:
    seen: list[str] = []
    steps: list[StepInfo] = []
    run = pretrain(
        recipe,
        tokens=tokens,
        tokenizer=tokenizer,
        out=tmp_path / "run",
        after_step=steps.append,
        on_checkpoint=lambda folder: seen.append(folder.name),
    )
    assert run.kind == "run"
    assert verify(run) == []
    assert seen == ["step-0", "step-6", "step-12", "step-18", "step-20"]
    assert [info.step for info in steps] == list(range(1, NUM_STEPS + 1))
    for part, step in [(f"checkpoints/{name}", int(name[5:])) for name in seen] + [("final", NUM_STEPS)]:
        weights = open_artifact(run.path / part, "weights")
        assert weights.manifest is not None
        assert weights.manifest.part == part
        assert weights.counts["tokens"] == step * 64
        assert verify(weights) == []
        assert {record.path for record in weights.manifest.inputs["tokens"]} == {
            os.path.relpath(tokens.path, run.path / part)
        }
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, NUM_STEPS + 1))
    assert [line["loss"] for line in lines] == [info.loss for info in steps]
    assert set(lines[0]) == {"step", "loss", "learning_rate", "gradient_norm", "tokens", "tokens_per_second"}
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert run.counts["tokens"] == NUM_STEPS * 64
    assert run.counts["precision"] == "bfloat16"
    # 80 samples, half of each source, which have 248 and 264 tokens: 15 and 16 windows
    assert run.counts["epochs"] == {"github": 40 / 16, "web": 40 / 15}
    before = (run.path / "metrics.jsonl").stat().st_mtime_ns
    assert pretrain(recipe, tokens=tokens, tokenizer=tokenizer, out=tmp_path / "run").identity == run.identity
    assert (run.path / "metrics.jsonl").stat().st_mtime_ns == before


def test_a_run_stopped_anywhere_goes_on_to_the_same_bytes_and_losses(
    recipe: PretrainRecipe, tokens: Artifact, tokenizer: Artifact, tmp_path: Path
) -> None:
    pretrain(recipe, tokens=tokens, tokenizer=tokenizer, out=tmp_path / "unbroken")
    expected = what_was_computed(tmp_path / "unbroken")
    places = random.Random(0).sample(range(1, NUM_STEPS + 1), 4)
    for number, stops in enumerate([*([place] for place in places), sorted(places)]):
        out = tmp_path / f"broken{number}"
        first_steps = []
        for stop in [*stops, None]:
            steps: list[int] = []

            def after_step(info: StepInfo, stop: int | None = stop, steps: list[int] = steps) -> None:
                steps.append(info.step)
                if info.step == stop:
                    raise StopError

            try:
                pretrain(recipe, tokens=tokens, tokenizer=tokenizer, out=out, after_step=after_step)
            except StopError:
                assert (tmp_path / f"broken{number}.partial").is_dir()
            first_steps.append(steps[0] if steps else NUM_STEPS + 1)
        assert what_was_computed(out) == expected
        # one that stops after step 6 has checkpoint 0 behind it: the checkpoint is written when the hook has returned
        assert first_steps == [1, *((stop - 1) // 6 * 6 + 1 for stop in stops)]


def test_the_hook_sees_the_checkpoint_again_from_which_a_run_goes_on(
    recipe: PretrainRecipe, tokens: Artifact, tokenizer: Artifact, tmp_path: Path
) -> None:
    seen: list[str] = []

    def on_checkpoint(folder: Path) -> None:
        seen.append(folder.name)
        if seen == ["step-0", "step-6"]:
            raise StopError

    for _ in range(2):
        try:
            pretrain(recipe, tokens=tokens, tokenizer=tokenizer, out=tmp_path / "run", on_checkpoint=on_checkpoint)
        except StopError:
            continue
    assert seen == ["step-0", "step-6", "step-6", "step-12", "step-18", "step-20"]


SCRIPT = """
import sys, time, torch
from pathlib import Path
torch.set_num_threads(1)
from waman import settings
from waman.artifact import Artifact, open_input
from waman.training.pretrain import pretrain
from waman.training.recipe import PretrainRecipe
folder, out, seconds_per_step = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
pretrain(
    settings.load(PretrainRecipe, folder / "recipe.toml"),
    tokens=Artifact(folder / "tokens", "tokens", "tokens of the test"),
    tokenizer=open_input(folder / "tokenizer"),
    out=out,
    after_step=lambda info: time.sleep(seconds_per_step),
)
"""


def command(folder: Path, out: Path, *, seconds_per_step: float = 0.0) -> list[str]:
    return [sys.executable, "-c", SCRIPT, str(folder), str(out), str(seconds_per_step)]


@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_to_the_same_bytes_and_losses(
    recipe: PretrainRecipe, tokens: Artifact, tokenizer: Artifact, tmp_path: Path, kills: int
) -> None:
    (tmp_path / "recipe.toml").write_text(render(recipe))
    pretrain(recipe, tokens=tokens, tokenizer=tokenizer, out=tmp_path / "unbroken")
    out, partial = tmp_path / "broken", tmp_path / "broken.partial"
    generator, unfinished = random.Random(kills), 0
    for _ in range(kills):
        process = subprocess.Popen(command(tmp_path, out, seconds_per_step=0.06), cwd=Path.cwd())
        while process.poll() is None and not (partial / "metrics.jsonl").exists():
            time.sleep(0.01)
        time.sleep(generator.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        unfinished += partial.is_dir()
    assert 2 * unfinished >= kills, "most kills must fall before the end"
    subprocess.run(command(tmp_path, out), check=True, cwd=Path.cwd())
    assert what_was_computed(out) == what_was_computed(tmp_path / "unbroken")
    assert not partial.exists()


def render(recipe: PretrainRecipe) -> str:
    from waman import settings

    return settings.render(recipe)


def test_only_the_newest_checkpoints_are_kept_where_so_asked(
    recipe: PretrainRecipe, tokens: Artifact, tokenizer: Artifact, tmp_path: Path
) -> None:
    kept = dataclasses.replace(recipe, keep=2, checkpoints=Evenly(4))
    run = pretrain(kept, tokens=tokens, tokenizer=tokenizer, out=tmp_path / "run")
    assert sorted(path.name for path in (run.path / "checkpoints").iterdir()) == ["step-15", "step-20"]


def test_another_seed_is_another_run(
    recipe: PretrainRecipe, tokens: Artifact, tokenizer: Artifact, tmp_path: Path
) -> None:
    pretrain(recipe, tokens=tokens, tokenizer=tokenizer, out=tmp_path / "run")
    other = dataclasses.replace(recipe, seed=6)
    with pytest.raises(StaleError, match=r"recipe.seed: found 5, asked for 6"):
        pretrain(other, tokens=tokens, tokenizer=tokenizer, out=tmp_path / "run")
    pretrain(other, tokens=tokens, tokenizer=tokenizer, out=tmp_path / "run", replace=True)
    assert (tmp_path / "run.replaced-1").is_dir()


def test_a_damaged_training_state_is_named_with_what_to_do(
    recipe: PretrainRecipe, tokens: Artifact, tokenizer: Artifact, tmp_path: Path
) -> None:
    def after_step(info: StepInfo) -> None:
        if info.step == 9:
            raise StopError

    arguments: dict[str, Any] = {"tokens": tokens, "tokenizer": tokenizer, "out": tmp_path / "run"}
    with pytest.raises(StopError):
        pretrain(recipe, **arguments, after_step=after_step)
    state = tmp_path / "run.partial" / "checkpoints" / "step-6" / "training_state"
    (state / "state.json").write_text("{}")
    with pytest.raises(
        InputError, match=re.escape(str(state)) + r" is missing or damaged .*; remove .*step-6 to go on"
    ):
        pretrain(recipe, **arguments)
    (state / "state.json").unlink()
    with pytest.raises(InputError, match=r"state is missing or damaged"):
        pretrain(recipe, **arguments)


def test_bad_inputs_are_refused_before_a_step_is_taken(
    recipe: PretrainRecipe, tokens: Artifact, tokenizer: Artifact, tmp_path: Path
) -> None:
    def attempt(recipe: PretrainRecipe, tokenizer: Artifact = tokenizer) -> str:
        with pytest.raises((InputError, RecipeError)) as caught:
            pretrain(recipe, tokens=tokens, tokenizer=tokenizer, out=tmp_path / "run", replace=True)
        return str(caught.value)

    other = write_tokenizer(tmp_path / "other", VOCAB_SIZE + 1)
    assert "give the tokenizer it was made with" in attempt(recipe, other)
    assert recipe.model is not None
    wide = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, vocab_size=99))
    assert "model.vocab_size = 99, but the tokenizer has 64 entries; leave it out" in attempt(wide)
    unknown = dataclasses.replace(recipe, proportions={"books": 1.0, "web": 1.0})
    assert attempt(unknown) == "proportions: no source books; the train split has github, web"
    nothing = dataclasses.replace(recipe, proportions={"web": 0.0})
    assert attempt(nothing) == "proportions: no source has a share above 0; the train split has github, web"
    long_model = dataclasses.replace(recipe.model, context_length=1024)
    long = dataclasses.replace(recipe, model=long_model, batch_tokens=1024)
    assert "the corpus has 512 tokens to train on, one sequence needs 1025" in attempt(long)


def test_proportions_of_the_recipe_replace_those_of_the_mixture(
    recipe: PretrainRecipe, tokens: Artifact, tokenizer: Artifact, tmp_path: Path
) -> None:
    only_web = dataclasses.replace(recipe, proportions={"web": 3.0, "github": 1.0})
    run = pretrain(only_web, tokens=tokens, tokenizer=tokenizer, out=tmp_path / "run")
    assert run.counts["epochs"] == {"github": 20 / 16, "web": 60 / 15}


def test_a_source_of_the_mixture_without_training_tokens_is_left_out(
    recipe: PretrainRecipe,
    tokens: Artifact,
    tokenizer: Artifact,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mixture = tokens.path / "mixture.json"
    table = json.loads(mixture.read_text())
    table["sources"]["books"] = {"proportion": 0.5}
    mixture.write_text(json.dumps(table))
    run = pretrain(recipe, tokens=tokens, tokenizer=tokenizer, out=tmp_path / "run")
    assert set(run.counts["epochs"]) == {"github", "web"}
    assert "source 'books' has no tokens in the train split: left out" in caplog.text
