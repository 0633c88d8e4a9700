"""Plans for this machine, from a calibration that is given, and what a run sets against its plan."""

import dataclasses
import json
from pathlib import Path

import pytest

from tests.costing.test_calibrate import MACHINE
from waman import settings
from waman.artifact import Artifact
from waman.costing.calibrate import OptimizerStep, step_seconds
from waman.errors import RecipeError, WorkerError
from waman.model.config import ModelConfig
from waman.model.count import num_parameters
from waman.model.presets import preset
from waman.planning import machine as machines
from waman.planning.machine import foretell, foretold_counts, measure_baseline, render_outcome
from waman.planning.plan import plan
from waman.planning.recipe import PlanRecipe
from waman.tokens.shards import TokensInfo, write_info
from waman.training.recipe import PretrainRecipe

RECIPE = PretrainRecipe(model=preset("laptop-3m"), num_tokens=400_000, batch_tokens=4096)


@pytest.fixture
def tokens(tmp_path: Path) -> Artifact:
    write_info(tmp_path, TokensInfo("uint16", 2048, bos=1, eos=2, tokenizer="of the test"))
    (tmp_path / "mixture.json").write_text(json.dumps({"sources": {}}))
    return Artifact(tmp_path, "tokens", "of the test")


def test_a_recipe_is_planned_for_the_machine_that_was_measured() -> None:
    found = plan(PlanRecipe(watts=100.0, price_per_hour=0.5), target=RECIPE, machine=MACHINE)
    config = dataclasses.replace(preset("laptop-3m"), vocab_size=4096)
    step = step_seconds(MACHINE, OptimizerStep(config, batch_sequences=16, micro_batch_sequences=4, context=256))
    assert found.days * 86400 == pytest.approx(98 * step)
    assert found.tokens_per_second == pytest.approx(4096 / step)
    assert (found.device, found.gpus) == ("this machine", 1)
    assert found.mwh == pytest.approx(found.gpu_hours * 100 * 1.1 / 1e6)
    assert found.cost == pytest.approx(found.gpu_hours * 0.5)
    assert f"money         {found.cost:.2g} USD, at 0.50 an hour" in found.render(), "a small sum is not nothing"
    assert found.memory_bytes_per_gpu == foretell(MACHINE, RECIPE, config).memory.total
    assert 0 < found.mfu < 1


def test_layers_computed_again_take_longer_and_less_memory() -> None:
    again = dataclasses.replace(RECIPE, recomputation="full")
    plain, found = (plan(PlanRecipe(), target=target, machine=MACHINE) for target in (RECIPE, again))
    assert 1 < found.days / plain.days < 4 / 3
    assert found.memory.activations < plain.memory.activations
    asked = plan(PlanRecipe(recomputation="full"), target=RECIPE, machine=MACHINE)
    assert (asked.days, asked.memory) == (found.days, found.memory)
    with pytest.raises(RecipeError, match="recomputation = none: on this machine attention is always computed again"):
        plan(PlanRecipe(recomputation="none"), target=RECIPE, machine=MACHINE)


def test_what_this_machine_draws_and_costs_is_not_known_until_said() -> None:
    found = plan(PlanRecipe(), target=RECIPE, machine=MACHINE)
    assert (found.mwh, found.tonnes_co2, found.cost) == (None, None, None)
    assert "unknown: give --price" in found.render()
    assert "unknown: give --watts" in found.render()
    with pytest.raises(RecipeError, match="this machine has no price: give --price"):
        plan(PlanRecipe(budget=3), target=RECIPE, machine=MACHINE)


def test_a_preset_is_planned_here_in_whole_sequences() -> None:
    found = plan(PlanRecipe(num_tokens=10**6, context_length=1000), target="gpt2-124m", machine=MACHINE)
    assert found.context_length == 1000
    assert found.days > 0


def test_days_that_this_machine_does_not_suffice_for_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"hours of this machine .* 1 of them in 1 days give 24, "):
        plan(PlanRecipe(max_days=1), target="gpt2-124m", machine=MACHINE)


def test_what_says_something_of_a_gpu_needs_one() -> None:
    with pytest.raises(RecipeError, match="num_gpus, mfu: for a GPU of the table, and there is no gpu"):
        PlanRecipe(num_gpus=8, mfu=0.4)
    with pytest.raises(RecipeError, match=r"no target: name a preset, .* with a --gpu"):
        plan(PlanRecipe(max_days=7))


