"""The wordings: one row of every task as it is worded by hand, and what holds for all of them."""

import random
import string
from collections import Counter

import pytest

from tests.tasks import documents as texts
from waman.instruction.families import FAMILIES, TEMPLATES, choose_tasks, family_of
from waman.instruction.templates.template import Template, list_options
from waman.tasks.material import Material
from waman.tasks.question import Question

TASKS = [task for family in FAMILIES.values() for task in family]

BY_HAND = [
    # task, wording, fields, answer, options, prompt, target
    (
        *("line_parses", 0, {"line": "x = f(1"}, "no", ("yes", "no")),
        *("Is this line of Python well formed? x = f(1", "no"),
    ),
    (
        *("line_parses", 6, {"line": "x = f(1"}, "no", ("yes", "no")),
        *("x = f(1\n\nIs the line above well-formed Python?\n\nOPTIONS:\n- yes\n- no", "no"),
    ),
    (
        *("line_parses", 8, {"line": "x = f(1"}, "no", ("yes", "no")),
        *("Write a line. Is it well-formed Python? no", "x = f(1"),
    ),
    (
        *("which_parses", 0, {}, "a = 1", ("= a 1", "a = 1", "1 = a", "a 1 =")),
        *("Which of these lines is well-formed Python?\n\nOPTIONS:\n- = a 1\n- a = 1\n- 1 = a\n- a 1 =", "a = 1"),
    ),
    (
        *("repair_line", 0, {"line": "= a 1"}, "a = 1", ("a = 1", "1 = a", "a 1 =")),
        *("Repair this line of Python: = a 1", "a = 1"),
    ),
    (
        *("next_token", 0, {"line": "f(x"}, ")", (")", ":", ",", "=")),
        *("What comes next? f(x", ")"),
    ),
    (
        *("missing_token", 0, {"line": "f(x____"}, ")", (")", ":", ",", "=")),
        *("Fill the gap: f(x____", ")"),
    ),
    (
        *("put_in_order", 0, {"lines": "b()\na()"}, "a()\nb()", ("a()\nb()", "b()\na()")),
        *("Put these lines of Python in order.\n\nb()\na()", "a()\nb()"),
    ),
    (
        *("summary_of_signature", 0, {"signature": "def f(x)"}, "Do it.", ("Do it.", "Stop.")),
        *("What does this function do? def f(x)", "Do it."),
    ),
    (
        *("signature_of_summary", 0, {"summary": "Do it."}, "def f(x)", ("def f(x)", "def g()")),
        *("Write the signature of a function for this description: Do it.", "def f(x)"),
    ),
    (
        *("name_of_summary", 0, {"summary": "Do it."}, "f", ("f", "g")),
        *("What is the function called that does this? Do it.", "f"),
    ),
    (
        *("module_of_name", 0, {"name": "join"}, "os.path", ("os.path", "re")),
        *("Which module is join from?", "os.path"),
    ),
    (
        *("name_of_module", 0, {"module": "os.path"}, "join", ("join", "sub")),
        *("What can I import from os.path?", "join"),
    ),
    (
        *("import_for_line", 0, {"line": "re.sub(a, b, c)"}, "import re", ("import re", "import os")),
        *("Which import does this line need? re.sub(a, b, c)", "import re"),
    ),
    (
        *("sentence_in_order", 6, {"sentence": "그는 물을 집에서 마셨다."}, "아니요", ("아니요", "예")),
        *("이 문장의 낱말은 바른 순서로 놓여 있습니까? 그는 물을 집에서 마셨다.", "아니요"),
    ),
    (
        *("which_in_order", 0, {}, "One two.", ("two. One", "One two.")),
        *("Which of these sentences has its words in order?\n\nOPTIONS:\n- two. One\n- One two.", "One two."),
    ),
    (
        *("unscramble", 0, {"sentence": "It late is."}, "It is late.", ("It is late.", "late is It.")),
        *("Put the words of this sentence in order: It late is.", "It is late."),
    ),
    (
        *("next_word", 6, {"sentence": "그는 물을"}, "마셨다", ("마셨다", "갔다")),
        *("다음에 오는 낱말은 무엇입니까? 그는 물을", "마셨다"),
    ),
    (
        *("missing_word", 0, {"sentence": "It ____ late."}, "is", ("is", "was")),
        *("Which word is missing? It ____ late.", "is"),
    ),
    (
        *("next_sentence", 0, {"sentence": "He came."}, "He left.", ("He left.", "No.")),
        *("Which sentence comes next? He came.", "He left."),
    ),
    (
        *("previous_sentence", 0, {"sentence": "He left."}, "He came.", ("He came.", "No.")),
        *("Which sentence came before? He left.", "He came."),
    ),
]


