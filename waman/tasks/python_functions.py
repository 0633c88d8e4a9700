"""Cluster "describe": what does this function do, what is it called, write its signature. Made from docstrings.

The other options belong to other functions of the same module.
"""

import random
from collections.abc import Iterator

from waman.tasks.material import Material
from waman.tasks.python_source import Described
from waman.tasks.question import Question, Task, draw_options

CLUSTER = "describe"


def _summarize(material: Material, random: random.Random) -> Iterator[Question]:
    found = _described(material, random)
    for index, function in enumerate(found):
        options = draw_options(random, [other.summary for other in found], index)
        if options is not None:
            yield Question(SUMMARY.name, {"signature": function.signature}, function.summary, options)


def _sign(material: Material, random: random.Random) -> Iterator[Question]:
    found = _described(material, random)
    for index, function in enumerate(found):
        options = draw_options(random, [other.signature for other in found], index)
        if options is not None:
            yield Question(SIGNATURE.name, {"summary": function.summary}, function.signature, options)


def _name(material: Material, random: random.Random) -> Iterator[Question]:
    found = _described(material, random)
    for index, function in enumerate(found):
        options = draw_options(random, [other.name for other in found], index)
        if options is not None:
            yield Question(NAME.name, {"summary": function.summary}, function.name, options)


SUMMARY = Task("summary_of_signature", CLUSTER, "say what a function does from its signature", _summarize)
SIGNATURE = Task("signature_of_summary", CLUSTER, "write the signature of a function for a description", _sign)
NAME = Task("name_of_summary", CLUSTER, "name a function for a description", _name)
TASKS = (SUMMARY, SIGNATURE, NAME)


def _described(material: Material, random: random.Random) -> list[Described]:
    return random.sample(material.described, len(material.described))
