"""Filters one after another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard, cast

from waman.corpus.filters.rule import Corrector, Judge, Reason
from waman.corpus.text import Text
from waman.settings import kind_of


@dataclass(frozen=True)
class Kept:
    """A document that passed."""

    text: str
    """As corrected."""
    corrections: tuple[str, ...]
    """The kinds of the filters that changed it, in order."""


def apply(filters: Sequence[Judge | Corrector], text: Text) -> Kept | Reason:
    """Runs the filters in order: the first reason drops the document; corrections hold for the filters after them."""
    if not text.text.strip():
        return Reason("empty")
    corrections: list[str] = []
    for one in filters:
        if not _corrects(one):
            reason = cast(Judge, one).judge(text)
            if reason is not None:
                return reason
            continue
        corrected = one.correct(text)
        if isinstance(corrected, Reason):
            return corrected
        if not corrected.strip():
            return Reason("empty")
        if corrected != text.text:
            text = Text(corrected, text.language)
            corrections.append(kind_of(type(one)))
    return Kept(text.text, tuple(corrections))


def _corrects(one: Judge | Corrector) -> TypeGuard[Corrector]:
    return hasattr(one, "correct")
