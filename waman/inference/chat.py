"""`waman chat`: a conversation in the terminal."""

import sys
from collections.abc import Sequence
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


def chat(recipe: Sampling, *, model: Path, source: TextIO | None = None, output: TextIO | None = None) -> list[Turn]:
    """Says what the model is, then answers line by line until the input ends; returns the last conversation.

    `source` is standard input, `output` standard output. The oldest turns are forgotten where the context is full.
    """
    source, output = source or sys.stdin, output or sys.stdout
    llm = load(model)
    llm.require_chat_form()
    _say(output, "\n".join([*llm.about.lines(), f"{NEW} begins anew, {GOODBYE[0]} ends.", ""]))
    turns: list[Turn] = []
    while (line := _ask(source, output)) is not None:
        if line == NEW:
            turns = []
        elif line:
            turns = _reply(llm, recipe, [*turns, Turn("user", line)], output)
    return turns


def _ask(source: TextIO, output: TextIO) -> str | None:
    _say(output, PROMPT)
    try:
        line = source.readline()
    except KeyboardInterrupt:
        line = ""
    if not line:
        _say(output, "\n")
    return line.strip() if line and line.strip() not in GOODBYE else None


def _reply(llm: LLM, recipe: Sampling, turns: Sequence[Turn], output: TextIO) -> list[Turn]:
    """Streams the answer and adds it; what does not fit is forgotten from the beginning, and said."""
    kept = list(turns)
    while True:
        try:
            pieces = llm.chat_stream(kept, recipe)
            break
        except PromptError as error:
            if len(kept) == 1:
                _say(output, f"({error})\n")
                return list(turns[:-1])
            kept = kept[2:]
    if len(kept) < len(turns):
        _say(output, f"(forgot the first {len(turns) - len(kept)} turns: the model sees {llm.context_length} tokens)\n")
    written = []
    try:
        for piece in pieces:
            _say(output, piece)
            written.append(piece)
    except KeyboardInterrupt:
        _say(output, " ...")
    _say(output, "\n")
    return [*kept, Turn("assistant", "".join(written))]


def _say(output: TextIO, text: str) -> None:
    output.write(text)
    output.flush()
