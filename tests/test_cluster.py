"""Units on a real Ray cluster: a head, and two nodes of one CPU each; one of them is killed in the middle."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.corpus.making import undated_files
from tests.integrity.doors import pages
from waman import cluster
from waman.artifact import open_artifact, verify
from waman.crawl import warc
from waman.errors import ExtraError, InputError

_PATIENCE_SECONDS = 100.0
_NUM_PAGES = 240
_EXTRACT = ("--set", "unit_bytes=40000", "--set", "group.kind=by_path_segment")
_REFINE = ("--set", "filters.web=[]")


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {_PATIENCE_SECONDS:.0f} s: {what}"
        time.sleep(0.01)
    return found


# A cluster


class RayCluster:
    """A head without CPUs and nodes that come and go."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self._nodes: list[Any] = []

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def raise_to(self, count: int) -> None:
        """Adds nodes until there are so many."""
        while len(self._nodes) < count:
            self._nodes.append(self._cluster.add_node(num_cpus=1))

    def workers(self) -> list[int]:
        """The worker processes of waman on each node, of as many nodes as have one."""
        return [found[0] for node in self._nodes if (found := list(filter(_serves, _family(_raylet(node)))))]

    def kill_node(self) -> None:
        """Kills every process of the last node at once, as a machine that is switched off."""
        node = self._nodes.pop()
        for process in _family(_raylet(node)):
            _kill(process)
        self._cluster.remove_node(node, allow_graceful=False)

    def shutdown(self) -> None:
        while self._nodes:
            self.kill_node()
        self._cluster.shutdown()


def _raylet(node: Any) -> int:
    (raylet,) = node.all_processes["raylet"]
    return int(raylet.process.pid)


