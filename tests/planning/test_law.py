import math

import pytest

from waman.errors import RecipeError
from waman.planning.law import PUBLISHED, Law, Size, amount, find_law

EVEN = Law(E=2.0, A=100.0, B=100.0, alpha=0.5, beta=0.5)
"""With equal terms G = 1, so that N = D = (C / 6)^(1/2)."""


def test_the_loss_is_the_sum_of_three_terms() -> None:
    assert EVEN.loss(10_000, 40_000) == pytest.approx(2 + 100 / 100 + 100 / 200)


def test_equal_terms_divide_the_operations_evenly() -> None:
    assert EVEN.parameters_exponent == 0.5
    assert EVEN.balance == pytest.approx(1)
    optimum = EVEN.optimum(6e8)
    assert (optimum.parameters, optimum.tokens) == pytest.approx((1e4, 1e4))
    assert EVEN.loss(1e4, 1e4) == pytest.approx(4.0)
    assert optimum.training_flops == pytest.approx(6e8)


def test_the_optimum_of_a_loss_is_the_optimum_of_its_operations() -> None:
    for name, published in PUBLISHED.items():
        there = published.law.optimum(5.76e23)
        back = published.law.optimum_of_loss(published.law.loss(there.parameters, there.tokens))
        assert (back.parameters, back.tokens) == pytest.approx((there.parameters, there.tokens), rel=1e-9), name


def test_the_optimum_of_a_size_and_of_tokens_lies_on_the_same_line() -> None:
    law = PUBLISHED["chinchilla"].law
    there = law.optimum(1e22)
    assert law.optimum_of_size(there.parameters).tokens == pytest.approx(there.tokens)
    assert law.optimum_of_tokens(there.tokens).parameters == pytest.approx(there.parameters)


def test_no_neighbour_of_the_optimum_is_better_for_as_many_operations() -> None:
    for published in PUBLISHED.values():
        best = published.law.optimum(1e22)
        lowest = published.law.loss(best.parameters, best.tokens)
        for factor in (0.9, 1.1):
            assert published.law.loss(best.parameters * factor, best.tokens / factor) > lowest


def test_rounding_moves_the_optimum_of_gophers_budget_from_40b_to_32b() -> None:
    printed, unrounded = PUBLISHED["chinchilla"].law, PUBLISHED["chinchilla-unrounded"].law
    assert printed.balance == pytest.approx(1.345, abs=5e-4)
    assert printed.optimum(5.76e23).parameters == pytest.approx(32.2e9, rel=2e-3)
    assert unrounded.optimum(5.76e23).parameters == pytest.approx(40e9, rel=0.01)
    assert round(printed.parameters_exponent, 3) == 0.452
    assert round(unrounded.parameters_exponent, 2) == 0.46


def test_the_later_estimate_finds_chinchilla_near_its_optimum() -> None:
    law = PUBLISHED["besiroglu"].law
    assert law.parameters_exponent == pytest.approx(0.513, abs=5e-4)
    best = law.optimum(5.76e23)
    assert best.parameters == pytest.approx(72e9, rel=0.01)
    assert 15 < best.tokens / best.parameters < 25


@pytest.mark.parametrize(
    ("parameters", "tokens", "loss"),
    [
        (6.7e9, 1.0e12, 2.055),
        (13.0e9, 1.0e12, 2.017),
        (32.5e9, 1.4e12, 1.962),
        (65.2e9, 1.4e12, 1.939),
        (70e9, 1.4e12, 1.937),
        (280e9, 300e9, 1.993),
        (175e9, 300e9, 2.002),
    ],
)
def test_the_printed_constants_order_the_models_of_the_papers(parameters: float, tokens: float, loss: float) -> None:
    assert PUBLISHED["chinchilla"].law.loss(parameters, tokens) == pytest.approx(loss, abs=1e-3)


def test_muennighoffs_constants_are_those_that_their_formula_prints() -> None:
    law = PUBLISHED["muennighoff"].law
    assert (round(law.A), round(law.B), round(law.E, 2), round(law.alpha, 2)) == (521, 1488, 1.87, 0.35)
    assert law.optimum_of_tokens(1e9).parameters == pytest.approx(0.051e9, rel=0.01)


def test_tokens_for_a_loss_reach_it() -> None:
    law = PUBLISHED["chinchilla"].law
    assert law.loss(1e10, law.tokens_for(2.05, 1e10)) == pytest.approx(2.05)


def test_a_loss_at_the_entropy_is_refused_with_the_subtraction() -> None:
    with pytest.raises(
        RecipeError,
        match=r"loss = 1\.6: the law's irreducible loss is E = 1\.69, and 1\.6 - 1\.69 = -0\.09 .* than 1\.69",
    ):
        PUBLISHED["chinchilla"].law.optimum_of_loss(1.6)
    with pytest.raises(RecipeError, match="irreducible"):
        EVEN.excess(2.0)
    with pytest.raises(RecipeError, match="irreducible"):
        EVEN.excess(math.nan)


def test_a_model_too_small_for_a_loss_is_refused_with_the_smallest() -> None:
    with pytest.raises(
        RecipeError, match=r"100 parameters never reach a loss of 3: A / N\^0\.5 = 10 .* = 1; it takes more than 10K"
    ):
        EVEN.tokens_for(3.0, 100)


@pytest.mark.parametrize("name", ["E", "A", "B", "alpha", "beta"])
def test_a_constant_below_0_is_refused(name: str) -> None:
    constants = {"E": 1.0, "A": 1.0, "B": 1.0, "alpha": 1.0, "beta": 1.0} | {name: -1.0}
    with pytest.raises(RecipeError, match=f"law: {name} = -1.0; expected a finite number above 0"):
        Law(**constants)


@pytest.mark.parametrize("flops", [0, -1, math.inf, math.nan])
def test_operations_that_are_no_budget_are_refused(flops: float) -> None:
    with pytest.raises(RecipeError, match=r"flops = .*; expected a finite number above 0"):
        EVEN.optimum(flops)


def test_an_unknown_law_is_refused_with_the_names() -> None:
    with pytest.raises(
        RecipeError, match="law 'kaplan' is not known; there are chinchilla, chinchilla-unrounded, besi"
    ):
        find_law("kaplan")


def test_every_published_law_names_its_source() -> None:
    for published in PUBLISHED.values():
        assert "et al." in published.source
        assert published.fitted_on


def test_a_size_beyond_the_fitted_runs_is_said_to_be() -> None:
    published = PUBLISHED["chinchilla"]
    assert published.beyond(Size(1e9, 1e10)) is None
    assert published.beyond(Size(1.6e11, 1e10)) == "10 times the most parameters it was fitted on (16B)"
    assert published.beyond(Size(7e6, 2e12)) == (
        "10 times fewer parameters than it was fitted on (70M) and 4 times the most tokens it was fitted on (500B)"
    )


def test_amounts_are_written_with_their_unit() -> None:
    assert [amount(one) for one in (12, 1_500, 6.74e9, 1.4e12, 1.4255e15, 1e18)] == [
        *("12", "1.5K", "6.74B", "1.4T", "1,426T", "1e+18")
    ]
