"""The Python sources of this machine: the standard library and the installed distributions."""

import csv
import hashlib
import re
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath

from waman.artifact import Artifact
from waman.crawl.left_out import LeftOut
from waman.crawl.licences import licence_of_metadata, reason_against
from waman.crawl.pieces import Piece, piece_left_out
from waman.crawl.recipe import Python
from waman.errors import InputError
from waman.identity import hash_directory, hash_file, hash_json

STANDARD_LIBRARY, DISTRIBUTIONS = "stdlib", "distributions"
"""Kinds of the inputs that `extract` reads with this source."""
LICENCE_OF_PYTHON = "PSF-2.0"
_OWN = "waman"

# Tests say little in words, what is vendored has a licence and a home of its own, and encodings are generated tables.
_PASSED_OVER = frozenset(
    {
        "test", "tests", "idle_test", "turtledemo", "pydoc_data", "site-packages", "dist-packages", "lib-dynload",
        "__pycache__", "encodings", "_vendor", "vendor", "vendored", "_vendored", "_bundled", "extern", "externals",
    }
)  # fmt: skip

# Modules whose text repeats that of another: one group, so that neither can be held out while the other is trained on.
_SAME = {
    "_collections_abc": "collections", "_compat_pickle": "pickle", "_py_abc": "abc", "_pydatetime": "datetime",
    "_pydecimal": "decimal", "_pyio": "io", "_pylong": "int", "_strptime": "time", "_threading_local": "threading",
    "_weakrefset": "weakref", "_markupbase": "html", "_sitebuiltins": "site", "_bootsubprocess": "subprocess",
    "genericpath": "os", "ntpath": "os", "posixpath": "os", "nturl2path": "urllib", "posix": "os", "nt": "os",
    "sre_compile": "re", "sre_constants": "re", "sre_parse": "re",
}  # fmt: skip


@dataclass(frozen=True)
class Distributions(Artifact):
    """Some of the distributions installed in a folder."""

    names: tuple[str, ...] = ()
    """Their groups, in order."""


def group_of_module(module: str) -> str:
    """The group of a standard module by its dotted name: its top-level module, copies with what they copy."""
    top = module.partition(".")[0]
    return _SAME.get(top, top)


