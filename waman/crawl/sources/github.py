"""Repositories: which files are read, and under which licence."""

import os
from collections.abc import Iterator
from pathlib import Path

from waman.crawl.licences import is_permissive, licence_of_text
from waman.crawl.pieces import Piece
from waman.crawl.recipe import Github
from waman.errors import InputError

_LICENCE_NAMES = ("license", "licence", "copying", "unlicense")
_MARKS = (".git", "pyproject.toml", "setup.py", "package.json", "Cargo.toml", "go.mod", "Makefile", "CMakeLists.txt")
_PASSED_OVER = frozenset({"node_modules", "vendor", "third_party", "__pycache__", "site-packages", "dist", "build"})
_MAX_LICENCE_BYTES = 200_000
_OWNERS_AND_NAMES = 2
"""How deep a folder of repositories is at most: owner, name."""


def plan_repositories(folder: Path, github: Github) -> Iterator[Piece]:
    """The files of every repository with a permissive licence; one piece that was left out for each other one.

    The licence nearest above a file holds for it; the group is the repository. Raises InputError without repositories.
    """
    found = sorted(_repositories(folder)) if folder.is_dir() else []
    if not found:
        raise InputError(f"{folder} holds no repository: expected folders with a licence, .git or a build file")
    for repository in found:
        name = repository.relative_to(folder).as_posix() if repository != folder else folder.name
        prefix = "" if repository == folder else f"{name}/"
        yield from _walk(repository, repository, github, group=name, prefix=prefix, licence=None)


def licence_of_folder(folder: Path) -> str | None:
    """The licence that the files of this folder state; joined by AND where several do; None without one."""
    stated = []
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.stem.lower().startswith(_LICENCE_NAMES):
            text = path.read_bytes()[:_MAX_LICENCE_BYTES].decode("utf-8", errors="replace")
            stated.append(licence_of_text(text) or "unknown")
    return " AND ".join(dict.fromkeys(stated)) or None


def _repositories(folder: Path, depth: int = 0) -> Iterator[Path]:
    if _is_repository(folder):
        yield folder
    elif depth < _OWNERS_AND_NAMES:
        for child in folder.iterdir():
            if child.is_dir() and not child.name.startswith("."):
                yield from _repositories(child, depth + 1)


def _is_repository(folder: Path) -> bool:
    names = os.listdir(folder)
    return any(name in _MARKS or Path(name).stem.lower().startswith(_LICENCE_NAMES) for name in names)


def _walk(
    folder: Path, repository: Path, github: Github, *, group: str, prefix: str, licence: str | None
) -> Iterator[Piece]:
    own = licence_of_folder(folder)
    licence = own or licence
    place = prefix + folder.relative_to(repository).as_posix() if folder != repository else group
    if folder == repository or own is not None:
        reason = "no_licence" if licence is None else "licence"
        if licence is None or not is_permissive(licence):
            yield Piece(folder, place, "left_out", 0, licence=licence, reason=reason)
    for child in sorted(folder.iterdir()):
        if child.name.startswith(".") or child.is_symlink():
            continue
        if child.is_dir() and child.name not in _PASSED_OVER:
            yield from _walk(child, repository, github, group=group, prefix=prefix, licence=licence)
        elif child.is_file() and child.suffix.lower() in github.suffixes and licence and is_permissive(licence):
            name = prefix + child.relative_to(repository).as_posix()
            yield Piece(child, name, "code", child.stat().st_size, group=group, licence=licence)
