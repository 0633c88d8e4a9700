import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tensors here are too small to share, and threads that wait for each other take seconds on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def llama_cpp(peers_python: Path) -> Path:
    """The interpreter of the peers' environment, where llama.cpp was built in it."""
    found = subprocess.run([peers_python, "-c", "import llama_cpp"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip("no llama.cpp in .venv-peers: make peers builds it where it finds a C++ compiler")
    return peers_python
