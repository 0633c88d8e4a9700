"""One logger, progress that shows rate and time left, and the metrics file of a run."""

import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

LOGGER_NAME = "waman"
PLAIN_INTERVAL_SECONDS = 10.0


def get_logger() -> logging.Logger:
    """The one logger of the package."""
    return logging.getLogger(LOGGER_NAME)


class Progress(Protocol):
    """What a door tells of its progress."""

    def advance(self, steps: float = 1, note: str = "") -> None:
        """Counts `steps` more as done."""


class _PlainProgress:
    """One line every ten seconds, for pipes and logs."""

    def __init__(self, total: float, what: str) -> None:
        self._total, self._what, self._done = total, what, 0.0
        self._start = self._last = time.monotonic()

    def advance(self, steps: float = 1, note: str = "") -> None:
        self._done += steps
        now = time.monotonic()
        if now - self._last < PLAIN_INTERVAL_SECONDS:
            return
        self._last = now
        rate = self._done / (now - self._start)
        left = (self._total - self._done) / rate if rate else float("inf")
        get_logger().info(
            "%s: %.0f of %.0f, %.1f per second, %.0f s left %s", self._what, self._done, self._total, rate, left, note
        )


class _RichProgress:
    def __init__(self, bar: Any, task: Any) -> None:
        self._bar, self._task = bar, task

    def advance(self, steps: float = 1, note: str = "") -> None:
        self._bar.update(self._task, advance=steps, note=note)


@contextmanager
def progress(total: float, what: str) -> Iterator[Progress]:
    """Shows how far `what` has come: a bar with rate and time left on a terminal, plain lines on a pipe."""
    if not sys.stderr.isatty() or not get_logger().isEnabledFor(logging.INFO):
        yield _PlainProgress(total, what)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _RichProgress(bar, bar.add_task(what, total=total, note=""))


class MetricsFile:
    """`metrics.jsonl`: one JSON object per line, flushed as written; cut back to a step when a run resumes from it."""

    def __init__(self, path: Path, *, keep_until: int | None = None) -> None:
        """Opens the file to append; keeps only the whole lines whose `step` is at most `keep_until` (None: all)."""
        kept = [] if not path.exists() else _whole_lines(path)
        if keep_until is not None:
            kept = [line for line in kept if line["step"] <= keep_until]
        partial = path.with_name(path.name + ".partial")
        partial.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        os.replace(partial, path)
        self._file = path.open("ab", buffering=0)
        self._size = path.stat().st_size
        self._waiting = b""

    def write(self, values: Mapping[str, float | int | str]) -> None:
        """Appends one line. Raises OSError on a full disk: the line then waits, and is written before the next."""
        self._waiting += (json.dumps(values) + "\n").encode()
        self._write_waiting()

    def sync(self) -> None:
        """Brings every line to the disk, those that wait as well. Raises OSError if it is full."""
        self._write_waiting()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file. Raises OSError if lines wait and the disk is still full."""
        try:
            self._write_waiting()
        finally:
            self._file.close()

    def _write_waiting(self) -> None:
        done = 0
        try:
            while done < len(self._waiting):
                done += self._file.write(self._waiting[done:]) or 0
        except OSError:
            self._file.truncate(self._size)
            raise
        self._size += done
        self._waiting = b""

    def __enter__(self) -> "MetricsFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """The lines that were written to their end; a kill can leave a last one that was not."""
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return lines
