"""Set-up: what `make` says where something is missing, in which order it installs, and that every package is pinned."""

import os
import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

_TOOLS = ("sh", "cat", "cmp", "grep", "rm", "make", "cp", "mkdir")

_PYTHON = """#!/bin/sh
case "$*" in
*version_info*) echo {version} ;;
*ensurepip*) exit {ensurepip} ;;
*"-m venv"*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
*pip*{refuses}*) exit 1 ;;
*pip*) echo "$*" >>"{log}" ;;
esac
"""


class Machine:
    """A checkout, and a PATH with a few tools and perhaps a Python that only plays."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self.path, self.log = folder / "checkout", folder / "bin", folder / "log"
        (self.checkout / "scripts").mkdir(parents=True)
        self.path.mkdir()
        for name in ("Makefile", "constraints.txt", "pyproject.toml", "scripts/environment.sh"):
            shutil.copy(ROOT / name, self.checkout / name)
        for name in _TOOLS:
            found = shutil.which(name)
            assert found is not None, f"this test needs {name}"
            (self.path / name).symlink_to(found)

    def give_python(
        self, version: str = "3.11", *, name: str = "python3", ensurepip: bool = True, refuses: str = "nothing"
    ) -> None:
        """Puts an interpreter on the PATH that answers what set-up asks; its pip fails where it reads `refuses`."""
        place = self.path / name
        place.write_text(_PYTHON.format(version=version, ensurepip=int(not ensurepip), refuses=refuses, log=self.log))
        place.chmod(0o755)

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs make in the checkout with nothing but this machine's PATH."""
        return subprocess.run(
            [self.path / "make", *arguments],
            cwd=self.checkout,
            env={"PATH": str(self.path)},
            capture_output=True,
            text=True,
            check=False,
        )

    def installed(self) -> list[str]:
        """The calls of pip so far."""
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("target", ["demo", "test", "test-all", "lint", "soak", "wheel", "format"])
def test_every_target_says_that_python_is_missing_and_how_to_get_it(machine: Machine, target: str) -> None:
    made = machine.make(target)
    assert made.returncode == 2
    assert "set-up: found no python3 on the PATH, expected Python 3.11 or later" in made.stderr
    assert "apt install python3 python3-venv" in made.stderr


def test_a_python_that_is_named_but_absent_is_said_to_be(machine: Machine) -> None:
    made = machine.make("test", "PYTHON=/nowhere/python3")
    assert made.returncode == 2
    assert "set-up: found no /nowhere/python3, which PYTHON names; expected Python 3.11 or later" in made.stderr


@pytest.mark.parametrize("version", ["2.7", "3.9", "3.10"])
def test_a_python_too_old_is_named_with_its_version(machine: Machine, version: str) -> None:
    machine.give_python(version)
    made = machine.make("demo")
    assert made.returncode == 2
    assert f"set-up: found Python {version} ({machine.path}/python3), expected 3.11 or later" in made.stderr


def test_a_python_that_does_not_run_is_said_to_be_so(machine: Machine) -> None:
    (machine.path / "python3").write_text("#!/bin/sh\nexit 1\n")
    (machine.path / "python3").chmod(0o755)
    made = machine.make("demo")
    assert made.returncode == 2
    assert f"set-up: {machine.path}/python3 does not run; expected Python 3.11 or later" in made.stderr


def test_a_python_without_ensurepip_names_the_package_to_install(machine: Machine) -> None:
    machine.give_python(ensurepip=False)
    made = machine.make("demo")
    assert made.returncode == 2
    assert "cannot make virtual environments: it has no venv or no ensurepip" in made.stderr
    assert "apt install python3-venv" in made.stderr
    assert not (machine.checkout / ".venv").exists()


