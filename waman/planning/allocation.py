"""How the best size grows with the operations, without a law of the loss: approaches 1 and 2 of Hoffmann et al. 2022.

Both find the best model at several budgets and draw a straight line through their logarithms, N = k C^a and D = k' C^b.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from waman.errors import InputError
from waman.planning.law import amount
from waman.planning.scaling import Floats, Interval, Point, interval

NUM_BUDGETS = 1500
"""Budgets at which approach 1 looks for the best curve (Hoffmann et al. 2022, section 3.1)."""
SAME_BUDGET = 0.05
"""Runs whose operations differ by less than this share belong to one budget of approach 2."""
MIN_OF_BUDGET = 4
"""Runs of a budget: a parabola takes three, and one more shows how far from it runs lie."""


@dataclass(frozen=True)
class Curve:
    """A training run on its way; all arrays are (places,), ascending."""

    parameters: float
    flops: Floats
    """done up to the place"""
    tokens: Floats
    loss: Floats
    """nats per token, smoothed"""


@dataclass(frozen=True)
class Power:
    """k C^exponent, and the same from resampled runs."""

    log_k: float
    slope: float
    resampled: Floats
    """(resamples, 2): log k, exponent"""

    @property
    def exponent(self) -> Interval:
        return interval(self.slope, self.resampled[:, 1])

    def at(self, flops: float) -> Interval:
        """The quantity at a budget, which may lie beyond the runs."""
        place = math.log(flops)
        found = np.exp(self.resampled[:, 0] + self.resampled[:, 1] * place)
        return interval(math.exp(self.log_k + self.slope * place), found)


@dataclass(frozen=True)
class Optimum:
    """The best size at one budget."""

    flops: float
    parameters: float
    tokens: float


@dataclass(frozen=True)
class Allocation:
    """How parameters and tokens grow with the operations, the optima that say so, and what was left out."""

    approach: int
    parameters: Power
    tokens: Power
    optima: tuple[Optimum, ...]
    left_out: tuple[str, ...]


def fit_curves(curves: Sequence[Curve], *, seed: int = 0, num_resamples: int = 200) -> Allocation:
    """Approach 1: at each of many budgets, the run whose curve is lowest there; a line through sizes and tokens.

    A curve shows less than its size can do where its schedule has not ended: give several lengths of each size. Budgets
    where the smallest or the largest of the sizes that got there is best are left out: a better one may be missing. The
    intervals resample whole runs. Raises InputError where fewer than two sizes are left.
    """
    if len({one.parameters for one in curves}) < 4:
        raise InputError(
            f"approach 1: {len({one.parameters for one in curves})} different sizes; expected 4 or more, as where the "
            "smallest or the largest is best a better one may be missing: train some more"
        )
    budgets = np.geomspace(
        min(one.flops[0] for one in curves), max(one.flops[-1] for one in curves), NUM_BUDGETS, dtype=np.float64
    )
    losses = np.stack([_at(one, budgets, one.loss) for one in curves])
    tokens = np.stack([_at(one, budgets, one.tokens) for one in curves])
    sizes = np.array([one.parameters for one in curves])
    found = _envelope(np.log(budgets), losses, tokens, sizes)
    if found is None:
        raise InputError(
            "approach 1: the smallest or the largest model is best nearly everywhere, so the optimum lies beyond them: "
            f"train others than {amount(sizes.min())} to {amount(sizes.max())}, or for other lengths"
        )
    lines, optima = found
    random, resampled = np.random.default_rng(seed), []
    for _ in range(4 * num_resamples):
        chosen = np.unique(random.integers(len(curves), size=len(curves)))
        again = _envelope(np.log(budgets), losses[chosen], tokens[chosen], sizes[chosen])
        if again is not None:
            resampled.append(again[0])
        if len(resampled) == num_resamples:
            break
    else:
        raise InputError(
            "approach 1: most resamples of these runs have no optimum between their sizes, so no interval: train more"
        )
    left_out = ("budgets where the smallest or the largest of the sizes that got there is best",)
    return _allocation(1, lines, resampled, optima, left_out)


def _at(curve: Curve, budgets: Floats, values: Floats) -> Floats:
    """(budgets,): interpolated in the logarithm of the operations; infinite where the run was not."""
    places = np.log(curve.flops)
    return np.interp(np.log(budgets), places, values, left=np.inf, right=np.inf)


def _envelope(
    log_budgets: Floats, losses: Floats, tokens: Floats, sizes: Floats
) -> tuple[Floats, tuple[Optimum, ...]] | None:
    """Lines through the best sizes and tokens; None where fewer than two sizes are best between others."""
    best = losses.argmin(axis=0)
    best_sizes = sizes[best]
    there = np.isfinite(losses)
    smallest = np.where(there, sizes[:, None], np.inf).min(axis=0)
    largest = np.where(there, sizes[:, None], -np.inf).max(axis=0)
    inside = (smallest < best_sizes) & (best_sizes < largest)
    if len(np.unique(best_sizes[inside])) < 2:
        return None
    best_tokens = tokens[best, np.arange(len(best))][inside]
    lines = np.stack([_line(log_budgets[inside], np.log(one)) for one in (best_sizes[inside], best_tokens)])
    every = range(0, int(inside.sum()), max(int(inside.sum()) // 50, 1))
    rows = zip(np.exp(log_budgets[inside]), best_sizes[inside], best_tokens, strict=True)
    optima = [Optimum(float(c), float(n), float(d)) for c, n, d in rows]
    return lines, tuple(optima[index] for index in every)


def fit_isoflop(points: Sequence[Point], *, seed: int = 0, num_resamples: int = 200) -> Allocation:
    """Approach 2: at each budget a parabola of the loss over log size; a line through where the parabolas are lowest.

    The intervals resample how far runs lie from their parabola. Its lowest place is off where sizes reach far to both
    sides, as a loss is no parabola: up to four times smaller and larger is near enough. Raises InputError where fewer
    than two budgets have their lowest place between their sizes.
    """
    budgets, left_out = [], []
    for flops, group in _by_budget(points).items():
        if len({one.parameters for one in group}) < MIN_OF_BUDGET:
            left_out.append(f"{flops:.3g} FLOPs: {len(group)} runs, expected {MIN_OF_BUDGET} or more sizes")
            continue
        parabola = _Parabola.of(flops, group)
        if parabola.lowest(parabola.losses) is None:
            left_out.append(f"{flops:.3g} FLOPs: no lowest place between its sizes")
            continue
        budgets.append(parabola)
    lines = _through(budgets, [one.losses for one in budgets])
    if lines is None:
        raise InputError(
            f"approach 2: {len(budgets)} budgets with {MIN_OF_BUDGET} or more sizes and a lowest loss between them; "
            f"expected 2 or more ({'; '.join(left_out) or 'no runs'}): train models of several sizes for equal FLOPs"
        )
    random = np.random.default_rng(seed)
    resampled: list[Floats] = []
    pool = np.concatenate([one.scatter for one in budgets])
    while len(resampled) < num_resamples:
        drawn = [one.fitted * (1 + random.choice(pool, size=len(one.losses))) for one in budgets]
        again = _through(budgets, drawn)
        if again is not None:
            resampled.append(again)
    optima = [Optimum(one.flops, *_lowest(one, one.losses)) for one in budgets]
    return _allocation(2, lines, resampled, tuple(optima), tuple(left_out))


@dataclass(frozen=True)
class _Parabola:
    """The runs of one budget, (runs,) each, and what takes their losses to a parabola's coefficients."""

    flops: float
    places: Floats
    """log size about the middle one"""
    middle: float
    log_product: float
    """log of parameters times tokens, which at one budget hardly depends on the size"""
    losses: Floats
    solve: Floats
    """(3, runs)"""

    @staticmethod
    def of(flops: float, group: Sequence[Point]) -> "_Parabola":
        logs = np.log([one.parameters for one in group])
        product = float(np.mean(np.log([one.parameters * one.tokens for one in group])))
        places, middle = logs - logs.mean(), float(logs.mean())
        solve = np.linalg.pinv(np.vander(places, 3))
        return _Parabola(flops, places, middle, product, np.array([one.loss for one in group]), solve)

    @property
    def fitted(self) -> Floats:
        return np.asarray(np.vander(self.places, 3) @ (self.solve @ self.losses), dtype=np.float64)

    @property
    def scatter(self) -> Floats:
        """How far runs lie from the parabola, as a share, widened by what the parabola took up of it."""
        leverage = np.einsum("ij,ji->i", np.vander(self.places, 3), self.solve)
        free = np.clip(1 - leverage, 1e-3, None)
        away = (self.losses / self.fitted - 1) / np.sqrt(free)
        return np.asarray(away - away.mean(), dtype=np.float64)

    def lowest(self, losses: Floats) -> float | None:
        """Log of the size at which the parabola is lowest; None where that is not between the sizes."""
        bend, slope, _ = self.solve @ losses
        if bend <= 0:
            return None
        place = float(-slope / (2 * bend))
        return place + self.middle if self.places.min() <= place <= self.places.max() else None


