"""What a filter is: it judges a document, or corrects it.

A filter is part of a recipe, so its file loads no numpy: what takes arrays to measure is a method of Text.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from waman.corpus.text import Text


@dataclass(frozen=True)
class Reason:
    """Why a document is dropped."""

    name: str
    """snake_case; one name per rule, counted under it in the manifest."""
    value: float | None = None
    """The figure that decided."""


class Judge(Protocol):
    """A rule that keeps or drops whole documents."""

    def judge(self, text: "Text") -> Reason | None:
        """Why the document is to be dropped, or None."""


class Corrector(Protocol):
    """A rule that edits documents."""

    def correct(self, text: "Text") -> str | Reason:
        """The text without what the rule removes; a reason where it would have to remove too much."""
