"""Lines of plain, gzip and zstd files, by byte of text and number, with what is damaged told."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from waman.crawl.streams import BrokenStreamError, Offset, open_stream


@dataclass(frozen=True)
class Line:
    """One line."""

    number: int
    """From 1."""
    content: bytes | None
    """Without its end; None where it is longer than was asked for."""
    size: int
    """Bytes, with its end."""


@dataclass(frozen=True)
class BrokenLine:
    """The line at which a compressed file breaks off."""

    number: int
    reason: str
    """truncated or corrupt."""


def read_lines(
    path: Path, *, start: int = 0, stop: int | None = None, first: int = 0, max_bytes: int
) -> Iterator[Line | BrokenLine]:
    """The lines that begin in the bytes of text from `start` up to `stop`; `first` lines stand before `start`.

    Behind a break nothing is read: text has no marks to begin again at.
    """
    position, number = start, first
    with open_stream(path) as stream:
        try:
            stream.skip(start) if start else None
            while stop is None or position < stop:
                pieces, size = [], 0
                while piece := stream.readline(1 << 20):
                    size += len(piece)
                    if size <= max_bytes:
                        pieces.append(piece)
                    if piece.endswith(b"\n"):
                        break
                if not size:
                    return
                number, position = number + 1, position + size
                yield Line(number, b"".join(pieces).rstrip(b"\r\n") if size <= max_bytes else None, size)
        except BrokenStreamError as error:
            yield BrokenLine(number + 1, error.reason)


def cut(path: Path, size: int) -> list[tuple[int, int]]:
    """Bytes of text, from 0 on, that part a file into stretches of about `size` at line ends, and the lines before."""
    cuts, position = [(0, 0)], 0
    for line in read_lines(path, max_bytes=0):
        if isinstance(line, BrokenLine):
            break
        if position - cuts[-1][0] >= size:
            cuts.append((position, line.number - 1))
        position += line.size
    return cuts


def read_all(path: Path, max_bytes: int) -> bytes:
    """The whole of a file, decompressed, at most `max_bytes`. Raises BrokenStreamError."""
    with open_stream(path) as stream:
        stream.seek(Offset(0))
        return stream.read(max_bytes)
