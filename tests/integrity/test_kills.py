"""Every door is killed at instants drawn between its first write and its end, and run again."""

import json
import random
from pathlib import Path

import pytest

from tests.integrity.doors import DOORS
from tests.integrity.processes import Processes, Work, end, finished_work, noted, what_was_made

_BY_WORKERS = (3, 8)
"""Which of the ten kills fall on a door with worker processes: each costs the start of two interpreters, twice."""


@pytest.mark.parametrize("name", [name for name, door in DOORS.items() if door.in_units])
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
    assert any(finished) == DOORS[name].in_units, (
        "no kill fell behind the first finished unit: the work is too short to show anything"
    )


def stop_and_go_on(processes: Processes, name: str, *, draw: random.Random, number: int, workers: bool) -> int:
    """Kills a fresh run once before its end and runs it again; gives how many files of finished work stood there."""
    whole = processes.whole(name, workers=workers)
    out = kill_before_the_end(processes, name, draw=draw, number=number, workers=workers)
    before = finished_work(out.with_name(out.name + ".partial"))
    finish_and_compare(processes, name, out, before, whole=whole, workers=workers)
    return len(before)


def finish_and_compare(processes: Processes, name: str, out: Path, before: Work, *, whole: Path, workers: bool) -> None:
    """Runs a killed door to its end: nothing of the work `before` is done again, and the bytes are those of `whole`."""
    end(processes.start(name, out, workers=workers), name, code=0)
    after = {path: (inode, written) for path, (inode, written) in json.loads(noted(out).read_text()).items()}
    redone = [path for path in before if after.get(path) != before[path]]
    assert not redone, "finished work was done again"
    assert what_was_made(out, name) == what_was_made(whole, name)
    assert not out.with_name(out.name + ".partial").exists()


def kill_before_the_end(processes: Processes, name: str, *, draw: random.Random, number: int, workers: bool) -> Path:
    """Kills fresh runs until one was not at its end yet; a kill after the end shows nothing and does not count.

    Every other one falls behind the first finished unit, wherever in the whole span that lies on this machine.
    """
    for attempt in range(10):
        span = processes.spans[name, workers]
        out = processes.folder / f"{name}-{number}-{attempt}"
        behind = DOORS[name].in_units and number % 2 == 1
        after = draw.uniform(0, span / 5 if behind else span)
        if processes.kill(name, out, after=after, workers=workers, behind_a_unit=behind):
            partial = out.with_name(out.name + ".partial")
            assert partial.is_dir(), f"{name} was killed in the middle and left nothing"
            return out
    pytest.fail(f"ten kills of {name}, drawn from the {span:.2f} s that it took, all fell behind its end")
