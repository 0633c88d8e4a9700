"""Repositories: which files are read, and under which licence."""

import os
from collections.abc import Iterator
from pathlib import Path

from waman.crawl.left_out import LeftOut
from waman.crawl.licences import UNKNOWN, licence_of_text, reason_against
from waman.crawl.pieces import Piece, piece_left_out
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
            stated.append(licence_of_text(text) or UNKNOWN)
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
    against = reason_against(licence)
    if against is not None and (folder == repository or own is not None):
        sizes = [path.stat().st_size for path in _governed(folder, github)]
        yield piece_left_out(folder, LeftOut(place, against, None, licence, len(sizes), sum(sizes)))
    for child in _children(folder):
        if child.is_dir():
            yield from _walk(child, repository, github, group=group, prefix=prefix, licence=licence)
        elif child.suffix.lower() in github.suffixes and against is None:
            name = prefix + child.relative_to(repository).as_posix()
            yield Piece(child, name, "code", child.stat().st_size, group=group, licence=licence)


def _governed(folder: Path, github: Github) -> Iterator[Path]:
    """The sources under a folder for which no licence further down holds."""
    for child in _children(folder):
        if child.is_dir() and licence_of_folder(child) is None:
            yield from _governed(child, github)
        elif child.is_file() and child.suffix.lower() in github.suffixes:
            yield child


def _children(folder: Path) -> list[Path]:
    """The files and folders that count, in order."""
    return [
        child
        for child in sorted(folder.iterdir())
        if not child.name.startswith(".")
        and not child.is_symlink()
        and (child.is_file() or (child.is_dir() and child.name not in _PASSED_OVER))
    ]
