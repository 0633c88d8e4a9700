"""A question of a task before it is put into words, and the drawing of its options."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from waman.tasks.material import Material

NUM_OPTIONS = 4
YES_NO: Mapping[str, tuple[str, str]] = {"en": ("yes", "no"), "ko": ("예", "아니요")}
"""Yes and no by language."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, by the names that templates use, and the answer."""

    task: str
    fields: Mapping[str, str]
    answer: str
    options: tuple[str, ...]
    """Distinct texts in random order, the answer among them."""
    language: str = "en"
    """ISO 639-1 code of the wording that fits the fields."""

    def __post_init__(self) -> None:
        assert self.answer in self.options
        assert len(set(self.options)) == len(self.options)


Maker = Callable[[Material, random.Random], Iterator[Question]]


@dataclass(frozen=True)
class Task:
    """One kind of question. A task and its reverse belong to one cluster."""

    name: str
    cluster: str
    skill: str
    """What a model that has learned it can do, in a few words."""
    make: Maker
    """The questions that a document gives, in an order that the random numbers alone decide. Their licence and source
    are the document's."""


def draw_options(random: random.Random, answers: Sequence[str], index: int) -> tuple[str, ...] | None:
    """The answer of one question among those of three others of its kind, in random order; None where two are equal.

    The three are drawn once, not until they differ: so every option of a set is equally likely to be the answer, and
    how common it is tells nothing.
    """
    if len(answers) < NUM_OPTIONS:
        return None
    others = random.sample([place for place in range(len(answers)) if place != index], NUM_OPTIONS - 1)
    options = [answers[index], *(answers[place] for place in others)]
    return shuffled(random, options) if len(set(options)) == NUM_OPTIONS else None


def yes_or_no(random: random.Random, holds: bool, language: str) -> tuple[str, tuple[str, ...]]:
    """The word for `holds`, and both words in random order."""
    words = YES_NO[language]
    return words[0 if holds else 1], shuffled(random, words)


def shuffled(random: random.Random, items: Sequence[str]) -> tuple[str, ...]:
    """The items in random order."""
    return tuple(random.sample(list(items), len(items)))
