"""The rules of the house as functions: each names what breaks it, so that it can be tried on houses made up for it."""

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.imports import Import, Sources

PACKAGE = "waman"

LADDER: Mapping[str, frozenset[str]] = {
    "crawl": frozenset(),
    "corpus": frozenset(),
    "tokens": frozenset(),
    "tasks": frozenset(),
    "model": frozenset(),
    "costing": frozenset({"model"}),
    "weights": frozenset({"model", "tokens"}),
    "quantization": frozenset({"weights"}),
    "training": frozenset({"weights", "costing"}),
    "inference": frozenset({"quantization"}),
    "instruction": frozenset({"tasks", "quantization", "training"}),
    "evaluation": frozenset({"tasks", "inference"}),
    "preference": frozenset({"instruction", "evaluation"}),
    "planning": frozenset({"costing", "training"}),
    "tracing": frozenset({"tokens"}),
    "serving": frozenset({"inference", "tracing"}),
}
"""What each room may import; what a row may import, its row's rooms include as well."""

CALLERS = frozenset({"ablation", "journey", "cli"})
"""Rooms that call doors of any room, imported inside the function that needs them."""

DOORS = frozenset(
    {
        *("fetch", "extract", "refine", "mix", "decontaminate", "train_tokenizer", "tokenize", "export", "convert"),
        *("quantize", "pretrain", "generate", "chat", "compose", "tune", "align", "evaluate", "plan", "ablate"),
        *("index", "trace", "serve", "demo", "certify", "load", "extend_tokenizer", "plant", "choose", "gather"),
        *("publish", "withhold", "train_classifier", "overlap", "build_kernels"),
    }
)
"""Names of the files that others may call as doors; `load` opens a model to Python, `choose` is behind `plan`."""

READERS = frozenset(
    {
        *("waman.crawl.sources.python", "waman.evaluation.report", "waman.weights.configuration"),
        *("waman.journey.charts", "waman.corpus.card", "waman.quantization.proof"),
    }
)
"""What else callers may import: how Python modules are grouped, readers of what `evaluate`, `pretrain` and `quantize`
write, and how pages and cards are drawn."""

TORCH_FREE_ROOMS = frozenset({"crawl", "corpus", "tokens", "tasks"})
TORCH_FREE_FILES = frozenset({"waman.model.config", "waman.model.count", "waman.model.presets"})
BRINGS_TORCH = frozenset({"torch", "transformers", "safetensors.torch", "accelerate", "torchvision"})
SLOW_TO_LOAD = BRINGS_TORCH | {"pyarrow", "numpy", "trafilatura", "tokenizers", "fastwarc"}
"""What a recipe or a verb's help must not wait for."""

FRONT_DOOR = ("waman.__main__", "waman.cli.main")
"""`python -m waman` and what it runs."""

MAY_IMPORT_BY_NAME = frozenset({"waman", "waman.cli"})
"""Where a module may be chosen at run time: the lazy public names, and the verbs."""

SAYS_NOTHING = frozenset(
    {"util", "utils", "helper", "helpers", "common", "misc", "core", "base", "manager", "managers"}
)


def may_import(room: str) -> frozenset[str]:
    """All rooms that `room` may import, by way of others too."""
    direct = LADDER.get(room, frozenset())
    return direct.union(*(may_import(one) for one in direct))


