import math
import time
from collections.abc import Callable

import numpy as np
import pytest

from tests.planning.runs_of import isoflop
from tests.sweep import Sweep
from waman.errors import InputError
from waman.planning import descent, scaling
from waman.planning.law import PUBLISHED, Law, Size
from waman.planning.scaling import fit_law, point

LAWS = ("chinchilla-unrounded", "besiroglu")
MEASURES: dict[str, Callable[[Law], float]] = {
    "alpha": lambda law: law.alpha,
    "beta": lambda law: law.beta,
    "E": lambda law: law.E,
    "exponent": lambda law: law.parameters_exponent,
    "size at Gopher's budget": lambda law: math.log(law.optimum(5.76e23).parameters),
    "Chinchilla's loss": lambda law: law.loss(70e9, 1.4e12),
}


@pytest.mark.parametrize("name", LAWS)
def test_a_law_is_found_again_in_runs_that_follow_it(name: str) -> None:
    true = PUBLISHED[name].law
    found = fit_law(isoflop(true), num_resamples=5).law
    for constant in ("E", "A", "B", "alpha", "beta"):
        assert getattr(found, constant) == pytest.approx(getattr(true, constant), rel=2e-3), constant


def test_a_law_is_found_in_runs_that_scatter_and_the_intervals_hold_it() -> None:
    true = PUBLISHED["besiroglu"].law
    fit = fit_law(isoflop(true, seed=1, noise=0.003), num_resamples=40)
    for name, measure in MEASURES.items():
        estimate = fit.interval(measure)
        assert estimate.low <= measure(true) <= estimate.high, name
        assert estimate.low <= estimate.value <= estimate.high, name
    parameters, tokens = fit.optimum(5.76e23)
    assert parameters.low < true.optimum(5.76e23).parameters < parameters.high
    assert tokens.low < true.optimum(5.76e23).tokens < tokens.high
    assert parameters.high / parameters.low > 1.2


def test_uncertainty_grows_with_the_distance_from_the_runs() -> None:
    fit = fit_law(isoflop(PUBLISHED["besiroglu"].law, noise=0.003), num_resamples=40)
    near, far = (fit.loss(size) for size in (Size(1e9, 2e10), Size(1e12, 2e13)))
    assert far.high - far.low > 3 * (near.high - near.low)
    assert fit.reach(3e22) == pytest.approx(10)


def test_a_single_run_scatters_more_than_the_law_is_unsure() -> None:
    fit = fit_law(isoflop(PUBLISHED["besiroglu"].law, noise=0.01), num_resamples=40)
    law, run = fit.loss(Size(1e9, 2e10)), fit.loss_of_run(Size(1e9, 2e10))
    assert run.value == law.value
    assert run.low < law.low < law.high < run.high
    assert run.high / run.low == pytest.approx(math.exp(4 * 0.01), rel=0.02)


def test_a_diverged_run_hardly_moves_the_law() -> None:
    true = PUBLISHED["besiroglu"].law
    points = isoflop(true)
    points[3] = point(points[3].parameters, points[3].tokens, 2 * points[3].loss)
    assert fit_law(points, num_resamples=2).law.alpha == pytest.approx(true.alpha, rel=0.01)


def test_the_gradient_is_that_of_the_objective() -> None:
    runs, theta = scaling._Runs.of(isoflop(PUBLISHED["besiroglu"].law, noise=0.002)), (-1.0, -0.9, 0.6, 0.3, 0.4)
    step = 1e-6 * np.eye(5)
    here = np.zeros(5, dtype=np.int64)
    above, below = (runs.objective(np.array(theta) + side, here)[0] for side in (step, -step))
    gradient = runs.objective(np.array([theta]), here[:1])[1][0]
    assert gradient == pytest.approx((above - below) / 2e-6, rel=1e-4)


def test_the_objective_is_hubers_of_log_losses() -> None:
    """A law of terms 1, 1/2 and 1/2 against losses half a delta and three deltas off: 1/8 and 3 - 1/2."""
    losses = [2 * math.exp(0.0005), 2 * math.exp(-0.003)]
    runs = scaling._Runs.of([point(1e6, 1e8, losses[0]), point(1e6, 1e8, losses[1])])
    values, _ = runs.objective(np.array([[math.log(0.5), math.log(0.5), 0.0, 0.3, 0.3]]), np.zeros(1, dtype=np.int64))
    assert values[0] == pytest.approx(1 / 8 + 2.5)


