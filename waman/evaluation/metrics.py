"""Figures with their uncertainty: means and ratios over clustered records, and credit for a choice.

Questions cut from one document, or from documents of one group, are not independent. Every interval here therefore
resamples whole clusters, never single records.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Figure:
    """A value, its 95% interval, and how many records and clusters stand behind it.

    `interval` is None where fewer than two clusters leave nothing to estimate the uncertainty from.
    """

    value: float
    interval: tuple[float, float] | None
    num_records: int
    num_clusters: int

    def to_json(self) -> dict[str, Any]:
        """The figure as data."""
        interval = None if self.interval is None else list(self.interval)
        return {"value": self.value, "interval": interval, "n": self.num_records, "clusters": self.num_clusters}


def mean(values: Floats, clusters: Sequence[str], *, seed: int, num_resamples: int = 2000) -> Figure:
    """The mean of `values` (records,), for instance credits, with an interval over whole clusters."""
    return ratio(values, np.ones(len(values)), clusters, seed=seed, num_resamples=num_resamples)


def ratio(
    numerators: Floats, denominators: Floats, clusters: Sequence[str], *, seed: int, num_resamples: int = 2000
) -> Figure:
    """Sum of `numerators` / sum of `denominators` (records,), for instance bits per byte, over whole clusters.

    The interval is the expanded percentile bootstrap (Hesterberg 2015, section 5.3) over clusters: percentiles of
    the resampled ratios, taken further out by Student's t and by sqrt(G / (G - 1)), because the plain percentiles
    of G clusters are too narrow when G is small.
    """
    assert len(numerators) == len(denominators) == len(clusters) > 0, "one cluster name for every record"
    assert np.all(denominators > 0), "a record that weighs nothing is no record"
    names, members = np.unique(np.asarray(clusters, dtype=np.str_), return_inverse=True)
    tops = np.bincount(members, weights=numerators).astype(np.float64)
    bottoms = np.bincount(members, weights=denominators).astype(np.float64)
    value = float(tops.sum() / bottoms.sum())
    if len(names) < 2:
        return Figure(value, None, len(numerators), len(names))
    resampled = _resample(tops, bottoms, np.random.default_rng(seed), num_resamples)
    tail = expanded_tail(len(names))
    low, high = np.quantile(resampled, (tail, 1 - tail))
    return Figure(value, (float(low), float(high)), len(numerators), len(names))


def expanded_tail(num_clusters: int) -> float:
    """The percentile at which each end of a 95% interval is read when there are `num_clusters` (Hesterberg 2015)."""
    spread = math.sqrt(num_clusters / (num_clusters - 1)) * student_t(num_clusters - 1)
    return NormalDist().cdf(-spread)


def student_t(degrees: int) -> float:
    """The two-sided 95% point of Student's t: exact for 1 and 2 degrees, by its expansion in 1/degrees above.

    Abramowitz & Stegun 1964, equation 26.7.5: off by 0.004 at 3 degrees, under 0.001 from 4 on.
    """
    upper = (1 + _CONFIDENCE) / 2
    if degrees == 1:
        return math.tan(math.pi * (upper - 0.5))
    if degrees == 2:
        return (2 * upper - 1) / math.sqrt(2 * upper * (1 - upper))
    z = NormalDist().inv_cdf(upper)
    terms: tuple[float, ...] = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / degrees**power for power, term in enumerate(terms, start=1))


def choice_credit(scores: Floats, answer: int) -> float:
    """The expected credit for choosing the best of `scores` (options,): 1/k where the answer ties with k - 1 others.

    A score that is not a number never wins: an option that could not be scored must not look chosen.
    """
    comparable = np.where(np.isnan(scores), -np.inf, scores)
    best = comparable == comparable.max()
    return float(best[answer]) / int(best.sum())


def _resample(tops: Floats, bottoms: Floats, random: np.random.Generator, num_resamples: int) -> Floats:
    """(clusters,) sums -> (resamples,) ratios, each over as many clusters drawn with replacement."""
    num_clusters = len(tops)
    times = random.multinomial(num_clusters, np.full(num_clusters, 1 / num_clusters), size=num_resamples)
    return np.asarray((times @ tops) / (times @ bottoms), dtype=np.float64)
