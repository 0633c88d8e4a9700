"""Random archives, sound and damaged, through `extract`: never a failure of ours, and every record accounted for."""

import gzip
import io
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from tests.crawl.test_extract import LENIENT, html, jsonl, page
from tests.sweep import Sweep
from waman.artifact import Artifact, open_input
from waman.crawl import warc
from waman.crawl.extract import extract
from waman.dataflow import Inline
from waman.document import read_documents, read_drops
from waman.errors import InputError

_WORDS = ("the", "of", "a", "that", "language", "model", "문장", "語", "é", "😀", "<b>", "\\", '"', "\t", "0x1f")

Make = Callable[[random.Random], tuple[bytes, int | None]]
"""Draws a file's bytes, and how many documents are in it; None: that depends on what they say."""


def _text(draw: random.Random) -> str:
    return " ".join(draw.choices(_WORDS, k=draw.randint(1, 80))) + " end."


def _rows(draw: random.Random) -> tuple[bytes, int | None]:
    sound = draw.randint(1, 30)
    rows: list[object] = [{"text": _text(draw), "url": f"http://a.test/{number}"} for number in range(sound)]
    for _ in range(draw.choice((0, 0, 3))):
        rows.insert(draw.randint(0, len(rows)), draw.choice(([1], {"no": "text"}, 3, None, {"text": 4}, {"text": " "})))
    return jsonl(*rows), sound


def _packed_gzip(draw: random.Random) -> tuple[bytes, int | None]:
    data, count = _rows(draw)
    lines = data.splitlines(keepends=True)
    cut = draw.randint(0, len(lines))
    return gzip.compress(b"".join(lines[:cut])) + gzip.compress(b"".join(lines[cut:])), count


def _packed_zstd(draw: random.Random) -> tuple[bytes, int | None]:
    data, count = _rows(draw)
    return zstandard.compress(data), count


def _parquet(draw: random.Random) -> tuple[bytes, int | None]:
    rows = [{"text": _text(draw), "number": number} for number in range(draw.randint(1, 200))]
    stream = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist(rows),
        stream,
        row_group_size=draw.choice((7, 50, 1000)),
        compression=draw.choice(("none", "snappy", "zstd")),
    )
    return stream.getvalue(), len(rows)


def _plain_text(draw: random.Random) -> tuple[bytes, int | None]:
    return "\n".join(_text(draw) for _ in range(draw.randint(1, 20))).encode(), 1


def _members(draw: random.Random) -> list[bytes]:
    pages = [page(f"http://a.test/{number}", html(_text(draw) * 3)) for number in range(draw.randint(1, 15))]
    return [warc.info_record(name="x", software="y", date="2024-01-01T00:00:00Z", about={}), *pages]


def _warc_gzip(draw: random.Random) -> tuple[bytes, int | None]:
    return b"".join(_members(draw)), None


def _warc_plain(draw: random.Random) -> tuple[bytes, int | None]:
    return b"".join(map(gzip.decompress, _members(draw))), None


_FORMATS: dict[str, Make] = {
    "a.jsonl": _rows,
    "a.jsonl.gz": _packed_gzip,
    "a.jsonl.zst": _packed_zstd,
    "a.parquet": _parquet,
    "a.txt": _plain_text,
    "a.warc.gz": _warc_gzip,
    "a.warc": _warc_plain,
}


def _damage(draw: random.Random, data: bytes) -> bytes:
    """Bytes cut off, cut out, zeroed, changed, put in or doubled."""
    found = bytearray(data)
    for _ in range(draw.randint(1, 3)):
        start = draw.randint(0, len(found))
        stop = min(len(found), start + draw.choice((1, 2, 30, 1000)))
        match draw.randrange(7):
            case 0:
                del found[start:]
            case 1:
                del found[start:stop]
            case 2:
                found[start:stop] = bytes(stop - start)
            case 3:
                found[start:stop] = draw.randbytes(stop - start)
            case 4:
                found[start:start] = draw.randbytes(draw.randint(1, 100))
            case 5:
                found[start:start] = found[start:stop]
            case _ if start < len(found):
                found[start] ^= 1 << draw.randrange(8)
    return bytes(found)


@pytest.mark.soak
@pytest.mark.parametrize("name", _FORMATS)
def test_random_archives_are_read_and_every_record_is_accounted_for(name: str, tmp_path: Path, sweep: Sweep) -> None:
    for number, draw in enumerate(sweep(150)):
        data, num_documents = _FORMATS[name](draw)
        damaged = draw.random() < 0.8
        path = tmp_path / str(number) / name
        path.parent.mkdir()
        path.write_bytes(_damage(draw, data) if damaged else data)
        whole = _extract(path, unit_bytes=10**7)
        parted = _extract(path, unit_bytes=draw.choice((1, 300, 3000)))
        assert (whole is None) == (parted is None)
        if whole is None or parted is None:
            assert damaged, "a sound archive is read"
            continue
        assert _account_for(whole, name) == _account_for(parted, name), "how it is cut into units changes nothing"
        if not damaged and num_documents is not None:
            assert whole.counts["documents"] == num_documents


def _extract(path: Path, *, unit_bytes: int) -> Artifact | None:
    """What was read; None where the user is told that the file cannot be. Any other error is one of ours."""
    recipe = replace(LENIENT, unit_bytes=unit_bytes)
    out = path.with_name(f"out-{unit_bytes}")
    try:
        return extract(recipe, archives=[open_input(path)], out=out, executor=Inline())
    except InputError:
        return None


def _account_for(made: Artifact, name: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The documents and drops, which together are all records but for those of WARC that hold no page."""
    documents = [(document.origin, document.text) for document in read_documents(made)]
    drops = [(drop.origin, drop.reason) for drop in read_drops(made)]
    assert made.counts["documents"] == len(documents)
    assert sum(made.counts["dropped"].values()) == len(drops)
    if "warc" in name:
        assert made.counts["records"] >= len(documents) + len(drops)
    else:
        assert made.counts["records"] == len(documents) + len(drops)
    assert json.dumps(documents, ensure_ascii=False).encode(), "every text can be written"
    return documents, drops
