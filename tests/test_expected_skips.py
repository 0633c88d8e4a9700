"""A skip that is not listed fails the run: shown on small test folders that use our conftest."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import conftest, sweep

_SKIPPED = 'import pytest\n\ndef test_a():\n    pytest.skip("the moon is full")\n'


def run_tests(folder: Path, source: str, *options: str, listed: str = "") -> subprocess.CompletedProcess[str]:
    """Runs one test file under our conftest and settings, in a checkout of its own."""
    tests = folder / "checkout" / "tests"
    tests.mkdir(parents=True)
    settings = (conftest.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (tests.parent / "pyproject.toml").write_text(settings, encoding="utf-8")
    for module in (conftest, sweep):
        place = Path(str(module.__file__))
        (tests / place.name).write_text(place.read_text(encoding="utf-8"), encoding="utf-8")
    (tests / "expected_skips.txt").write_text(listed, encoding="utf-8")
    (tests / "test_small.py").write_text(source, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=tests.parent, capture_output=True, text=True, env=environment, check=False)


def test_a_skip_that_is_not_listed_fails_the_run(tmp_path: Path) -> None:
    ran = run_tests(tmp_path, _SKIPPED)
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED
    assert "skips that expected_skips.txt does not list" in ran.stdout
    assert "tests/test_small.py::test_a | the moon is full" in ran.stdout


def test_a_listed_skip_passes(tmp_path: Path) -> None:
    ran = run_tests(tmp_path, _SKIPPED, listed="# astronomy\n\ntests/test_small.py::* | the moon is *\n")
    assert ran.returncode == pytest.ExitCode.OK
    assert "1 skipped" in ran.stdout


def test_a_skip_listed_for_another_reason_fails_the_run(tmp_path: Path) -> None:
    ran = run_tests(tmp_path, _SKIPPED, listed="tests/test_small.py::* | no CUDA device\n")
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED


def test_a_module_skipped_as_a_whole_must_be_listed_too(tmp_path: Path) -> None:
    source = 'import pytest\n\npytest.importorskip("no_such_package")\n\ndef test_a():\n    assert True\n'
    ran = run_tests(tmp_path, "def test_b():\n    assert True\n" + source)
    assert ran.returncode != pytest.ExitCode.OK
    assert "tests/test_small.py | could not import 'no_such_package'" in ran.stdout


def test_an_expected_failure_is_not_a_skip(tmp_path: Path) -> None:
    source = 'import pytest\n\n@pytest.mark.xfail(reason="known")\ndef test_a():\n    assert False\n'
    ran = run_tests(tmp_path, source)
    assert ran.returncode == pytest.ExitCode.OK
    assert "1 xfailed" in ran.stdout


def test_taking_shared_data_marks_the_test_and_skips_it_where_there_is_none(tmp_path: Path) -> None:
    source = "def test_a(shared_data):\n    assert shared_data.is_dir()\n"
    listed = "* | no folder *; --shared-data names another"
    absent = run_tests(tmp_path / "1", source, "-m", "shared", listed=listed)
    assert absent.returncode == pytest.ExitCode.OK
    assert "1 skipped" in absent.stdout
    present = run_tests(tmp_path / "2", source, "-m", "shared", f"--shared-data={tmp_path}")
    assert present.returncode == pytest.ExitCode.OK
    assert "1 passed" in present.stdout


def test_slow_tests_peers_and_sweeps_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    source = "import pytest\n\ndef test_default():\n    assert True\n"
    for mark in ("slow", "peers", "soak"):
        source += f"\n@pytest.mark.{mark}\ndef test_{mark}():\n    assert True\n"
    assert "1 passed, 3 deselected" in run_tests(tmp_path / "1", source).stdout
    everything = run_tests(tmp_path / "2", source, "-m", "not soak", listed="* | no .venv-peers; *")
    assert "2 passed, 1 skipped, 1 deselected" in everything.stdout


def test_absent_peers_fail_a_run_that_asks_for_them(tmp_path: Path) -> None:
    source = "def test_a(peers_python):\n    assert peers_python\n"
    listed = conftest.EXPECTED_SKIPS.read_text(encoding="utf-8")
    ran = run_tests(tmp_path, source, "-m", "peers", listed=listed)
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED
    assert "test_a | no .venv-peers; make peers makes it" in ran.stdout


def test_a_test_for_a_gpu_is_skipped_where_torch_sees_none(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(
        "class cuda:\n    @staticmethod\n    def is_available():\n        return False\n", encoding="utf-8"
    )
    source = "import pytest\n\n@pytest.mark.gpu\ndef test_a():\n    assert False\n"
    ran = run_tests(tmp_path, source, "-o", f"pythonpath={tmp_path}", listed="* | no CUDA device")
    assert ran.returncode == pytest.ExitCode.OK
    assert "1 skipped" in ran.stdout
