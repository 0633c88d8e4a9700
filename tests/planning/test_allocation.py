import dataclasses

import numpy as np
import pytest

from tests.planning.runs_of import curves, isoflop
from tests.sweep import Sweep
from waman.errors import InputError
from waman.planning.allocation import Curve, fit_curves, fit_isoflop
from waman.planning.law import PUBLISHED
from waman.planning.scaling import Point, point

LAWS = ("chinchilla-unrounded", "besiroglu")
TRUE = PUBLISHED["besiroglu"].law


@pytest.mark.parametrize("name", LAWS)
def test_parabolas_find_how_the_optimum_grows(name: str) -> None:
    true = PUBLISHED[name].law
    found = fit_isoflop(isoflop(true), num_resamples=20)
    assert found.parameters.exponent.value == pytest.approx(true.parameters_exponent, abs=2e-3)
    assert found.tokens.exponent.value == pytest.approx(1 - true.parameters_exponent, abs=2e-3)
    assert found.parameters.at(5.76e23).value == pytest.approx(true.optimum(5.76e23).parameters, rel=0.03)
    assert found.tokens.at(5.76e23).value == pytest.approx(true.optimum(5.76e23).tokens, rel=0.03)
    assert len(found.optima) == 6


@pytest.mark.parametrize("name", LAWS)
def test_curves_find_how_the_optimum_grows(name: str) -> None:
    true = PUBLISHED[name].law
    found = fit_curves(curves(true), num_resamples=20)
    assert found.parameters.exponent.value == pytest.approx(true.parameters_exponent, abs=0.01)
    assert found.tokens.exponent.value == pytest.approx(1 - true.parameters_exponent, abs=0.01)
    assert found.parameters.at(1e21).value == pytest.approx(true.optimum(1e21).parameters, rel=0.1)


def test_a_parabola_is_solved_exactly() -> None:
    """Losses 3 + (ln N - ln N_opt)^2, the optimum 100 C^(1/2) / 60: for 6e6 operations 4,082, for 6e8 40,825."""
    points = []
    for flops in (6e6, 6e8):
        best = 100 / 60 * flops**0.5
        for factor in (0.5, 0.8, 1.3, 2.1):
            points.append(point(best * factor, flops / 6 / best / factor, 3 + float(np.log(factor)) ** 2))
    found = fit_isoflop(points, num_resamples=2)
    assert [one.parameters for one in found.optima] == pytest.approx([4082.48, 40824.83], rel=1e-5)
    assert found.parameters.exponent.value == pytest.approx(0.5)
    assert found.parameters.at(6e10).value == pytest.approx(408248, rel=1e-5)
    assert found.parameters.exponent.low == pytest.approx(0.5)


def test_runs_of_nearly_one_budget_belong_together() -> None:
    points = isoflop(TRUE, num_budgets=3)
    shaken = [dataclasses.replace(one, flops=one.flops * (1 + 0.01 * (n % 3))) for n, one in enumerate(points)]
    assert len(fit_isoflop(shaken, num_resamples=2).optima) == 3


def test_a_budget_without_a_lowest_place_between_its_sizes_is_left_out_by_name() -> None:
    points = isoflop(TRUE, num_budgets=4)
    one_sided = [point(one.parameters, one.tokens, 10.0 - n) for n, one in enumerate(points[:7])]
    few = points[21:24]
    found = fit_isoflop([*one_sided, *points[7:21], *few], num_resamples=2)
    assert len(found.optima) == 2
    assert found.left_out == (
        "6e+18 FLOPs: no lowest place between its sizes",
        "3e+21 FLOPs: 3 runs, expected 4 or more sizes",
    )


def test_an_interval_is_wider_where_runs_scatter_more() -> None:
    widths = []
    for noise in (0.001, 0.01):
        exponent = fit_isoflop(isoflop(TRUE, noise=noise), num_resamples=100).parameters.exponent
        assert exponent.low <= TRUE.parameters_exponent <= exponent.high
        widths.append(exponent.high - exponent.low)
    assert widths[1] > 4 * widths[0]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (
            [],
            r"approach 2: 0 budgets with 4 or more sizes and a lowest loss between them; expected 2 .* \(no runs\)",
        ),
        (isoflop(TRUE, num_budgets=1), "approach 2: 1 budgets with 4 or more sizes"),
        (
            isoflop(TRUE, num_sizes=3),
            r"approach 2: 0 budgets .*6e\+18 FLOPs: 3 runs, expected 4 or more sizes; .* equal F",
        ),
    ],
)
def test_too_few_budgets_are_refused(points: list[Point], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_isoflop(points)


def test_too_few_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="approach 1: 3 different sizes; expected 4 or more, as where the smallest"):
        fit_curves(curves(TRUE, num_sizes=3))


def test_sizes_that_all_lie_on_one_side_of_the_optimum_are_refused() -> None:
    far = []
    for size in (1e9, 2e9, 4e9, 8e9):
        tokens = np.geomspace(1e15, 1e16, 30) / size
        far.append(Curve(size, 6 * size * tokens, tokens, np.array([TRUE.loss(size, one) for one in tokens])))
    with pytest.raises(
        InputError, match=r"approach 1: the smallest or the largest .* others than 1B to 8B, or for other"
    ):
        fit_curves(far)


def test_runs_of_which_each_is_needed_give_no_interval() -> None:
    """Two of four sizes are best between others, and 9 resamples in 100 hold all four."""
    every = []
    for size in np.geomspace(1e8, 1e10, 4):
        tokens = np.geomspace(1e16, 1e22, 60) / 6 / size
        every.append(Curve(float(size), 6 * size * tokens, tokens, np.array([TRUE.loss(size, one) for one in tokens])))
    with pytest.raises(
        InputError, match="approach 1: most resamples of these runs have no optimum between their sizes"
    ):
        fit_curves(every)


@pytest.mark.soak
def test_intervals_of_parabolas_hold_the_truth(sweep: Sweep) -> None:
    held = []
    for random in sweep(200):
        true = PUBLISHED[random.choice(LAWS)].law
        points = isoflop(true, seed=random.randrange(2**31), noise=random.choice([0.002, 0.005]))
        exponent = fit_isoflop(points, num_resamples=100).parameters.exponent
        held.append(exponent.low <= true.parameters_exponent <= exponent.high)
    assert sweep.only or 0.88 <= sum(held) / len(held) <= 1, sum(held) / len(held)


@pytest.mark.soak
def test_intervals_of_curves_hold_the_truth(sweep: Sweep) -> None:
    held = []
    for random in sweep(60):
        true, noise = PUBLISHED[random.choice(LAWS)].law, random.choice([0.002, 0.005])
        found = fit_curves(curves(true, seed=random.randrange(2**31), noise=noise), num_resamples=100)
        held.append(found.parameters.exponent.low <= true.parameters_exponent <= found.parameters.exponent.high)
    assert sweep.only or sum(held) / len(held) >= 0.88, sum(held) / len(held)
