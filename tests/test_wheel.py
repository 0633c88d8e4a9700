"""The wheel, built and installed into an environment of its own outside the checkout."""

import shutil
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT
from waman.quantization.build_kernels import processor_level

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by `make wheel` from what git tracks, with the build backend of this environment."""
    clone = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().splitlines():
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    # -o: this environment stands for the one that make would fill first
    subprocess.run(["make", "-o", "environment", "wheel", f"VENV={sys.prefix}"], cwd=clone, check=True)
    [found] = (clone / "dist").glob("waman-*-py3-none-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel alone; its needs, minutes to install, are read from this one's site-packages."""
    place = tmp_path_factory.mktemp("elsewhere") / "environment"
    venv.create(place, with_pip=False)
    [packages] = place.glob("lib/python*/site-packages")
    # A folder named in a .pth is put on the path, but its own .pth files are not read: the checkout stays out of sight.
    (packages / "needs.pth").write_text("\n".join(site.getsitepackages()) + "\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python")]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    return place


def run(environment: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [environment / "bin" / arguments[0], *arguments[1:]], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_wheel_holds_the_package_with_its_data_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"waman"}
    listed = subprocess.run(["git", "ls-files", "waman"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(listed.stdout.splitlines()) <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_installed_package_is_the_wheel_s_and_not_the_checkout(installed: Path, tmp_path: Path) -> None:
    ran = run(installed, "python", "-c", "import waman; print(waman.__file__)", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert Path(ran.stdout.strip()).is_relative_to(installed)


def test_the_installed_command_shows_its_verbs(installed: Path, tmp_path: Path) -> None:
    ran = run(installed, "waman", "--help", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "Usage: waman" in ran.stdout
    assert "inspect" in ran.stdout


def test_the_installed_wheel_brings_the_kernels_compiled(installed: Path, tmp_path: Path) -> None:
    """With the home folder elsewhere, so that nothing compiled for this user is found."""
    if processor_level() is None or shutil.which("g++") is None:
        pytest.skip("no C++ compiler")
    told = "from waman.quantization.kernels import native; print(native().path)"
    ran = subprocess.run(
        [installed / "bin" / "python", "-c", told],
        cwd=tmp_path,
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert Path(ran.stdout.strip()).is_relative_to(installed)


def test_the_installed_demo_goes_from_pages_to_a_report(installed: Path, tmp_path: Path) -> None:
    smaller = {
        "python.documented": "[]",
        "pretrain.num_tokens": "20_000",
        "tune.num_tokens": "10_000",
        "evaluate.cloze.num_questions": "30",
        "evaluate_checkpoints.cloze.num_questions": "20",
        "evaluate.instructions.num_questions": "30",
        "evaluate_tuned.instructions.num_questions": "30",
        "quantize.proof.num_tokens": "10_000",
    }
    settings = [part for name, value in smaller.items() for part in ("--set", f"{name}={value}")]
    ran = run(installed, "waman", "demo", "--recipe", "demo-quick", *settings, "--out", "made", folder=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "report.html" in ran.stderr
    report = (tmp_path / "made" / "report.html").read_text(encoding="utf-8")
    assert "From crawl to chat" in report
    # The environment's packages lie in another one's folder, where the demo does not look for distributions.
    assert "not_installed <b>10</b>" in report
