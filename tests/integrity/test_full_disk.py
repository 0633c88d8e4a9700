import json
import sys

import pytest

from tests.integrity.doors import DOORS
from tests.integrity.processes import Processes, what_was_made
from tests.restricted import in_a_namespace

# Runs every door on a disk of 4 MiB that has 48 KiB left, frees it and runs it again.
SCRIPT = """
import json, shutil, subprocess, sys
from pathlib import Path
folder, disk, names = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]).returncode:
    sys.exit(77)
from tests.integrity import doors
from tests.integrity.processes import finished_work, noted, run_and_note, what_was_made
from waman.errors import WamanError

ballast = disk / "ballast"
for name in names:
    out = disk / name
    report = {"name": name}
    free = shutil.disk_usage(disk).free
    ballast.write_bytes(bytes(free - 48 * 1024))
    try:
        doors.run(folder, name, out, workers=False)
    except WamanError as error:
        report |= {"error": type(error).__name__, "exit_code": error.exit_code, "message": str(error)}
    report["finished"] = out.exists()
    before = finished_work(disk / f"{name}.partial")
    ballast.unlink()
    run_and_note(folder, name, out, False)
    after = {path: tuple(stamp) for path, stamp in json.loads(noted(out).read_text()).items()}
    report["kept"] = len(before)
    report["redone"] = sorted(path for path in before if after.get(path) != before[path])
    report["made"] = what_was_made(out, name)
    noted(out).unlink()
    shutil.rmtree(out)
    print("REPORT " + json.dumps(report))
"""


_LOOKED_AT = [name for name in DOORS if name not in ("pretrain", "pretrain-from", "tune")]
"""Runs keep checkpoints, not units, and go on without them: tests/training shows it."""


@pytest.fixture(scope="module")
def reports(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What each door did on a full disk."""
    for name in _LOOKED_AT:
        processes.whole(name)
    disk = tmp_path_factory.mktemp("disk")
    printed = in_a_namespace([sys.executable, "-c", SCRIPT, str(processes.folder), str(disk), *_LOOKED_AT])
    found = [json.loads(line.removeprefix("REPORT ")) for line in printed.splitlines() if line.startswith("REPORT ")]
    return {report["name"]: report for report in found}


@pytest.mark.parametrize("name", _LOOKED_AT)
def test_a_full_disk_ends_with_2_and_the_same_command_goes_on_from_what_is_whole(
    processes: Processes, reports: dict[str, dict[str, object]], name: str
) -> None:
    report = reports[name]
    assert (report["error"], report["exit_code"], report["finished"]) == ("NoSpaceError", 2, False)
    assert "no space left on" in str(report["message"])
    assert "run the same command again; finished work is kept" in str(report["message"])
    assert report["redone"] == []
    assert report["made"] == what_was_made(processes.folder / name, name)


def test_units_that_were_whole_when_the_disk_was_full_are_kept(reports: dict[str, dict[str, object]]) -> None:
    assert sum(bool(report["kept"]) for report in reports.values()) >= 4
