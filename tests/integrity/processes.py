"""Doors in processes of their own, started quickly and watched from their first write."""

import fnmatch
import json
import math
import multiprocessing
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

from tests.crawl.server import serve
from tests.integrity import doors
from tests.integrity.doors import DOORS
from waman import draft
from waman.artifact import open_artifact, verify
from waman.cli.verbs import VERBS

_POLL_SECONDS = 0.001
_PATIENCE_SECONDS = 120.0

Work = dict[str, tuple[int, int]]
"""File of a finished unit or checkpoint -> what changes when it is written again: its inode and time."""


def finished_work(partial: Path) -> Work:
    """What an unfinished directory holds of whole units and checkpoints."""
    units = [path.parent for path in partial.glob(".units/*/*/unit.json") if path.parent.suffix != ".partial"]
    checkpoints = [path for path in partial.glob("checkpoints/*") if path.suffix != ".partial"]
    files = [path for folder in units + checkpoints for path in folder.rglob("*") if path.is_file()]
    return {
        path.relative_to(partial).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns) for path in sorted(files)
    }


def _has_finished_some(partial: Path) -> bool:
    try:
        return bool(finished_work(partial))
    except FileNotFoundError:  # it is being put together
        return True


def run_and_note(folder: Path, name: str, out: Path, workers: bool) -> None:
    """Calls a door; notes beside `out` which units stood finished when it was given its name, and its seconds."""
    enter, give_name = draft.Draft.__enter__, draft._name_finally
    clock = time.monotonic if workers else time.process_time
    begun = math.nan

    def note_begin(entered: draft.Draft) -> draft.Draft:
        nonlocal begun
        enter(entered)
        begun = clock()
        return entered

    def note(partial: Path, out: Path) -> None:
        noted(out).write_text(json.dumps(finished_work(partial)))
        _span(out).write_text(json.dumps(clock() - begun))
        give_name(partial, out)

    draft.Draft.__enter__, draft._name_finally = note_begin, note  # type: ignore[method-assign]
    doors.run(folder, name, out, workers=workers)


def noted(out: Path) -> Path:
    return out.with_name(out.name + ".work.json")


def _span(out: Path) -> Path:
    """Where a door's seconds of `_clock` from its first write to its end are: by its own watch, as ours may be late."""
    return out.with_name(out.name + ".span.json")


@dataclass
class Processes:
    """Runs doors, each in a process of its own that is forked from one where all that they need is imported."""

    folder: Path
    spans: dict[tuple[str, bool], float] = field(default_factory=dict)
    """Seconds of `_clock` from the first write to the end, by door and whether in workers."""

    def __post_init__(self) -> None:
        # One that an earlier test started has not imported what is told here, and every door would load it anew.
        forkserver._forkserver._stop()  # type: ignore[attr-defined]
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(
            ["tests.integrity.doors", "tests.integrity.warm", *(verb.door.partition(":")[0] for verb in VERBS)]
        )

    def start(self, name: str, out: Path, *, workers: bool) -> Any:
        """Starts a door and returns when it has written something."""
        process = self._context.Process(target=run_and_note, args=(self.folder, name, out, workers))
        process.start()
        partial = out.with_name(out.name + ".partial")
        while not (partial.exists() or out.exists()) and process.is_alive():
            time.sleep(_POLL_SECONDS)
        return process

    def whole(self, name: str, *, workers: bool = False) -> Path:
        """The door's artifact, made without a break on first demand, with those that it reads."""
        out = self.folder / (f"{name}-by-workers" if workers else name)
        if not out.exists():
            for place in DOORS[name].inputs.values():
                self.whole(place.partition("/")[0])
            process = self.start(name, out, workers=workers)
            end(process, name, code=0)
            self.spans[name, workers] = json.loads(_span(out).read_text())
        return out

    def kill(self, name: str, out: Path, *, after: float, workers: bool, behind_a_unit: bool = False) -> bool:
        """Kills a door so many seconds of `_clock` after its first write, or `behind_a_unit` after the first finished
        unit or checkpoint; whether that was before its end.

        Where it was not, the door was quicker than when its span was taken (which may have compiled what it loads), and
        the span is what it took now.
        """
        process = self.start(name, out, workers=workers)
        partial = out.with_name(out.name + ".partial")
        while behind_a_unit and process.is_alive() and not _has_finished_some(partial):
            time.sleep(_POLL_SECONDS)
        begun = _clock(process, workers=workers)
        while process.is_alive() and _clock(process, workers=workers) < begun + after:
            time.sleep(_POLL_SECONDS)
        process.kill()
        process.join(_PATIENCE_SECONDS)
        ended = process.exitcode
        assert ended in (0, -signal.SIGKILL), f"{name} failed of itself, with {ended}, before it was killed"
        if out.exists():
            self.spans[name, workers] = json.loads(_span(out).read_text())
        return not out.exists()


def _clock(process: Any, *, workers: bool) -> float:
    """Seconds of the process's own computing, which other load does not stretch; beside workers, those of the wall."""
    if workers:
        return time.monotonic()
    try:
        return time.clock_gettime(~process.pid << 3 | 2)  # as clock_getcpuclockid(3) makes it
    except OSError:  # it has ended
        return math.inf


def end(process: Any, name: str, *, code: int) -> None:
    """Waits for a door's end, which must be with this exit code."""
    process.join(_PATIENCE_SECONDS)
    ended = process.exitcode
    assert ended is not None, f"{name} still runs after {_PATIENCE_SECONDS:.0f} s"
    assert ended == code, f"{name} ended with {ended}, expected {code}"


@contextmanager
def processes_of(folder: Path) -> Iterator[Processes]:
    """Doors that write into the folder, with the web server that `fetch` reads."""
    with serve({**doors.pages()}) as site, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        (folder / doors.ADDRESS).write_text(json.dumps(site.address))
        yield Processes(folder)


def what_was_made(out: Path, name: str) -> dict[str, object]:
    """The hashes of all files but the dated ones, and of the metrics what is not dated."""
    made = open_artifact(out)
    assert made.manifest is not None, f"{name} left no manifest"
    damaged = verify(made)
    assert not damaged, f"files of {name} are not as its manifest states: {damaged}"
    found: dict[str, object] = {
        path: stated["sha256"]
        for path, stated in made.manifest.files.items()
        if not fnmatch.fnmatchcase(path, DOORS[name].dated)
    }
    metrics = out / "metrics.jsonl"
    if metrics.is_file():
        lines = [json.loads(line) for line in metrics.read_text().splitlines()]
        steps = [line["step"] for line in lines]
        assert steps == list(range(1, len(lines) + 1)), f"the metrics of {name} leave out or repeat steps: {steps}"
        found["metrics.jsonl"] = [{key: line[key] for key in line if key != "tokens_per_second"} for line in lines]
    return found
