import math
from collections.abc import Callable

import pytest

from waman.errors import RecipeError
from waman.planning import budget
from waman.planning.budget import (
    Prices,
    best,
    cheapest,
    cost_out,
    price_per_flop,
    served_where_cheapest,
    standing,
    within,
)
from waman.planning.law import PUBLISHED, Law, Size

CHINCHILLA = PUBLISHED["chinchilla"].law
EVEN = Law(E=2.0, A=100.0, B=100.0, alpha=0.5, beta=0.5)


@pytest.mark.parametrize(
    ("loss", "served", "parameters", "tokens", "cost"),
    [
        (2.002, 0, 15.0e9, 1.18e12, 1.06e23),
        (2.002, 1e12, 11.3e9, 1.62e12, 1.32e23),
        (2.002, 1e13, 6.33e9, 3.84e12, 2.72e23),
        (2.055, 0, 9.5e9, 0.675e12, 3.83e22),
        (2.055, 1e12, 6.3e9, 1.08e12, 5.32e22),
        (1.939, 0, 29e9, 2.64e12, 4.62e23),
        (1.939, 1e13, 15.3e9, 5.93e12, 8.49e23),
    ],
)
def test_llamas_argument_on_chinchillas_law(
    loss: float, served: float, parameters: float, tokens: float, cost: float
) -> None:
    found = cheapest(CHINCHILLA, loss=loss, served=served)
    assert found.size.parameters == pytest.approx(parameters, rel=0.01)
    assert found.size.tokens == pytest.approx(tokens, rel=0.01)
    assert found.cost == pytest.approx(cost, rel=0.01)
    assert found.loss == pytest.approx(loss)


def test_a_case_worked_by_hand() -> None:
    """Equal terms, r = 1: with x = sqrt(N), y = sqrt(D), x + y = xy / 10 for a loss of 12, y / x = 1 + T / 3 D.

    y = 2 x gives x = 15, y = 30, N = 225, D = 900, and 1 + T / 2700 = 2 makes T = 2700.
    """
    found = cheapest(EVEN, loss=12, served=2700)
    assert (found.size.parameters, found.size.tokens) == pytest.approx((225, 900))
    assert found.training_cost == pytest.approx(6 * 225 * 900)
    assert found.serving_cost == pytest.approx(2 * 225 * 2700)
    assert served_where_cheapest(EVEN, Size(225, 900)) == pytest.approx(2700)


def test_prices_weigh_what_is_served() -> None:
    """Serving at three times the price of training is like serving three times as much."""
    found = cheapest(EVEN, loss=12, served=900, prices=Prices(training=2, serving=6, currency="KRW"))
    assert (found.size.parameters, found.size.tokens) == pytest.approx((225, 900))
    assert found.cost == pytest.approx(2 * 6 * 225 * 900 + 6 * 2 * 225 * 900)
    assert served_where_cheapest(EVEN, Size(225, 900), prices=Prices(2, 6)) == pytest.approx(900)


def test_without_serving_it_is_chinchillas_optimum() -> None:
    optimum = CHINCHILLA.optimum(1e22)
    loss = CHINCHILLA.loss(optimum.parameters, optimum.tokens)
    for found in (cheapest(CHINCHILLA, loss=loss, served=0), best(CHINCHILLA, budget=1e22, served=0)):
        assert (found.size.parameters, found.size.tokens) == pytest.approx((optimum.parameters, optimum.tokens))
    for found in (cheapest(CHINCHILLA, loss=loss, served=1), best(CHINCHILLA, budget=1e22, served=1)):
        assert found.size.parameters == pytest.approx(optimum.parameters, rel=1e-6)


def test_the_more_is_served_the_smaller_the_model_and_the_longer_its_training() -> None:
    sizes = [cheapest(CHINCHILLA, loss=2.0, served=served).size for served in (0, 1e10, 1e12, 1e14, 1e16)]
    assert sizes == sorted(sizes, key=lambda size: -size.parameters)
    assert sizes == sorted(sizes, key=lambda size: size.tokens)
    assert sizes[-1].parameters > CHINCHILLA.smallest_for(2.0)


@pytest.mark.parametrize("served", [0, 1e11, 1e13])
def test_no_neighbour_costs_less(served: float) -> None:
    prices = Prices(training=1e-18, serving=3e-18, currency="USD")
    least = cheapest(CHINCHILLA, loss=2.05, served=served, prices=prices)
    for factor in (0.98, 1.02):
        parameters = least.size.parameters * factor
        other = Size(parameters, CHINCHILLA.tokens_for(2.05, parameters))
        assert cost_out(CHINCHILLA, other, served=served, prices=prices).cost > least.cost


