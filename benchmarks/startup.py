"""How long do `import waman` and each verb's help take? Run as `python -m benchmarks.startup`.

Prints medians over fresh interpreters: time on the clock, the same less that of an interpreter that does nothing, and
processor time, which a busy machine hardly changes. The limits to hold: 50 ms more than nothing for the import, half a
second on the clock for a help.
"""

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from waman.cli.main import build_app

RUNS = 11


@dataclass(frozen=True)
class Taken:
    """What one run of a program took, in seconds."""

    clock: float
    processor: float


def main() -> None:
    """Prints one line per program."""
    taken = measure(programs(), runs=RUNS)
    nothing = statistics.median(one.clock for one in taken["nothing"])
    print(f"{'program':<30} {'clock':>9} {'more than nothing':>18} {'processor':>11}   medians of {RUNS} runs")
    for name, runs in taken.items():
        clock = statistics.median(one.clock for one in runs)
        processor = statistics.median(one.processor for one in runs)
        print(f"{name:<30} {_shown(clock):>9} {_shown(clock - nothing):>18} {_shown(processor):>11}")


def _shown(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def programs() -> dict[str, list[str]]:
    """The command of each program, by the name it is shown under."""
    python = [sys.executable, "-c"]
    found = {"nothing": [*python, "pass"], "import waman": [*python, "import waman"]}
    verbs = [str(command.name) for command in build_app().registered_commands]
    for arguments in [["--help"], *([verb, "--help"] for verb in verbs)]:
        found["waman " + " ".join(arguments)] = [sys.executable, "-m", "waman", *arguments]
    return found


def measure(commands: Mapping[str, Sequence[str]], *, runs: int) -> dict[str, list[Taken]]:
    """What each run took; the programs take turns, so that a busy moment falls on all of them alike."""
    taken: dict[str, list[Taken]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            clock, processor = time.perf_counter(), _processor_seconds()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            taken[name].append(Taken(time.perf_counter() - clock, _processor_seconds() - processor))
    return taken


def _processor_seconds() -> float:
    """Of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