def room_of(module: str) -> str | None:
    """The room that a module of the package belongs to; None for the ground floor."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LADDER.keys() | CALLERS else None


def is_torch_free(module: str) -> bool:
    """Whether a module has to be, by the plan."""
    room = room_of(module)
    return room is None or room in TORCH_FREE_ROOMS | CALLERS or module in TORCH_FREE_FILES or is_recipe(module)


def is_recipe(module: str) -> bool:
    """Whether a module holds the recipes of a room."""
    return module.endswith(".recipe")


def against_the_ladder(sources: Sources) -> list[str]:
    """Imports that do not go down the ladder, inside functions or not."""
    return [
        f"{one}: {reason}"
        for imports in sources.imports.values()
        for one in imports
        if (reason := _wrong_step(one, sources)) is not None
    ]


def _wrong_step(one: Import, sources: Sources) -> str | None:
    if one.target != PACKAGE and not one.target.startswith(PACKAGE + "."):
        return None
    here, there = room_of(one.module), room_of(one.target)
    if one.target == PACKAGE and one.module != PACKAGE:
        by_the_roof = [name for name in one.names if not name.startswith("__")]
        return "take it from its module, not from the public names" if by_the_roof or not one.names else None
    if there is None or here == there:
        return None if one.target in sources.imports else "there is no such module"
    if one.module == PACKAGE:
        return None if one.lazy else "the public names are loaded when first used"
    if here is None:
        return None if (one.module, one.target) == FRONT_DOOR else "the ground floor imports no room"
    if here in CALLERS:
        return _wrong_call(one)
    return None if there in may_import(here) else f"{here} may not import {there}"


def _wrong_call(one: Import) -> str | None:
    if is_recipe(one.target) or one.target in TORCH_FREE_FILES | READERS:
        return None
    if one.target.rpartition(".")[2] not in DOORS:
        return "not a door"
    return None if one.lazy or one.for_types else "a door is imported inside the function that calls it"


def bringing_torch(sources: Sources) -> list[str]:
    """Modules that have to be free of torch and import it, inside functions or by way of others."""
    found = []
    for module, imports in sources.imports.items():
        if not is_torch_free(module):
            continue
        found += [str(one) for one in imports if _brings(one.target, BRINGS_TORCH) and not one.for_types]
        through = [name for name in sources.closure(module) if _brings(name, BRINGS_TORCH)]
        found += [f"{module} loads {name}" for name in sorted(through)]
    return sorted(set(found))


def slow_recipes(sources: Sources) -> list[str]:
    """Recipes that load more than the standard library and what is quick."""
    return [
        f"{module} loads {name}"
        for module in sorted(sources.imports)
        if is_recipe(module) or module in TORCH_FREE_FILES
        for name in sorted(sources.closure(module))
        if _brings(name, SLOW_TO_LOAD)
    ]


def _brings(module: str, packages: frozenset[str]) -> bool:
    return any(module == one or module.startswith(one + ".") for one in packages)


def foreign_imports_of_recipes(sources: Sources) -> list[str]:
    """What recipes import besides the standard library and the package itself."""
    return [
        str(one)
        for module, imports in sources.imports.items()
        if is_recipe(module)
        for one in imports
        if one.target.partition(".")[0] not in sys.stdlib_module_names | {PACKAGE}
    ]


def imports_by_name(sources: Sources) -> list[str]:
    """Modules that choose at run time what to import, where the ladder cannot be read."""
    return [
        f"{module}:{line} imports by a name made at run time"
        for module, line in sources.dynamic
        if module not in MAY_IMPORT_BY_NAME
        and not any(module.startswith(one + ".") for one in MAY_IMPORT_BY_NAME - {PACKAGE})
    ]


def unknown_rooms(package: Path) -> list[str]:
    """Folders that the plan does not know."""
    known = LADDER.keys() | CALLERS | {"recipes"}
    folders = [path.name for path in package.iterdir() if path.is_dir() and path.name != "__pycache__"]
    return sorted(name for name in folders if name not in known)


def bad_folders(package: Path) -> list[str]:
    """Folders with modules whose __init__.py is missing or says anything."""
    found = []
    for folder in sorted({path.parent for path in package.rglob("*.py")} - {package}):
        place = folder / "__init__.py"
        if not place.is_file():
            found.append(f"{folder.relative_to(package)} has no __init__.py")
        elif place.read_text(encoding="utf-8").strip():
            found.append(f"{place.relative_to(package)} is not empty")
    return found


def names_that_say_nothing(root: Path) -> list[str]:
    """Files and folders of sources called utils and the like."""
    return sorted(
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.stem in SAYS_NOTHING and (path.is_dir() or path.suffix == ".py") and "__pycache__" not in path.parts
    )
