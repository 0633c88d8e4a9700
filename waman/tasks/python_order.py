"""Cluster "order": put these lines of a function in order. All options are made of the same lines."""

import itertools
import random
import textwrap
from collections.abc import Iterator

from waman.tasks.material import Material
from waman.tasks.python_source import blocks
from waman.tasks.question import NUM_OPTIONS, Question, Task, shuffled

CLUSTER = "order"
MAX_LINE = 56
"""Characters of a line, its indentation within the block included."""
HEIGHTS = (3, 4)
"""Lines of a block to be put in order."""


def _put(material: Material, random: random.Random) -> Iterator[Question]:
    for lines in _runs(material, random):
        shown, *wrong = random.sample(_other_orders(lines), NUM_OPTIONS)
        right = "\n".join(lines)
        yield Question(PUT_IN_ORDER.name, {"lines": shown}, right, shuffled(random, [right, *wrong]))


PUT_IN_ORDER = Task("put_in_order", CLUSTER, "put some lines of Python in order", _put)
TASKS = (PUT_IN_ORDER,)


def _runs(material: Material, random: random.Random) -> Iterator[list[str]]:
    """From each function some distinct consecutive lines, their common indentation taken off."""
    for body in _bodies(material, random):
        height = random.choice(HEIGHTS)
        if len(body) < height:
            continue
        start = random.randrange(len(body) - height + 1)
        lines = textwrap.dedent("\n".join(body[start : start + height])).split("\n")
        if len(set(lines)) == height and all(line.strip() and len(line) <= MAX_LINE for line in lines):
            yield lines


def _bodies(material: Material, random: random.Random) -> list[list[str]]:
    """The lines of the functions, in random order."""
    if material.tree is None:
        return []
    found = list(blocks(material.tree, material.document.text))
    return random.sample(found, len(found))


def _other_orders(lines: list[str]) -> list[str]:
    right = "\n".join(lines)
    return sorted({"\n".join(order) for order in itertools.permutations(lines)} - {right})