def _family(process: int) -> list[int]:
    """A process and its descendants."""
    found = [process]
    for one in found:
        try:
            for children in Path(f"/proc/{one}/task").glob("*/children"):
                found += map(int, children.read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _serves(process: int) -> bool:
    try:
        return b"from waman.workers import serve" in Path(f"/proc/{process}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[RayCluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        started = RayCluster()
        try:
            yield started
        finally:
            started.shutdown()


# Doors on it


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WARC file of pages of made-up words."""
    found = [body for name, body in pages().items() if name != "/"]
    path = tmp_path_factory.mktemp("archive") / "pages.warc.gz"
    records = (
        warc.response_record(
            url=f"http://site.test/group{number % 10}/{number}.html",
            status=200,
            reason="OK",
            headers=[("Content-Type", "text/html")],
            body=_body(found[number % len(found)], number),
            date="2024-01-01T00:00:00Z",
        )
        for number in range(_NUM_PAGES)
    )
    path.write_bytes(b"".join(records))
    return path


def _body(page: str | bytes, number: int) -> bytes:
    assert isinstance(page, str)
    return page.replace("<article>", f"<article><p>This is the page of number {number} of all of them.</p>").encode()


def start(*arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "waman", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def finish(process: "subprocess.Popen[str]") -> None:
    _, said = process.communicate(timeout=_PATIENCE_SECONDS)
    assert process.returncode == 0, said


def bytes_of(out: Path) -> tuple[object, ...]:
    made = open_artifact(out)
    assert verify(made) == []
    return made.identity, undated_files(made), made.counts


@pytest.fixture(scope="module")
def expected(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the workers of this machine make."""
    folder = tmp_path_factory.mktemp("expected")
    finish(start("extract", archive, *_EXTRACT, "--workers", 2, "--out", folder / "extract"))
    finish(start("refine", folder / "extract", *_REFINE, "--workers", 2, "--out", folder / "refine"))
    return folder


def finished_units(out: Path, stage: str) -> dict[str, int]:
    """The finished units of a run, and what changes when one is done again."""
    found = out.with_name(out.name + ".partial").glob(f".units/{stage}/*/unit.json")
    inodes = {}
    for path in found:
        with contextlib.suppress(FileNotFoundError):  # the run has just ended, and is called by its own name now
            inodes[path.parent.name] = path.stat().st_ino
    return inodes


def lose_a_node(ray_cluster: RayCluster, process: "subprocess.Popen[str]", out: Path, stage: str) -> None:
    """Kills a node when units run on both nodes and some of them are finished already."""
    wait_for(lambda: process.poll() is not None or finished_units(out, stage), f"a finished unit of {stage}")
    wait_for(lambda: process.poll() is not None or len(ray_cluster.workers()) == 2, "a worker on each node")
    ray_cluster.kill_node()
    assert process.poll() is None, f"{stage} ended before a node was killed: {process.communicate()[1]}"


@pytest.mark.slow
def test_a_lost_node_costs_time_and_not_a_byte(
    ray_cluster: RayCluster, archive: Path, expected: Path, tmp_path: Path
) -> None:
    ray_cluster.raise_to(2)
    out = tmp_path / "extract"
    run = start("extract", archive, *_EXTRACT, "--cluster", ray_cluster.address, "--out", out)
    lose_a_node(ray_cluster, run, out, "extract")
    finish(run)
    assert bytes_of(out) == bytes_of(expected / "extract")
    assert len(list((out / "data").glob("*.parquet"))) >= 8

    ray_cluster.raise_to(2)
    out = tmp_path / "refine"
    run = start("refine", tmp_path / "extract", *_REFINE, "--cluster", ray_cluster.address, "--out", out)
    lose_a_node(ray_cluster, run, out, "filter")
    finish(run)
    assert bytes_of(out) == bytes_of(expected / "refine")


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_on_the_cluster(
    ray_cluster: RayCluster, archive: Path, expected: Path, tmp_path: Path
) -> None:
    ray_cluster.raise_to(2)
    out = tmp_path / "extract"
    arguments = ("extract", archive, *_EXTRACT, "--cluster", ray_cluster.address, "--out", out)
    killed = start(*arguments)
    wait_for(lambda: killed.poll() is not None or len(finished_units(out, "extract")) > 2, "finished units")
    killed.kill()
    killed.communicate()
    before = finished_units(out, "extract")
    assert before, "it ended before it was killed"
    run = start(*arguments)
    after: dict[str, int] = {}
    while run.poll() is None:
        after |= finished_units(out, "extract")
        time.sleep(0.002)
    finish(run)
    assert {name: after[name] for name in before} == before, "finished units were done again"
    assert bytes_of(out) == bytes_of(expected / "extract")


_DEADLY = """
import sys
from pathlib import Path
from tests.deadly import read
from waman.dataflow import Cluster, Job, Limits
jobs = [(Job(f"u{n}", words, Limits(record_seconds=None)), Path(sys.argv[2]) / f"u{n}.partial")
        for n, words in enumerate([["a", "kill", "b"], ["c"], ["raise"]])]
for _, folder in jobs:
    folder.mkdir()
for outcome in sorted(Cluster(sys.argv[1]).run(read, jobs), key=lambda outcome: outcome.index):
    print(outcome.counts or str(outcome.error).splitlines()[0])
"""


@pytest.mark.slow
def test_records_that_end_workers_are_dropped_on_a_cluster_too(ray_cluster: RayCluster, tmp_path: Path) -> None:
    ray_cluster.raise_to(1)
    ran = subprocess.run(
        [sys.executable, "-c", _DEADLY, ray_cluster.address, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "{'read': ['a', 'b'], 'dropped': [['file:1', 'killed_worker']], 'left': []}",
        "{'read': ['c'], 'dropped': [], 'left': []}",
        "unit u2 failed at file:0:",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["u0.partial", "u1.partial", "u2.partial"]


_FRAMES = """
import sys
from waman.cluster import connect
from waman.dataflow import frames
connect(sys.argv[1])
daft = frames()
found = daft.from_pydict({"key": [2, 1, 2], "value": [1, 2, 3]}).groupby("key").agg(daft.col("value").sum())
print(found.sort("key").to_pydict(), daft.runners.get_or_create_runner().name)
"""


@pytest.mark.slow
def test_what_crosses_units_is_computed_where_they_ran(ray_cluster: RayCluster) -> None:
    ray_cluster.raise_to(1)
    ran = subprocess.run([sys.executable, "-c", _FRAMES, ray_cluster.address], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "{'key': [1, 2], 'value': [2, 4]} ray\n"


# What is told where there is none


def test_an_address_that_is_none_is_refused() -> None:
    for address in ("head", "ray://head:10001", ":6379"):
        with pytest.raises(InputError, match=f"--cluster {address}: expected HOST:PORT of the cluster's head"):
            cluster.connect(address)


def test_the_extra_is_named_where_ray_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ExtraError, match=r"--cluster needs the package ray: pip install 'waman\[cluster\]'"):
        cluster.connect("localhost:1")


_CONNECT = """
import sys
from waman import cluster
from waman.errors import InputError
cluster.CONNECT_SECONDS = 2.0
try:
    cluster.connect(sys.argv[1])
except InputError as error:
    print(str(error).splitlines()[0])
"""


@pytest.mark.parametrize(
    ("listens", "why"), [(False, "[Errno 111] Connection refused"), (True, "no answer within 2 s")]
)
def test_a_cluster_that_does_not_answer_is_told_in_time(listens: bool, why: str) -> None:
    """In a process of its own: Ray goes on trying on threads that cannot be ended."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        if listens:
            place.listen()
        address = f"127.0.0.1:{place.getsockname()[1]}"
        ran = subprocess.run([sys.executable, "-c", _CONNECT, address], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout.splitlines() == [f"no Ray cluster answers at {address}: {why}"], ran.stderr


def test_a_node_that_does_not_see_the_paths_or_has_another_version_is_told(tmp_path: Path) -> None:
    from waman import __version__
    from waman.limits import UNLIMITED
    from waman.workers import Call, Outcome

    call = Call(0, b"", tmp_path / "absent" / "u0.partial", UNLIMITED)
    for place, version, told in (
        (tmp_path, __version__, f"does not see {tmp_path / 'absent'}: with --cluster, --out, the inputs"),
        (tmp_path / "elsewhere", __version__, f"does not see {tmp_path / 'elsewhere'}"),
        (tmp_path, "0.0.1", f"has waman {__version__}, this machine 0.0.1: install the same version on every node"),
    ):
        found = cluster.run_on_node(call, str(place), 1, version).found
        assert isinstance(found, Outcome)
        assert isinstance(found.error, InputError)
        assert told in str(found.error)
