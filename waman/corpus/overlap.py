"""How much of a text stands in the training text, by n-grams of words.

Thirteen words as Brown et al. 2020 ("GPT-3", appendix C): shorter n-grams are shared by texts that are not copies.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from waman import ngrams
from waman.ngrams import Hashes

NGRAM_WORDS = 13

_PENDING_HASHES = 1 << 22


@dataclass(frozen=True)
class Overlap:
    """How many of a text's n-grams stand in other text."""

    num_ngrams: int
    """N-grams of the text, repeated ones each time."""
    num_seen: int
    """Those that stand in the other text."""

    @property
    def share(self) -> float:
        """Share of the n-grams that were seen; 0 for a text too short to have one."""
        return self.num_seen / max(1, self.num_ngrams)


@dataclass(frozen=True)
class SeenNgrams:
    """The n-grams of a body of text."""

    hashes: Hashes
    """Distinct and ascending: eight bytes for each n-gram."""
    size: int
    """Words of an n-gram."""

    def overlap(self, text: str) -> Overlap:
        """How many n-grams of `text` are among these."""
        found = text_ngrams(text, self.size)
        return Overlap(len(found), int(self.contains(found).sum()))

    def contains(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Whether each hash is among these: (num_ngrams,)."""
        if not len(self.hashes):
            return np.zeros(len(hashes), dtype=np.bool_)
        places = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
        return np.equal(self.hashes[places], hashes)


def text_ngrams(text: str, size: int = NGRAM_WORDS) -> Hashes:
    """The hashes of a text's n-grams of normalised words, in order."""
    return ngrams.hash_ngrams(ngrams.hash_words(ngrams.normalised_words(text)), size)


def see_ngrams(texts: Iterable[str], size: int = NGRAM_WORDS) -> SeenNgrams:
    """The n-grams of all `texts`, for asking how much of another text stands among them."""
    seen, pending, count = np.zeros(0, dtype=np.uint64), [], 0
    for text in texts:
        pending.append(text_ngrams(text, size))
        count += len(pending[-1])
        if count > _PENDING_HASHES:
            seen, pending, count = np.unique(np.concatenate([seen, *pending])), [], 0
    return SeenNgrams(np.unique(np.concatenate([seen, *pending])), size)
