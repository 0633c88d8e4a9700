"""Token shards: the tokens of many documents end to end, memory-mapped, with each document's place and source.

SPLIT/NNNNN.tokens               little-endian uint16, or uint32 where the vocabulary needs it
SPLIT/NNNNN.documents.parquet    id, source, group, start, num_tokens (both ends' tokens included), num_bytes (of text)
tokens.json                      what they were made with
mixture.json                     the share of each source in training
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from waman.artifact import Artifact
from waman.dataflow import Counts
from waman.document import Document
from waman.errors import ArtifactError, InputError
from waman.manifest import read_table, to_json, write_whole
from waman.mixture import SPLITS, read_proportions

INFO_FILE = "tokens.json"
DTypeName = Literal["uint16", "uint32"]
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("num_tokens", pa.int64(), nullable=False),
        pa.field("num_bytes", pa.int64(), nullable=False),
    ]
)
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TokensInfo:
    """What a set of shards was made with."""

    dtype: DTypeName
    vocab_size: int
    bos: int
    eos: int
    tokenizer: str
    """`Tokenizer.identity`."""


def dtype_for(vocab_size: int) -> DTypeName:
    """The narrowest type that holds every token id."""
    return "uint16" if vocab_size <= 1 << 16 else "uint32"


def write_info(folder: Path, info: TokensInfo) -> None:
    """Writes `tokens.json`."""
    write_whole(folder / INFO_FILE, to_json(asdict(info)))


class ShardWriter:
    """Writes one shard of a split; a shard without documents leaves no file."""

    def __init__(self, folder: Path, number: int, *, dtype: DTypeName) -> None:
        self._tokens_path = folder / f"{number:05d}.tokens"
        self._documents_path = folder / f"{number:05d}.documents.parquet"
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._file: Any = None
        self._rows: list[dict[str, Any]] = []
        self._written = 0
        self.counts: Counts = {}
        """Source to the documents, tokens and bytes of text written so far."""

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            if error is None:
                pq.write_table(pa.Table.from_pylist(self._rows, schema=SCHEMA), self._documents_path)

    def add(self, document: Document, token_ids: Sequence[int]) -> None:
        """Appends a document."""
        if self._file is None:
            self._tokens_path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._tokens_path.open("wb")
        self._file.write(np.asarray(token_ids, dtype=self._dtype).tobytes())
        row = {
            "id": document.id,
            "source": document.source,
            "group": document.group,
            "start": self._written,
            "num_tokens": len(token_ids),
            "num_bytes": len(document.text.encode()),
        }
        self._rows.append(row)
        self._written += len(token_ids)
        counts = self.counts.setdefault(document.source, {"documents": 0, "tokens": 0, "bytes": 0})
        for name, amount in (("documents", 1), ("tokens", row["num_tokens"]), ("bytes", row["num_bytes"])):
            counts[name] += amount


class Stream:
    """The documents of one source in one split, end to end in the order of the shards."""

    def __init__(self, shards: Sequence[npt.NDArray[Any]], table: pa.Table) -> None:
        """table: the rows of the source's documents with a column `shard`, an index into `shards`."""
        self._shards = shards
        self._shard = table["shard"].to_numpy()
        self._start = table["start"].to_numpy()
        self.lengths: Ids = table["num_tokens"].to_numpy()
        """(documents,): tokens of each, both ends' included."""
        self.num_bytes: Ids = table["num_bytes"].to_numpy()
        """(documents,): UTF-8 bytes of each text."""
        self.ids: list[str] = table["id"].to_pylist()
        self.groups: list[str] = table["group"].to_pylist()
        self.ends: Ids = np.cumsum(self.lengths)
        """(documents,): where each ends in the stream."""

    @property
    def num_documents(self) -> int:
        """Documents in the stream."""
        return len(self.ids)

    @property
    def num_tokens(self) -> int:
        """Tokens in the stream."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def document(self, index: int) -> Ids:
        """(num_tokens,): the tokens of one document."""
        start = int(self._start[index])
        shard = self._shards[int(self._shard[index])]
        return shard[start : start + int(self.lengths[index])].astype(np.int64)

    def read(self, start: int, stop: int) -> tuple[Ids, Ids]:
        """(stop - start,) tokens of the stream, and for each the index of the document it belongs to."""
        assert 0 <= start <= stop <= self.num_tokens, f"{start}:{stop} lies outside {self.num_tokens} tokens"
        token_ids, documents = np.empty(stop - start, np.int64), np.empty(stop - start, np.int64)
        index = int(np.searchsorted(self.ends, start, side="right"))
        done = start
        while done < stop:
            begins = int(self.ends[index] - self.lengths[index])
            until = min(stop, int(self.ends[index]))
            offset = int(self._start[index]) - begins
            piece = self._shards[int(self._shard[index])][done + offset : until + offset]
            token_ids[done - start : until - start] = piece
            documents[done - start : until - start] = index
            done, index = until, index + 1
        return token_ids, documents


@dataclass(frozen=True)
class TokenShards:
    """An opened tokens artifact."""

    path: Path
    info: TokensInfo
    proportions: dict[str, float]
    """Source to its share of what is sampled in training."""
    streams: dict[str, dict[str, Stream]]
    """Split ("train", "held_out") to source to its stream, sources in order of name."""

    @classmethod
    def open(cls, place: Artifact | Path) -> "TokenShards":
        """Maps the shards of a tokens artifact.

        Raises InputError where it is none, ArtifactError where a shard's files do not fit each other.
        """
        path = place.path if isinstance(place, Artifact) else place
        if not (path / INFO_FILE).is_file():
            raise InputError(
                f"{path} holds no token shards: expected {INFO_FILE} in it; give what `waman tokenize` made"
            )
        info = TokensInfo(**read_table(path / INFO_FILE))
        streams = {split: _open_split(path / split, info.dtype) for split in SPLITS}
        return cls(path, info, read_proportions(path), streams)


def _open_split(folder: Path, dtype: DTypeName) -> dict[str, Stream]:
    shards, tables = [], []
    for number, path in enumerate(sorted(folder.glob("*.documents.parquet"))):
        table = pq.read_table(path)
        tokens_path = path.with_name(path.name.replace(".documents.parquet", ".tokens"))
        shards.append(_map(tokens_path, dtype, expected=sum(table["num_tokens"].to_pylist())))
        tables.append(table.append_column("shard", pa.array([number] * len(table), pa.int64())))
    if not tables:
        return {}
    whole = pa.concat_tables(tables)
    sources = np.asarray(whole["source"].to_pylist())
    return {str(name): Stream(shards, whole.filter(pa.array(sources == name))) for name in np.unique(sources)}


def _map(path: Path, dtype: DTypeName, *, expected: int) -> npt.NDArray[Any]:
    size = path.stat().st_size if path.is_file() else 0
    kind = np.dtype(dtype).newbyteorder("<")
    if size != expected * kind.itemsize:
        raise ArtifactError(
            f"{path} holds {size} bytes, expected {expected * kind.itemsize}: it is damaged; tokenize again"
        )
    return np.memmap(path, dtype=kind, mode="r")
