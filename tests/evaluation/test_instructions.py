import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from waman.errors import InputError
from waman.evaluation.instructions import (
    Majority,
    Row,
    Unigram,
    draw_rows,
    exact_match,
    overlap_scores,
    read_rows,
    token_f1,
)


def _row(
    prompt: str, target: str, options: tuple[str, ...] = (), *, task: str = "t", cluster: str = "c", name: str = "0"
) -> Row:
    answer = options.index(target) if options else None
    return Row(name, task, cluster, "template", prompt, target, options, answer, "group")


def test_the_majority_answer_is_the_commonest_of_the_tasks_training_rows() -> None:
    train = [_row("", "yes"), _row("", "yes"), _row("", "no"), *[_row("", "no", task="other")] * 5]
    question = _row("", "no", ("no", "yes", "maybe"))
    np.testing.assert_array_equal(Majority(train).scores(question), [1, 2, 0])


def test_for_a_task_never_trained_on_the_majority_is_that_of_all_tasks() -> None:
    train = [_row("", "yes"), *[_row("", "no", task="other")] * 5]
    question = _row("", "no", ("no", "yes"), task="new")
    np.testing.assert_array_equal(Majority(train).scores(question), [5, 1])


def test_the_unigram_scorer_learns_which_words_of_a_prompt_go_with_which_answer() -> None:
    train = [_row("read the file now", "io")] * 8 + [_row("sort the list now", "algorithm")] * 8
    options = ("algorithm", "io")
    scorer = Unigram(train)
    assert scorer.scores(_row("read a file", "io", options)).argmax() == 1
    assert scorer.scores(_row("sort a list", "io", options)).argmax() == 0
    level = scorer.scores(_row("the now", "io", options))
    assert level[0] == pytest.approx(level[1], abs=1e-9)


def test_the_unigram_score_is_prior_and_prompt_words_and_answer_words() -> None:
    train = [_row("x y", "a b"), _row("x y", "a b"), _row("x z", "a c")]
    [known, unknown] = Unigram(train).scores(_row("y never", "a b", ("a b", "d")))
    # Answer words: a 3, b 2, c 1 of 6, so (3 + 1) / (6 + 1) and (2 + 1) / (6 + 1); prior 2 rows.
    # Prompt word y: 2 of the answer's 4 words, 2 of the task's 6; smoothed by 50 words of the usual share.
    prompt = math.log((2 / (2 / 6) + 50) / (4 + 50))
    assert known == pytest.approx(math.log(2) + (math.log(4 / 7) + math.log(3 / 7)) / 2 + prompt)
    assert unknown == pytest.approx(math.log(1 / 7))


def test_overlap_scores_count_the_options_words_in_the_prompt() -> None:
    row = _row("in module json, what does loads do?", "json", ("json", "the csv", "it does"))
    np.testing.assert_allclose(overlap_scores(row), [1.0, 0.0, 0.5])


def test_exact_match_forgives_case_articles_and_punctuation_only() -> None:
    assert exact_match("The Answer.", "answer") == 1.0
    assert exact_match("the answers", "answer") == 0.0


def test_token_f1_counts_repeated_words() -> None:
    # Shared: x once, y once. 2 * 2 / (3 + 2).
    assert token_f1("x x y", "y x") == pytest.approx(0.8)
    assert token_f1("", "the") == 1.0
    assert token_f1("", "word") == 0.0
    assert token_f1("other", "word") == 0.0


def _rows() -> list[Row]:
    return (
        [_row("", "", task="a", cluster="seen", name=f"a{i:03}") for i in range(40)]
        + [_row("", "", task="b", cluster="seen", name=f"b{i:03}") for i in range(4)]
        + [_row("", "", task="u", cluster="unseen", name=f"u{i:03}") for i in range(9)]
    )


def test_questions_are_drawn_evenly_over_tasks_on_the_trained_and_on_the_other_side() -> None:
    drawn = draw_rows(_rows(), trained_clusters=frozenset({"seen"}), num_questions=12, seed=0)
    numbers = {task: sum(row.task == task for row in drawn) for task in "abu"}
    assert numbers == {"a": 8, "b": 4, "u": 9}


def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_rows() -> None:
    def drawn(rows: list[Row], seed: int) -> list[Row]:
        return draw_rows(rows, trained_clusters=frozenset({"seen"}), num_questions=10, seed=seed)

    assert drawn(_rows(), 1) == drawn(_rows()[::-1], 1)
    assert drawn(_rows(), 1) != drawn(_rows(), 2)


def _write(path: Path, **columns: Sequence[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def test_rows_are_read_in_order_of_file_and_row_with_absent_options_as_none_to_choose(tmp_path: Path) -> None:
    shared = {name: ["x", "y"] for name in ("task", "cluster", "template", "prompt", "target", "group", "source")}
    _write(tmp_path / "00001.parquet", id=["c", "d"], options=[["x", "z"], None], answer=[0, None], **shared)
    _write(tmp_path / "00000.parquet", id=["a", "b"], options=[["x", "z"], []], answer=[0, None], **shared)
    rows = read_rows(tmp_path)
    assert [row.id for row in rows] == ["a", "b", "c", "d"]
    assert [row.options for row in rows] == [("x", "z"), (), ("x", "z"), ()]
    assert [row.answer for row in rows] == [0, None, 0, None]


def test_a_file_without_the_columns_of_instructions_is_refused_by_name(tmp_path: Path) -> None:
    _write(tmp_path / "00000.parquet", id=["a"], prompt=["p"])
    with pytest.raises(InputError, match=r"not a file of instructions: no column task, cluster, template"):
        read_rows(tmp_path)


def test_a_file_that_is_not_parquet_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "00000.parquet").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"00000\.parquet cannot be read as Parquet"):
        read_rows(tmp_path)
