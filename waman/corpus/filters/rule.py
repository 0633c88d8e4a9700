"""What a filter is: it judges a document, or corrects it, or both.

A filter is part of a recipe, so its file loads no numpy: what takes arrays to measure is a method of Text.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from waman.corpus.text import Text


@dataclass(frozen=True)
class Reason:
    """Why a document is dropped."""

    name: str
    """snake_case; one name per rule, counted under it in the manifest."""
    value: float | None = None
    """The figure that decided."""


@runtime_checkable
class Judge(Protocol):
    """A rule that keeps or drops whole documents."""

    def judge(self, text: "Text") -> Reason | None:
        """Why the document is to be dropped, or None."""


@runtime_checkable
class Corrector(Protocol):
    """A rule that edits documents."""

    def correct(self, text: "Text") -> str:
        """The text without what the rule removes."""
