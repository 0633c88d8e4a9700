"""Sentences of prose in any language that writes spaces between words."""

import random
import re

_END = re.compile(r"(?<=[.!?…。！？])[\"'”’)\]]*\s+|\n+")
_EDGES = ".,;:!?…\"'“”‘’()[]«»。！？、，"


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, white space collapsed: cut after final signs and at line ends."""
    return [" ".join(part.split()) for part in _END.split(text) if part and part.strip()]


def bare(word: str) -> str:
    """A word without the signs around it."""
    return word.strip(_EDGES)


def scramble(words: list[str], random: random.Random) -> str:
    """The words in another order, the first and the last in their places."""
    inner = words[1:-1]
    return " ".join([words[0], *random.sample(inner, len(inner)), words[-1]])
