"""Which documents are held out and which were trained on, and draws of whole documents."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from waman.document import Document, read_file
from waman.mixture import Split, split_documents


@dataclass(frozen=True)
class SplitDocuments:
    """Documents in Parquet files, and the split of every group among them (picklable)."""

    files: tuple[Path, ...]
    mixture: Path
    """Folder of the mixture artifact: its groups.parquet names every group's split."""

    def read(self, split: Split) -> Iterator[Document]:
        """The documents of one split that have a text, in order of file and row.

        Raises InputError on a document whose group the mixture does not know.
        """
        documents = (document for path in self.files for document in read_file(path))
        return (one for one, found in split_documents(documents, self.mixture) if one.text and found == split)

    def read_at_most(self, split: Split, *, max_bytes: int, seed: int) -> Iterator[Document]:
        """The documents of one split, or of a draw of them where their texts exceed `max_bytes`."""
        sizes = {document.id: len(document.text.encode()) for document in self.read(split)}
        chosen = draw(sizes, max_bytes=max_bytes, seed=seed)
        return (document for document in self.read(split) if document.id in chosen)


def draw(sizes: Mapping[str, int], *, max_bytes: int, seed: int) -> frozenset[str]:
    """Names drawn by `seed`, each whose size still fits into `max_bytes`; the first in any case, unless 0 is allowed.

    The draw depends on the names and sizes, not on their order.
    """
    names = sorted(sizes)
    chosen: set[str] = set()
    total = 0
    for index in np.random.default_rng(seed).permutation(len(names)):
        name = names[index]
        if total + sizes[name] <= max_bytes or (not chosen and max_bytes > 0):
            chosen.add(name)
            total += sizes[name]
    return frozenset(chosen)
