"""A row as the model reads it: token ids, and which of them it has to say."""

from collections.abc import Iterable
from dataclasses import dataclass

from waman.instruction.rows import Row
from waman.tokens.chat import Turn, render_turns
from waman.tokens.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Rendered:
    """One conversation of a question and its answer; both lists are (time,)."""

    token_ids: list[int]
    is_answer: list[bool]
    """Whether a token is the assistant's: the answer and the end token after it."""

    @property
    def num_positions(self) -> int:
        """Tokens that are read; the last one is predicted only."""
        return len(self.token_ids) - 1


def render(row: Row, tokenizer: Tokenizer) -> Rendered:
    """The row in the chat form."""
    return Rendered(*render_turns(tokenizer, [Turn("user", row.prompt), Turn("assistant", row.target)]))


def render_fitting(
    rows: Iterable[Row], tokenizer: Tokenizer, *, context_length: int
) -> tuple[dict[str, list[Rendered]], int]:
    """By task, the rows that fit into the context; and how many do not."""
    by_task: dict[str, list[Rendered]] = {}
    num_too_long = 0
    for row in rows:
        rendered = render(row, tokenizer)
        if rendered.num_positions > context_length:
            num_too_long += 1
        else:
            by_task.setdefault(row.task, []).append(rendered)
    return by_task, num_too_long
