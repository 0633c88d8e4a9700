import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

from tests.planning.runs_of import isoflop
from waman.planning import descent, scaling
from waman.planning.law import PUBLISHED

Floats = NDArray[np.float64]


def valleys(places: Floats, problems: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Problem p is least at (p, -p), 50 times as steep along the second variable."""
    away = places - np.stack([problems, -problems], axis=1)
    steepness = np.array([1.0, 50.0])
    return (steepness * away**2).sum(axis=1), 2 * steepness * away


def test_each_problem_ends_at_its_own_lowest_place() -> None:
    ends, values = descent.minimise(valleys, np.full((6, 2), 3.0))
    assert ends == pytest.approx(np.array([[n, -n] for n in range(6)]), abs=1e-6)
    assert values == pytest.approx(0, abs=1e-9)


def test_a_curved_valley_is_followed_to_its_end() -> None:
    """Rosenbrock's function, least at (1, 1)."""

    def rosenbrock(places: Floats, _: NDArray[np.int64]) -> tuple[Floats, Floats]:
        x, y = places.T
        slope = np.stack([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)], axis=1)
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2, slope

    ends, _ = descent.minimise(rosenbrock, np.array([[-1.2, 1.0], [3.0, -3.0]]), tolerance=1e-12)
    assert ends == pytest.approx(1, abs=1e-3)


def test_a_problem_at_its_lowest_place_stays_there() -> None:
    start = np.array([[0.0, 0.0], [1.0, -1.0]])
    ends, values = descent.descend(valleys, start, problems=np.arange(2), steps=5)
    assert np.array_equal(ends, start)
    assert values.tolist() == [0, 0]


def test_a_step_is_never_longer_than_variables_make_sense() -> None:
    def slope_without_end(places: Floats, _: NDArray[np.int64]) -> tuple[Floats, Floats]:
        return -places[:, 0], np.tile([-1.0, 0.0], (len(places), 1))

    ends, _ = descent.descend(slope_without_end, np.zeros((1, 2)), problems=np.zeros(1, dtype=np.int64), steps=20)
    assert 0 < ends[0, 0] <= 200


def test_it_ends_where_scipys_does() -> None:
    runs = scaling._Runs.of(isoflop(PUBLISHED["besiroglu"].law, seed=3, noise=0.005))
    here = np.zeros(1, dtype=np.int64)
    start = np.array([-1.5, -1.5, 0.6, 0.5, 0.5])
    ours = descent.minimise(runs.objective, start[None], problems=here)[1][0]

    def one(place: Floats) -> tuple[float, Floats]:
        values, gradients = runs.objective(place[None], here)
        return float(values[0]), gradients[0]

    theirs = math.inf
    for _ in range(20):
        found = minimize(one, start, method="L-BFGS-B", jac=True, options={"ftol": 1e-14, "gtol": 1e-9})
        start, theirs = found.x, min(theirs, float(found.fun))
    assert ours == pytest.approx(theirs, rel=1e-5)
