"""What every test may ask for, and the rule that a skip has to be expected."""

import fnmatch
import random
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sweep import Sweep

if TYPE_CHECKING:
    from waman.quantization.kernels import Native

ROOT = Path(__file__).parent.parent
EXPECTED_SKIPS = Path(__file__).with_name("expected_skips.txt")
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"

Skip = tuple[str, str]
"""A test's id and the reason it was skipped for."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shared-data",
        type=Path,
        default=ROOT.parent / "shared" / "data",
        help="the folder of shared data (default: ../shared/data beside the checkout); write it with '=', "
        "else pytest takes the folder for one of tests",
    )
    parser.addoption("--soak", type=float, default=1.0, help="times the usual number of rounds in each random sweep")
    parser.addoption("--soak-seed", type=int, help="the one round to run of each random sweep; a failure names its own")


@pytest.fixture
def shared_data(request: pytest.FixtureRequest) -> Path:
    """The folder of shared data; a test that takes it carries the mark `shared` and is skipped where there is none."""
    return _shared_data(request.config)


@pytest.fixture
def peers_python() -> Path:
    """The interpreter of the peers' environment; a test that takes it carries the mark `peers`."""
    return PEERS_PYTHON


@pytest.fixture(scope="session")
def kernels_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled kernels, for this machine."""
    from waman.errors import InputError
    from waman.quantization.build_kernels import build_kernels, processor_level

    if processor_level() is None:
        pytest.skip("the kernels are for x86-64 processors with AVX2")
    try:
        return build_kernels(folder=tmp_path_factory.mktemp("kernels"))
    except InputError as error:
        if "no C++ compiler" not in str(error):
            raise
        pytest.skip("no C++ compiler")


@pytest.fixture(scope="session")
def library(kernels_path: Path) -> "Native":
    """The compiled kernels, opened."""
    from waman.quantization.kernels import Native

    return Native(kernels_path)


@pytest.fixture
def sweep(request: pytest.FixtureRequest) -> Sweep:
    """The rounds of a random sweep; no two runs draw the same, unless a seed is given."""
    given = request.config.getoption("--soak-seed")
    first = random.SystemRandom().randrange(1 << 32) if given is None else given
    return Sweep(request.config.getoption("--soak"), first, only=given is not None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tells with which seed a sweep failed."""
    report = yield
    found = getattr(item, "funcargs", {}).get("sweep")
    if report.failed and found is not None and found.seed is not None:
        report.sections.append(("random sweep", f"failed at seed {found.seed}; --soak-seed={found.seed} runs it again"))
    return report


# Marks


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks the tests by the fixtures they take, and skips those whose needs are not met here."""
    cuda: bool | None = None
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        for name, mark in (("shared_data", pytest.mark.shared), ("peers_python", pytest.mark.peers)):
            if name in fixtures:
                item.add_marker(mark)
        if item.get_closest_marker("shared") and not _shared_data(config).is_dir():
            item.add_marker(pytest.mark.skip(reason=f"no folder {_shared_data(config)}; --shared-data names another"))
        if item.get_closest_marker("peers") and not PEERS_PYTHON.exists():
            item.add_marker(pytest.mark.skip(reason="no .venv-peers; make peers makes it"))
        if item.get_closest_marker("gpu"):
            cuda = _has_cuda() if cuda is None else cuda
            if not cuda:
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def _shared_data(config: pytest.Config) -> Path:
    path = config.getoption("--shared-data")
    assert isinstance(path, Path)
    return path


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


# Skips


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_SkipWatch(), "skip-watch")


class _SkipWatch:
    """Collects the skips of a run and fails it if one of them is not expected."""

    def __init__(self) -> None:
        self._skips: list[Skip] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self._skips.append((report.nodeid, _reason(report)))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._skips.append((report.nodeid, _reason(report)))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus == pytest.ExitCode.OK and unexpected(self._skips, EXPECTED_SKIPS.read_text(encoding="utf-8")):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        found = unexpected(self._skips, EXPECTED_SKIPS.read_text(encoding="utf-8"))
        if found:
            terminalreporter.section(f"skips that {EXPECTED_SKIPS.name} does not list", red=True)
            for test, reason in found:
                terminalreporter.write_line(f"{test} | {reason}")


def unexpected(skips: list[Skip], listed: str) -> list[Skip]:
    """The skips that no line `test id | reason` of the list allows; both sides are shell patterns."""
    lines = [line.strip() for line in listed.splitlines()]
    allowed = [line.partition("|") for line in lines if line and not line.startswith("#")]
    return [
        (test, reason)
        for test, reason in skips
        if not any(
            fnmatch.fnmatchcase(test, pattern.strip()) and fnmatch.fnmatchcase(reason, why.strip())
            for pattern, _, why in allowed
        )
    ]


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    where = report.longrepr
    text = where[2] if isinstance(where, tuple) else str(where)
    return text.removeprefix("Skipped: ")
