"""How long do `import waman` and each verb's help take? Run as `python -m benchmarks.startup`.

Prints the median wall-clock seconds of fresh interpreters, beside that of an interpreter that does nothing; the limits
are HOUSE's: 50 ms more than nothing for the import, half a second for a help.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from waman.cli.main import build_app

RUNS = 11

Seconds = list[float]


def main() -> None:
    """Prints one line per program: median, and the difference to an empty interpreter."""
    seconds = measure(programs(), runs=RUNS)
    nothing = statistics.median(seconds["nothing"])
    print(f"{'program':<30} {'median':>9} {'more than nothing':>18}   of {RUNS} runs")
    for name, taken in seconds.items():
        median = statistics.median(taken)
        print(f"{name:<30} {median * 1000:>6.0f} ms {(median - nothing) * 1000:>15.0f} ms")


def programs() -> dict[str, list[str]]:
    """The command of each program, by the name it is shown under."""
    python = [sys.executable, "-c"]
    found = {"nothing": [*python, "pass"], "import waman": [*python, "import waman"]}
    verbs = [str(command.name) for command in build_app().registered_commands]
    for arguments in [["--help"], *([verb, "--help"] for verb in verbs)]:
        found["waman " + " ".join(arguments)] = [sys.executable, "-m", "waman", *arguments]
    return found


def measure(commands: Mapping[str, Sequence[str]], *, runs: int) -> dict[str, Seconds]:
    """Seconds of each run; the programs take turns, so that a busy moment falls on all of them alike."""
    seconds: dict[str, Seconds] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            seconds[name].append(time.perf_counter() - start)
    return seconds


if __name__ == "__main__":
    main()
