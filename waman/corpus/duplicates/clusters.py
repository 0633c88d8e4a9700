"""Documents that are duplicates of one another, gathered from pairs."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from waman.ngrams import Hashes, mix

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Clusters:
    """Which documents are duplicates of one another."""

    label: Indices
    """For each document the smallest index in its cluster: (num_documents,)."""

    @property
    def size(self) -> Indices:
        """For each document the number of documents in its cluster: (num_documents,)."""
        return np.bincount(self.label, minlength=len(self.label))[self.label]

    def keep_first(self) -> Indices:
        """For each document the one of its cluster that stays: the first."""
        return self.label

    def keep_random(self, seed: int) -> Indices:
        """For each document the one of its cluster that stays: chosen by a hash of seed and index."""
        order = mix(mix(np.arange(len(self.label), dtype=np.uint64)) ^ np.uint64(seed))
        best = np.lexsort((order, self.label))
        first = np.flatnonzero(np.diff(self.label[best], prepend=-1))
        chosen = np.zeros(len(self.label), dtype=np.int64)
        chosen[self.label[best[first]]] = best[first]
        return chosen[self.label]


def find_clusters(num_documents: int, keys: Iterable[Hashes], *, start: Clusters | None = None) -> Clusters:
    """Clusters of documents that share a key in any column of `keys`, each (num_documents,); 0 is no key.

    A column may be empty: it joins nothing. `start`: clusters that are joined further.
    """
    label = np.arange(num_documents) if start is None else start.label
    for column in keys:
        label = _join(label, *_pairs(column))
    return Clusters(label)


def _pairs(column: Hashes) -> tuple[Indices, Indices]:
    """Each document that shares its key with an earlier one, and the one just before it that does."""
    order = np.argsort(column, kind="stable")
    same = (np.diff(column[order]) == 0) & (column[order[1:]] != 0)
    return order[:-1][same], order[1:][same]


def _join(label: Indices, left: Indices, right: Indices) -> Indices:
    """Labels after joining the clusters of left[i] and right[i], each label the smallest index of its cluster."""
    while True:
        ends = label[left], label[right]
        lower, upper = np.minimum(*ends), np.maximum(*ends)
        if np.array_equal(lower, upper):
            return label
        label = label.copy()
        np.minimum.at(label, upper, lower)
        while not np.array_equal(label[label], label):
            label = label[label]
