"""The tasks about Python: what they ask, and that nothing but the skill gives the answer away."""

import ast
import random
from collections import Counter

import pytest

from tests.tasks.documents import ENGLISH, SOURCE, prose, python
from waman.tasks import python_completion, python_functions, python_imports, python_order, python_syntax
from waman.tasks.material import Material
from waman.tasks.python_source import (
    first_sentence,
    is_statement,
    parse_source,
    pieces,
    statement_lines,
)
from waman.tasks.question import Question, Task

TASKS = (
    *python_syntax.TASKS,
    *python_completion.TASKS,
    *python_order.TASKS,
    *python_functions.TASKS,
    *python_imports.TASKS,
)


def ask(task: Task, text: str = SOURCE, *, seed: int = 0) -> list[Question]:
    return list(task.make(Material(python(text)), random.Random(seed)))


def ask_often(task: Task, *, seeds: int = 60) -> list[Question]:
    return [question for seed in range(seeds) for question in ask(task, seed=seed)]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_task_asks_of_a_source_and_its_answer_is_among_the_options(task: Task) -> None:
    questions = ask_often(task)
    assert questions
    for question in questions:
        assert question.task == task.name
        assert question.options.count(question.answer) == 1
        assert len(question.options) == (2 if set(question.options) == {"yes", "no"} else 4)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_no_task_asks_of_prose(task: Task) -> None:
    assert list(task.make(Material(prose(ENGLISH)), random.Random(0))) == []


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_same_random_numbers_give_the_same_questions(task: Task) -> None:
    assert ask(task, seed=3) == ask(task, seed=3)
    assert any(ask(task, seed=3) != ask(task, seed=seed) for seed in range(4, 9))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_answer_stands_at_every_place_equally_often(task: Task) -> None:
    questions = ask_often(task, seeds=400)
    size = len(questions[0].options)
    places = Counter(question.options.index(question.answer) for question in questions)
    expected = len(questions) / size
    chi_square = sum((places[place] - expected) ** 2 / expected for place in range(size))
    assert chi_square < 16.27  # 3 degrees of freedom, probability 0.001


def test_a_wrong_line_has_the_tokens_of_a_right_one_and_does_not_parse() -> None:
    lines = statement_lines(ast.parse(SOURCE), SOURCE, lengths=range(12, 64))
    signs = {"".join(sorted(line.replace(" ", ""))) for line in lines}
    answers: Counter[str] = Counter()
    for question in ask_often(python_syntax.LINE_PARSES):
        line = question.fields["line"]
        assert is_statement(line) == (question.answer == "yes")
        assert "".join(sorted(line.replace(" ", ""))) in signs
        answers[question.answer] += 1
    assert 0.4 < answers["yes"] / answers.total() < 0.6


def test_only_the_answer_parses_among_the_lines_to_choose_from() -> None:
    for question in ask_often(python_syntax.WHICH_PARSES, seeds=5) + ask_often(python_syntax.REPAIR, seeds=5):
        assert [option for option in question.options if is_statement(option)] == [question.answer]
        assert question.fields.get("line") not in question.options


@pytest.mark.parametrize(
    ("line", "exchanged"),
    [
        ("f(a)", {"(f a)", "a(f)", ")(a f", "f a()", "f)a(", "f()a"}),
        ("a = 2", {"= a 2", "2 = a", "a 2 ="}),
        ("2*a", {"*2 a", "a*2", "2 a*"}),
        ("b**=-a", {"**=b-a", "-**=b a", "a**=-b", "b-**=a", "b a-**=", "b**=a-"}),
    ],
)
def test_two_tokens_that_an_exchange_brings_together_stay_two(line: str, exchanged: set[str]) -> None:
    tokens = pieces(line)
    assert tokens is not None
    assert {python_syntax.exchange_two(tokens, random.Random(seed)) for seed in range(60)} == exchanged


def test_the_token_that_is_asked_for_completes_the_line() -> None:
    for question in ask_often(python_completion.MISSING_TOKEN, seeds=5):
        line = question.fields["line"].replace(python_completion.BLANK, question.answer)
        assert line in SOURCE
    for question in ask_often(python_completion.NEXT_TOKEN, seeds=5):
        shown = question.fields["line"]
        assert shown + question.answer in SOURCE or f"{shown} {question.answer}" in SOURCE


