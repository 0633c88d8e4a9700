import itertools
import random

import numpy as np
import pytest

from waman.evaluation.cloze import (
    Lengths,
    Question,
    TokenizedDocument,
    boundaries,
    make_questions,
    per_character,
    spell,
    word_overlap,
)

LENGTHS = Lengths(min_context=8, max_context=40, min_option=12, max_option=20)
BOS = 1


def _vocabulary() -> list[bytes]:
    words = ["ab", "cde", "fg", "hij", "klmn", "op", "qr", "stu", "vw", "xyz"]
    return [b"<unk>", b"", b"", b"\n", b".", "é".encode(), *(b" " + word.encode() for word in words)] + [
        word.encode() for word in words
    ]


PIECES = _vocabulary()


def _document(num_tokens: int, seed: int) -> TokenizedDocument:
    source = random.Random(seed)
    ids: list[int] = []
    while len(ids) < num_tokens:
        ids.append(source.randrange(6, 16))
        if source.random() < 0.3:
            ids.append(source.randrange(16, 26))
        if source.random() < 0.12:
            ids += [4, 3, source.randrange(16, 26)]
    return TokenizedDocument(f"{seed:016x}", "web", f"group{seed % 3}", np.array(ids[:num_tokens], dtype=np.int64))


def _questions(
    documents: list[TokenizedDocument], *, number: int = 1000, most: int = 6, seed: int = 0
) -> list[Question]:
    return make_questions(
        documents,
        pieces=PIECES,
        lengths=LENGTHS,
        num_questions=number,
        max_per_document=most,
        bos_id=BOS,
        seed=seed,
    )


DOCUMENTS = [_document(400, seed) for seed in range(12)]


def test_the_true_option_is_what_follows_the_context_in_the_document() -> None:
    by_id = {document.id: document.ids.tolist() for document in DOCUMENTS}
    questions = _questions(DOCUMENTS)
    assert len(questions) > 50
    for question in questions:
        ids = by_id[question.document]
        truth = question.options[question.answer]
        assert ids[question.place : question.place + len(truth)] == list(truth)
        shown = [token for token in question.context if token != BOS]
        assert ids[question.place - len(shown) : question.place] == shown


def test_distractors_come_from_later_in_the_same_document_and_overlap_nothing() -> None:
    by_id = {document.id: document.ids.tolist() for document in DOCUMENTS}
    for question in _questions(DOCUMENTS):
        ids = by_id[question.document]
        spans = []
        for index, option in enumerate(question.options):
            begin = (
                question.place if index == question.answer else question.place + len(question.options[question.answer])
            )
            places = [i for i in range(begin, len(ids)) if ids[i : i + len(option)] == list(option)]
            assert places, "an option that does not stand at or after the question's place"
            spans.append([(place, place + len(option)) for place in places])
        assert any(
            all(one[0] >= other[1] or other[0] >= one[1] for one, other in itertools.combinations(choice, 2))
            for choice in itertools.product(*spans)
        )


def test_options_have_the_wanted_lengths_and_differ_from_each_other() -> None:
    for question in _questions(DOCUMENTS):
        lengths = [len(option) for option in question.options]
        assert all(LENGTHS.min_option <= length <= LENGTHS.max_option for length in lengths)
        assert len({text.strip() for text in question.option_texts}) == 4
        assert len(question.context) <= LENGTHS.max_context
        assert len([token for token in question.context if token != BOS]) >= LENGTHS.min_context


def test_all_options_of_a_question_begin_at_the_same_kind_of_boundary_and_end_before_one() -> None:
    by_id = {document.id: document.ids for document in DOCUMENTS}
    kinds = {"line": 0, "word": 0}
    for question in _questions(DOCUMENTS):
        kinds[question.boundary] += 1
        for text in question.option_texts:
            assert text.startswith(" ") == (question.boundary == "word")
        truth = question.options[question.answer]
        found = boundaries(by_id[question.document], PIECES)
        assert found[question.place] == question.boundary
        end = question.place + len(truth)
        assert end == len(found) or found[end] is not None
    assert min(kinds.values()) > 5, kinds


def test_a_context_that_reaches_the_beginning_of_its_document_opens_with_the_begin_token() -> None:
    opened = {question.context[0] == BOS: question.place < LENGTHS.max_context for question in _questions(DOCUMENTS)}
    assert opened == {True: True, False: False}


