"""The walls of the house: who imports whom, what loads torch, how files are called."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import waman
from tests import house_rules
from tests.conftest import ROOT
from tests.imports import Sources, read_sources

PACKAGE = ROOT / "waman"


@pytest.fixture(scope="module")
def ours() -> Sources:
    return read_sources(PACKAGE)


def test_imports_go_down_the_ladder_only(ours: Sources) -> None:
    assert house_rules.against_the_ladder(ours) == []


def test_what_has_to_be_free_of_torch_is(ours: Sources) -> None:
    assert house_rules.bringing_torch(ours) == []


def test_recipes_load_nothing_slow(ours: Sources) -> None:
    assert house_rules.slow_recipes(ours) == []
    assert house_rules.foreign_imports_of_recipes(ours) == []


def test_modules_are_imported_by_names_that_can_be_read(ours: Sources) -> None:
    assert house_rules.imports_by_name(ours) == []


def test_every_room_stands_in_the_plan_and_its_init_is_empty() -> None:
    assert house_rules.unknown_rooms(PACKAGE) == []
    assert house_rules.bad_folders(PACKAGE) == []


def test_every_file_has_a_name_that_says_something() -> None:
    for folder in ("waman", "tests", "benchmarks"):
        assert house_rules.names_that_say_nothing(ROOT / folder) == []


def test_no_public_name_is_a_module_directly_under_waman() -> None:
    modules = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert modules.isdisjoint(waman.__all__)


def test_importing_waman_loads_nothing_heavy() -> None:
    loaded = _loaded_by("import waman")
    assert "waman" in loaded
    assert _heavy(loaded) == []


def test_the_help_of_every_verb_loads_nothing_heavy() -> None:
    loaded = _loaded_by(_HELP)
    assert {"waman.cli.main", "waman.crawl.recipe"} <= loaded
    assert _heavy(loaded) == []


_HELP = """
import contextlib, io
from waman.cli.main import build_app, main
verbs = [command.name for command in build_app().registered_commands]
for arguments in [["--help"], *([verb, "--help"] for verb in verbs)]:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        try:
            main(arguments)
        except SystemExit as end:
            assert not end.code, arguments
    assert "Usage: waman" in said.getvalue(), arguments
"""


def _loaded_by(program: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after running a program."""
    program += "\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stdout))


def _heavy(loaded: set[str]) -> list[str]:
    return sorted(loaded & house_rules.SLOW_TO_LOAD)


# The rules themselves, on houses made up to break them


def build(folder: Path, files: dict[str, str]) -> Path:
    """A package called waman with these files, and an empty __init__.py in every folder."""
    for name, text in {"__init__.py": "", **files}.items():
        path = folder / "waman" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        (path.parent / "__init__.py").touch()
    return folder / "waman"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("corpus/refine.py", "from waman.model.decoder import Decoder", "corpus may not import model"),
        ("corpus/refine.py", "def f():\n    import waman.model.decoder", "corpus may not import model"),
        ("corpus/refine.py", "from waman.model import decoder", "corpus may not import model"),
        ("corpus/refine.py", "class A:\n    from waman.crawl import warc", "corpus may not import crawl"),
        ("training/loop.py", "from waman.evaluation.metrics import f", "training may not import evaluation"),
        ("model/decoder.py", "from waman.weights.safetensors import f", "model may not import weights"),
        ("document.py", "from waman.corpus.refine import refine", "the ground floor imports no room"),
        ("document.py", "from waman.absent import f", "there is no such module"),
        ("__init__.py", "from waman.inference.load import load", "the public names are loaded when first used"),
        ("evaluation/score.py", "from waman import load", "take it from its module, not from the public names"),
        ("evaluation/score.py", "import waman", "take it from its module, not from the public names"),
        ("journey/demo.py", "from waman.corpus.refine import refine", "imported inside the function that calls it"),
        ("journey/demo.py", "def f():\n    from waman.model.decoder import Decoder", "not a door"),
        ("cli/main.py", "def f():\n    from waman.training.loop import run", "not a door"),
    ],
)
def test_a_step_against_the_ladder_is_named(tmp_path: Path, name: str, text: str, reason: str) -> None:
    found = house_rules.against_the_ladder(read_sources(build(tmp_path, {name: text})))
    assert len(found) == 1
    assert found[0].endswith(reason)
    assert found[0].startswith(f"waman{'' if name == '__init__.py' else '.' + name[:-3].replace('/', '.')}:")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("corpus/refine.py", "from waman import document, __version__\nimport json"),
        ("corpus/refine.py", "from waman.corpus.filters import quality"),
        (
            "inference/engine.py",
            "from waman.model.decoder import Decoder\nfrom waman.tokens.tokenizer import Tokenizer",
        ),
        ("__init__.py", "def __getattr__(name):\n    from waman.inference.load import load"),
        ("journey/demo.py", "def f():\n    from waman.corpus.refine import refine"),
        ("journey/story.py", "from waman.evaluation.report import read_scores"),
        ("__main__.py", "from waman.cli.main import main"),
        (
            "journey/recipe.py",
            "from waman.corpus.recipe import RefineRecipe\nfrom waman.model.config import ModelConfig",
        ),
    ],
)
def test_a_step_down_the_ladder_passes(tmp_path: Path, name: str, text: str) -> None:
    package = build(tmp_path, {"document.py": "", "corpus/filters/quality.py": "", name: text})
    assert house_rules.against_the_ladder(read_sources(package)) == []


