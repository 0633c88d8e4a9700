"""Chat as tokens: `<s><|user|>PROMPT</s><|assistant|>ANSWER</s>`, the last two parts repeated."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from waman.errors import PromptError
from waman.tokens.bpe import ASSISTANT, USER
from waman.tokens.tokenizer import Tokenizer


@dataclass(frozen=True)
class Turn:
    """What one side says."""

    role: Literal["user", "assistant"]
    text: str


def render_turns(tokenizer: Tokenizer, turns: Sequence[Turn]) -> tuple[list[int], list[bool]]:
    """Token ids of a conversation, and for each whether it belongs to an answer (its end token included).

    All text is encoded with special tokens off: nobody can forge a turn.
    Raises PromptError where the turns do not go user, assistant, user, ...
    """
    _check(tokenizer, turns)
    texts = tokenizer.encode_batch([turn.text for turn in turns])
    marks = {"user": tokenizer.special_ids[USER], "assistant": tokenizer.special_ids[ASSISTANT]}
    token_ids, is_answer = [tokenizer.bos_id], [False]
    for turn, text in zip(turns, texts, strict=True):
        token_ids += [marks[turn.role], *text, tokenizer.eos_id]
        is_answer += [False] + [turn.role == "assistant"] * (len(text) + 1)
    return token_ids, is_answer


def render_prompt(tokenizer: Tokenizer, turns: Sequence[Turn]) -> list[int]:
    """Token ids of a conversation that waits for the assistant's answer. The last turn must be the user's."""
    token_ids, _ = render_turns(tokenizer, turns)
    if not turns or turns[-1].role != "user":
        raise PromptError("the conversation does not end with the user's turn: expected a question to answer")
    return [*token_ids, tokenizer.special_ids[ASSISTANT]]


def _check(tokenizer: Tokenizer, turns: Sequence[Turn]) -> None:
    missing = [name for name in (USER, ASSISTANT) if name not in tokenizer.special_ids]
    if missing:
        raise PromptError(
            f"the tokenizer has no chat token {' or '.join(missing)}: it was not made for this chat form; "
            "use `waman generate`"
        )
    for number, turn in enumerate(turns):
        expected = "user" if number % 2 == 0 else "assistant"
        if turn.role != expected:
            raise PromptError(f"turn {number} is the {turn.role}'s: expected user, assistant, user, ...")
