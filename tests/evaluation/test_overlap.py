import numpy as np

from waman.evaluation.overlap import held_out_ngrams, mark_seen


def _seen(held_out: list[str], train: list[str], words: int) -> list[int]:
    ngrams = held_out_ngrams(held_out, words)
    return [int(count) for count in ngrams.seen_per_document(mark_seen(ngrams.distinct, train, words))]


def test_the_ngrams_of_a_document_that_stand_in_training_are_counted() -> None:
    held_out = ["a b c d e", "x y z", "a b", ""]
    # "a b c", "b c d", "c d e" | "x y z" | none | none
    assert held_out_ngrams(held_out, 3).lengths.tolist() == [3, 1, 0, 0]
    assert _seen(held_out, ["q b c d q", "c d e"], 3) == [2, 0, 0, 0]


def test_an_ngram_that_a_document_repeats_counts_each_time() -> None:
    assert held_out_ngrams(["a b a b a b"], 2).lengths.tolist() == [5]
    assert _seen(["a b a b a b"], ["a b"], 2) == [3]


def test_case_and_punctuation_do_not_hide_an_overlap() -> None:
    assert _seen(["The cat, sat."], ["the CAT sat"], 3) == [1]
    assert _seen(["Étude: no one"], ["etude - NO ONE"], 3) == [1]


def test_no_ngram_crosses_from_one_training_text_to_the_next() -> None:
    assert _seen(["a b c d"], ["a b", "c d"], 3) == [0]


def test_marks_of_several_training_files_add_up() -> None:
    ngrams = held_out_ngrams(["a b c d", "c d e"], 2)
    parts = [mark_seen(ngrams.distinct, texts, 2) for texts in (["a b"], ["d e c d"])]
    whole = mark_seen(ngrams.distinct, ["a b", "d e c d"], 2)
    np.testing.assert_array_equal(parts[0] | parts[1], whole)
    assert ngrams.seen_per_document(whole).tolist() == [2, 2]


def test_without_held_out_text_nothing_is_seen() -> None:
    assert _seen([], ["a b c"], 2) == []
