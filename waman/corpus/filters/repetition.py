"""Repetition within a document (Rae et al. 2021, "Scaling Language Models", section A.1.1 and table A1).

A line, paragraph or n-gram is a duplicate where it occurs for the second time or later. Shares of characters count the
characters of words (or lines), each at most once, however many n-grams overlap in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from waman.corpus.filters.rule import Reason
from waman.errors import RecipeError

if TYPE_CHECKING:
    from waman.corpus.text import Text


@dataclass(frozen=True)
class DuplicateLines:
    """Drops documents whose lines repeat; lines without a letter or digit (a dash, a brace) are no lines here."""

    max_share: float = 0.30
    """Largest share of lines that are duplicates."""
    max_character_share: float = 0.20
    """Largest share of characters in duplicate lines."""

    def __post_init__(self) -> None:
        _check_shares(max_share=self.max_share, max_character_share=self.max_character_share)

    def judge(self, text: "Text") -> Reason | None:
        """duplicate_lines, duplicate_line_characters or None."""
        share, character_share = duplicate_shares([line for line in text.lines if any(map(str.isalnum, line))])
        if share > self.max_share:
            return Reason("duplicate_lines", share)
        return (
            Reason("duplicate_line_characters", character_share) if character_share > self.max_character_share else None
        )


@dataclass(frozen=True)
class DuplicateParagraphs:
    """Drops documents whose paragraphs repeat."""

    max_share: float = 0.30
    """Largest share of paragraphs that are duplicates."""
    max_character_share: float = 0.20
    """Largest share of characters in duplicate paragraphs."""

    def __post_init__(self) -> None:
        _check_shares(max_share=self.max_share, max_character_share=self.max_character_share)

    def judge(self, text: "Text") -> Reason | None:
        """duplicate_paragraphs, duplicate_paragraph_characters or None."""
        share, character_share = duplicate_shares(text.paragraphs)
        if share > self.max_share:
            return Reason("duplicate_paragraphs", share)
        too_many = character_share > self.max_character_share
        return Reason("duplicate_paragraph_characters", character_share) if too_many else None


@dataclass(frozen=True)
class TopNgram:
    """Drops documents in which one short phrase is much of the text."""

    size: int = 2
    """Words of the n-gram."""
    max_character_share: float = 0.20
    """Largest share of characters in the n-gram that occurs most often."""

    def __post_init__(self) -> None:
        _check_size(self.size)
        _check_shares(max_character_share=self.max_character_share)

    def judge(self, text: "Text") -> Reason | None:
        """top_N_gram_characters or None."""
        share = text.top_ngram_share(self.size)
        return Reason(f"top_{self.size}_gram_characters", share) if share > self.max_character_share else None


@dataclass(frozen=True)
class DuplicateNgrams:
    """Drops documents that say much of their text again."""

    size: int = 5
    """Words of an n-gram."""
    max_character_share: float = 0.15
    """Largest share of characters in n-grams that occurred before."""

    def __post_init__(self) -> None:
        _check_size(self.size)
        _check_shares(max_character_share=self.max_character_share)

    def judge(self, text: "Text") -> Reason | None:
        """duplicate_N_gram_characters or None."""
        share = text.duplicate_ngram_share(self.size)
        return Reason(f"duplicate_{self.size}_gram_characters", share) if share > self.max_character_share else None


@dataclass(frozen=True)
class RepeatedPassages:
    """Removes long passages that stood before in the same document, as pages of reference repeat what is inherited.

    RefinedWeb cuts passages of 50 tokens that stand elsewhere in the corpus (Penedo et al. 2023, section 3.3).
    """

    min_words: int = 50
    """Words of a passage."""

    def __post_init__(self) -> None:
        _check_size(self.min_words)

    def correct(self, text: "Text") -> str:
        """The text without such passages."""
        return text.without_repeats(self.min_words)


def duplicate_shares(parts: Sequence[str]) -> tuple[float, float]:
    """The share of parts that occurred before, and the share of characters in them; 0 where there is nothing."""
    seen: set[str] = set()
    count = characters = 0
    for part in parts:
        if part in seen:
            count += 1
            characters += len(part)
        seen.add(part)
    return count / max(1, len(parts)), characters / max(1, sum(map(len, parts)))


def _check_size(size: int) -> None:
    if size < 1:
        raise RecipeError(f"found {size} words, expected at least 1")


def _check_shares(**shares: float) -> None:
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise RecipeError(f"{name}: found {share}, expected a share from 0 to 1")
