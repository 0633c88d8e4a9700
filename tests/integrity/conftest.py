"""Every door on a tiny input, each in a process of its own."""

from collections.abc import Iterator

import pytest

from tests.integrity.processes import Processes, processes_of


@pytest.fixture(scope="session")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Runs the doors; what one of them makes is there on demand, with all that it reads."""
    with processes_of(tmp_path_factory.mktemp("doors")) as started:
        yield started
