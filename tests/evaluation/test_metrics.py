import math

import numpy as np
import pytest

from waman.evaluation.compare import accuracies, best, differences, ratio_differences
from waman.evaluation.metrics import Figure, choice_credit, expanded_tail, mean, ratio, student_t


@pytest.mark.parametrize(
    ("degrees", "table"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (19, 2.093), (120, 1.980)]
)
def test_students_t_stands_as_in_the_printed_tables(degrees: int, table: float) -> None:
    assert student_t(degrees) == pytest.approx(table, abs=0.005)


def test_the_percentiles_approach_the_plain_ones_as_clusters_grow() -> None:
    assert expanded_tail(100_000) == pytest.approx(0.025, abs=1e-4)
    assert expanded_tail(5) < expanded_tail(10) < expanded_tail(100) < 0.025


def test_the_value_is_the_ratio_of_sums_and_not_the_mean_of_ratios() -> None:
    figure = ratio(np.array([1.0, 9.0]), np.array([1.0, 3.0]), ["a", "b"], seed=0)
    assert figure.value == 2.5
    assert (figure.num_records, figure.num_clusters) == (2, 2)


def test_one_cluster_leaves_no_interval() -> None:
    assert mean(np.array([0.0, 1.0, 1.0]), ["a", "a", "a"], seed=0).interval is None


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    values = np.random.default_rng(0).random(50)
    clusters = [str(i % 9) for i in range(50)]
    assert mean(values, clusters, seed=1) == mean(values, clusters, seed=1)
    assert mean(values, clusters, seed=1) != mean(values, clusters, seed=2)


def test_copies_of_a_record_in_its_cluster_add_no_certainty() -> None:
    values = np.random.default_rng(0).random(12)
    names = [str(i) for i in range(12)]
    once = mean(values, names, seed=0)
    hundredfold = mean(np.tile(values, 100), names * 100, seed=0)
    assert once.interval is not None
    assert hundredfold.interval is not None
    np.testing.assert_allclose(once.interval, hundredfold.interval)
    assert hundredfold.num_records == 1200


def _simulate(random: np.random.Generator, *, num_clusters: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Right and wrong answers of two scorers, 60% and 50% right on average, on clusters of unequal size and ease."""
    first, second, clusters = [], [], []
    for cluster in range(num_clusters):
        size = int(random.integers(5, 60))
        ease, gain = random.normal(0, 0.1), random.normal(0.1, 0.08)
        first.append(random.random(size) < np.clip(0.5 + ease + gain, 0, 1))
        second.append(random.random(size) < np.clip(0.5 + ease, 0, 1))
        clusters += [str(cluster)] * size
    return np.concatenate(first).astype(float), np.concatenate(second).astype(float), clusters


def test_the_interval_of_a_paired_difference_holds_the_truth_95_times_in_100() -> None:
    random = np.random.default_rng(7)
    trials, held, ignoring_clusters = 600, 0, 0
    for trial in range(trials):
        first, second, clusters = _simulate(random, num_clusters=20)
        found = differences({"a": first, "b": second}, clusters, subject="a", seed=trial)["b"]
        assert found.interval is not None
        held += found.interval[0] <= 0.1 <= found.interval[1]
        gains = first - second
        ignoring_clusters += abs(gains.mean() - 0.1) <= 1.96 * gains.std(ddof=1) / math.sqrt(len(gains))
    # 600 trials leave a standard error of 0.9 points.
    assert 0.93 <= held / trials <= 0.97, held / trials
    assert ignoring_clusters / trials < 0.92, "the simulated clusters are too weak to tell"


def test_a_tie_earns_its_share() -> None:
    assert choice_credit(np.array([1.0, 2.0, 2.0, 0.0]), 1) == 0.5
    assert choice_credit(np.array([1.0, 1.0, 1.0, 1.0]), 3) == 0.25
    assert choice_credit(np.array([-1.0, -2.0]), 0) == 1.0
    assert choice_credit(np.array([-1.0, -2.0]), 1) == 0.0


def test_an_option_that_could_not_be_scored_is_never_chosen() -> None:
    assert choice_credit(np.array([np.nan, -5.0]), 1) == 1.0
    assert choice_credit(np.array([-np.inf, -5.0]), 0) == 0.0


def test_a_difference_pairs_the_scorers_question_by_question() -> None:
    # Both are right half the time; wherever one is right the other is wrong, or the same.
    one = np.array([1.0, 0.0] * 50)
    clusters = [str(i // 2) for i in range(100)]
    credits = {"one": one, "same": one.copy(), "other": 1 - one}
    found = differences(credits, clusters, subject="one", seed=0)
    assert found["same"].interval == (0.0, 0.0)
    assert found["other"].value == 0.0
    assert accuracies(credits, clusters, seed=0)["one"].value == 0.5
    assert set(found) == {"same", "other"}


def test_a_difference_of_bits_per_byte_is_weighed_by_bytes() -> None:
    bits = {"model": np.array([10.0, 20.0]), "ngram": np.array([20.0, 50.0])}
    found = ratio_differences(bits, np.array([10.0, 10.0]), ["a", "b"], subject="model", seed=0)
    assert found["ngram"].value == pytest.approx(-2.0)


def test_the_best_of_equals_is_the_first_by_name() -> None:
    figures = {"b": Figure(0.5, None, 1, 1), "a": Figure(0.5, None, 1, 1), "c": Figure(0.4, None, 1, 1)}
    assert best(figures) == "a"


def test_a_figure_as_data_keeps_value_interval_and_numbers() -> None:
    assert Figure(0.5, (0.25, 0.75), 8, 4).to_json() == {"value": 0.5, "interval": [0.25, 0.75], "n": 8, "clusters": 4}
    assert Figure(0.5, None, 8, 1).to_json()["interval"] is None
    assert not math.isnan(Figure(0.5, None, 8, 1).to_json()["value"])
