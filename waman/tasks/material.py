"""A document as the tasks see it: what several of them need is worked out once."""

import ast
import random
from collections.abc import Iterator
from functools import cached_property

from waman.document import Document
from waman.tasks import python_source
from waman.tasks.sentences import split_sentences

LINE_LENGTHS = range(12, 64)
"""Characters of a line of code that is asked about."""


class Material:
    """A document, as a Python source or as prose."""

    def __init__(self, document: Document) -> None:
        self.document = document

    @cached_property
    def tree(self) -> ast.Module | None:
        """The syntax tree of a Python source; None for prose."""
        return python_source.parse_source(self.document.text)

    @cached_property
    def statements(self) -> dict[str, ast.stmt]:
        """Lines that hold a statement or the head of one, as `statement_lines` finds them; none of prose."""
        if self.tree is None:
            return {}
        return python_source.statement_lines(self.tree, self.document.text, lengths=LINE_LENGTHS)

    def draw_lines(self, random: random.Random) -> Iterator[tuple[str, list[python_source.Piece]]]:
        """Those of them that can stand alone, with their tokens, in random order."""
        for line in random.sample(sorted(self.statements), len(self.statements)):
            tokens = python_source.pieces(line) if python_source.is_statement(line) else None
            if tokens is not None:
                yield line, tokens

    @cached_property
    def described(self) -> list[python_source.Described]:
        """Functions with a docstring; none of prose."""
        return python_source.described_functions(self.tree) if self.tree is not None else []

    @cached_property
    def sentences(self) -> list[str]:
        """All sentences of prose in order; none of a program."""
        return split_sentences(self.document.text) if self.tree is None else []
