import json
import sys
from pathlib import Path

import pytest

from tests.integrity.doors import DOORS
from tests.integrity.processes import Processes, what_was_made
from tests.restricted import in_a_namespace

ROOM_KIB = {"pretrain": 1600, "tune": 1600, "quantize": 8}
"""What is left of the disk, by door, elsewhere 48. Runs keep checkpoints in place of units: the untrained model's takes
220 KiB and others 550, so that the first three find room and later ones do not; in 48 KiB none does. A quantized
model needs less."""
KEPT = {"pretrain": ["step-0", "step-4", "step-8"], "pretrain-from": [], "tune": ["step-0", "step-16", "step-32"]}
"""Checkpoints, oldest first."""

# Runs every door on a disk that has so many KiB left, frees it and runs it again.
SCRIPT = """
import json, shutil, subprocess, sys
from pathlib import Path
folder, disk, rooms = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]).returncode:
    sys.exit(77)
from tests.integrity import doors
from tests.integrity.processes import finished_work, noted, run_and_note, what_was_made
from waman.errors import WamanError

ballast = disk / "ballast"
for name, kibibytes in rooms.items():
    out = disk / name
    report = {"name": name}
    free = shutil.disk_usage(disk).free
    ballast.write_bytes(bytes(free - kibibytes * 1024))
    try:
        doors.run(folder, name, out, workers=False)
    except WamanError as error:
        report |= {"error": type(error).__name__, "exit_code": error.exit_code, "message": str(error)}
    report["finished"] = out.exists()
    partial = disk / f"{name}.partial"
    before = finished_work(partial)
    report["checkpoints"] = sorted(path.name for path in partial.glob("checkpoints/*"))
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


@pytest.fixture(scope="module")
def reports(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What each door did on a full disk."""
    for name in DOORS:
        processes.whole(name)
    disk = tmp_path_factory.mktemp("disk")
    rooms = json.dumps({name: ROOM_KIB.get(name, 48) for name in DOORS})
    printed = in_a_namespace([sys.executable, "-c", SCRIPT, str(processes.folder), str(disk), rooms])
    found = [json.loads(line.removeprefix("REPORT ")) for line in printed.splitlines() if line.startswith("REPORT ")]
    return {report["name"]: report for report in found}


@pytest.mark.parametrize("name", DOORS)
def test_a_full_disk_ends_with_2_and_the_same_command_goes_on_from_what_is_whole(
    processes: Processes, reports: dict[str, dict[str, object]], name: str
) -> None:
    report = reports[name]
    assert (report["error"], report["exit_code"], report["finished"]) == ("NoSpaceError", 2, False)
    assert "no space left" in str(report["message"])
    assert _kept(name) in str(report["message"])
    assert report["checkpoints"] == sorted(KEPT.get(name, []))
    assert report["redone"] == []
    made = report["made"]
    assert isinstance(made, dict)
    assert _without_places(made) == _without_places(what_was_made(processes.folder / name, name))


def _kept(name: str) -> str:
    if name not in KEPT:
        return "run the same command again; finished work is kept"
    if not KEPT[name]:
        return "; there is none before it: free some and run the same command again, it begins anew"
    return f"; {KEPT[name][-1]} is kept: free some and run the same command again, it goes on from there"


def _without_places(made: dict[str, object]) -> dict[str, object]:
    """Without the manifests of a run's checkpoints, which tell where the inputs lie as seen from another disk."""
    return {path: found for path, found in made.items() if Path(path).name not in ("manifest.json", "README.md")}


def test_units_that_were_whole_when_the_disk_was_full_are_kept(reports: dict[str, dict[str, object]]) -> None:
    assert sum(bool(report["kept"]) for report in reports.values()) >= 4
