"""Rows of JSONL and Parquet files become documents."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from waman.crawl.groups import group_of
from waman.crawl.lines import BrokenLine, Line, read_lines
from waman.crawl.pieces import Item, Piece, open_parquet
from waman.crawl.recipe import ByField, Group, Rows
from waman.document import EXCERPT_CHARACTERS, Document, Drop, document_id
from waman.errors import InputError

_ROWS_AT_ONCE = 256


def read_jsonl(piece: Piece, rows: Rows, *, name: str, group: Group | None, max_bytes: int) -> Iterator[Item]:
    """The documents of a JSONL file, and the lines that were dropped; empty lines are passed over."""
    for line in read_lines(piece.path, start=piece.start, stop=piece.stop, first=piece.first, max_bytes=max_bytes):
        origin = f"{piece.name}:{line.number}"
        if isinstance(line, BrokenLine):
            yield _drop(name, origin, line.reason, value=line.number)
        elif line.content is None:
            yield _drop(name, origin, "too_large", value=line.size)
        elif line.content.strip():
            yield _read_line(line, line.content, rows, name=name, group=group, origin=origin, file=piece.name)


def read_parquet(piece: Piece, rows: Rows, *, name: str, group: Group | None, max_bytes: int) -> Iterator[Item]:
    """The documents of a Parquet file, and the rows that were dropped. Raises InputError without the text's column."""
    wanted = [rows.text, rows.url, rows.title, rows.licence, rows.date, _group_field(group)]
    number = piece.first
    with open_parquet(piece.path) as file:
        present = file.schema_arrow.names
        if rows.text not in present:
            raise InputError(
                f"{piece.path}: no column '{rows.text}', found {', '.join(present)}: name the one with the text, "
                "--set source.kind=rows --set source.text=COLUMN"
            )
        columns = list(dict.fromkeys(column for column in wanted if column in present))
        for row_group in range(piece.start, piece.stop if piece.stop is not None else file.metadata.num_row_groups):
            for row in _rows_of_group(file, row_group, columns):
                number += 1
                origin = f"{piece.name}:{number}"
                if isinstance(row, str):
                    yield _drop(name, origin, row, value=number)
                    continue
                text = row.get(rows.text)
                if isinstance(text, str) and len(text) > max_bytes:
                    yield _drop(name, origin, "too_large", value=len(text))
                else:
                    yield _to_document(row, rows, name=name, group=group, origin=origin, file=piece.name, number=number)


def _rows_of_group(file: pq.ParquetFile, row_group: int, columns: list[str]) -> Iterator[Mapping[str, Any] | str]:
    """Each row of a row group, or why it cannot be read: behind a damaged page none of its group can."""
    left = int(file.metadata.row_group(row_group).num_rows)
    batches = file.iter_batches(batch_size=_ROWS_AT_ONCE, row_groups=[row_group], columns=columns)
    while left > 0:
        try:
            batch = next(batches, None)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the file's
                raise
            batch = None
        if batch is None:
            yield from ["corrupt"] * left
            return
        left -= batch.num_rows
        try:
            yield from batch.to_pylist()
        except UnicodeDecodeError:
            yield from map(_read_row, (batch.slice(place, 1) for place in range(batch.num_rows)))


def _read_row(row: pa.RecordBatch) -> Mapping[str, Any] | str:
    try:
        found: Mapping[str, Any] = row.to_pylist()[0]
    except UnicodeDecodeError:
        return "invalid_utf8"
    return found


def _read_line(
    line: Line, content: bytes, rows: Rows, *, name: str, group: Group | None, origin: str, file: str
) -> Item:
    try:
        text = content.decode("utf-8-sig" if line.number == 1 else "utf-8")
        row = json.loads(text)
    except UnicodeDecodeError:
        return _drop(name, origin, "invalid_utf8", value=line.number, text=content.decode("utf-8", errors="replace"))
    except (json.JSONDecodeError, RecursionError):
        return _drop(name, origin, "not_json", value=line.number, text=text)
    if not isinstance(row, dict):
        return _drop(name, origin, "not_an_object", value=line.number, text=text)
    return _to_document(row, rows, name=name, group=group, origin=origin, file=file, number=line.number)


def _to_document(
    row: Mapping[str, Any], rows: Rows, *, name: str, group: Group | None, origin: str, file: str, number: int
) -> Item:
    text = row.get(rows.text)
    if not isinstance(text, str):
        return _drop(name, origin, "no_text_field", value=number, text=", ".join(map(str, row)))
    if not text.strip():
        return _drop(name, origin, "empty")
    text = text.replace("\r\n", "\n")
    try:
        text.encode()
    except UnicodeEncodeError:
        return _drop(name, origin, "lone_surrogate", value=number)
    url = _value(row, rows.url)
    field = _value(row, _group_field(group))
    return Document(
        id=document_id(name, origin),
        text=text,
        source=name,
        group=group_of(group, url, file=file, record=origin, field=field),
        url=url,
        title=_value(row, rows.title),
        licence=_value(row, rows.licence),
        date=_value(row, rows.date),
        origin=origin,
    )


def _group_field(group: Group | None) -> str:
    return group.field if isinstance(group, ByField) else ByField().field


def _value(row: Mapping[str, Any], field: str) -> str | None:
    """A field as text; None where there is none or it is empty."""
    value = row.get(field)
    if value is None or isinstance(value, dict | list):
        return None
    return str(value).encode("utf-8", errors="replace").decode() or None


def _drop(name: str, origin: str, reason: str, *, value: float | None = None, text: str = "") -> Drop:
    shown = text[:EXCERPT_CHARACTERS].encode("utf-8", errors="replace").decode()
    value = float(value) if value is not None else None
    return Drop(document_id(name, origin), name, origin, "extract", reason, value, text=shown)