@pytest.mark.parametrize(("task", "number", "fields", "answer", "options", "prompt", "target"), BY_HAND)
def test_a_row_of_every_task_reads_as_written_by_hand(
    task: str,
    number: int,
    fields: dict[str, str],
    answer: str,
    options: tuple[str, ...],
    prompt: str,
    target: str,
) -> None:
    assert TEMPLATES[task][number].render(fields, answer=answer, options=options) == (prompt, target)


def test_every_task_stands_in_the_list_by_hand() -> None:
    assert {row[0] for row in BY_HAND} == {task.name for task in TASKS} == set(TEMPLATES)


def _fields_of(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def _questions(name: str) -> list[Question]:
    task = next(task for task in TASKS if task.name == name)
    some = [texts.python(), texts.prose(), texts.prose(texts.KOREAN, name="gang.txt", language="ko")]
    return [one for document in some for one in task.make(Material(document), random.Random(0))]


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_every_wording_says_all_that_is_given_or_turns_it_around(name: str) -> None:
    for question in _questions(name):
        for template in TEMPLATES[name]:
            if template.turned_around:
                assert "answer" in _fields_of(template.prompt)
                assert _fields_of(template.target) == set(question.fields)
            else:
                assert _fields_of(template.prompt) == set(question.fields)
                assert question.fields or template.shows_options


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_a_task_has_several_distinct_wordings_in_each_of_its_languages_and_at_most_three_turned_around(
    name: str,
) -> None:
    templates = TEMPLATES[name]
    assert len({template.prompt for template in templates}) == len(templates)
    languages = Counter(template.language for template in templates)
    assert set(languages) == ({"en"} if family_of(name) == "python" else {"en", "ko"})
    assert 9 <= len(templates) <= 12
    assert all(number >= 5 for number in languages.values())
    for language in languages:
        turned = [one for one in templates if one.turned_around and one.language == language]
        assert len(turned) <= 3


def test_braces_in_what_is_given_are_text() -> None:
    template = Template("Repair: {line}")
    assert template.render({"line": "f'{x}' {answer}"}, answer="{y}", options=()) == ("Repair: f'{x}' {answer}", "{y}")


def test_options_are_listed_as_flan_lists_them() -> None:
    assert list_options(["a", "b"]) == "\n\nOPTIONS:\n- a\n- b"


def test_a_task_and_its_reverse_are_one_cluster() -> None:
    clusters: dict[str, set[str]] = {}
    for task in choose_tasks(None, ()):
        clusters.setdefault(task.cluster, set()).add(task.name)
    assert clusters == {
        "syntax": {"line_parses", "which_parses", "repair_line"},
        "completion": {"next_token", "missing_token"},
        "order": {"put_in_order"},
        "describe": {"summary_of_signature", "signature_of_summary", "name_of_summary"},
        "place": {"module_of_name", "name_of_module", "import_for_line"},
        "word_order": {"sentence_in_order", "which_in_order", "unscramble"},
        "missing_words": {"next_word", "missing_word"},
        "continuation": {"next_sentence", "previous_sentence"},
    }
