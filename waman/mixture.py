"""What a mixture says: which groups are trained on and which are held out, and how often each source is read."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from waman.artifact import Artifact, require_kind
from waman.document import Document
from waman.errors import InputError
from waman.manifest import read_table
from waman.units import Rows, cut_units

Split = Literal["train", "held_out"]
TRAIN: Final = "train"
HELD_OUT: Final = "held_out"
SPLITS: Final = (TRAIN, HELD_OUT)

GROUPS_FILE, MIXTURE_FILE = "groups.parquet", "mixture.json"


@dataclass(frozen=True)
class SplitRows:
    """Some rows of a file of documents, and the folder of the mixture that splits them: the input of a unit."""

    rows: Rows
    mixture: Path

    def read(self) -> Iterator[tuple[Document, Split]]:
        """The documents in order, each with its split. Raises InputError where the mixture does not know a group."""
        return split_documents(self.rows.read(), self.mixture)


def split_units(documents: Sequence[Artifact], mixture: Artifact) -> list[SplitRows]:
    """The units of all `documents`, each with the mixture that splits it.

    Raises KindError where an input is of another kind, InputError where there is no document, or one artifact twice.
    """
    require_kind(mixture, "mixture")
    return [SplitRows(rows, mixture.path) for rows in cut_units(documents)]


def split_documents(documents: Iterable[Document], mixture: Path) -> Iterator[tuple[Document, Split]]:
    """Each document with the split of its group. Raises InputError where the mixture does not know a group."""
    splits = read_split(mixture)
    for document in documents:
        split = splits.get(document.group)
        if split is None:
            raise InputError(
                f"group '{document.group}' of document {document.id} is not in the mixture {mixture}: "
                "give the documents that the mixture was made from"
            )
        yield document, split


def read_split(mixture: Path) -> dict[str, Split]:
    """Group to its split, from a mixture's folder. Raises InputError where the table is missing or of another form."""
    path = mixture / GROUPS_FILE
    try:
        table = pq.read_table(path, columns=["group", "split"])
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} cannot be read as a table of group and split: {error}") from error
    return dict(zip(table["group"].to_pylist(), table["split"].to_pylist(), strict=True))


def read_sources(folder: Path) -> dict[str, dict[str, Any]]:
    """Source to its documents, bytes, proportion and epochs, as the `mixture.json` in a folder has them."""
    return dict(read_table(folder / MIXTURE_FILE)["sources"])


def read_proportions(folder: Path) -> dict[str, float]:
    """Source to its share of what is sampled in training, from the `mixture.json` in a folder."""
    return {name: float(one["proportion"]) for name, one in read_sources(folder).items()}