def test_a_short_run_is_not_foretold_unasked(tokens: Artifact) -> None:
    assert foretold_counts(RECIPE, tokens=tokens) is None


def test_a_run_is_foretold_with_its_tokens_vocabulary(tokens: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "measure_machine", lambda precision: MACHINE)
    found = foretold_counts(RECIPE, tokens=tokens, unasked=False)
    config = dataclasses.replace(preset("laptop-3m"), vocab_size=2048)
    expected = foretell(MACHINE, RECIPE, config)
    assert found == {
        "tokens_per_second": round(expected.tokens_per_second),
        "seconds": round(expected.seconds, 1),
        "peak_memory_bytes": expected.memory.total,
    }


def test_a_run_that_cannot_be_foretold_is_run(tokens: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(precision: object) -> None:
        raise WorkerError("no process could be started")

    monkeypatch.setattr(machines, "measure_machine", fails)
    monkeypatch.setattr(machines, "MEASURING_SECONDS", 0)
    assert foretold_counts(RECIPE, tokens=tokens) is None
    with pytest.raises(WorkerError, match="no process could be started"):
        foretold_counts(RECIPE, tokens=tokens, unasked=False)


def test_a_demo_is_planned_with_its_own_tokenizer(tmp_path: Path) -> None:
    from waman.draft import begin
    from waman.journey.recipe import DemoRecipe

    recipe = DemoRecipe(until="tokens", pretrain=RECIPE)
    with begin(tmp_path / "mine", kind="demo", version=1, recipe=recipe, inputs={}) as draft:
        with begin(draft.path / "tokens", kind="tokens", version=1, recipe=recipe, inputs={}) as tokens:
            write_info(tokens.path, TokensInfo("uint16", 3000, bos=1, eos=2, tokenizer="of the test"))
            (tokens.path / "mixture.json").write_text(json.dumps({"sources": {}}))
            tokens.finish(counts={})
        draft.finish(counts={})
    found = plan(PlanRecipe(), target=tmp_path / "mine", machine=MACHINE)
    assert found.target == "mine"
    assert found.tokens == RECIPE.num_tokens
    assert found.parameters == num_parameters(dataclasses.replace(preset("laptop-3m"), vocab_size=3000))
    assert found.notes == ()


def test_a_finished_run_is_set_against_its_plan(tmp_path: Path) -> None:
    import torch

    from tests.training.conftest import write_tokenizer
    from waman.draft import begin
    from waman.manifest import read_manifest
    from waman.weights.configuration import to_table

    config = dataclasses.replace(ModelConfig(), vocab_size=64)
    recipe = dataclasses.replace(RECIPE, model=ModelConfig())
    tokenizer = write_tokenizer(tmp_path / "tokenizer")
    with begin(tmp_path / "run", kind="run", version=1, recipe=recipe, inputs={"tokenizer": tokenizer}) as draft:
        (draft.path / "final").mkdir()
        (draft.path / "final" / "config.json").write_text(json.dumps(to_table(config, torch.float32)))
        draft.finish(counts={"tokens_per_second": 12_345})
    found = plan(PlanRecipe(), target=tmp_path / "run", machine=MACHINE)
    assert found.tokens == recipe.num_tokens
    assert len(found.notes) == 1
    manifest = read_manifest(tmp_path / "run")
    planned = {"tokens_per_second": round(found.tokens_per_second), "peak_memory_bytes": found.memory_bytes_per_gpu}
    assert found.notes[0] == f"outcome: {render_outcome(planned, manifest)}"
    assert f"12,345 reached ({12_345 / planned['tokens_per_second']:.2f})" in found.notes[0]


def test_a_baseline_is_that_of_a_process_with_torch_and_its_failure_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 100 * 2**20 < measure_baseline() < 2**30
    monkeypatch.setattr(machines, "_BASELINE", "raise ValueError('lost')")
    with pytest.raises(WorkerError, match="lost"):
        measure_baseline()


def test_recipes_of_the_command_line_and_of_python_are_alike() -> None:
    assert settings.parse(PlanRecipe, settings.to_table(PlanRecipe())) == PlanRecipe()
