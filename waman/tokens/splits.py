"""Which groups are trained on and which are held out, as the mixture says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from waman.artifact import Artifact
from waman.document import Document, document_files, read_file, row_ranges
from waman.errors import InputError, KindError
from waman.manifest import read_table

TRAIN, HELD_OUT = "train", "held_out"
SPLITS = (TRAIN, HELD_OUT)
MIXTURE_FILE = "mixture.json"
UNIT_BYTES = 64 << 20
"""Documents of a unit, before compression: less than a minute's work."""


@dataclass(frozen=True)
class Part:
    """Some rows of a file of documents, and the mixture that splits them: the input of a unit."""

    path: Path
    start: int
    stop: int
    mixture: Path

    def read(self) -> Iterator[tuple[Document, str]]:
        """The documents, each with its split.

        Raises InputError where the mixture does not know a document's group.
        """
        splits = split_of_groups(self.mixture)
        for document in read_file(self.path, start=self.start, stop=self.stop):
            split = splits.get(document.group)
            if split is None:
                raise InputError(
                    f"{self.path.name}: group '{document.group}' of document {document.id} is not in mixture "
                    f"{self.mixture.name}: give the documents that the mixture was made from"
                )
            yield document, split


def cut(documents: Sequence[Artifact], mixture: Artifact) -> list[Part]:
    """The units of all `documents`, in order; they depend on the files alone.

    Raises KindError where an input is of another kind, InputError where there is no document.
    """
    for one, kind in [*((one, "documents") for one in documents), (mixture, "mixture")]:
        if one.kind != kind:
            raise KindError(f"{one.path} is of kind '{one.kind}', expected '{kind}'")
    parts = [
        Part(path, start, stop, mixture.path)
        for one in documents
        for path in document_files(one)
        for start, stop in row_ranges(path, max_bytes=UNIT_BYTES)
    ]
    if not parts:
        places = ", ".join(str(one.path) for one in documents) or "no input"
        raise InputError(f"no document in {places}: expected at least one")
    return parts


def split_of_groups(mixture: Path) -> dict[str, str]:
    """Group to "train" or "held_out", read from a mixture's directory."""
    table = pq.read_table(mixture / "groups.parquet", columns=["group", "split"])
    return dict(zip(table["group"].to_pylist(), table["split"].to_pylist(), strict=True))


def proportions_of_sources(folder: Path) -> dict[str, float]:
    """Source to its share of what is sampled in training, from the `mixture.json` in a folder."""
    table = read_table(folder / MIXTURE_FILE)
    return {name: float(entry["proportion"]) for name, entry in table["sources"].items()}
