"""Scaling laws fitted to one's own runs: Hoffmann et al. 2022's three approaches, with bootstrap intervals.

Approach 3 is here, fit_law; `allocation.py` has the two that fit only how size and tokens grow with the operations.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from waman.errors import InputError
from waman.planning import descent
from waman.planning.law import TRAINING_FLOPS, Law, Size

Floats = NDArray[np.float64]
HUBER_DELTA = 1e-3
"""Residuals of log-loss beyond it count by their size, not their square (Hoffmann et al. 2022, section 3.3)."""
MIN_RUNS = 8
"""Five constants, and something left to judge the fit by."""
MIN_RATIO_SPREAD = 2.0
"""Largest over smallest tokens per parameter, below which the two terms of the law cannot be told apart."""
_TAILS = (0.025, 0.975)


@dataclass(frozen=True)
class Point:
    """What a run came to: its end, not a place on its way, where its learning rate was still high."""

    parameters: float
    tokens: float
    loss: float
    """nats per token"""
    flops: float
    """of all its training"""


def point(parameters: float, tokens: float, loss: float) -> Point:
    """A run whose operations are counted as 6 N D."""
    return Point(parameters, tokens, loss, TRAINING_FLOPS * parameters * tokens)


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95% bootstrap interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, Any]:
        return {"value": self.value, "interval": [self.low, self.high]}


def interval(value: float, resampled: Sequence[float] | Floats) -> Interval:
    """Percentiles of what the resamples gave."""
    low, high = np.quantile(np.asarray(resampled, dtype=np.float64), _TAILS)
    return Interval(value, float(low), float(high))


@dataclass(frozen=True)
class Fit:
    """A law fitted to runs, and the laws that resampled runs gave."""

    law: Law
    resampled: tuple[Law, ...]
    points: tuple[Point, ...]
    residuals: tuple[float, ...]
    """log of the measured loss over the law's, by run"""

    def interval(self, measure: Callable[[Law], float]) -> Interval:
        """What a law says, over the resampled laws: `fit.interval(lambda law: law.parameters_exponent)`."""
        return interval(measure(self.law), [measure(one) for one in self.resampled])

    def loss(self, size: Size) -> Interval:
        """The law's loss at a size, which may lie beyond the runs: how sure the law is, given that its form holds."""
        return self.interval(lambda law: law.loss(size.parameters, size.tokens))

    def loss_of_run(self, size: Size, *, seed: int = 0) -> Interval:
        """As `loss`, for what one run would measure: the law's uncertainty and the scatter of runs about it."""
        random = np.random.default_rng(seed)
        # residuals of a fit are smaller than errors are, by the numbers that it had to settle
        scale = math.sqrt(len(self.residuals) / (len(self.residuals) - 5))
        laws = [law.loss(size.parameters, size.tokens) for law in self.resampled]
        scatter = random.choice(np.asarray(self.residuals), size=(20, len(laws))) * scale
        return interval(self.law.loss(size.parameters, size.tokens), (np.asarray(laws) * np.exp(scatter)).ravel())

    def optimum(self, flops: float) -> tuple[Interval, Interval]:
        """Parameters and tokens of the optimum for so many operations."""
        return (
            self.interval(lambda law: law.optimum(flops).parameters),
            self.interval(lambda law: law.optimum(flops).tokens),
        )

    def reach(self, flops: float) -> float:
        """Operations over those of the largest run: how far beyond the runs a question lies."""
        return flops / max(one.flops for one in self.points)


def fit_law(points: Sequence[Point], *, seed: int = 0, num_resamples: int = 200) -> Fit:
    """Approach 3: the law that minimises the Huber loss of log-loss, by L-BFGS from a grid of starts.

    The intervals resample whole runs. Raises InputError for runs that cannot tell the law's terms apart.
    """
    _require_spread(points)
    runs = _Runs.of(points)
    theta = _minimise_from_grid(runs)
    if not _is_law(theta):
        raise InputError(
            f"no law fits the {len(points)} runs: alpha = {theta[3]:.3g}, beta = {theta[4]:.3g}, expected above 0 and "
            "under 10, as a loss falls slowly with size and tokens: leave out runs that did not learn"
        )
    law = runs.law(theta)
    residuals = tuple(math.log(one.loss / law.loss(one.parameters, one.tokens)) for one in points)
    weights = _resample(points, np.random.default_rng(seed), num_resamples)
    thetas, _ = descent.minimise(runs.weighted(weights).objective, np.tile(theta, (num_resamples, 1)))
    resampled = tuple(runs.law(one) for one in thetas if _is_law(one))
    if len(resampled) < 0.9 * num_resamples:
        raise InputError(
            f"only {len(resampled)} of {num_resamples} resamples of the {len(points)} runs give a law: too few runs, "
            "or too alike, to say how sure it is; train some more"
        )
    return Fit(law, resampled, tuple(points), residuals)


def _is_law(theta: Floats) -> bool:
    """Whether both terms fall, slowly enough that their weights can be written as numbers."""
    return bool(np.all(theta[3:] > 0) and np.all(theta[3:] < 10) and np.all(np.abs(theta[:3]) < 300))


