"""Differences of two arms drawn as the statistics imagine them: seeds, groups of documents, and a rest."""

from dataclasses import dataclass

import numpy as np

from waman.ablation.estimate import Floats

SKEW = 0.8
"""Standard deviation of the logarithm of a group's bytes, as groups of real corpora have about."""


@dataclass(frozen=True)
class Ratio:
    """Variances of one seed's difference: by the seed, by the choice of groups, and by both together."""

    seeds: float
    groups: float
    rest: float

    def __str__(self) -> str:
        return f"{self.seeds:g}-{self.groups:g}-{self.rest:g}"


RATIOS = (
    Ratio(1, 0, 0),
    Ratio(1, 0.05, 0.05),
    Ratio(1, 0.3, 0.1),
    Ratio(1, 1, 1),
    Ratio(0.2, 1, 0.1),
    Ratio(0, 1, 0.01),
)


def draw_differences(
    ratio: Ratio, num_seeds: int, num_groups: int, random: np.random.Generator, *, mean: float = 0.0
) -> tuple[Floats, Floats]:
    """Sums of differences (seeds, groups) whose mean per byte is `mean`, and bytes (groups,)."""
    weights = random.lognormal(0, SKEW, num_groups)
    seeds = random.standard_normal((num_seeds, 1)) * ratio.seeds**0.5
    groups = random.standard_normal(num_groups) * (ratio.groups * num_groups) ** 0.5
    rest = random.standard_normal((num_seeds, num_groups)) * (ratio.rest * num_groups) ** 0.5
    return (mean + seeds + groups + rest) * weights, weights
