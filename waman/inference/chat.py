"""`waman chat`: a conversation in the terminal."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from waman.errors import PromptError
from waman.inference.llm import LLM
from waman.inference.load import load
from waman.inference.recipe import Sampling
from waman.tokens.chat import Turn

PROMPT = "> "
GOODBYE = ("/quit", "/exit")
NEW = "/new"
ANSWER_SHARE = 4
"""Turns are forgotten until a quarter of the context is free for the answer, or `max_tokens` where that is less."""


@dataclass
class _Conversation:
    turns: list[Turn] = field(default_factory=list)
    """Those that the model still sees."""
    told: bool = False
    """Whether it was said that turns are forgotten."""


def chat(recipe: Sampling, *, model: Path, source: TextIO | None = None, output: TextIO | None = None) -> list[Turn]:
    """Says what the model is, then answers line by line until the input ends; returns the last conversation.

    `source` is standard input, `output` standard output. Where the context is full the oldest turns are forgotten,
    which is said once in a conversation.
    """
    source, output = source or sys.stdin, output or sys.stdout
    llm = load(model)
    llm.require_chat_form()
    _say(output, "\n".join([*llm.about.lines(), f"{NEW} begins anew, {GOODBYE[0]} ends.", ""]))
    conversation = _Conversation()
    while (line := _ask(source, output)) is not None:
        if line == NEW:
            conversation = _Conversation()
        elif line:
            _reply(llm, recipe, conversation, Turn("user", line), output)
    return conversation.turns


def _ask(source: TextIO, output: TextIO) -> str | None:
    _say(output, PROMPT)
    try:
        line = source.readline()
    except KeyboardInterrupt:
        line = ""
    if not line:
        _say(output, "\n")
    return line.strip() if line and line.strip() not in GOODBYE else None


def _reply(llm: LLM, recipe: Sampling, conversation: _Conversation, question: Turn, output: TextIO) -> None:
    """Streams the answer and adds both to the conversation; a question that does not fit by itself is refused."""
    kept = _latest(llm, recipe, [*conversation.turns, question])
    try:
        pieces = llm.chat_stream(kept, recipe)
    except PromptError as error:
        _say(output, f"({error})\n")
        return
    if len(kept) <= len(conversation.turns) and not conversation.told:
        _say(output, f"(the first turns are forgotten from here on: the model sees {llm.context_length} tokens)\n")
        conversation.told = True
    written = []
    try:
        for piece in pieces:
            _say(output, piece)
            written.append(piece)
    except KeyboardInterrupt:
        _say(output, " ...")
    _say(output, "\n")
    conversation.turns = [*kept, Turn("assistant", "".join(written))]


def _latest(llm: LLM, recipe: Sampling, turns: Sequence[Turn]) -> list[Turn]:
    """The last turns, from a question on, that leave room for an answer; the very last at least."""
    wanted = min(recipe.max_tokens, llm.context_length // ANSWER_SHARE)
    starts = range(0, len(turns), 2)
    first = next((start for start in starts if llm.room(turns[start:]) >= wanted), starts[-1])
    return list(turns[first:])


def _say(output: TextIO, text: str) -> None:
    output.write(text)
    output.flush()
