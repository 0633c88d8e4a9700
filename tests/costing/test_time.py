"""Published training times from their formulas."""

import pytest

from waman.costing.devices import DEVICES, device
from waman.costing.time import days, days_by_achieved_flops, device_hours, tokens_per_second
from waman.errors import RecipeError
from waman.model.count import flops_per_token, num_parameters
from waman.model.presets import preset


def test_llama_65b_takes_21_days() -> None:
    """Touvron et al. 2023, section 2.4: 380 tokens/s on each of 2,048 A100, 1.4T tokens."""
    assert days(1.4e12, 380 * 2048) == pytest.approx(20.8, abs=0.05)
    assert device_hours(1.4e12, 380) == pytest.approx(1_022_362, rel=0.002), "its table 15"


def test_llama_65bs_speed_is_half_of_the_peak() -> None:
    config, a100 = preset("llama-65b"), device("a100-80gb")
    assert 380 * 6 * num_parameters(config) / a100.peak_flops["bfloat16"] == pytest.approx(0.477, abs=0.001)
    share = 380 * flops_per_token(config, 2048) / a100.peak_flops["bfloat16"]
    assert tokens_per_second(config, a100, utilization=share) == pytest.approx(380)
    assert share == pytest.approx(0.495, abs=0.001)


@pytest.mark.parametrize(
    ("parameters", "tokens", "devices", "flops", "published"),
    [(175e9, 300e9, 1024, 140e12, 34), (1.008e12, 450e9, 3072, 163e12, 84)],
)
def test_megatrons_days(parameters: float, tokens: float, devices: int, flops: float, published: int) -> None:
    """Narayanan et al. 2021, section 5.1, by its equation 4."""
    assert round(days_by_achieved_flops(tokens, parameters, num_devices=devices, flops=flops)) == published


def test_computing_every_layer_again_takes_a_third_longer() -> None:
    config, h100 = preset("llama-7b"), device("h100")
    plain, again = (tokens_per_second(config, h100, recomputation=policy) for policy in ("selective", "full"))
    assert plain / again == pytest.approx(4 / 3)
    assert tokens_per_second(config, h100, utilization=0.3, recomputation="full") == tokens_per_second(
        config, h100, utilization=0.3
    ), "a utilization that was measured has it in it"


@pytest.mark.parametrize("share", [0, -0.1, 1.01])
def test_a_share_of_the_peak_lies_between_0_and_1(share: float) -> None:
    with pytest.raises(RecipeError, match=f"mfu = {share}; expected a share of the peak"):
        tokens_per_second(preset("llama-7b"), device("h100"), utilization=share)


def test_an_unknown_gpu_is_told_the_names() -> None:
    with pytest.raises(RecipeError, match=r"no GPU 'H1000' in the table; did you mean 'h100'\? names: rtx-4090, a100"):
        device("H1000")


def test_every_device_says_where_its_figures_are_from() -> None:
    for name, one in DEVICES.items():
        assert name == one.name
        assert "data sheet" in one.sources
        assert "price" in one.sources
        assert one.peak_flops["bfloat16"] >= one.peak_flops["tf32"] >= one.peak_flops["float32"]
