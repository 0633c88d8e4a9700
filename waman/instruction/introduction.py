"""What a tuned model says of itself before a chat: `about.json` beside its weights."""

from collections.abc import Sequence
from pathlib import Path

from waman.instruction.families import FAMILIES
from waman.instruction.rows import Row
from waman.manifest import to_json

ABOUT_FILE = "about.json"
NUM_QUESTIONS = 3
MAX_ANSWER = 16
"""Characters of an answer that a small model may be expected to write itself; longer ones it can but choose."""


def write_about(folder: Path, *, parameters: int, tokens: int | None, examples: Sequence[Row]) -> None:
    """Writes the size, the tokens trained on (None: not known), what the examples are of, and some of them to try."""
    taught = {row.task for row in examples}
    skills = [task.skill for family in FAMILIES.values() for task in family if task.name in taught]
    table = {
        "parameters": parameters,
        "tokens": tokens,
        "answers": "; ".join(skills),
        "questions": [row.prompt for row in examples[:NUM_QUESTIONS]],
    }
    (folder / ABOUT_FILE).write_text(to_json(table), encoding="utf-8")


def choose_examples(rows: Sequence[Row]) -> list[Row]:
    """One question of one line for each task whose answers are all short: the first row that lists no options.

    Tasks whose answers are longer are left out: a small model chooses among options there, but cannot write them.
    """
    asked: dict[str, list[Row]] = {}
    for row in rows:
        if row.options is not None:
            asked.setdefault(row.task, []).append(row)
    found = []
    for many in asked.values():
        short = all(len(row.target) <= MAX_ANSWER and "\n" not in row.target for row in many)
        lines = [row for row in many if "\n" not in row.prompt]
        if short and lines:
            found.append(lines[0])
    return found
