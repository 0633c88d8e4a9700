"""From what runs left behind to differences, by hand."""

import math
from pathlib import Path

import numpy as np
import pytest

from waman.ablation.metric import METRICS
from waman.ablation.outcomes import Outcome, Records, Scores, compare, values
from waman.ablation.report import average
from waman.ablation.workshop import worse_than_guessing

BITS = METRICS["bits_per_byte"]
RECORDS = Records(("a", "b", "c", "d"), ("x", "y", "x", "z"), np.array([10.0, 20.0, 30.0, 40.0]))


def outcome(arm: str, seed: int, totals: list[float] | None) -> Outcome:
    scores = None if totals is None else Scores(RECORDS, np.array(totals))
    return Outcome(arm, seed, Path(), 1.0, "lost" if scores is None else None, scores, {})


def test_differences_are_paired_by_seed_and_summed_over_groups() -> None:
    arm = [outcome("a", 0, [11, 22, 33, 44]), outcome("a", 1, [12, 21, 30, 41])]
    reference = [outcome("r", 0, [10, 20, 30, 40]), outcome("r", 1, [10, 20, 30, 40])]
    found = compare(arm, reference, BITS)
    assert found is not None
    assert found.value == pytest.approx((10 / 100 + 4 / 100) / 2)
    assert found.num_seeds == 2
    assert found.num_groups == pytest.approx(100**2 / (40**2 + 20**2 + 40**2))
    assert values(arm, BITS) == pytest.approx([1.1, 1.04])


def test_a_diverged_seed_is_a_model_that_guesses_every_byte() -> None:
    arm = [outcome("a", 0, None), outcome("a", 1, [10, 20, 30, 40])]
    reference = [outcome("r", 0, [10, 20, 30, 40]), outcome("r", 1, [10, 20, 30, 40])]
    found = compare(arm, reference, BITS)
    assert found is not None
    assert found.value == pytest.approx((8 - 1) / 2)
    assert values(arm, BITS) == [8.0, 1.0]


def test_what_no_one_scored_is_not_compared() -> None:
    lost = [outcome("a", 0, None)]
    assert compare(lost, lost, BITS) is None
    here = [outcome("a", 0, [1, 2, 3, 4])]
    assert compare(here, here, BITS, length=256) is None
    assert values(here, BITS, length=256) == [None]


def test_a_run_that_ends_worse_than_guessing_came_to_nothing() -> None:
    fine = [(step, 6.0 - step / 20) for step in range(20)]
    assert worse_than_guessing(fine, 320) is None
    reason = worse_than_guessing([*fine, (20, 9.0), (21, 9.2)], 320)
    assert reason == "its loss ends at 9.10, worse than ln(320) = 5.77 of guessing"
    assert worse_than_guessing([(1, math.nan)], 320) is not None
    assert worse_than_guessing([], 320) is not None


def test_curves_are_averaged_over_seeds_and_thinned() -> None:
    first = [(step, float(step)) for step in range(1, 1001)]
    second = [(step, float(step) + 2) for step in range(1, 1001)]
    found = average([first, second])
    assert len(found) <= 120
    assert found[0][0] > 50
    assert found[-1][0] == 1000
    width = found[1][0] - found[0][0]
    assert found[0][1] == pytest.approx(found[0][0] - (width - 1) / 2 + 1)
    assert average([]) == ()
