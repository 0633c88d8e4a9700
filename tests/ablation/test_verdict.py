"""What differences allow to be said, and how often what is said is false."""

import math

import numpy as np
import pytest
from scipy import stats

from tests.ablation.drawing_of_lots import RATIOS, Ratio, draw_differences
from tests.sweep import Sweep
from waman.ablation.estimate import Estimate, estimate
from waman.ablation.metric import METRICS
from waman.ablation.sequential import look_levels, looks
from waman.ablation.verdict import LEVEL, Decision, Design, Verdict, further, judge
from waman.ablation.words import confidence, sentence, summary

BITS, CLOZE = METRICS["bits_per_byte"], METRICS["cloze"]
FIXED = Design(num_seeds=5, early_stop=False, num_comparisons=1, smallest_difference=0.01)
EARLY = Design(num_seeds=5, early_stop=True, num_comparisons=1, smallest_difference=0.01)


def narrow(value: float, *, se: float = 0.001, num_seeds: int = 5) -> Estimate:
    return Estimate(value, se**2 / 2, se**2 / 2, num_seeds, 40.0)


def decide(value: float, design: Design = FIXED, *, se: float = 0.001, num_seeds: int = 5, lower: bool = True) -> str:
    found = narrow(value, se=se, num_seeds=num_seeds)
    return judge(found, design, arm="a", reference="b", lower_is_better=lower).decision


def test_fewer_bits_or_more_right_answers_are_better() -> None:
    assert decide(-0.05) == decide(0.05, lower=False) == "better"
    assert decide(0.05) == decide(-0.05, lower=False) == "worse"


def test_a_difference_smaller_than_what_matters_is_none_and_a_wide_interval_decides_nothing() -> None:
    assert decide(0.001) == "no_difference"
    assert decide(0.005) == "no_difference", "it is there, but does not matter"
    assert decide(0.005, se=0.01) == "undecided"


def test_two_one_sided_tests_are_the_interval_of_twice_the_level() -> None:
    seeds_only = Estimate(0.004, 0.002**2, 0.0, 5, 40.0)
    found = judge(seeds_only, FIXED, arm="a", reference="b", lower_is_better=True)
    reach = float(stats.t.ppf(1 - LEVEL, 4)) * 0.002
    assert found.equivalence == pytest.approx((0.004 - reach, 0.004 + reach))
    assert found.decision == "no_difference"
    assert found.confidence == pytest.approx(1 - LEVEL)


def test_a_look_is_after_every_seed_from_the_third_on_and_only_at_the_end_without_early_stop() -> None:
    assert EARLY.looks == (3, 4, 5)
    assert FIXED.looks == (5,)
    assert looks(2, early_stop=True) == (2,)
    assert decide(-0.5, EARLY, num_seeds=2) == "undecided"
    assert decide(-0.5, EARLY, num_seeds=3) == "better"
    assert decide(-0.5, FIXED, num_seeds=4) == "undecided"


def test_the_levels_of_the_looks_add_up_and_the_last_is_the_largest() -> None:
    for level in (0.05, 0.1, 0.025):
        found = look_levels((3, 4, 5), level)
        assert found[0] == pytest.approx(level * 0.6**3, rel=0.05), "the first look spends its share and no more"
        assert list(found) == sorted(found)
        assert 0.5 * level < found[-1] < level < sum(found)
    assert look_levels((5,), 0.05) == (0.05,)


def test_more_comparisons_ask_for_more() -> None:
    three = Design(num_seeds=5, early_stop=False, num_comparisons=3, smallest_difference=0.01)
    assert decide(-0.0105, se=0.004) == "better"
    assert decide(-0.0105, three, se=0.004) == "undecided"
    assert three.level(5) == pytest.approx(LEVEL / 3)


def test_where_a_seed_diverged_no_one_is_told_that_there_is_no_difference() -> None:
    found = judge(
        narrow(0.0), FIXED, arm="a", reference="b", lower_is_better=True, num_diverged=5, reference_diverged=5
    )
    assert found.decision == "undecided"
    assert further(narrow(0.0), FIXED, may_be_equal=False) is None


# What it would take


def test_more_seeds_are_counted_until_these_figures_would_decide() -> None:
    found = further(Estimate(-0.02, 0.012**2, 0.0, 5, 40.0), FIXED, may_be_equal=True)
    assert found is not None
    assert found.more_documents == 1
    for more, enough in ((found.more_seeds, True), (found.more_seeds - 1, False)):
        number = 5 + more
        reach = float(stats.t.ppf(1 - LEVEL / 2, number - 1)) * 0.012 * (5 / number) ** 0.5
        assert (reach < 0.02) == enough


def test_where_the_documents_are_the_doubt_more_of_them_are_asked_for() -> None:
    found = further(Estimate(-0.02, 1e-8, 0.02**2, 5, 40.0), FIXED, may_be_equal=True)
    assert found is not None
    assert found.more_documents in (4, 8)
    assert further(Estimate(0.0, 9.0, 9.0, 5, 40.0), FIXED, may_be_equal=True) is None


# Words


def say(value: float, design: Design = FIXED, *, se: float = 0.001, **diverged: int) -> str:
    figures = narrow(value, se=se)
    more = further(figures, design, may_be_equal=not diverged)
    found = judge(
        figures,
        design,
        arm="alibi",
        reference="rope",
        lower_is_better=True,
        num_diverged=diverged.get("arm", 0),
        reference_diverged=diverged.get("reference", 0),
    )
    return sentence(found, design, BITS, more=more, seconds_per_seed=1800)


