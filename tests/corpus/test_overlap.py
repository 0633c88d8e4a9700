import numpy as np
import pytest

from waman.corpus import overlap
from waman.corpus.overlap import Overlap


def words(first: int, last: int) -> str:
    return " ".join(f"word{i}" for i in range(first, last))


def test_overlap_counts_the_ngrams_that_were_seen() -> None:
    seen = overlap.see_ngrams([words(0, 20), words(100, 105)])
    assert len(seen.hashes) == 8  # 20 - 13 + 1; five words make none
    # words 5 to 24: n-grams begin at 5 to 12; those at 5, 6 and 7 end by word 19
    assert seen.overlap(words(5, 25)) == Overlap(num_ngrams=8, num_seen=3)
    assert seen.overlap(words(5, 25)).share == 3 / 8


def test_case_punctuation_and_accents_do_not_hide_a_copy() -> None:
    seen = overlap.see_ngrams(["Étude: " + words(0, 15)])
    assert seen.overlap(("etude - " + words(0, 15)).upper()).share == 1.0


def test_an_ngram_across_two_training_documents_is_not_seen() -> None:
    seen = overlap.see_ngrams([words(0, 12), words(12, 24)])
    assert seen.overlap(words(0, 24)) == Overlap(12, 0)


def test_texts_too_short_for_an_ngram_and_nothing_seen_give_zero() -> None:
    assert overlap.see_ngrams([]).overlap(words(0, 20)) == Overlap(8, 0)
    assert overlap.see_ngrams([words(0, 20)]).overlap(words(0, 12)) == Overlap(0, 0)
    assert Overlap(0, 0).share == 0.0


def test_ngrams_seen_in_portions_are_those_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [words(i, i + 40) for i in range(0, 400, 10)]
    whole = overlap.see_ngrams(texts)
    monkeypatch.setattr(overlap, "_PENDING_HASHES", 50)
    assert np.array_equal(overlap.see_ngrams(texts).hashes, whole.hashes)
