"""Cluster "syntax": is this a line of Python, which of these is, and repair it. Made from lines of Python sources.

A wrong line is a right one with two of its tokens exchanged, so that both are made of the same words: only their order
tells them apart.
"""

import random
from collections.abc import Iterator

from waman.tasks.material import Material
from waman.tasks.python_source import Piece, is_statement, pieces
from waman.tasks.question import NUM_OPTIONS, Question, Task, shuffled, yes_or_no

CLUSTER = "syntax"
MIN_TOKENS = 5
_ATTEMPTS = 24
"""Exchanges tried before a line is given up."""


def _judge(material: Material, random: random.Random) -> Iterator[Question]:
    for line, wrong in _lines_and_wrong_ones(material, random, number=1):
        holds = random.random() < 0.5
        answer, options = yes_or_no(random, holds, "en")
        yield Question(LINE_PARSES.name, {"line": line if holds else wrong[0]}, answer, options)


def _choose(material: Material, random: random.Random) -> Iterator[Question]:
    for line, wrong in _lines_and_wrong_ones(material, random, number=NUM_OPTIONS - 1):
        yield Question(WHICH_PARSES.name, {}, line, shuffled(random, [line, *wrong]))


def _repair(material: Material, random: random.Random) -> Iterator[Question]:
    for line, (shown, *wrong) in _lines_and_wrong_ones(material, random, number=NUM_OPTIONS):
        yield Question(REPAIR.name, {"line": shown}, line, shuffled(random, [line, *wrong]))


LINE_PARSES = Task("line_parses", CLUSTER, "say whether a line of Python is well formed", _judge)
WHICH_PARSES = Task("which_parses", CLUSTER, "pick the well-formed one of several lines of Python", _choose)
REPAIR = Task("repair_line", CLUSTER, "put the words of a line of Python back in order", _repair)
TASKS = (LINE_PARSES, WHICH_PARSES, REPAIR)


def exchange_two(tokens: list[Piece], random: random.Random) -> str:
    """The line with two of its tokens exchanged; spaces stay, and one is added where two tokens would become one."""
    texts = [token.text for token in tokens]
    first, second = random.sample(range(len(texts)), 2)
    texts[first], texts[second] = texts[second], texts[first]
    line = texts[0]
    for token, left, right in zip(tokens[1:], texts, texts[1:], strict=False):
        line += (token.space or (" " if _merge(left, right) else "")) + right
    return line


def _merge(left: str, right: str) -> bool:
    """Whether two tokens without a space between them are read as another one."""
    if (left[-1].isalnum() or left[-1] == "_") and (right[0].isalnum() or right[0] in "_\"'"):
        return True
    found = pieces(left + right)
    return found is not None and [piece.text for piece in found] != [left, right]


def _lines_and_wrong_ones(material: Material, random: random.Random, *, number: int) -> Iterator[tuple[str, list[str]]]:
    """Lines of the document, each with `number` distinct texts of the same tokens that are no Python."""
    for line, tokens in material.draw_lines(random):
        if len(tokens) < MIN_TOKENS:
            continue
        wrong: dict[str, None] = {}
        for _ in range(_ATTEMPTS):
            changed = exchange_two(tokens, random)
            if changed != line and changed not in wrong and not is_statement(changed):
                wrong[changed] = None
            if len(wrong) == number:
                yield line, list(wrong)
                break
