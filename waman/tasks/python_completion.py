"""Cluster "completion": which sign or keyword comes next in a line of Python, and which is missing from it.

The other options are the answers of other questions about the same source, so that no option is likelier as such. Names
are not asked for: those of an unseen module cannot be known.
"""

import itertools
import keyword
import random
from collections.abc import Iterator

from waman.tasks.material import Material
from waman.tasks.python_source import Piece
from waman.tasks.question import Question, Task, draw_options

CLUSTER = "completion"
MIN_TOKENS = 5
MAX_LINES = 200
"""Lines of a source that are looked at, at most."""
BLANK = "____"


def _next(material: Material, random: random.Random) -> Iterator[Question]:
    for tokens, place, options in _places(material, random):
        shown = "".join(token.space + token.text for token in tokens[:place])
        yield Question(NEXT_TOKEN.name, {"line": shown}, tokens[place].text, options)


def _missing(material: Material, random: random.Random) -> Iterator[Question]:
    for tokens, place, options in _places(material, random):
        texts = [token.space + (BLANK if index == place else token.text) for index, token in enumerate(tokens)]
        yield Question(MISSING_TOKEN.name, {"line": "".join(texts)}, tokens[place].text, options)


NEXT_TOKEN = Task("next_token", CLUSTER, "say which sign or keyword comes next in a line of Python", _next)
MISSING_TOKEN = Task("missing_token", CLUSTER, "say which sign or keyword is missing from a line of Python", _missing)
TASKS = (NEXT_TOKEN, MISSING_TOKEN)


def _places(material: Material, random: random.Random) -> Iterator[tuple[list[Piece], int, tuple[str, ...]]]:
    """One place in each line, with options for the token there."""
    chosen = []
    for _, tokens in itertools.islice(material.draw_lines(random), MAX_LINES):
        if len(tokens) >= MIN_TOKENS:
            places = [place for place in range(2, len(tokens)) if is_closed(tokens[place].text)]
            if places:
                chosen.append((tokens, random.choice(places)))
    answers = [tokens[place].text for tokens, place in chosen]
    for index, (tokens, place) in enumerate(chosen):
        options = draw_options(random, answers, index)
        if options is not None:
            yield tokens, place, options


def is_closed(token: str) -> bool:
    """Whether a token is a sign or a keyword: no name, number or text."""
    return keyword.iskeyword(token) or not any(sign.isalnum() or sign in "_\"'" for sign in token)
