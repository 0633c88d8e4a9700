"""How much of the held-out text stands in the training text: n-grams of words in common."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from waman.ngrams import Hashes, text_ngrams

Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class HeldOutNgrams:
    """The n-grams of some documents: `distinct` hashes, sorted, and where each of a document's stands among them.

    `places`: (n-grams of all documents,); `lengths`: n-grams of each document (documents,).
    """

    distinct: Hashes
    places: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def seen_per_document(self, seen: Booleans) -> NDArray[np.int64]:
        """seen: (distinct,) -> how many of each document's n-grams were seen (documents,)."""
        owners = np.repeat(np.arange(len(self.lengths)), self.lengths)
        return np.bincount(owners[seen[self.places]], minlength=len(self.lengths))


def held_out_ngrams(texts: Iterable[str], words: int) -> HeldOutNgrams:
    """The n-grams of held-out texts, to be looked for in the training text."""
    hashes = [text_ngrams(text, words) for text in texts]
    joined = np.concatenate(hashes) if hashes else np.zeros(0, dtype=np.uint64)
    distinct, places = np.unique(joined, return_inverse=True)
    lengths = np.array([len(one) for one in hashes], dtype=np.int64)
    return HeldOutNgrams(distinct, places.astype(np.int64), lengths)


def mark_seen(distinct: Hashes, texts: Iterable[str], words: int) -> Booleans:
    """Which of the sorted `distinct` hashes stand in any of the texts: (distinct,)."""
    seen = np.zeros(len(distinct), dtype=np.bool_)
    for text in texts:
        if len(distinct):
            found = text_ngrams(text, words)
            places = np.minimum(np.searchsorted(distinct, found), len(distinct) - 1)
            seen[places[distinct[places] == found]] = True
    return seen
