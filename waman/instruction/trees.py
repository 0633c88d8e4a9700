"""Conversations that branch: read as trees, rendered as one row in which every path is a conversation."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import fsspec

from waman.errors import InputError
from waman.model.trees import TreeLayout, tree_layout
from waman.tokens.chat import Turn, render_turns
from waman.tokens.tokenizer import Tokenizer

_ROLES: dict[str, Literal["user", "assistant"]] = {"prompter": "user", "assistant": "assistant"}


@dataclass(frozen=True, slots=True)
class Comment:
    """What one side says, and what was answered to it: none, one or several times."""

    turn: Turn
    replies: tuple["Comment", ...] = ()

    def paths(self) -> Iterator[list[Turn]]:
        """The conversations from here to each comment without replies, in order."""
        if not self.replies:
            yield [self.turn]
        for reply in self.replies:
            for path in reply.paths():
                yield [self.turn, *path]


@dataclass(frozen=True, eq=False)
class RenderedTree:
    """A tree in the chat form: each comment's tokens once, behind its parent's, siblings one after the other."""

    token_ids: list[int]
    """(tokens,)"""
    is_answer: list[bool]
    """(tokens,): whether a token is the assistant's: the answer and the end token after it"""
    layout: TreeLayout
    """what the tokens see, where they stand, and how many paths hold them"""


def read_trees(path: Path | str) -> Iterator[Comment]:
    """The trees of a JSONL file (.gz and .zst too) of OpenAssistant's form: `prompt`, and its nested `replies`.

    Raises InputError on a line that is no such tree.
    """
    with fsspec.open(str(path), "rt", encoding="utf-8", compression="infer") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield _comment(json.loads(line)["prompt"])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise InputError(
                    f"{path}, line {number}: no conversation tree ({type(error).__name__}: {error}); expected an "
                    "object with `prompt`: a `text`, a `role` (prompter or assistant), and `replies` of the same form"
                ) from error


def render_tree(root: Comment, tokenizer: Tokenizer) -> RenderedTree:
    """The tree in the chat form. Raises PromptError where sides do not take turns, the user first."""
    parents: list[int | None] = []
    token_ids: list[list[int]] = []
    is_answer: list[list[bool]] = []
    waiting: list[tuple[Comment, int | None, Turn | None]] = [(root, None, None)]
    for comment, parent, said in waiting:
        # The turn before decides whether a turn is in order and whether the conversation begins with it.
        before = [] if said is None else render_turns(tokenizer, _before(said))[0]
        ids, answers = render_turns(tokenizer, [*([] if said is None else _before(said)), comment.turn])
        token_ids.append(ids[len(before) :])
        is_answer.append(answers[len(before) :])
        node = len(parents)
        parents.append(parent)
        waiting += [(reply, node, comment.turn) for reply in comment.replies]
    layout = tree_layout(parents, [len(ids) for ids in token_ids])
    return RenderedTree(
        [token for node in layout.order for token in token_ids[node]],
        [answer for node in layout.order for answer in is_answer[node]],
        layout,
    )


def _before(said: Turn) -> list[Turn]:
    """The shortest conversation that ends with a turn like this."""
    turn = Turn(said.role, "")
    return [turn] if said.role == "user" else [Turn("user", ""), turn]


def _comment(table: dict[str, Any]) -> Comment:
    text = table["text"]
    if not isinstance(text, str):
        raise TypeError(f"text is {text!r}")
    return Comment(Turn(_ROLES[table["role"]], text), tuple(_comment(reply) for reply in table.get("replies", [])))