def _lowest(parabola: _Parabola, losses: Floats) -> tuple[float, float]:
    place = parabola.lowest(losses)
    assert place is not None, "a budget without one was left out"
    return math.exp(place), math.exp(parabola.log_product - place)


def _through(budgets: Sequence[_Parabola], losses: Sequence[Floats]) -> Floats | None:
    """Lines through the lowest places of parabolas to these losses; None for fewer than two."""
    found = [
        (one, place) for one, drawn in zip(budgets, losses, strict=True) if (place := one.lowest(drawn)) is not None
    ]
    if len(found) < 2:
        return None
    flops = np.log([one.flops for one, _ in found])
    sizes = np.array([place for _, place in found])
    products = np.array([one.log_product for one, _ in found])
    return np.stack([_line(flops, sizes), _line(flops, products - sizes)])


def _by_budget(points: Sequence[Point]) -> Mapping[float, list[Point]]:
    """Runs by budget, ascending; a budget is named by the mean of its runs' operations."""
    groups: list[list[Point]] = []
    for one in sorted(points, key=lambda one: one.flops):
        if groups and one.flops <= groups[-1][0].flops * (1 + SAME_BUDGET):
            groups[-1].append(one)
        else:
            groups.append([one])
    return {float(np.mean([one.flops for one in group])): group for group in groups}


def _line(places: Floats, values: Floats) -> Floats:
    """(2,): where the least-squares line is at 0, and its slope."""
    slope = float(np.cov(places, values, bias=True)[0, 1] / np.var(places))
    return np.array([values.mean() - slope * places.mean(), slope])


def _allocation(
    approach: int, lines: Floats, resampled: Sequence[Floats], optima: tuple[Optimum, ...], left_out: tuple[str, ...]
) -> Allocation:
    again = np.stack(resampled)
    powers = [Power(float(lines[row, 0]), float(lines[row, 1]), again[:, row]) for row in (0, 1)]
    return Allocation(approach, powers[0], powers[1], optima, left_out)
