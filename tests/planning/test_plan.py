"""Plans for presets, recipes and directories; budgets that cannot be met."""

import dataclasses
import json
from pathlib import Path

import pytest

from waman import settings
from waman.costing.devices import device
from waman.costing.time import tokens_per_second
from waman.errors import InputError, RecipeError
from waman.model.config import ModelConfig
from waman.model.count import flops_per_token, num_parameters
from waman.model.presets import preset
from waman.planning.plan import plan
from waman.planning.recipe import PlanRecipe
from waman.planning.target import ASSUMED_VOCAB_SIZE, read_target
from waman.training.recipe import PretrainRecipe

LLAMA = PlanRecipe(num_tokens=1_400_000_000_000, gpu="a100-80gb", num_gpus=2048, tokens_per_second=380.0)


def test_llama_65bs_plan_is_its_papers() -> None:
    """Touvron et al. 2023: 21 days on 2,048 A100, 1,022,362 GPU-hours, 449 MWh, 173 tonnes; eight shards."""
    found = plan(LLAMA, target="llama-65b")
    assert found.days == pytest.approx(20.8, abs=0.05)
    assert found.gpu_hours == pytest.approx(1_022_362, rel=0.002)
    assert found.mwh == pytest.approx(449.84, rel=0.002)
    assert found.tonnes_co2 == pytest.approx(173, abs=0.5)
    assert (found.gpus, found.mesh.tensor, found.mesh.pipeline) == (2048, 8, 1)
    assert found.memory_bytes_per_gpu < found.device_memory_bytes


@pytest.mark.parametrize(
    ("name", "tokens", "hours"),
    [("llama-7b", 1.0e12, 82_432), ("llama-13b", 1.0e12, 135_168), ("llama-33b", 1.4e12, 530_432)],
)
def test_the_tables_utilization_gives_llamas_gpu_hours_within_a_quarter(name: str, tokens: float, hours: int) -> None:
    """Not told how fast LLaMA's smaller models were: 0.45 of the peak for all of them."""
    found = plan(PlanRecipe(num_tokens=round(tokens), gpu="a100-80gb"), target=name)
    assert found.gpu_hours == pytest.approx(hours, rel=0.25)


def test_money_is_hours_times_price_in_the_currency() -> None:
    priced = dataclasses.replace(LLAMA, price_per_hour=2500.0, currency="KRW")
    found = plan(priced, target="llama-65b")
    assert found.cost == pytest.approx(found.gpu_hours * 2500)
    assert found.currency == "KRW"
    exchanged = plan(dataclasses.replace(LLAMA, currency="KRW", exchange_rate=1400.0), target="llama-65b")
    listed = device("a100-80gb").price_per_hour
    assert listed is not None
    assert exchanged.cost == pytest.approx(found.gpu_hours * listed * 1400)


def test_what_is_not_said_is_filled_in_from_the_target() -> None:
    config = preset("llama-7b")
    found = plan(PlanRecipe(gpu="h100"), target=config)
    assert found.tokens == 20 * num_parameters(config)
    assert found.flops == found.tokens * flops_per_token(config, 2048)
    assert found.tokens_per_second == pytest.approx(found.gpus * tokens_per_second(config, device("h100")))
    assert found.gpus == 2, "118 GB of weights and optimizer fit on two"


def test_days_without_a_number_of_devices_give_the_number() -> None:
    found = plan(PlanRecipe(num_tokens=10**12, gpu="h100", max_days=10), target="llama-7b")
    assert found.days <= 10
    fewer = found.gpus - found.mesh.tensor * found.mesh.pipeline
    assert found.gpu_hours / 24 / fewer > 10


def test_a_recipe_of_pretraining_says_tokens_and_lengths(tmp_path: Path) -> None:
    recipe = PretrainRecipe(model=preset("laptop-5m"), num_tokens=2_000_000, batch_tokens=1024, sequence_length=128)
    (tmp_path / "small.toml").write_text(settings.render(recipe))
    found = plan(PlanRecipe(gpu="rtx-4090"), target=tmp_path / "small.toml")
    assert (found.tokens, found.context_length) == (2_000_000, 128)
    assert found.notes == ("a vocabulary of 4096: the tokenizer that sets it is not known",)
    assert found == dataclasses.replace(plan(PlanRecipe(gpu="rtx-4090"), target=recipe), target="small.toml")