def test_options_are_answers_of_other_questions_so_that_none_is_likelier_as_such() -> None:
    """Of every option it is the share 1/4 of its appearances in which it is the answer."""
    shown: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for question in ask_often(python_completion.NEXT_TOKEN, seeds=1500):
        shown.update(question.options)
        right[question.answer] += 1
    for option, times in shown.items():
        if times > 800:
            assert abs(right[option] / times - 0.25) < 4 * (0.25 * 0.75 / times) ** 0.5


def test_lines_in_a_wrong_order_are_the_lines_of_the_right_one() -> None:
    for question in ask_often(python_order.PUT_IN_ORDER, seeds=5):
        lines = sorted(question.answer.split("\n"))
        assert all(sorted(option.split("\n")) == lines for option in question.options)
        assert sorted(question.fields["lines"].split("\n")) == lines
        assert question.fields["lines"] not in question.options


def test_a_function_is_asked_about_by_its_signature_and_summary() -> None:
    facts = {
        "def area(width, height)": "Return the area of a rectangle.",
        "def circumference(radius, turns=1)": "Return the way around a circle.",
        "def put(self, name, shape)": "Keep a shape under a name.",
        "def path(self, folder, name: Any)": "Say where a shape is kept.",
    }
    asked = {question.fields["signature"]: question.answer for question in ask(python_functions.SUMMARY)}
    assert asked == facts
    asked = {question.answer: question.fields["summary"] for question in ask(python_functions.SIGNATURE)}
    assert asked == facts
    names = {question.answer for question in ask(python_functions.NAME)}
    assert names == {"area", "circumference", "put", "path"}


def test_a_name_is_asked_for_by_the_module_it_is_imported_from() -> None:
    modules = {
        "OrderedDict": "collections", "deque": "collections", "partial": "functools", "reduce": "functools",
        "join": "os.path", "Any": "typing",
    }  # fmt: skip
    for question in ask_often(python_imports.MODULE_OF_NAME, seeds=5):
        assert modules[question.fields["name"]] == question.answer
    for question in ask_often(python_imports.NAME_OF_MODULE, seeds=5):
        right = [option for option in question.options if modules[option] == question.fields["module"]]
        assert right == [question.answer]


def test_a_line_needs_the_import_of_the_name_it_uses() -> None:
    asked = {question.fields["line"]: question.answer for question in ask_often(python_imports.IMPORT_FOR_LINE)}
    assert asked["full = 2 * math.pi * radius"] == "import math"
    assert asked["total = reduce(max, ways)"] == "from functools import reduce"
    assert "return partial(join, folder)" not in asked  # uses two of them


def test_prose_and_broken_sources_are_no_programs() -> None:
    assert parse_source("Hello") is None  # parses, but defines nothing
    assert parse_source("def f(:\n") is None
    assert parse_source("import os\n") is not None


def test_a_summary_is_the_first_sentence_of_the_first_paragraph() -> None:
    assert first_sentence("Do this,\n    then that.  Not here.\n\nNor here.") == "Do this, then that."
    assert first_sentence("No full stop\n\nMore.") == "No full stop"


def test_lines_are_whole_statements_or_heads_without_comments() -> None:
    text = "if ready(now):\n    call(first,\n         second)\n    other = call(1)  # why\n    done = call(12)\n"
    found = statement_lines(ast.parse(text), text, lengths=range(1, 99))
    assert list(found) == ["if ready(now):", "done = call(12)"]


def test_a_line_that_cannot_stand_alone_is_not_drawn() -> None:
    text = "import os\nif first(1):\n    one = call(1)\nelif second(2):\n    two = call(2)\nelse: three = call(3)\n"
    drawn = {line for line, _ in Material(python(text)).draw_lines(random.Random(0))}
    assert drawn == {"if first(1):", "one = call(1)", "two = call(2)"}  # shorter ones, `import os`, are passed over
