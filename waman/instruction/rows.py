"""One instruction as it is kept: what is asked, what is to be said, and where it comes from."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from waman.errors import InputError


@dataclass(frozen=True, slots=True)
class Row:
    """A question in one wording."""

    id: str
    """Sixteen hexadecimal digits, evenly spread: their order is a random order."""
    task: str
    cluster: str
    template: str
    """`TASK/NUMBER` of the wording."""
    language: str
    prompt: str
    target: str
    """What the model is to say."""
    options: tuple[str, ...] | None
    """What it may choose from; absent where a wording is turned around."""
    answer: int | None
    """Place of the target among the options."""
    content: str
    """Equal for equal questions, whatever their wording and options."""
    document: str
    """Id of the document that it was made from."""
    source: str
    group: str
    split: str
    """train or test."""
    licence: str | None
    """The document's."""


_TYPES = {
    str: pa.string(),
    int | None: pa.int64(),
    str | None: pa.string(),
    tuple[str, ...] | None: pa.list_(pa.string()),
}
SCHEMA = pa.schema([pa.field(one.name, _TYPES[one.type], nullable=one.type is not str) for one in fields(Row)])  # type: ignore[index]


def write_rows(path: Path, rows: Iterable[Row]) -> int:
    """Writes a Parquet file of rows and returns how many."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA)
    pq.write_table(table, path, compression="zstd", compression_level=3)
    return int(table.num_rows)


def read_rows(folder: Path) -> Iterator[Row]:
    """The rows of every file in a folder, in order. Raises InputError where one is damaged or of another kind."""
    for path in sorted(folder.glob("*.parquet")):
        try:
            table = pq.read_table(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{path} cannot be read as Parquet: {error}; make or fetch it again") from error
        missing = [name for name in SCHEMA.names if name not in table.column_names]
        if missing:
            raise InputError(
                f"{path} is not a file of instructions: no column {', '.join(missing)}; give what `waman compose` made"
            )
        for record in table.select(SCHEMA.names).to_pylist():
            options = record["options"]
            yield Row(**{**record, "options": tuple(options) if options is not None else None})