@pytest.mark.parametrize(
    ("name", "text", "others"),
    [
        ("corpus/refine.py", "import torch", {}),
        ("corpus/refine.py", "def f():\n    from torch import nn", {}),
        ("log.py", "try:\n    import torch.nn\nexcept ImportError:\n    pass", {}),
        ("model/config.py", "import transformers", {}),
        ("training/recipe.py", "from waman.training.loop import x", {"training/loop.py": "import torch"}),
        ("cli/main.py", "from waman.inference import llm", {"inference/llm.py": "from safetensors.torch import x"}),
    ],
)
def test_torch_is_found_where_it_must_not_be(tmp_path: Path, name: str, text: str, others: dict[str, str]) -> None:
    found = house_rules.bringing_torch(read_sources(build(tmp_path, {name: text, **others})))
    assert found
    assert all(one.startswith("waman." + name[:-3].replace("/", ".")) for one in found)


def test_torch_may_be_named_for_types_and_used_in_the_model(tmp_path: Path) -> None:
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\nelse:\n    import json\n"
    package = build(tmp_path, {"dataflow.py": typed, "model/decoder.py": "import torch"})
    assert house_rules.bringing_torch(read_sources(package)) == []


def test_a_recipe_that_loads_arrow_or_a_foreign_package_is_named(tmp_path: Path) -> None:
    sources = read_sources(
        build(
            tmp_path,
            {
                "document.py": "import pyarrow.parquet",
                "corpus/recipe.py": "from waman import document",
                "tokens/recipe.py": "import tomli_w",
            },
        )
    )
    assert "waman.corpus.recipe loads pyarrow.parquet" in house_rules.slow_recipes(sources)
    assert house_rules.foreign_imports_of_recipes(sources) == ["waman.tokens.recipe:1 imports tomli_w"]


def test_an_import_by_a_made_name_is_found_outside_the_roof_and_the_command_line(tmp_path: Path) -> None:
    text = "import importlib\n\ndef f(name):\n    return importlib.import_module(name)\n"
    package = build(tmp_path, {"__init__.py": text, "cli/verbs.py": text, "corpus/refine.py": text})
    found = house_rules.imports_by_name(read_sources(package))
    assert found == ["waman.corpus.refine:4 imports by a name made at run time"]


def test_folders_out_of_order_are_named(tmp_path: Path) -> None:
    package = build(tmp_path, {"attic/box.py": "", "corpus/utils.py": "", "corpus/filters/quality.py": ""})
    (package / "corpus" / "__init__.py").write_text("from waman.corpus import filters\n", encoding="utf-8")
    (package / "corpus" / "filters" / "__init__.py").unlink()
    assert house_rules.unknown_rooms(package) == ["attic"]
    assert house_rules.bad_folders(package) == ["corpus/__init__.py is not empty", "corpus/filters has no __init__.py"]
    assert house_rules.names_that_say_nothing(tmp_path) == ["waman/corpus/utils.py"]


def test_what_a_room_may_import_includes_what_its_rooms_may() -> None:
    assert house_rules.may_import("serving") == {"inference", "tracing", "quantization", "weights", "model", "tokens"}
    assert house_rules.may_import("crawl") == set()