def test_a_failed_installation_says_which_and_is_taken_up_again(machine: Machine) -> None:
    machine.give_python(refuses="torch")
    made = machine.make("environment", "TORCH_INDEX=file:///wheels")
    assert made.returncode == 2
    assert "set-up: torch==2.13.0 could not be installed from file:///wheels" in made.stderr
    assert "TORCH_INDEX=URL chooses another wheel index for torch" in made.stderr
    machine.give_python()
    shutil.copy(machine.path / "python3", machine.checkout / ".venv" / "bin" / "python")
    assert machine.make("environment").returncode == 0


@pytest.mark.parametrize("package", ["setuptools", "editable"])
def test_a_failure_of_the_other_packages_is_not_blamed_on_torch(machine: Machine, package: str) -> None:
    machine.give_python(refuses=package)
    made = machine.make("environment")
    assert made.returncode == 2
    assert "set-up: the packages could not be installed; see pip's message above" in made.stderr
    assert "torch==2.13.0 could not" not in made.stderr


def test_torch_is_installed_alone_before_what_needs_it_and_only_it_from_the_index_given(machine: Machine) -> None:
    machine.give_python()
    assert machine.make("environment", "TORCH_INDEX=file:///wheels").returncode == 0
    backend, torch, rest = machine.installed()
    assert "--no-deps --index-url file:///wheels torch==2.13.0" in torch
    assert re.search(r"setuptools==[\d.]+$", backend)
    assert rest.endswith("--constraint constraints.txt --editable .[dev]")
    assert "--index-url" not in backend + rest


def test_an_environment_that_is_as_asked_for_is_left_alone_until_the_pins_change(machine: Machine) -> None:
    machine.give_python()
    machine.make("environment")
    before = machine.installed()
    machine.make("environment")
    assert machine.installed() == before
    with (machine.checkout / "constraints.txt").open("a") as file:
        file.write("another==1\n")
    machine.make("environment")
    assert len(machine.installed()) == 2 * len(before)


def test_a_later_python_is_used_and_called_untested(machine: Machine) -> None:
    machine.give_python("3.13")
    made = machine.make("environment")
    assert made.returncode == 0
    assert "Python 3.13 is untested, 3.11 is what we test with" in made.stderr


def test_the_tested_python_is_preferred_to_the_default_one(machine: Machine) -> None:
    machine.give_python("3.13")
    machine.give_python("3.11", name="python3.11")
    assert f"making .venv with {machine.path}/python3.11" in machine.make("environment").stderr


def test_an_environment_whose_python_is_gone_is_made_anew(machine: Machine) -> None:
    machine.give_python()
    machine.make("environment")
    (machine.checkout / ".venv" / "bin" / "python").unlink()
    assert "making .venv" in machine.make("environment").stderr


def test_the_constraints_pin_every_package_that_ours_need_and_no_other() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    found: set[str] = set()
    _gather_needs([Requirement(one) for one in wanted], found)
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert {canonicalize_name(line.partition("==")[0]) for line in pins} == found - {"waman"}


def _gather_needs(requirements: list[Requirement], found: set[str]) -> None:
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        found.add(name)
        extras = requirement.extras or {""}
        needs = [Requirement(one) for one in metadata.requires(name) or []] if name != "waman" else []
        _gather_needs([one for one in needs if _applies(one, extras)], found)


def _applies(requirement: Requirement, extras: set[str]) -> bool:
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)


def test_no_package_index_is_named_in_any_file_of_the_set_up() -> None:
    hosts = re.compile(r"(?i)index-url\s+[\"']?(https?|file):|pypi|download\.pytorch|extra-index")
    names = ["Makefile", "constraints.txt", "constraints-peers.txt", "requirements-peers.txt", "pyproject.toml"]
    for path in [ROOT / name for name in [*names, ".ci/run"]] + sorted((ROOT / "scripts").iterdir()):
        assert not hosts.search(path.read_text()), f"{path.name} names a package index"


def test_the_continuous_check_calls_what_a_developer_calls() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text()
    assert re.findall(r"^make \S+", script.read_text(), flags=re.MULTILINE) == ["make lint", "make test-all"]
