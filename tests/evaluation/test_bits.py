import math
from dataclasses import dataclass

import numpy as np
import pytest

from waman.document import Document
from waman.evaluation.bits import document_bits, draw_documents, windows
from waman.evaluation.likelihood import Ids, LanguageModel, Ngrams
from waman.evaluation.metrics import Floats
from waman.evaluation.ngram import train_ngram


@dataclass(frozen=True)
class Uniform:
    """Every token one of `vocab_size`, equally likely."""

    vocab_size: int

    def sequences(self, sequences: list[Ids]) -> list[Floats]:
        return [np.full(len(sequence) - 1, -math.log(self.vocab_size)) for sequence in sequences]

    def options(self, contexts: list[Ids], options: list[list[Ids]]) -> list[Floats]:
        raise NotImplementedError


@pytest.mark.parametrize("overlap", [0, 3, 7])
@pytest.mark.parametrize("num_tokens", [0, 1, 2, 8, 9, 10, 16, 17, 40])
def test_every_token_after_the_first_is_scored_once(num_tokens: int, overlap: int) -> None:
    scored: list[int] = []
    for window in windows(num_tokens, context_length=8, overlap=overlap):
        assert window.stop - 1 - window.start <= 8, "more tokens than the model reads"
        assert window.start < window.scored
        scored += range(window.scored, window.stop)
    assert scored == list(range(1, max(num_tokens, 1)))


def test_after_the_first_window_every_scored_token_follows_the_overlap() -> None:
    for window in windows(100, context_length=8, overlap=4)[1:]:
        assert window.scored - window.start >= 5
    assert windows(100, context_length=8, overlap=4)[-1].stop == 100


def test_disjoint_windows_read_each_token_about_once() -> None:
    read = sum(window.stop - window.start - 1 for window in windows(800, context_length=8, overlap=0))
    assert read == 800  # the last window reaches back to be as long as the others


def test_a_uniform_model_pays_the_logarithm_of_the_vocabulary_for_every_token_but_the_first() -> None:
    model: LanguageModel = Uniform(1024)  # type: ignore[assignment]
    bits = document_bits(model, [np.array([1, 5, 6, 7, 2]), np.array([1, 2])])
    np.testing.assert_allclose(bits, [4 * 10, 1 * 10])


def test_the_bits_of_a_document_do_not_depend_on_its_neighbours() -> None:
    train = [np.array([1, 5, 6, 7, 2]), np.array([1, 6, 5, 2])]
    model = Ngrams(train_ngram(train, vocab_size=8))
    together = document_bits(model, train)
    np.testing.assert_array_equal(together, [document_bits(model, [one])[0] for one in train])


def _documents(sizes: list[int]) -> list[Document]:
    return [Document(f"{i:016x}", "é" * (size // 2), "web", f"g{i}") for i, size in enumerate(sizes)]


def test_documents_are_drawn_whole_until_no_other_fits() -> None:
    documents = _documents([40, 60, 30, 100, 20, 80])
    drawn = draw_documents(documents, max_bytes=150, seed=0)
    total = sum(len(document.text.encode()) for document in drawn)
    left = [len(document.text.encode()) for document in documents if document not in drawn]
    assert total <= 150
    assert all(total + size > 150 for size in left)
    assert drawn == sorted(drawn, key=lambda document: document.id)


def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_the_documents() -> None:
    documents = _documents([20] * 40)
    assert draw_documents(documents, max_bytes=200, seed=1) == draw_documents(documents[::-1], max_bytes=200, seed=1)
    assert draw_documents(documents, max_bytes=200, seed=1) != draw_documents(documents, max_bytes=200, seed=2)


def test_a_source_whose_every_document_is_too_long_still_gives_one_and_an_empty_document_is_never_drawn() -> None:
    assert len(draw_documents(_documents([500, 600]), max_bytes=100, seed=0)) == 1
    assert draw_documents(_documents([0, 0]), max_bytes=100, seed=0) == []
