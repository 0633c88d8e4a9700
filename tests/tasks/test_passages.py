"""The tasks about prose, in English and Korean."""

import random
from collections import Counter

import pytest

from tests.tasks.documents import ENGLISH, KOREAN, prose, python
from waman.document import Document
from waman.tasks import passages
from waman.tasks.material import Material
from waman.tasks.question import Question, Task
from waman.tasks.sentences import bare, scramble, split_sentences

DOCUMENTS = {"en": prose(ENGLISH), "ko": prose(KOREAN, name="gang.txt", language="ko")}


def ask(task: Task, document: Document, *, seeds: int = 5) -> list[Question]:
    return [one for seed in range(seeds) for one in task.make(Material(document), random.Random(seed))]


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("task", passages.TASKS, ids=lambda task: task.name)
def test_every_task_asks_in_the_language_of_the_document(task: Task, language: str) -> None:
    questions = ask(task, DOCUMENTS[language])
    assert questions
    assert {question.language for question in questions} == {language}


@pytest.mark.parametrize("task", passages.TASKS, ids=lambda task: task.name)
def test_no_task_about_prose_asks_of_a_source(task: Task) -> None:
    assert ask(task, python()) == []


@pytest.mark.parametrize("task", passages.TASKS, ids=lambda task: task.name)
def test_the_answer_stands_at_every_place_equally_often(task: Task) -> None:
    questions = ask(task, DOCUMENTS["en"], seeds=300)
    size = len(questions[0].options)
    places = Counter(question.options.index(question.answer) for question in questions)
    expected = len(questions) / size
    assert sum((places[place] - expected) ** 2 / expected for place in range(size)) < 16.27


def test_yes_and_no_are_in_the_language_of_the_document() -> None:
    for language, words in (("en", {"yes", "no"}), ("ko", {"예", "아니요"})):
        questions = ask(passages.SENTENCE_IN_ORDER, DOCUMENTS[language])
        assert {question.answer for question in questions} == words
        assert all(set(question.options) == words for question in questions)


def test_another_language_is_asked_about_in_english() -> None:
    questions = ask(passages.SENTENCE_IN_ORDER, prose(ENGLISH, language="de"))
    assert {question.language for question in questions} == {"en"}


def test_a_scrambled_sentence_has_the_same_words_and_keeps_its_ends() -> None:
    for question in ask(passages.UNSCRAMBLE, DOCUMENTS["ko"]):
        right = question.answer.split()
        for text in (*question.options, question.fields["sentence"]):
            assert sorted(text.split()) == sorted(right)
            assert (text.split()[0], text.split()[-1]) == (right[0], right[-1])
        assert question.fields["sentence"] not in question.options
    assert scramble(["a", "b", "c"], random.Random(0)) == "a b c"


def test_a_sentence_in_order_stands_in_the_document() -> None:
    sentences = set(split_sentences(ENGLISH))
    for question in ask(passages.SENTENCE_IN_ORDER, DOCUMENTS["en"]):
        assert (question.fields["sentence"] in sentences) == (question.answer == "yes")


def test_the_missing_word_completes_the_sentence() -> None:
    sentences = split_sentences(ENGLISH)
    for question in ask(passages.MISSING_WORD, DOCUMENTS["en"]):
        assert question.fields["sentence"].replace(passages.BLANK, question.answer) in sentences
    for question in ask(passages.NEXT_WORD, DOCUMENTS["en"]):
        shown = f"{question.fields['sentence']} {question.answer}"
        assert any(sentence.startswith(shown) for sentence in sentences)


def test_the_next_and_the_previous_sentence_are_neighbours() -> None:
    sentences = split_sentences(ENGLISH)
    for question in ask(passages.NEXT_SENTENCE, DOCUMENTS["en"]):
        assert sentences.index(question.answer) == sentences.index(question.fields["sentence"]) + 1
        assert question.fields["sentence"] not in question.options
    for question in ask(passages.PREVIOUS_SENTENCE, DOCUMENTS["en"]):
        assert sentences.index(question.answer) == sentences.index(question.fields["sentence"]) - 1
        assert question.fields["sentence"] not in question.options


def test_sentences_end_at_final_signs_and_line_ends() -> None:
    text = 'One. "Two!" she\tsaid. Three?\n\nA heading\n그는 갔다. 끝'
    assert split_sentences(text) == ["One.", '"Two!', "she said.", "Three?", "A heading", "그는 갔다.", "끝"]


def test_signs_around_a_word_do_not_belong_to_it() -> None:
    assert bare('("word,")') == "word"
    assert bare("“word,”") == "word"
