"""What a manifest says of the machine: versions, threads, commit, and the memory that a door used."""

import contextlib
import functools
import os
import platform
import re
import resource
import subprocess
import sys
import threading
from importlib import metadata
from pathlib import Path
from typing import Any

from waman.dataflow import available_cores

_INTERVAL_SECONDS = 0.1


def environment() -> dict[str, Any]:
    """Python, platform, cores, threads and the versions of waman's own dependencies."""
    torch = sys.modules.get("torch")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": available_cores(),
        "threads": torch.get_num_threads() if torch is not None else available_cores(),
        "packages": dict(_versions()),
    }


@functools.cache
def _versions() -> tuple[tuple[str, str], ...]:
    found = []
    with contextlib.suppress(metadata.PackageNotFoundError):
        for requirement in metadata.requires("waman") or []:
            name = re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0]
            if "extra ==" not in requirement:
                found.append((name, metadata.version(name)))
    return tuple(sorted(found))


@functools.cache
def commit() -> str | None:
    """The commit of the checkout that waman runs from; None for an installed package."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        asked = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return asked.stdout.strip() or None


class MemorySampler:
    """Samples the resident memory of this process and its children ten times a second and keeps the largest sum."""

    def __init__(self) -> None:
        self.peak = 0
        """Bytes."""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to sample on a thread of its own."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def sample(self) -> None:
        """Looks once."""
        self.peak = max(self.peak, resident_bytes())

    def _run(self) -> None:
        while not self._stop.is_set():
            self.sample()
            self._stop.wait(_INTERVAL_SECONDS)


def resident_bytes() -> int:
    """Resident memory of this process and its descendants now (elsewhere than on Linux: this process's peak)."""
    if not Path("/proc/self/statm").exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    pending, pages = [os.getpid()], 0
    while pending:
        process = pending.pop()
        try:
            pages += int(Path(f"/proc/{process}/statm").read_text().split()[1])
            for children in Path(f"/proc/{process}/task").glob("*/children"):
                pending += [int(child) for child in children.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
    return pages * os.sysconf("SC_PAGE_SIZE")
