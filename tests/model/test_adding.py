"""The page on adding a variant, followed word for word in a copy of the package."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "adding" / "an-architecture-variant.md"
MOST_LINES = 40


def blocks() -> list[tuple[str, list[str]]]:
    """The page's changes: a file's name and the lines of the block, with the sign that each begins with."""
    found = re.findall(r"```diff\n--- (\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [(name, body.splitlines()) for name, body in found]


def apply(root: Path, name: str, lines: list[str]) -> None:
    """Puts the new lines where the others stand, which must be one place."""
    path = root / name
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    before = "".join(f"{line[1:]}\n" for line in lines if line.startswith(" "))
    after = "".join(f"{line[1:]}\n" for line in lines)
    assert all(line.startswith((" ", "+")) for line in lines), f"{name}: a line that is neither new nor there"
    assert before == text == "" or text.count(before) == 1, f"{name}: not in one place:\n{before}"
    path.write_text(text.replace(before, after) if before else after, encoding="utf-8")


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the change concerns, changed."""
    root = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "waman", root / "waman", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests" / "model", root / "tests" / "model", ignore=shutil.ignore_patterns("__pycache__"))
    for name in (
        "pyproject.toml",
        "tests/__init__.py",
        "tests/conftest.py",
        "tests/sweep.py",
        "tests/expected_skips.txt",
    ):
        shutil.copy(ROOT / name, root / name)
    for name, lines in blocks():
        apply(root, name, lines)
    return root


def test_the_change_is_small() -> None:
    num_new = sum(line.startswith("+") for _, lines in blocks() for line in lines)
    assert 0 < num_new < MOST_LINES


def test_the_changed_package_passes_the_tests_that_the_page_adds(changed: Path) -> None:
    """Those of the new decoder and of the new file; and a decoder without the variant passes as before."""
    files = [f"tests/model/test_{name}.py" for name in ("variants", "config", "query_key_norm")]
    command = [sys.executable, "-m", "pytest", "-vv", "-p", "no:cacheprovider", "-k", "query or llama", *files]
    done = subprocess.run(command, cwd=changed, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("[query and key norms] PASSED") >= 8
    assert "test_queries_and_keys_are_normed_before_they_are_turned_as_in_qwen3 PASSED" in done.stdout


def test_weights_of_a_variant_that_no_family_knows_are_kept_whole_in_our_own_form(changed: Path) -> None:
    code = """
import torch
from pathlib import Path
from tests.model.variants import VARIANTS, build
from waman.weights.configuration import FAMILIES, read_config, to_table
from waman.weights.huggingface import load_decoder, save_weights
config = VARIANTS["query and key norms"]
decoder, folder = build(config, seed=3), Path("written")
save_weights(decoder, config, None, folder, torch.float32)
again = load_decoder(folder)
same = again.config == config and all(torch.equal(again.state_dict()[n], w) for n, w in decoder.state_dict().items())
print(read_config(folder)[1].model_type, same)
try:
    to_table(config, torch.float32, FAMILIES["llama"])
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=changed, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        "waman True",
        "RecipeError a llama model cannot be written: attention has an option that its config.json has no key for",
    ], done.stderr
