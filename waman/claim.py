"""Claims the place of an artifact: what was made otherwise is refused, and so is a second process."""

import json
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from waman import settings
from waman.artifact import Artifact
from waman.errors import LockedError, StaleError
from waman.identity import hash_json
from waman.manifest import IDENTITY, LOCK, MANIFEST, UNITS, read_manifest


def describe_identity(
    kind: str, version: int, recipe: Any, inputs: Mapping[str, Sequence[Artifact]], *, part: str | None
) -> dict[str, Any]:
    described = {
        "kind": kind,
        "version": version,
        "recipe": settings.to_table(recipe),
        "inputs": {name: [one.identity for one in many] for name, many in inputs.items()},
    }
    return described | ({"part": part} if part is not None else {})


def refuse_or_replace(place: Path, described: dict[str, Any], *, replace: bool) -> None:
    """Leaves a directory of this identity, or without any work in it; else raises StaleError, or renames the other."""
    if not place.exists():
        return
    if place.is_dir() and not any(place.iterdir()):
        place.rmdir()
        return
    if is_of(place, described):
        return
    is_partial = place.name.endswith(".partial")
    if is_partial and _holds_no_work(place):
        return
    if not replace:
        raise _stale(place, described, is_partial=is_partial)
    if is_partial:
        take_lock(place).close()
    number = 1
    while (aside := place.with_name(f"{place.name}.replaced-{number}")).exists():
        number += 1
    os.replace(place, aside)


def is_of(place: Path, described: dict[str, Any]) -> bool:
    """Whether a directory, finished or not, is of this identity."""
    found = _found_identity(place)
    return found is not None and hash_json(found) == hash_json(described)


def _holds_no_work(partial: Path) -> bool:
    """Whether an unfinished directory was left before a unit or a file of it was whole: nothing is lost without it."""
    ours = (LOCK, IDENTITY, IDENTITY + ".partial", UNITS)
    units = [path for path in partial.glob(f"{UNITS}/*/*") if path.suffix != ".partial"]
    return not units and all(child.name in ours for child in partial.iterdir())


def _stale(place: Path, described: dict[str, Any], *, is_partial: bool) -> StaleError:
    found = _found_identity(place)
    if found is None:
        return StaleError(
            f"{place} is not an artifact of waman\nGive another --out, or --replace to rename it and begin anew."
        )
    what = "is unfinished work of a run that differs" if is_partial else "was made otherwise"
    go_on = "Run it as it was to go on with it, give" if is_partial else "Give"
    return StaleError(
        f"{place} {what}:\n{_differences(found, described)}\n"
        f"{go_on} another --out, or --replace to rename the old one and begin anew."
    )


def _found_identity(place: Path) -> dict[str, Any] | None:
    if (place / MANIFEST).is_file():
        manifest = read_manifest(place)
        return {
            "kind": manifest.kind,
            "version": manifest.version,
            "recipe": manifest.recipe,
            "inputs": {name: [one.identity for one in many] for name, many in manifest.inputs.items()},
        }
    if not (place / IDENTITY).is_file():
        return None
    found = json.loads((place / IDENTITY).read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def _differences(found: Any, wanted: Any, path: str = "") -> str:
    """One line per field that differs: where, what is there, what was asked for."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        lines = []
        for key in sorted(found.keys() | wanted.keys()):
            inner = f"{path}.{key}" if path else key
            if found.get(key) != wanted.get(key):
                lines.append(_differences(found.get(key, "absent"), wanted.get(key, "absent"), inner))
        return "\n".join(lines)
    return f"  {path}: found {found!r}, asked for {wanted!r}"


def take_lock(partial: Path) -> TextIO:
    import fcntl

    lock = (partial / LOCK).open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alive = os.path.samestat(os.fstat(lock.fileno()), os.stat(partial / LOCK))
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "another process"
        lock.close()
        raise LockedError(f"{partial} is being written by {holder}: wait for it, or give another --out") from None
    except FileNotFoundError:
        alive = False
    if not alive:
        lock.close()
        raise LockedError(f"{partial} was finished by another process just now: run the command again to use it")
    lock.truncate(0)
    lock.write(f"process {os.getpid()} on {socket.gethostname()}")
    lock.flush()
    return lock