def test_the_answer_stands_at_every_position_about_equally_often() -> None:
    questions = _questions([_document(400, seed) for seed in range(60)])
    counts = np.bincount([question.answer for question in questions], minlength=4)
    # Four standard deviations of a binomial share of a quarter.
    assert np.abs(counts - len(questions) / 4).max() < 4 * np.sqrt(len(questions) * 3 / 16)


def test_the_same_seed_gives_the_same_questions_and_another_seed_others() -> None:
    assert _questions(DOCUMENTS, seed=3) == _questions(DOCUMENTS, seed=3)
    assert _questions(DOCUMENTS, seed=3) != _questions(DOCUMENTS, seed=4)


def test_a_documents_questions_depend_on_no_other_document() -> None:
    alone = _questions(DOCUMENTS[:1])
    among = [question for question in _questions(DOCUMENTS) if question.document == DOCUMENTS[0].id]
    assert alone == among


def test_questions_are_taken_in_turn_so_that_no_document_gives_more_than_needed() -> None:
    questions = _questions(DOCUMENTS, number=30)
    counts = [sum(question.document == document.id for question in questions) for document in DOCUMENTS]
    assert sum(counts) == 30
    assert max(counts) - min(counts) <= 1


def test_true_continuations_of_one_document_do_not_overlap() -> None:
    for document in DOCUMENTS:
        questions = [question for question in _questions(DOCUMENTS) if question.document == document.id]
        ends = [question.place + len(question.options[question.answer]) for question in questions]
        assert all(end <= later.place for end, later in zip(ends, questions[1:], strict=False))


def test_a_document_too_short_for_four_options_gives_no_question() -> None:
    assert _questions([_document(30, seed=0), TokenizedDocument("0" * 16, "web", "g", np.zeros(0, np.int64))]) == []


def test_a_document_that_repeats_one_line_gives_no_question() -> None:
    line = [16, 6, 7, 8, 9, 10, 11, 4, 3]
    repeated = TokenizedDocument("f" * 16, "web", "g", np.array(line * 60, dtype=np.int64))
    texts = [question.option_texts for question in _questions([repeated])]
    assert all(len({text.strip() for text in options}) == 4 for options in texts)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([b" def", b" ab", b"cd", b" =", b"="], [None, "word", None, "word", None]),
        ([b" x", b"\n", b"y", b"\n\n    ", b"z", b" w"], [None, None, "line", None, "line", "word"]),
        ([b" x", b"\n", b"   ", b" y", b" z"], [None, None, None, "line", "word"]),
        ([b" x", b":\n", b"\t", b"y", b"\n", b"\n"], [None, None, None, "line", None, None]),
        ([b" x", b"\n", "é".encode()[:1], "é".encode()[1:], b" y"], [None, None, "line", None, "word"]),
        ([b" x", b" ", "é".encode()[:1], "é".encode()[1:]], [None, None, None, None]),
        ([b"\n", b"x", b"\ny", b" z"], [None, "line", None, "word"]),
    ],
)
def test_a_boundary_is_a_lines_first_word_or_a_word_after_a_space(pieces: list[bytes], expected: list[str]) -> None:
    assert boundaries(np.arange(len(pieces)), pieces) == expected


def test_a_character_cut_in_two_is_spelt_as_unreadable_and_a_whole_one_as_itself() -> None:
    first, second = "é".encode()[:1], "é".encode()[1:]
    assert spell([0, 1], [first, second]) == "é"
    assert spell([0], [first, second]) == "�"


def test_word_overlap_is_the_share_of_the_options_distinct_words_in_the_context() -> None:
    assert word_overlap("The cat sat on the mat", " the CAT ran, ran") == pytest.approx(2 / 3)
    assert word_overlap("the cat", " ++ --") == 0.0


def test_the_likelihood_per_character_divides_by_the_characters_and_not_the_bytes() -> None:
    found = per_character(np.array([-8.0, -8.0]), ["éééé", "ab"])
    np.testing.assert_allclose(found, [-2.0, -4.0])


def test_word_overlap_cannot_tell_the_options_of_a_text_without_structure() -> None:
    """In text whose words are drawn independently nothing tells the truth from later text but chance."""
    questions = _questions([_document(400, seed) for seed in range(80)])
    right = []
    for question in questions:
        scores = np.array([word_overlap(question.context_text, text) for text in question.option_texts])
        best = scores == scores.max()
        right.append(best[question.answer] / best.sum())
    assert abs(np.mean(right) - 0.25) < 4 * np.sqrt(3 / 16 / len(right))


def test_the_questions_do_not_depend_on_the_order_in_which_documents_are_read() -> None:
    assert _questions(DOCUMENTS, number=30) == _questions(DOCUMENTS[::-1], number=30)