def group_of_distribution(name: str) -> str:
    """The group of a distribution: its name as package indexes normalise it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def open_standard_library(folder: Path | None = None) -> Artifact:
    """The standard library as an input of `extract`; its identity is the hash of its sources (half a second)."""
    folder = folder or Path(sysconfig.get_path("stdlib"))
    files = list(_sources_under(folder))
    if not files:
        raise InputError(f"{folder} holds no Python sources, expected the standard library")
    return Artifact(folder, STANDARD_LIBRARY, hash_directory(folder, files))


def open_distributions(names: Sequence[str] | None = None, *, folder: Path | None = None) -> Distributions:
    """Installed distributions (all, or those named) as an input of `extract`.

    The identity follows from the hashes that their RECORD files state, so that gigabytes are not read. Raises
    InputError where one that is named is not installed.
    """
    folder = folder or Path(sysconfig.get_path("purelib"))
    found = _distributions(folder)
    wanted = sorted({group_of_distribution(name) for name in names} if names is not None else found)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise InputError(f"{', '.join(missing)}: not installed in {folder}; install it, or leave it out")
    described = [[name, found[name].version, _licence(found[name]), _hashes(found[name], folder)] for name in wanted]
    return Distributions(folder, DISTRIBUTIONS, hash_json(described), names=tuple(wanted))


def plan_standard_library(folder: Path, python: Python) -> Iterator[Piece]:
    """The sources of the standard library, a group for each top-level module; one piece for each group left out."""
    sources: dict[str, list[Path]] = {}
    for path in sorted(_sources_under(folder)):
        group = group_of_module(_module(path.relative_to(folder)))
        sources.setdefault(group, []).append(path)
        if _wanted(group, python):
            relative = path.relative_to(folder)
            yield _source(path, f"python/{relative.as_posix()}", group, LICENCE_OF_PYTHON, _module(relative))
    for group, paths in sorted(sources.items()):
        if not _wanted(group, python):
            size = sum(path.stat().st_size for path in paths)
            row = LeftOut(f"python/{group}", "recipe", None, LICENCE_OF_PYTHON, len(paths), size)
            yield piece_left_out(folder, row)


def plan_distributions(folder: Path, python: Python, names: Sequence[str] | None = None) -> Iterator[Piece]:
    """The sources of the distributions that are wanted and have a permissive licence; one piece for each other one.

    `names` are the groups of those that count; None: all. What the recipe names and is not installed has its piece too.
    """
    found = _distributions(folder)
    for group, distribution in found.items():
        if names is not None and group not in names:
            continue
        licence = _licence(distribution)
        paths = [(folder / name, name) for name, _ in _recorded(distribution) if (folder / name).is_file()]
        reason = _reason_against(group, licence, python) or (None if paths else "no_sources")
        if reason is None:
            assert licence is not None
            for path, name in paths:
                yield _source(path, f"{group}/{name}", group, licence, _module(Path(name)))
        else:
            size = sum(path.stat().st_size for path, _ in paths)
            yield piece_left_out(folder, LeftOut(group, reason, distribution.version, licence, len(paths), size))
    for group in sorted({group_of_distribution(name) for name in python.distributions or ()} - found.keys()):
        yield piece_left_out(folder, LeftOut(group, "not_installed"))


def plan_folder(folder: Path, python: Python) -> Iterator[Piece]:
    """The sources in a folder that is a standard library or holds installed distributions. Raises InputError else."""
    if (folder / "os.py").is_file():
        return plan_standard_library(folder, python)
    if any(folder.glob("*.dist-info")):
        return plan_distributions(folder, python)
    raise InputError(f"{folder} holds neither a standard library (os.py) nor distributions (*.dist-info)")


def _reason_against(group: str, licence: str | None, python: Python) -> str | None:
    """Why a distribution is not read, whatever it holds; None where it is."""
    if group == _OWN:
        return "own"
    against = reason_against(licence)
    if against is not None:
        return against
    listed = None if python.distributions is None else {group_of_distribution(name) for name in python.distributions}
    return None if _wanted(group, python) and (listed is None or group in listed) else "recipe"


def _wanted(group: str, python: Python) -> bool:
    return (python.include is None or group in python.include) and group not in python.exclude


def _source(path: Path, name: str, group: str, licence: str, module: str) -> Piece:
    return Piece(path, name, "code", path.stat().st_size, group=group, licence=licence, title=module)


def _module(relative: Path) -> str:
    """The dotted name of the module in a file."""
    parts = relative.with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


def _sources_under(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in _PASSED_OVER and not path.name.startswith((".", "config-")):
                yield from _sources_under(path)
        elif path.suffix == ".py" and not path.name.startswith("_sysconfigdata"):  # paths of the build machine
            yield path


def _distributions(folder: Path) -> dict[str, metadata.Distribution]:
    """The distributions installed in a folder, by group."""
    found = {}
    for distribution in metadata.distributions(path=[str(folder)]):
        name = distribution.metadata["Name"]
        if name:
            found[group_of_distribution(name)] = distribution
    return dict(sorted(found.items()))


def _licence(distribution: metadata.Distribution) -> str | None:
    stated = distribution.metadata
    fields = {name: (stated.get_all(name) or [None])[0] for name in ("License-Expression", "License")}
    return licence_of_metadata(fields["License-Expression"], fields["License"], stated.get_all("Classifier") or [])


def _recorded(distribution: metadata.Distribution) -> list[tuple[str, str]]:
    """The Python sources that a distribution's RECORD lists, and their hashes ("" where it states none)."""
    rows = csv.reader((distribution.read_text("RECORD") or "").splitlines())
    listed = {row[0]: row[1] for row in rows if len(row) >= 2 and row[0].endswith(".py")}
    return sorted((name, digest) for name, digest in listed.items() if _is_a_source(PurePosixPath(name)))


def _is_a_source(name: PurePosixPath) -> bool:
    return ".." not in name.parts and not name.is_absolute() and _PASSED_OVER.isdisjoint(name.parts)


def _hashes(distribution: metadata.Distribution, folder: Path) -> str:
    listed = [
        (name, digest or (hash_file(folder / name) if (folder / name).is_file() else ""))
        for name, digest in _recorded(distribution)
    ]
    return hashlib.sha256(repr(listed).encode()).hexdigest()