@pytest.mark.parametrize("served", [0, 1e11, 1e13])
def test_the_best_of_a_budget_is_the_cheapest_of_its_loss(served: float) -> None:
    prices = Prices(training=1e-18, serving=3e-18, currency="USD")
    found = best(CHINCHILLA, budget=200_000, served=served, prices=prices)
    assert found.cost == pytest.approx(200_000)
    again = cheapest(CHINCHILLA, loss=found.loss, served=served, prices=prices)
    assert again.cost == pytest.approx(200_000)
    assert again.size.parameters == pytest.approx(found.size.parameters)


def test_curves_are_lowest_at_the_answer() -> None:
    least = cheapest(CHINCHILLA, loss=2.05, served=1e12)
    curve = budget.curve_of_loss(CHINCHILLA, loss=2.05, served=1e12)
    lowest = min(curve, key=lambda choice: choice.cost)
    assert least.cost <= lowest.cost < 1.01 * least.cost
    assert all(choice.loss == pytest.approx(2.05) for choice in curve)
    found = best(CHINCHILLA, budget=5e22, served=1e12)
    curve = budget.curve_of_budget(CHINCHILLA, budget=5e22, served=1e12)
    assert found.loss <= min(choice.loss for choice in curve) < found.loss + 1e-3
    assert all(choice.cost == pytest.approx(5e22) for choice in curve)


def test_llama_7b_is_the_cheapest_of_its_loss_for_three_quarters_of_a_trillion_tokens() -> None:
    seven = standing(CHINCHILLA, "llama-7b", served=1e12)
    assert seven.choice.size.parameters == 6_738_415_616
    assert seven.choice.loss == pytest.approx(2.054, abs=1e-3)
    assert seven.cheapest_for == pytest.approx(7.6e11, rel=0.01)
    assert 1 < seven.choice.cost / seven.least.cost < 1.01


def test_by_the_printed_constants_llama_13b_is_chinchillas_optimum_and_the_larger_are_too_large() -> None:
    thirteen = standing(CHINCHILLA, "llama-13b", served=0)
    assert thirteen.choice.cost == pytest.approx(thirteen.least.cost, rel=1e-3)
    assert [standing(CHINCHILLA, name, served=0).cheapest_for for name in ("llama-33b", "llama-65b")] == [None, None]
    later = PUBLISHED["besiroglu"].law
    assert all((standing(later, name, served=0).cheapest_for or 0) > 1e11 for name in budget.TRAINED_ON)


def test_an_hours_price_becomes_an_operations() -> None:
    """3.6 per hour are 0.001 a second, in which half of 2e12 operations are done."""
    assert price_per_flop(price_per_hour=3.6, peak_flops=2e12, utilization=0.5) == pytest.approx(1e-15)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda: budget.require_affordable(CHINCHILLA, loss=2.002, budget=1e22, served=1e12),
            (
                r"budget = 1e\+22 FLOPs, but a loss of 2\.002 takes at least 1\.32e\+23: 11\.3B parameters on 1\.62T "
                r"tokens are 6 N D = 1\.\d+e\+23 .* 2 N T = 2\.2\d+e\+22 of serving 1T tokens .* of 2\.\d+: ask for"
            ),
        ),
        (
            lambda: cheapest(CHINCHILLA, loss=1.69, served=1e12),
            r"irreducible loss is E = 1\.69, and 1\.69 - 1\.69 = 0 is",
        ),
        (lambda: cheapest(CHINCHILLA, loss=2, served=-1), "served tokens = -1; expected a finite number, 0 or more"),
        (lambda: best(CHINCHILLA, budget=0, served=0), "budget = 0; expected a finite number above 0"),
        (lambda: best(CHINCHILLA, budget=1e20, served=math.inf), "served tokens = inf; expected a finite number"),
        (
            lambda: within(1e9, budget=1e20, served=1e12),
            r"budget = 1e\+20 FLOPs: to serve 1T tokens with 1B parameters takes 2 N T = 2e\+21 FLOPs, which leaves",
        ),
        (lambda: Prices(training=0), "price of an operation of training = 0; expected a finite number above 0"),
        (lambda: Prices(serving=-1), "price of an operation of serving = -1; expected a finite number above 0"),
        (
            lambda: price_per_flop(price_per_hour=2, peak_flops=1e15, utilization=1.5),
            "utilization = 1.5; expected a share of the peak: more than 0 and at most 1",
        ),
        (lambda: price_per_flop(price_per_hour=0, peak_flops=1, utilization=1), "price per hour = 0; expected"),
        (lambda: price_per_flop(price_per_hour=1, peak_flops=0, utilization=1), "peak FLOP/s = 0; expected"),
    ],
)
def test_what_cannot_be_is_refused_with_the_arithmetic(ask: Callable[[], object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        ask()


def test_a_budget_that_pays_for_a_loss_gives_the_cheapest_way_to_it() -> None:
    found = budget.require_affordable(CHINCHILLA, loss=2.002, budget=1.4e23, served=1e12)
    assert found == cheapest(CHINCHILLA, loss=2.002, served=1e12)
