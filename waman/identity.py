"""Identities: hashes of files (remembered by path, size and time of change), of directories and of plain data."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from waman.errors import InputError

_MEMORY = Path.home() / ".cache" / "waman" / "hashes.sqlite"
_REMEMBERED_FROM_BYTES = 1 << 22
"""Smaller files are hashed again: that is faster than looking them up."""


def hash_json(table: Any) -> str:
    """sha256 of the canonical JSON of plain data."""
    text = json.dumps(table, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_file(path: Path, *, remember: bool = True) -> str:
    """sha256 of a file's bytes. Raises InputError where it may not be read."""
    try:
        status = path.stat()
        key = (str(path.resolve()), status.st_size, status.st_mtime_ns)
        remember = remember and status.st_size >= _REMEMBERED_FROM_BYTES
        known = _recall(key) if remember else None
        if known is not None:
            return known
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        if error.errno is not None and isinstance(error, PermissionError | FileNotFoundError | IsADirectoryError):
            raise InputError(f"{path} cannot be read: {error.strerror}; check its name and who may read it") from error
        raise
    if remember:
        _remember(key, digest)
    return digest


def hash_directory(folder: Path, files: Iterable[Path] | None = None) -> str:
    """Hash of the relative paths and bytes of a directory's files (all, or those given)."""
    chosen = sorted(files) if files is not None else sorted(path for path in folder.rglob("*") if path.is_file())
    return hash_json([[path.relative_to(folder).as_posix(), hash_file(path)] for path in chosen])


def _recall(key: tuple[str, int, int]) -> str | None:
    if not _MEMORY.exists():
        return None
    try:
        with closing(sqlite3.connect(_MEMORY, timeout=1)) as memory:
            row = memory.execute(
                "select sha256 from files where path = ? and bytes = ? and changed = ?", key
            ).fetchone()
    except sqlite3.Error:
        return None  # the memory only saves time
    return str(row[0]) if row else None


def _remember(key: tuple[str, int, int], digest: str) -> None:
    try:
        _MEMORY.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(_MEMORY, timeout=1)) as memory, memory:
            memory.execute(
                "create table if not exists files (path text primary key, bytes int, changed int, sha256 text)"
            )
            memory.execute("insert or replace into files values (?, ?, ?, ?)", (*key, digest))
    except (sqlite3.Error, OSError):
        return  # the memory only saves time
