"""LLaMA's table of energy, and what the only Korean cost figures imply."""

import pytest

from waman.costing.money import Price, megawatt_hours, price_in, tonnes_co2
from waman.errors import RecipeError

# Touvron et al. 2023, table 15: GPU-hours of A100-80GB, MWh, tonnes
TABLE = {
    "OPT-175B": (809_472, 356, 137),
    "BLOOM-175B": (1_082_880, 475, 183),
    "LLaMA-7B": (82_432, 36, 14),
    "LLaMA-13B": (135_168, 59, 23),
    "LLaMA-33B": (530_432, 233, 90),
    "LLaMA-65B": (1_022_362, 449, 173),
}
# What the formula of its section 6 gives is printed as another whole number in two cells
MISPRINTED = {"LLaMA-65B": 449.84, "BLOOM-175B": 476.47}


@pytest.mark.parametrize("name", TABLE)
def test_hours_become_the_energy_and_carbon_of_llamas_table(name: str) -> None:
    hours, energy, carbon = TABLE[name]
    found = megawatt_hours(hours, 400)
    assert round(tonnes_co2(found)) == carbon
    if name in MISPRINTED:
        assert found == pytest.approx(MISPRINTED[name], abs=0.005)
        assert round(found) == energy + 1
    else:
        assert round(found) == energy


def test_other_grids_give_blooms_and_opts_own_tonnes() -> None:
    """Touvron et al. 2023, section 6: 0.057 t/MWh where BLOOM was trained, 0.231 for OPT."""
    assert round(tonnes_co2(475, intensity=0.057)) == 27
    assert round(tonnes_co2(356, intensity=0.231)) == 82


def test_the_whole_project_of_llama_is_reproduced() -> None:
    """2,048 devices for about five months: 2,638 MWh and 1,015 tonnes."""
    hours = 2638 / megawatt_hours(1, 400)
    assert hours / 2048 / 24 / 30.4 == pytest.approx(4.0, abs=0.1), "of full load, within 'approximately 5 months'"
    assert tonnes_co2(2638) == pytest.approx(1015, abs=1)


@pytest.mark.parametrize(("hours", "won"), [(82_432, 300e6), (135_168, 600e6)])
def test_kollamas_won_lie_between_llamas_hours_at_two_prices_and_exchange_rates(hours: int, won: float) -> None:
    """300 million won for 7B and 600 for 13B, if they are LLaMA's GPU-hours: 2.4 to 3.6 USD, 1,200 to 1,400 won."""
    low, high = (Price(dollars * rate, "KRW").of(hours) for dollars, rate in ((2.4, 1200), (3.6, 1400)))
    assert low < won < high
    assert 2.7 < won / hours / 1300 < 3.5, "USD an hour that the figure implies at 1,300 won"


def test_a_listed_price_is_exchanged_and_a_users_own_is_not() -> None:
    assert price_in("KRW", per_hour=None, listed=2.0, exchange_rate=1300) == Price(2600, "KRW")
    assert price_in("KRW", per_hour=2500, listed=2.0, exchange_rate=1300) == Price(2500, "KRW")
    assert price_in("USD", per_hour=None, listed=2.0, exchange_rate=None) == Price(2.0)
    assert price_in("USD", per_hour=None, listed=None, exchange_rate=None) is None


def test_another_currency_without_a_rate_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"price is 2.0 USD an hour; give --price in KRW, or --exchange-rate"):
        price_in("KRW", per_hour=None, listed=2.0, exchange_rate=None)
