"""How much doubt each look at the seeds may use up, so that looking after every seed does not add to the errors.

After n of N seeds the errors spent so far are level * (n / N)^3 (Kim and DeMets 1987): little at first, when a few
seeds may agree by chance, most at the end. What a look may spend is turned into its own level by the distribution of
Student's t over the looks, found by drawing it. Where documents and not seeds are the doubt, the looks hang together
more closely than drawn here, and fewer errors are made than allowed.
"""

import functools
from collections.abc import Sequence

import numpy as np
from scipy import stats

MIN_SEEDS = 3
"""Seeds before the first look: two agree too easily, and Student's t with one degree knows it."""
_POWER = 3
_MIN_PATHS, _MAX_PATHS = 1 << 17, 1 << 21
_PATHS_PER_ERROR = 4000
"""Drawn paths that err in all, at least: they settle a level within a few percent of itself."""


def looks(num_seeds: int, *, early_stop: bool) -> tuple[int, ...]:
    """After how many seeds there is a look, the last after all of them."""
    first = min(MIN_SEEDS, num_seeds) if early_stop else num_seeds
    return tuple(range(first, num_seeds + 1))


def spent(level: float, num_seeds: int, after: int) -> float:
    """The errors that may have been made after so many of the seeds."""
    return level * (after / num_seeds) ** _POWER


@functools.cache
def look_levels(counts: tuple[int, ...], level: float) -> tuple[float, ...]:
    """The two-sided level of each look after `counts` seeds, such that all looks together err with `level`."""
    if len(counts) == 1:
        return (level,)
    statistics = _draw_statistics(counts, level)
    alive = np.ones(statistics.shape[1], dtype=np.bool_)
    found: list[float] = []
    before = 0.0
    for count, values in zip(counts, statistics, strict=True):
        until = spent(level, counts[-1], count)
        allowed = round((until - before) * len(values))
        left = values[alive]
        bound = float(np.partition(left, len(left) - allowed - 1)[len(left) - allowed - 1])
        alive &= values <= bound
        found.append(float(2 * stats.t.sf(bound, count - 1)))
        before = until
    return tuple(found)


def _draw_statistics(counts: Sequence[int], level: float) -> np.ndarray:
    """|Student's t| at each look of many paths on which there is nothing to find: (looks, paths)."""
    number = int(min(max(_PATHS_PER_ERROR / level, _MIN_PATHS), _MAX_PATHS))
    random = np.random.default_rng(0)
    sums, squares = np.zeros(number), np.zeros(number)
    found = []
    for seed in range(1, counts[-1] + 1):
        drawn = random.standard_normal(number)
        sums += drawn
        squares += drawn**2
        if seed in counts:
            variance = (squares - sums**2 / seed) / (seed - 1)
            found.append(np.abs(sums) / np.sqrt(variance * seed))
    return np.array(found)