def test_the_same_seed_gives_the_same_intervals() -> None:
    points = isoflop(PUBLISHED["besiroglu"].law, noise=0.003)
    assert fit_law(points, num_resamples=3).resampled == fit_law(points, num_resamples=3).resampled


def test_200_resamples_take_seconds() -> None:
    points = isoflop(PUBLISHED["chinchilla-unrounded"].law, noise=0.003)
    before = time.process_time()
    assert len(fit_law(points).resampled) == 200
    assert time.process_time() - before < 30


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (
            [point(1e6 * n, 1e8, 3.0) for n in range(1, 6)],
            "5 runs; a law of five constants takes 8 or more: train some",
        ),
        (
            [point(1e6 * (1 + n % 2), 1e8 * (1 + n), 3.0) for n in range(10)],
            "the 10 runs have 2 different sizes; expected 3 or more: vary both the model and its tokens",
        ),
        ([point(1e6 * (1 + n), 1e8, 3.0) for n in range(10)], "the 10 runs have 1 different lengths; expected 3"),
        (
            [point(1e6 * (1 + n), 2e7 * (1 + n), 3.0) for n in range(10)],
            r"the 10 runs all have 20 to 20 tokens per parameter, a factor of 1; expected 2 or more, .* apart: train",
        ),
    ],
)
def test_runs_that_cannot_tell_the_terms_apart_are_refused(points: list[scaling.Point], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_law(points)


def test_runs_whose_loss_rises_with_size_are_refused() -> None:
    points = [point(1e6 * 2**n, 1e8 * 2**m, 2.0 + 0.3 * n - 0.1 * m) for n in range(4) for m in range(4)]
    with pytest.raises(
        InputError, match=r"no law fits the 16 runs: alpha = -.*, beta = .*, expected above 0 and under 10"
    ):
        fit_law(points)


def test_runs_of_noise_alone_are_refused() -> None:
    random = np.random.default_rng(8)
    points = [point(1e6 * 2**n, 1e8 * 2**m, float(random.uniform(2, 4))) for n in range(3) for m in range(3)]
    with pytest.raises(InputError, match=r"only \d+ of 200 resamples of the 9 runs give a law: too few"):
        fit_law(points)


@pytest.mark.soak
def test_no_start_of_the_whole_grid_ends_lower(sweep: Sweep) -> None:
    for random in sweep(2):
        true = PUBLISHED[random.choice(LAWS)].law
        runs = scaling._Runs.of(isoflop(true, seed=random.randrange(2**31), noise=random.choice([0.002, 0.01])))
        here = np.zeros(4500, dtype=np.int64)
        best = runs.objective(scaling._minimise_from_grid(runs)[None], here[:1])[0][0]
        assert best <= descent.minimise(runs.objective, scaling._starts(runs), problems=here)[1].min() * (1 + 1e-6)


@pytest.mark.soak
def test_intervals_hold_the_truth_95_times_in_100(sweep: Sweep) -> None:
    held = {name: [] for name in [*MEASURES, "a run at Chinchilla's size"]}  # type: dict[str, list[bool]]
    for random in sweep(100):
        true, noise = PUBLISHED[random.choice(LAWS)].law, random.choice([0.003, 0.01])
        seed = random.randrange(2**31)
        fit = fit_law(isoflop(true, seed=seed, noise=noise, num_sizes=random.choice([5, 7])), num_resamples=100)
        for name, measure in MEASURES.items():
            estimate = fit.interval(measure)
            held[name].append(estimate.low <= measure(true) <= estimate.high)
        run = fit.loss_of_run(Size(70e9, 1.4e12))
        measured = true.loss(70e9, 1.4e12) * math.exp(np.random.default_rng(seed + 1).normal(0, noise))
        held["a run at Chinchilla's size"].append(run.low <= measured <= run.high)
    if not sweep.only:
        coverage = {name: sum(found) / len(found) for name, found in held.items()}
        assert min(coverage.values()) >= 0.9, coverage
