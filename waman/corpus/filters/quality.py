"""Whether a document reads like prose (Rae et al. 2021, "Scaling Language Models", section A.1.1)."""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from waman.corpus.filters.rule import Reason
from waman.errors import RecipeError

if TYPE_CHECKING:
    from waman.corpus.text import Text

_EDGES = re.compile(r"^\W+|\W+$")
_HASHES = re.compile("#+")
_ELLIPSIS = re.compile(r"\.{3,}|…+")
_ELLIPSES = ("...", "…")
_BULLETS = ("•", "‣", "◦", "●", "▪", "-", "*", "·")

ENGLISH_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
"""Rae et al. 2021, section A.1.1."""


@dataclass(frozen=True)
class NumWords:
    """Drops documents of too few or too many words."""

    min_words: int = 50
    """Fewest words of a document."""
    max_words: int | None = None
    """Most words of a document; absent: no limit."""

    def judge(self, text: "Text") -> Reason | None:
        """too_few_words, too_many_words or None."""
        count = text.num_words
        if count < self.min_words:
            return Reason("too_few_words", count)
        return Reason("too_many_words", count) if self.max_words is not None and count > self.max_words else None


@dataclass(frozen=True)
class Bounds:
    """A range, both ends within."""

    min: float
    """Smallest value."""
    max: float
    """Largest value."""

    def __post_init__(self) -> None:
        if self.min > self.max:
            raise RecipeError(f"min: found {self.min} above max {self.max}, expected at most {self.max}")


@dataclass(frozen=True)
class MeanWordLength:
    """Drops documents whose words are too short or too long on average; scripts without spaces are not judged."""

    spaced: Bounds = field(default_factory=lambda: Bounds(3.0, 10.0))
    """Characters a word, where letters are written one after another."""
    hangul: Bounds = field(default_factory=lambda: Bounds(1.5, 10.0))
    """Characters (syllables) a word in Hangul; ours: prose has 2.8 to 5.4, pages about programs up to 10."""

    def judge(self, text: "Text") -> Reason | None:
        """short_words, long_words or None."""
        if text.characters_per_word > 1 or not text.words:
            return None
        bounds = self.hangul if text.script == "hangul" else self.spaced
        characters = int(text.word_lengths.sum())
        mean = characters / len(text.words)
        if mean < bounds.min:
            return Reason("short_words", mean)
        # A word of Malayalam is long for its vowel signs, which are characters of their own and no letters.
        letters = (characters - text.num_marks) / len(text.words) if mean > bounds.max else mean
        return Reason("long_words", letters) if letters > bounds.max else None


@dataclass(frozen=True)
class SymbolsPerWord:
    """Drops documents with many hash signs or ellipses; several in a row are one, as in a heading of Markdown."""

    max_ratio: float = 0.1
    """Most hash signs, and most ellipses, for each word."""

    def judge(self, text: "Text") -> Reason | None:
        """hash_signs, ellipses or None."""
        words = max(1, text.num_words)
        hashes = len(_HASHES.findall(text.text)) / words
        if hashes > self.max_ratio:
            return Reason("hash_signs", hashes)
        ellipses = len(_ELLIPSIS.findall(text.text)) / words
        return Reason("ellipses", ellipses) if ellipses > self.max_ratio else None


@dataclass(frozen=True)
class BulletLines:
    """Drops documents that are lists and little else."""

    max_share: float = 0.9
    """Largest share of lines that begin with a bullet."""

    def judge(self, text: "Text") -> Reason | None:
        """bullet_lines or None."""
        share = sum(line.startswith(_BULLETS) for line in text.lines) / max(1, len(text.lines))
        return Reason("bullet_lines", share) if share > self.max_share else None


@dataclass(frozen=True)
class EllipsisLines:
    """Drops documents of teasers."""

    max_share: float = 0.3
    """Largest share of lines that end with an ellipsis."""

    def judge(self, text: "Text") -> Reason | None:
        """ellipsis_lines or None."""
        share = sum(line.endswith(_ELLIPSES) for line in text.lines) / max(1, len(text.lines))
        return Reason("ellipsis_lines", share) if share > self.max_share else None


@dataclass(frozen=True)
class AlphabeticWords:
    """Drops documents of numbers and symbols."""

    min_share: float = 0.8
    """Smallest share of words with a letter in them, of any script."""

    def judge(self, text: "Text") -> Reason | None:
        """few_alphabetic_words or None."""
        words = text.text.split()
        share = sum(word.isalpha() or any(map(str.isalpha, word)) for word in words) / max(1, len(words))
        return Reason("few_alphabetic_words", share) if share < self.min_share else None


@dataclass(frozen=True)
class StopWords:
    """Drops documents without the commonest words of their language; languages without a list are not judged."""

    min_distinct: int = 2
    """How many of its language's words a document has at least."""
    words: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"en": ENGLISH_STOP_WORDS})
    """Language (ISO 639-1) -> its commonest words, in lower case."""

    def judge(self, text: "Text") -> Reason | None:
        """few_stop_words or None."""
        stop_words = self.words.get(text.language or "")
        if stop_words is None:
            return None
        count = len(set(stop_words) & {_EDGES.sub("", word) for word in set(text.text.lower().split())})
        return Reason("few_stop_words", count) if count < self.min_distinct else None
