"""Questions to rows: the choice of a wording for each."""

import hashlib
import random
from collections.abc import Sequence

from waman.document import Document
from waman.instruction.rows import Row
from waman.instruction.templates.template import Template
from waman.tasks.question import Question, Task

TRAIN, TEST = "train", "test"


def word(
    question: Question,
    *,
    task: Task,
    number: int,
    document: Document,
    split: str,
    templates: Sequence[Template],
    turned_share: float,
    random: random.Random,
) -> Row:
    """The row of a document's question `number`. Only training rows are turned around."""
    fitting = [(index, one) for index, one in enumerate(templates) if one.language == question.language]
    asking = [pair for pair in fitting if not pair[1].turned_around]
    turned = [pair for pair in fitting if pair[1].turned_around]
    turns = bool(turned) and split == TRAIN and random.random() < turned_share
    index, template = random.choice(turned if turns else asking)
    prompt, target = template.render(question.fields, answer=question.answer, options=question.options)
    return Row(
        id=_digest(task.name, document.id, str(number)),
        task=task.name,
        cluster=task.cluster,
        template=f"{task.name}/{index}",
        language=question.language,
        prompt=prompt,
        target=target,
        options=None if turns else question.options,
        answer=None if turns else question.options.index(target),
        content=_digest(task.name, question.answer, *(text for _, text in sorted(question.fields.items()))),
        document=document.id,
        source=document.source,
        group=document.group,
        split=split,
        licence=document.licence,
    )


def num_characters(row: Row) -> int:
    """Characters of the prompt and of the longest that may be answered."""
    return len(row.prompt) + max(map(len, row.options or (row.target,)))


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode(errors="replace"), digest_size=8).hexdigest()
