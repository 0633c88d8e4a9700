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
    """The first row of each task that fits a chat: a question of one line without options, with a short answer."""
    found: dict[str, Row] = {}
    for row in rows:
        asks = row.options is not None and "\n" not in row.prompt
        if asks and "\n" not in row.target and len(row.target) <= MAX_ANSWER:
            found.setdefault(row.task, row)
    return list(found.values())
