"""Words and their n-grams as 64-bit hashes, for deduplication, overlap and tracing alike.

A hash depends on the words alone: it is the same in every process and on every machine.
"""

import hashlib
import itertools
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Positions = NDArray[np.int64]

IDEOGRAPHIC = "\u3040-\u30ff\u3400-\u9fff\ua000-\ua4cf\uf900-\ufaff\U00020000-\U0003ffff"
"""Kana, Han and Yi, as a regular expression's set: no spaces, about two characters a word."""
UNSPACED_ALPHABETS = "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff"
"""Thai, Lao, Tibetan, Burmese and Khmer: no spaces between words, about four characters a word."""
UNSEGMENTED = IDEOGRAPHIC + UNSPACED_ALPHABETS
"""Scripts of which each character stands as a word, since telling words apart would take a dictionary."""

_NORMALISED_WORD = re.compile(rf"[{UNSEGMENTED}]|[^\W_{UNSEGMENTED}]+")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, from the golden ratio (Knuth, TAOCP 6.4)


def normalised_words(text: str) -> list[str]:
    """Words in lower case, without punctuation and accents (RefinedWeb, appendix G.3.1: NFD, accents stripped)."""
    text = text.lower()
    if not text.isascii():
        text = "".join(itertools.filterfalse(unicodedata.combining, unicodedata.normalize("NFD", text)))
    return _NORMALISED_WORD.findall(text)


def hash_text(text: str) -> int:
    """A 64-bit hash of a whole text."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def hash_words(words: Sequence[str]) -> Hashes:
    """A hash for each word: (num_words,)."""
    known = {word: hash_text(word) for word in set(words)}
    return np.fromiter((known[word] for word in words), dtype=np.uint64, count=len(words))


def number_words(words: Sequence[str]) -> Hashes:
    """A hash for each word that holds within this list only, and costs less than `hash_words`: (num_words,)."""
    numbers: dict[str, int] = {}
    found = (numbers.setdefault(word, len(numbers)) for word in words)
    return mix(np.fromiter(found, dtype=np.uint64, count=len(words)))


def hash_ngrams(words: Hashes, size: int) -> Hashes:
    """A hash for each n-gram of `size` words, in order: (num_words,) -> (num_words - size + 1,), or none."""
    count = len(words) - size + 1
    return _hash_at(words, np.arange(max(count, 0)), size)


def text_ngrams(text: str, size: int) -> Hashes:
    """Hashes of a text's n-grams of `size` normalised words, in order; none for a shorter text."""
    return hash_ngrams(hash_words(normalised_words(text)), size)


def mix(values: Hashes) -> Hashes:
    """Spreads every bit of a value over all of its 64 bits (the finaliser of Steele et al. 2014, SplitMix)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@dataclass(frozen=True)
class Repeats:
    """Where the n-grams that occur more than once begin."""

    positions: Positions
    """Word positions, those of one n-gram together and ascending: (num_occurrences,)."""
    first: NDArray[np.bool_]
    """Whether it is the first occurrence of its n-gram: (num_occurrences,)."""


def find_repeats(words: Hashes, size: int, among: Positions | None = None) -> Repeats:
    """The n-grams of `size` words that occur more than once, looked for at the ascending positions `among` (None: all).

    A repeated n-gram begins with a repeated shorter one, so the positions of a shorter size will do for `among`.
    """
    last = len(words) - size
    starts = np.arange(max(last + 1, 0)) if among is None else among[among <= last]
    hashes = _hash_at(words, starts, size)
    order = np.argsort(hashes, kind="stable")
    same = np.diff(hashes[order]) == 0
    first = np.concatenate([[True], ~same]) if len(starts) else np.zeros(0, dtype=np.bool_)
    repeated = ~first
    repeated[:-1] |= same
    return Repeats(starts[order][repeated], first[repeated])


def cover(starts: Positions, size: int, num_words: int) -> NDArray[np.bool_]:
    """Which words lie in an n-gram that begins at one of the (distinct) `starts`: (num_words,)."""
    change = np.zeros(num_words + 1, dtype=np.int64)
    change[starts] += 1
    change[starts + size] -= 1
    return np.cumsum(change)[:num_words] > 0


def _hash_at(words: Hashes, starts: Positions, size: int) -> Hashes:
    hashes = np.zeros(len(starts), dtype=np.uint64)
    for offset in range(size):
        hashes = hashes * _MULTIPLIER + words[starts + offset]
    return mix(hashes)