def test_the_verdict_is_a_sentence() -> None:
    assert say(-0.05) == "alibi is better than rope by 0.0500 bits per byte [0.0476, 0.0524]"
    assert say(0.05) == "rope is better than alibi by 0.0500 bits per byte [0.0476, 0.0524]"
    assert say(0.001).startswith(
        "no difference larger than 0.0100 bits per byte between alibi and rope (+0.0010 [−0.0014, 0.0034])"
    )
    undecided = say(-0.02, se=0.012)
    assert undecided.startswith("undecided between alibi and rope (−0.0200 [−0.0487, 0.0087]): ")
    assert " more seed" in undecided
    assert undecided.endswith(" hours")


def test_what_a_diverged_seed_counts_as_is_said() -> None:
    assert say(3.0, se=1.0, arm=2).endswith("; diverged: 2 of 5 seeds of alibi, each counted as 8.0000 bits per byte")
    assert "1 of 5 seeds of alibi, 1 of 5 seeds of rope" in say(3.0, se=1.0, arm=1, reference=1)


def test_accuracies_are_written_in_points() -> None:
    found = judge(narrow(0.031), FIXED, arm="a", reference="b", lower_is_better=False)
    said = sentence(found, FIXED, CLOZE, more=None, seconds_per_seed=1)
    assert said == "a is better than b by 3.10 points of cloze accuracy [2.86, 3.34]"


def test_how_sure_and_of_what_is_said() -> None:
    assert confidence(FIXED) == "95% intervals"
    three = Design(num_seeds=5, early_stop=True, num_comparisons=2, smallest_difference=0.01)
    assert confidence(three) == "95% intervals, together over 3 looks and 2 comparisons"
    assert summary(["a", "b"]) == "a; b."


def test_one_seed_is_told_that_it_says_nothing() -> None:
    lonely = estimate(np.full((1, 20), 0.2), np.ones(20))
    found = judge(lonely, EARLY, arm="a", reference="b", lower_is_better=True)
    assert math.isinf(found.interval[0])
    said = sentence(found, EARLY, BITS, more=None, seconds_per_seed=60)
    assert said == "undecided between a and b (+0.2000): one seed tells nothing of the next; take two or more"


# False verdicts


def run_through(ratio: Ratio, design: Design, random: np.random.Generator, *, mean: float) -> list[Decision]:
    """The decisions of an ablation of equal arms (or of arms `mean` apart) that stops when all are decided.

    The arms share a reference, whose seeds and documents are half of every difference's scatter.
    """
    drawn = [draw_differences(ratio, design.num_seeds, 30, random) for _ in range(design.num_comparisons + 1)]
    weights = drawn[0][1]
    arms = [sums / own * weights for sums, own in drawn]
    differences = [(one - arms[0]) / 2**0.5 + mean * weights for one in arms[1:]]
    found: list[Verdict] = []
    for look in design.looks:
        found = [
            judge(estimate(one[:look], weights), design, arm="a", reference="b", lower_is_better=True)
            for one in differences
        ]
        if all(one.decided for one in found):
            break
    return [one.decision for one in found]


def false_share(
    ratio: Ratio, design: Design, false: set[Decision], *, rounds: int, seed: int, mean: float = 0
) -> float:
    random = np.random.default_rng(seed)
    return sum(bool(false & set(run_through(ratio, design, random, mean=mean))) for _ in range(rounds)) / rounds


def of_scale(num_comparisons: int, *, early_stop: bool, smallest_difference: float) -> Design:
    return Design(5, early_stop, num_comparisons, smallest_difference)


@pytest.mark.parametrize("num_comparisons", [1, 2])
@pytest.mark.parametrize("ratio", [RATIOS[0], RATIOS[3], RATIOS[4]], ids=str)
def test_equal_arms_are_seldom_told_apart_however_often_one_looks(ratio: Ratio, num_comparisons: int) -> None:
    """300 rounds tell 5% from 9; the long sweep tells it from 5.7."""
    design = of_scale(num_comparisons, early_stop=True, smallest_difference=0.2)
    assert false_share(ratio, design, {"better", "worse"}, rounds=300, seed=1) <= 0.09


def test_arms_as_far_apart_as_matters_are_seldom_called_equal() -> None:
    design = of_scale(2, early_stop=True, smallest_difference=2.0)
    assert false_share(RATIOS[3], design, {"no_difference"}, rounds=300, seed=2, mean=2.0) <= 0.09


def test_arms_that_are_far_apart_or_equal_are_mostly_decided() -> None:
    far = of_scale(2, early_stop=True, smallest_difference=0.2)
    random = np.random.default_rng(3)
    decisions = [run_through(RATIOS[2], far, random, mean=-8.0) for _ in range(50)]
    assert sum(one == ["better", "better"] for one in decisions) >= 45
    near = of_scale(1, early_stop=True, smallest_difference=6.0)
    decisions = [run_through(RATIOS[2], near, random, mean=0.0) for _ in range(50)]
    assert sum(one == ["no_difference"] for one in decisions) >= 45


@pytest.mark.soak
@pytest.mark.parametrize("early_stop", [False, True])
@pytest.mark.parametrize("num_comparisons", [1, 2])
@pytest.mark.parametrize("ratio", RATIOS, ids=str)
def test_false_verdicts_stay_under_5_in_100(ratio: Ratio, num_comparisons: int, early_stop: bool, sweep: Sweep) -> None:
    """10,000 rounds show up to 5.45% where it is 5%."""
    for source in sweep(1):
        seed = source.randrange(1 << 32)
        design = of_scale(num_comparisons, early_stop=early_stop, smallest_difference=2.0)
        apart: set[Decision] = {"better", "worse"}
        assert false_share(ratio, design, apart, rounds=10_000, seed=seed) <= 0.0545
        equal: set[Decision] = {"no_difference"}
        assert false_share(ratio, design, equal, rounds=10_000, seed=seed, mean=2.0) <= 0.0545