def _resample(points: Sequence[Point], random: np.random.Generator, number: int) -> Floats:
    """(resamples, runs): how often each holds each run; only such as can tell the terms apart."""
    found: list[Floats] = []
    while len(found) < number:
        times = random.multinomial(len(points), np.full(len(points), 1 / len(points)))
        drawn = [one for one, often in zip(points, times, strict=True) if often > 0]
        if len(drawn) > 5 and _ratio_spread(drawn) >= MIN_RATIO_SPREAD:
            found.append(times.astype(np.float64))
    return np.stack(found)


def _require_spread(points: Sequence[Point]) -> None:
    if len(points) < MIN_RUNS:
        raise InputError(f"{len(points)} runs; a law of five constants takes {MIN_RUNS} or more: train some more")
    for name, values in (("sizes", {one.parameters for one in points}), ("lengths", {one.tokens for one in points})):
        if len(values) < 3:
            raise InputError(
                f"the {len(points)} runs have {len(values)} different {name}; expected 3 or more: vary both the model "
                "and its tokens"
            )
    if _ratio_spread(points) < MIN_RATIO_SPREAD:
        ratios = sorted(one.tokens / one.parameters for one in points)
        raise InputError(
            f"the {len(points)} runs all have {ratios[0]:.3g} to {ratios[-1]:.3g} tokens per parameter, a factor of "
            f"{ratios[-1] / ratios[0]:.3g}; expected {MIN_RATIO_SPREAD:g} or more, or the law's two terms cannot be "
            "told apart: train a small model for longer and a large one for less"
        )


def _ratio_spread(points: Sequence[Point]) -> float:
    ratios = [one.tokens / one.parameters for one in points]
    return max(ratios) / min(ratios)


@dataclass(frozen=True)
class _Runs:
    """Runs as arrays (runs,), their logarithms about their means, and how often each resample holds each run.

    About its mean a logarithm is nearly independent of its term's weight, which a descent needs: raw, the two move
    together (a correlation of over 0.999 on designs like Hoffmann et al.'s) and it ends before the minimum.
    """

    sizes: Floats
    lengths: Floats
    log_losses: Floats
    means: tuple[float, float]
    weights: Floats
    """(resamples, runs)"""

    @staticmethod
    def of(points: Sequence[Point]) -> "_Runs":
        sizes, lengths = (np.log([getattr(one, name) for one in points]) for name in ("parameters", "tokens"))
        means = float(sizes.mean()), float(lengths.mean())
        log_losses = np.log([one.loss for one in points])
        return _Runs(sizes - means[0], lengths - means[1], log_losses, means, np.ones((1, len(points))))

    def weighted(self, weights: Floats) -> "_Runs":
        return replace(self, weights=weights)

    def law(self, theta: Floats) -> Law:
        a, b, e, alpha, beta = map(float, theta)
        return Law(
            E=math.exp(e),
            A=math.exp(a + alpha * self.means[0]),
            B=math.exp(b + beta * self.means[1]),
            alpha=alpha,
            beta=beta,
        )

    def objective(self, thetas: Floats, resamples: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """(problems, 5): a, b, e, alpha, beta -> Huber loss summed over a resample's runs, and its gradient.

        Both are over delta squared, so that a residual of delta counts 1/2. In its own unit the sum is so small that an
        optimizer takes it for done: so Hoffmann et al.'s constants came about, as Besiroglu et al. 2024 found.
        """
        a, b, e, alpha, beta = (column[:, None] for column in thetas.T)
        of_size, of_length = a - alpha * self.sizes, b - beta * self.lengths
        log_sum = np.logaddexp(np.logaddexp(of_size, of_length), e)
        scaled = (log_sum - self.log_losses) / HUBER_DELTA
        weights, inner = self.weights[resamples], np.clip(scaled, -1, 1)
        values = (weights * (inner**2 / 2 + np.abs(scaled - inner))).sum(axis=1)
        slopes = weights * inner / HUBER_DELTA
        by_size, by_length = slopes * np.exp(of_size - log_sum), slopes * np.exp(of_length - log_sum)
        terms = (by_size, by_length, slopes * np.exp(e - log_sum), -by_size * self.sizes, -by_length * self.lengths)
        return values, np.stack([term.sum(axis=1) for term in terms], axis=1)


FIRST_STEPS, NUM_FINISHED = 20, 12
"""Steps that L-BFGS takes from each of the 4,500 starts, and of these the lowest, which it then finishes."""


def _minimise_from_grid(runs: _Runs) -> Floats:
    starts = _starts(runs)
    nowhere = np.zeros(len(starts), dtype=np.int64)
    ahead, values = descent.descend(runs.objective, starts, problems=nowhere, steps=FIRST_STEPS)
    lowest = np.argsort(values, kind="stable")[:NUM_FINISHED]
    ends, values = descent.minimise(runs.objective, ahead[lowest], problems=nowhere[lowest])
    return np.asarray(ends[values.argmin()], dtype=np.float64)


def _starts(runs: _Runs) -> Floats:
    """(4500, 5): the grid of Hoffmann et al. 2022, appendix D.3, its weights moved to the means of the logarithms."""
    steps = (range(0, 30, 5), range(0, 30, 5), (-1, -0.5, 0, 0.5, 1), (0, 0.5, 1, 1.5, 2), (0, 0.5, 1, 1.5, 2))
    grid = np.array(list(itertools.product(*steps)), dtype=np.float64)
    grid[:, 0] -= grid[:, 3] * runs.means[0]
    grid[:, 1] -= grid[:, 4] * runs.means[1]
    return grid
