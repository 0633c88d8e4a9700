"""Every door is killed at instants drawn between its first write and its end, and run again."""

import fnmatch
import json
import multiprocessing
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests import doors
from tests.crawl.server import serve
from tests.doors import DOORS
from waman import artifact
from waman.artifact import open_artifact
from waman.cli.verbs import VERBS

_POLL_SECONDS = 0.001
_PATIENCE_SECONDS = 120.0
_BY_WORKERS = (3, 8)
"""Which of the ten kills fall on a door with worker processes: each costs the start of two interpreters, twice."""

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


def run_and_note(folder: Path, name: str, out: Path, workers: bool) -> None:
    """Calls a door; notes beside `out` which units stood finished when it was given its name."""
    give_name = artifact._name_finally

    def note(partial: Path, out: Path) -> None:
        noted(out).write_text(json.dumps(finished_work(partial)))
        give_name(partial, out)

    artifact._name_finally = note
    doors.run(folder, name, out, workers=workers)


def noted(out: Path) -> Path:
    return out.with_name(out.name + ".work.json")


@dataclass
class Processes:
    """Runs doors, each in a process of its own that is forked from one where all that they need is imported."""

    folder: Path
    spans: dict[tuple[str, bool], float] = field(default_factory=dict)
    """Seconds from the first write to the end, by door and whether in workers."""

    def __post_init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(
            ["tests.doors", "tests.warm", *(verb.door.partition(":")[0] for verb in VERBS)]
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
            begun = time.monotonic()
            while not out.exists() and process.is_alive():
                time.sleep(_POLL_SECONDS)
            self.spans[name, workers] = time.monotonic() - begun
            end(process, code=0)
        return out

    def kill(self, name: str, out: Path, *, after: float, workers: bool) -> bool:
        """Kills a door so many seconds after its first write; whether that was before its end."""
        process = self.start(name, out, workers=workers)
        time.sleep(after)
        process.kill()
        process.join(_PATIENCE_SECONDS)
        assert process.exitcode in (0, -9), "the door failed of itself"
        return not out.exists()


def end(process: Any, *, code: int) -> None:
    process.join(_PATIENCE_SECONDS)
    assert process.exitcode == code


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    folder = tmp_path_factory.mktemp("doors")
    with serve({**doors.pages()}) as site, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        (folder / doors.ADDRESS).write_text(json.dumps(site.address))
        yield Processes(folder)


@pytest.mark.parametrize("name", DOORS)
def test_every_door_has_four_units_or_more_to_be_stopped_between(processes: Processes, name: str) -> None:
    processes.whole(name)
    folders = {Path(path).parent for path in json.loads(noted(processes.folder / name).read_text())}
    assert sum(folder.parts[0] in (".units", "checkpoints") for folder in folders) >= 4


@pytest.mark.parametrize("name", DOORS)
def test_a_door_killed_anywhere_goes_on_to_the_same_bytes(processes: Processes, name: str) -> None:
    stop_and_go_on(processes, name, draw=random.Random(name), number=0, workers=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", DOORS)
def test_a_door_killed_ten_times_goes_on_to_the_same_bytes(processes: Processes, name: str) -> None:
    draw = random.Random(f"{name} ten times")
    finished = [
        stop_and_go_on(processes, name, draw=draw, number=number, workers=number in _BY_WORKERS)
        for number in range(1, 11)
    ]
    assert any(finished), "no kill fell behind the first finished unit: the work is too short to show anything"


def stop_and_go_on(processes: Processes, name: str, *, draw: random.Random, number: int, workers: bool) -> int:
    """Kills a fresh run once before its end and runs it again; gives how many files of finished work stood there."""
    whole = processes.whole(name, workers=workers)
    out = kill_before_the_end(processes, name, draw=draw, number=number, workers=workers)
    before = finished_work(out.with_name(out.name + ".partial"))
    end(processes.start(name, out, workers=workers), code=0)
    after = {path: (inode, written) for path, (inode, written) in json.loads(noted(out).read_text()).items()}
    assert before.items() <= after.items()
    assert what_was_made(out, name) == what_was_made(whole, name)
    assert not out.with_name(out.name + ".partial").exists()
    return len(before)


def kill_before_the_end(processes: Processes, name: str, *, draw: random.Random, number: int, workers: bool) -> Path:
    """Kills fresh runs until one was not at its end yet; a kill after the end shows nothing and does not count."""
    span = processes.spans[name, workers]
    for attempt in range(10):
        out = processes.folder / f"{name}-{number}-{attempt}"
        if processes.kill(name, out, after=draw.uniform(0, span), workers=workers):
            assert not out.exists()
            assert out.with_name(out.name + ".partial").is_dir()
            return out
    pytest.fail(f"ten kills in {span:.2f} s all fell behind the end")


def what_was_made(out: Path, name: str) -> dict[str, object]:
    """The hashes of all files but the dated ones, and of the metrics what is not dated."""
    made = open_artifact(out)
    assert made.manifest is not None
    assert artifact.verify(made) == []
    found: dict[str, object] = {
        path: stated["sha256"]
        for path, stated in made.manifest.files.items()
        if not fnmatch.fnmatchcase(path, DOORS[name].dated)
    }
    metrics = out / "metrics.jsonl"
    if metrics.is_file():
        lines = [json.loads(line) for line in metrics.read_text().splitlines()]
        assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
        found["metrics.jsonl"] = [{key: line[key] for key in line if key != "tokens_per_second"} for line in lines]
    return found
