"""What two arms' differences allow to be said: better, no difference that matters, or undecided and what it would take.

"Better" is said where the interval excludes zero. "No difference larger than x" is said where both one-sided tests
against x pass (TOST, Schuirmann 1987), that is where the interval of twice the level lies within -x and x; it comes
first, since a difference smaller than what was said to matter does not. Each may err in 5% of ablations, over
all looks (`sequential`) and all comparisons (Bonferroni) together.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from waman.ablation.estimate import Estimate
from waman.ablation.sequential import look_levels, looks, spent

LEVEL = 0.042
"""Errors aimed at for the ablation as a whole, of either kind, so that they stay under 5%: the intervals are
approximate, and in simulations up to a seventh more was made where a few dozen groups are all the doubt."""
MAX_MORE_SEEDS = 200
"""More seeds than this are not counted out."""
_TIMES_THE_DOCUMENTS = (1, 2, 4, 8, 16, 32, 64)

Decision = Literal["better", "worse", "no_difference", "undecided"]


@dataclass(frozen=True)
class Design:
    """What was settled before the first run."""

    num_seeds: int
    early_stop: bool
    num_comparisons: int
    smallest_difference: float
    """The smallest difference of interest, in the metric's unit."""

    @property
    def looks(self) -> tuple[int, ...]:
        """After how many seeds there is a look."""
        return looks(self.num_seeds, early_stop=self.early_stop)

    def level(self, num_seeds: int, *, one_sided: bool = False) -> float:
        """The level of the look after so many seeds, of an interval (two-sided) or of two one-sided tests.

        Where there is no look it is what may have been spent by then: for an interval to be shown, which decides
        nothing.
        """
        total = LEVEL / self.num_comparisons * (2 if one_sided else 1)
        levels = dict(zip(self.looks, look_levels(self.looks, total), strict=True))
        return levels.get(num_seeds, spent(total, self.num_seeds, num_seeds))


@dataclass(frozen=True)
class Verdict:
    """One comparison: an arm against the reference."""

    arm: str
    reference: str
    decision: Decision
    difference: float
    """The arm's metric minus the reference's."""
    interval: tuple[float, float]
    """At the confidence that looks and comparisons leave; 95% over all of them together."""
    confidence: float
    """Of this interval alone."""
    equivalence: tuple[float, float]
    """The interval that was held against the smallest difference of interest."""
    num_seeds: int
    num_diverged: int
    """Of the arm's seeds; each counts as a model that knows nothing."""
    reference_diverged: int

    @property
    def decided(self) -> bool:
        """Whether there is nothing left to run for."""
        return self.decision != "undecided"


def judge(
    found: Estimate,
    design: Design,
    *,
    arm: str,
    reference: str,
    lower_is_better: bool,
    num_diverged: int = 0,
    reference_diverged: int = 0,
) -> Verdict:
    """The verdict after `found.num_seeds` seeds. Between looks it is "undecided", whatever the figures."""
    level = design.level(found.num_seeds)
    doubled = design.level(found.num_seeds, one_sided=True)
    may_be_equal = not num_diverged and not reference_diverged  # of what was never measured nothing is known
    decision: Decision = "undecided"
    if found.num_seeds in design.looks:
        decision = _decide(found, design, level, doubled, lower_is_better=lower_is_better, may_be_equal=may_be_equal)
    return Verdict(
        arm=arm,
        reference=reference,
        decision=decision,
        difference=found.value,
        interval=found.interval(level),
        confidence=1 - level,
        equivalence=found.interval(doubled),
        num_seeds=found.num_seeds,
        num_diverged=num_diverged,
        reference_diverged=reference_diverged,
    )


def all_decided(verdicts: Sequence[Verdict]) -> bool:
    """Whether the ablation may stop."""
    return all(verdict.decided for verdict in verdicts)


def _decide(
    found: Estimate, design: Design, level: float, doubled: float, *, lower_is_better: bool, may_be_equal: bool
) -> Decision:
    if may_be_equal and abs(found.value) + found.half_width(doubled) < design.smallest_difference:
        return "no_difference"
    if abs(found.value) > found.half_width(level):
        return "better" if (found.value < 0) == lower_is_better else "worse"
    return "undecided"


@dataclass(frozen=True)
class Further:
    """What would probably decide an undecided comparison."""

    more_seeds: int
    more_documents: int
    """Times as many held-out documents; 1 where seeds alone would do."""


def further(found: Estimate, design: Design, *, may_be_equal: bool) -> Further | None:
    """The fewest further seeds after which these very figures would decide, in one look at the end.

    Documents are doubled only where seeds alone would not do; None where nothing that can be counted would. The figures
    are themselves uncertain: it is an estimate of the order, not a promise.
    """
    level = LEVEL / design.num_comparisons

    def decides(more: int, documents: int) -> bool:
        expected = found.with_seeds(found.num_seeds + more).with_groups(documents)
        equal = abs(found.value) + expected.half_width(2 * level) < design.smallest_difference
        return abs(found.value) > expected.half_width(level) or (may_be_equal and equal)

    if found.num_seeds < 2:
        return None
    for documents in _TIMES_THE_DOCUMENTS:
        if decides(MAX_MORE_SEEDS, documents):
            counts = range(1, MAX_MORE_SEEDS + 1)  # intervals only narrow: the first that decides is found by halving
            more = bisect.bisect_left(counts, True, key=lambda more: decides(more, documents))
            return Further(counts[more], documents)
    return None