def test_a_recipe_of_several_stages_is_planned_by_its_pretraining() -> None:
    from waman.settings import RECIPES_FOLDER

    target = read_target(RECIPES_FOLDER / "demo-quick.toml")
    assert target.pretrain is not None
    assert target.pretrain.num_tokens == 200_000
    assert target.config == dataclasses.replace(ModelConfig(), vocab_size=ASSUMED_VOCAB_SIZE)


def test_a_models_directory_is_read(tmp_path: Path) -> None:
    import torch

    from waman.weights.configuration import to_table as config_table

    (tmp_path / "config.json").write_text(json.dumps(config_table(preset("llama-7b"), torch.float32)))
    found = plan(PlanRecipe(gpu="h100"), target=tmp_path)
    assert found.parameters == num_parameters(preset("llama-7b"))
    assert found.target == tmp_path.name


def test_the_largest_model_of_a_card_and_a_week_fits_both() -> None:
    found = plan(PlanRecipe(gpu="rtx-4090", max_days=7))
    assert found.days <= 7
    assert found.memory_bytes_per_gpu <= found.device_memory_bytes
    assert found.tokens == 20 * found.parameters
    # 7 days at 0.4 of 165 TFLOP/s, spent at 6 * 20 N^2 and attention, are half a billion parameters
    assert 0.4e9 < found.parameters < 0.6e9
    assert "of the next" in found.notes[0]
    longer = plan(PlanRecipe(gpu="rtx-4090", max_days=70))
    assert longer.parameters > found.parameters


def test_the_largest_model_is_bounded_by_memory_where_time_is_long() -> None:
    found = plan(PlanRecipe(gpu="rtx-4090", max_days=10_000, num_tokens=10**9))
    assert found.memory_bytes_per_gpu > 0.85 * found.device_memory_bytes
    assert "fits on no mesh of 1 x rtx-4090" in found.notes[0]


def test_days_that_do_not_suffice_are_refused_with_the_arithmetic() -> None:
    with pytest.raises(
        RecipeError,
        match=r"llama-65b on 1,400,000,000,000 tokens takes 1,023,392 hours of a100-80gb .* 2048 of them in 7 days "
        r"give 344,064, 0.34 of it. It takes 6,092 GPUs, 20.8 days, or 470,6\d\d,\d+,\d+ tokens",
    ):
        plan(dataclasses.replace(LLAMA, max_days=7), target="llama-65b")


def test_money_that_does_not_suffice_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(
        RecipeError,
        match=r"at 1.30 USD an hour that is 1,330,409 USD, and the budget is 1,000: 0.00075 of it. It buys 1,052,3",
    ):
        plan(dataclasses.replace(LLAMA, budget=1000), target="llama-65b")


def test_a_budget_too_small_for_any_model_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"even the smallest model of the family is too much: .* the budget is 0: "):
        plan(PlanRecipe(gpu="h100", budget=0.001))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_tokens": 0}, "num_tokens = 0; expected more than 0"),
        ({"num_gpus": -1}, "num_gpus = -1; expected more than 0"),
        ({"budget": float("nan")}, "budget = nan; expected more than 0"),
        ({"mfu": 1.5}, "mfu = 1.5; expected a share of the peak, at most 1"),
        ({"pue": 0.5}, "pue = 0.5; expected 1 or more"),
        ({"mfu": 0.5, "tokens_per_second": 10.0}, "mfu and tokens_per_second both say how fast"),
    ],
)
def test_a_plan_recipe_out_of_range_is_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        PlanRecipe(**fields)  # type: ignore[arg-type]


def test_what_is_no_target_is_refused(tmp_path: Path) -> None:
    recipe = PlanRecipe(gpu="h100")
    with pytest.raises(
        RecipeError, match=r"did you mean 'llama-65b'\?.* No such file or directory either: give a pres"
    ):
        plan(recipe, target="lama-65b")
    with pytest.raises(InputError, match="a/b does not exist; give a preset's name"):
        plan(recipe, target="a/b")
    with pytest.raises(InputError, match=r"holds neither a run nor a model's config.json"):
        plan(recipe, target=tmp_path)
    with pytest.raises(InputError, match=r"absent.toml cannot be read: No such file"):
        plan(recipe, target=tmp_path / "absent.toml")
    (tmp_path / "bad.toml").write_text("num_tokens = ")
    with pytest.raises(RecipeError, match=r"bad.toml is not TOML"):
        plan(recipe, target=tmp_path / "bad.toml")
    with pytest.raises(RecipeError, match="plan: no target: name a preset"):
        plan(recipe)
