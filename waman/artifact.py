"""Self-describing directories: written whole or absent, never stale, resumed by units, traceable to their sources.

NAME.partial/              while it is written: identity.json, lock, .units/STAGE/NAME/, data
NAME/                      when it is whole: manifest.json, README.md, data
"""

import json
import os
import shutil
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from waman import dataflow, settings
from waman.dataflow import Counts, Executor, Job, Local, UnitFunction
from waman.errors import InputError, KindError, LockedError, NoSpaceError, StaleError, WamanError
from waman.identity import hash_directory, hash_file, hash_json
from waman.log import progress
from waman.manifest import (
    ELAPSED,
    IDENTITY,
    LOCK,
    MANIFEST,
    UNITS,
    InputRecord,
    Manifest,
    hash_files,
    read_manifest,
    to_json,
    write_manifest,
    write_whole,
)
from waman.surroundings import MemorySampler, commit, environment

_UNIT = "unit.json"


@dataclass(frozen=True)
class Artifact:
    """A directory or file that a door may read."""

    path: Path
    kind: str
    identity: str
    manifest: Manifest | None = None
    """None for what waman did not make: raw files and directories from elsewhere."""

    @property
    def counts(self) -> Counts:
        """The counts of its manifest; empty for what waman did not make."""
        return self.manifest.counts if self.manifest is not None else {}


# Opening


def open_artifact(path: Path | str, kind: str | tuple[str, ...] | None = None) -> Artifact:
    """A finished artifact directory. Raises InputError where there is none, KindError where it is of another kind."""
    path = Path(path)
    if not path.exists():
        partial = _partial(path)
        hint = f"; {partial.name} is unfinished: run its command again" if partial.exists() else ""
        raise InputError(f"{path} does not exist{hint}")
    if not (path / MANIFEST).is_file():
        raise InputError(f"{path} is not an artifact: it has no {MANIFEST}")
    manifest = read_manifest(path)
    return _of_kind(Artifact(path, manifest.kind, manifest.identity, manifest), kind)


def open_input(path: Path | str, kind: str | tuple[str, ...] | None = None) -> Artifact:
    """An artifact, or a Hugging Face model directory ("weights"), a raw file ("file") or folder ("files")."""
    path = Path(path)
    if (path / MANIFEST).is_file() or not path.exists():
        return open_artifact(path, kind)
    if path.is_file():
        return _of_kind(Artifact(path, "file", hash_file(path)), kind)
    if not path.is_dir():
        raise InputError(f"{path} is neither a file nor a directory: a pipe cannot be read twice; write it to a file")
    if not os.access(path, os.R_OK | os.X_OK):
        raise InputError(f"{path} may not be read: permission denied")
    found = "weights" if (path / "config.json").is_file() else "files"
    return _of_kind(Artifact(path, found, hash_directory(path)), kind)


def verify(artifact: Artifact) -> list[str]:
    """Hashes the files again and names every one that is missing, changed or not in the manifest."""
    if artifact.manifest is None:
        return []
    found = hash_files(artifact.path)
    stated = artifact.manifest.files
    problems = [f"{name}: missing" for name in sorted(stated.keys() - found.keys())]
    problems += [f"{name}: not in the manifest" for name in sorted(found.keys() - stated.keys())]
    problems += [f"{name}: changed" for name in sorted(stated.keys() & found.keys()) if stated[name] != found[name]]
    return problems


def _of_kind(artifact: Artifact, kind: str | tuple[str, ...] | None) -> Artifact:
    wanted = (kind,) if isinstance(kind, str) else kind
    if wanted is not None and artifact.kind not in wanted:
        raise KindError(f"{artifact.path} is of kind '{artifact.kind}', expected '{' or '.join(wanted)}'")
    return artifact


# Writing


def begin(
    out: Path,
    *,
    kind: str,
    version: int,
    recipe: Any,
    inputs: Mapping[str, Artifact | Sequence[Artifact]],
    replace: bool = False,
) -> "Draft":
    """Prepares an artifact at `out`. `Draft.finished` is the artifact if it is there already.

    Raises StaleError where `out` or its unfinished directory was made otherwise, unless `replace`, which renames the
    old one and deletes nothing.
    """
    out = Path(out)
    listed = {name: [one] if isinstance(one, Artifact) else list(one) for name, one in inputs.items()}
    described = _describe_identity(kind, version, recipe, listed, part=None)
    draft = Draft(out, described, recipe=settings.to_table(recipe), inputs=listed)
    for place in (out, draft.path):
        _refuse_or_replace(place, described, replace=replace)
    if (draft.path / MANIFEST).is_file():  # killed between its last two breaths
        _name_finally(draft.path, out)
    if (out / MANIFEST).is_file():
        (out / LOCK).unlink(missing_ok=True)
        draft.finished = open_artifact(out)
    return draft


def seal(
    folder: Path,
    *,
    kind: str,
    version: int,
    recipe: Any,
    inputs: Mapping[str, Artifact | Sequence[Artifact]],
    part: str,
    counts: Counts,
    lineage_from: Path | None = None,
) -> Artifact:
    """Makes a folder inside a draft (a checkpoint, say) an artifact of its own, named by `part`.

    `lineage_from` is the place where the folder will lie in the end, if it is not there yet: the paths of inputs are
    relative to it.
    """
    listed = {name: [one] if isinstance(one, Artifact) else list(one) for name, one in inputs.items()}
    described = _describe_identity(kind, version, recipe, listed, part=part)
    manifest = _manifest(
        folder, lineage_from or folder, described, settings.to_table(recipe), listed, counts, seconds=0.0, peak_memory=0
    )
    write_manifest(folder, manifest)
    return Artifact(folder, kind, manifest.identity, manifest)


class Draft:
    """An artifact being written. Entering it takes the lock; `finish` makes it whole."""

    def __init__(
        self, out: Path, described: dict[str, Any], *, recipe: dict[str, Any], inputs: dict[str, list[Artifact]]
    ) -> None:
        self.out = out
        self.path = _partial(out)
        """The unfinished directory; what is written here becomes the artifact."""
        self.finished: Artifact | None = None
        """The finished artifact, once there is one."""
        self._described, self._recipe, self._inputs = described, recipe, inputs
        self._lock: TextIO | None = None
        self._memory = MemorySampler()
        self._start = 0.0
        self._stages: list[tuple[str, bool]] = []

    @property
    def identity(self) -> str:
        """The identity that the artifact will have."""
        return hash_json(self._described)

    def __enter__(self) -> "Draft":
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = _take_lock(self.path)
            _remove_cut_files(self.path)
            if not (self.path / IDENTITY).exists():
                write_whole(self.path / IDENTITY, to_json(self._described))
        except OSError as error:
            self._release()
            raise _outside_error(error, self.out) from error
        self._start = time.monotonic()
        self._memory.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._memory.stop()
        self._release()
        assert error is not None or self.finished is not None, "a door left its draft without finishing it"
        if isinstance(error, Exception) and not isinstance(error, WamanError):
            full = dataflow.no_space(error)
            if full is not None:
                raise full from error

    def run_units(
        self,
        function: UnitFunction,
        jobs: Sequence[Job],
        *,
        executor: Executor | None = None,
        stage: str = "units",
        scratch: bool = False,
    ) -> list[Counts]:
        """Runs `function(payload, folder)` for each job that is not finished yet; returns the counts of all, in order.

        What a unit writes into its folder stands in the artifact under the same relative path, unless the stage is
        `scratch`.
        Raises the first failed unit's error after the others have run.
        """
        assert len({job.name for job in jobs}) == len(jobs), "two units of one stage share a name"
        if (stage, scratch) not in self._stages:  # a stage may be run piece by piece
            self._stages.append((stage, scratch))
        place = self.path / UNITS / stage
        _clear_attempts(place)
        waiting = [job for job in jobs if not (place / job.name / _UNIT).is_file()]
        attempts = [(job, place / f"{job.name}.partial") for job in waiting]
        for _, attempt in attempts:
            attempt.mkdir(parents=True)
        errors: dict[int, WamanError] = {}
        with progress(len(jobs), stage) as shown:
            shown.advance(len(jobs) - len(waiting))
            for outcome in (executor or Local()).run(function, attempts):
                if outcome.error is not None:
                    errors[outcome.index] = outcome.error
                    if isinstance(outcome.error, NoSpaceError):
                        break
                    continue
                assert outcome.counts is not None
                attempt = attempts[outcome.index][1]
                write_whole(attempt / _UNIT, to_json(outcome.counts))
                os.replace(attempt, attempt.with_suffix(""))
                self._remember_elapsed()
                shown.advance()
        if errors:
            raise errors[min(errors)]
        return [json.loads((place / job.name / _UNIT).read_text(encoding="utf-8")) for job in jobs]

    def unit_folders(self, stage: str = "units") -> list[Path]:
        """The folders of a stage's finished units, in order of name."""
        place = self.path / UNITS / stage
        return sorted(folder for folder in place.iterdir() if (folder / _UNIT).is_file()) if place.is_dir() else []

    def finish(self, *, counts: Counts) -> Artifact:
        """Gathers the units' files, writes the manifest and gives the directory its final name."""
        for stage, scratch in self._stages:
            if not scratch:
                for folder in self.unit_folders(stage):
                    _gather(folder, self.path)
        self._memory.sample()
        seconds = self._earlier_seconds() + time.monotonic() - self._start
        manifest = _manifest(
            self.path,
            self.out,
            self._described,
            self._recipe,
            self._inputs,
            counts,
            seconds=seconds,
            peak_memory=self._memory.peak,
        )
        write_manifest(self.path, manifest)
        _name_finally(self.path, self.out)
        self.finished = Artifact(self.out, manifest.kind, manifest.identity, manifest)
        return self.finished

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _earlier_seconds(self) -> float:
        path = self.path / ELAPSED
        return float(json.loads(path.read_text())["seconds"]) if path.is_file() else 0.0

    def _remember_elapsed(self) -> None:
        now = time.monotonic()
        write_whole(self.path / ELAPSED, to_json({"seconds": self._earlier_seconds() + now - self._start}))
        self._start = now


# Behind the doors


def _partial(out: Path) -> Path:
    return out.with_name(out.name + ".partial")


def _name_finally(partial: Path, out: Path) -> None:
    shutil.rmtree(partial / UNITS, ignore_errors=True)
    for name in (IDENTITY, ELAPSED):
        (partial / name).unlink(missing_ok=True)
    os.replace(partial, out)
    (out / LOCK).unlink(missing_ok=True)


def _describe_identity(
    kind: str, version: int, recipe: Any, inputs: Mapping[str, Sequence[Artifact]], *, part: str | None
) -> dict[str, Any]:
    described = {
        "kind": kind,
        "version": version,
        "recipe": settings.to_table(recipe),
        "inputs": {name: [one.identity for one in many] for name, many in inputs.items()},
    }
    return described | ({"part": part} if part is not None else {})


def _refuse_or_replace(place: Path, described: dict[str, Any], *, replace: bool) -> None:
    if not place.exists():
        return
    if place.is_dir() and not any(place.iterdir()):
        place.rmdir()
        return
    found = _found_identity(place)
    if found is not None and hash_json(found) == hash_json(described):
        return
    if place.name.endswith(".partial") and found is None and _only_ours(place):
        return
    if not replace:
        what = (
            "is not an artifact of waman" if found is None else "was made otherwise:\n" + _differences(found, described)
        )
        raise StaleError(f"{place} {what}\nGive another --out, or --replace to rename the old one and begin anew.")
    if place.name.endswith(".partial"):
        _take_lock(place).close()
    number = 1
    while (aside := place.with_name(f"{place.name}.replaced-{number}")).exists():
        number += 1
    os.replace(place, aside)


def _only_ours(place: Path) -> bool:
    """Whether an unfinished directory was left before its identity was written."""
    return all(child.name in (LOCK, IDENTITY + ".partial") for child in place.iterdir())


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


def _take_lock(partial: Path) -> TextIO:
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


def _outside_error(error: OSError, out: Path) -> WamanError:
    full = dataflow.no_space(error)
    if full is not None:
        return full
    return InputError(f"{out} cannot be written: {error.strerror}; give an --out where you may write")


def _remove_cut_files(partial: Path) -> None:
    """Removes what a kill left of a file being written: where nothing writes it again, it would be part of the data."""
    for leftover in partial.glob("*.partial"):
        if leftover.is_file():
            leftover.unlink()


def _clear_attempts(place: Path) -> None:
    if place.is_dir():
        for leftover in place.glob("*.partial"):
            shutil.rmtree(leftover)


def _gather(unit: Path, target: Path) -> None:
    """Links a unit's files into the artifact; done again after a kill in the middle, it changes nothing."""
    for path in sorted(unit.rglob("*")):
        relative = path.relative_to(unit)
        if path.is_dir() or relative == Path(_UNIT):
            continue
        place = target / relative
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists() and os.path.samefile(place, path):
            continue
        assert not place.exists(), f"two units wrote {relative}"
        try:
            os.link(path, place)
        except PermissionError:  # a file system without links
            partial = place.with_name(place.name + ".partial")
            shutil.copyfile(path, partial)
            os.replace(partial, place)
            path.unlink()
            os.symlink(os.path.relpath(place, path.parent), path)


def _lineage(artifact: Artifact, place: Path) -> InputRecord:
    own = artifact.manifest.inputs if artifact.manifest is not None else {}
    path = os.path.relpath(artifact.path.resolve(), place.resolve())
    return InputRecord(path, artifact.kind, artifact.identity, own)


def _manifest(
    folder: Path,
    place: Path,
    described: dict[str, Any],
    recipe: dict[str, Any],
    inputs: Mapping[str, Sequence[Artifact]],
    counts: Counts,
    *,
    seconds: float,
    peak_memory: int,
) -> Manifest:
    from waman import __version__

    return Manifest(
        kind=described["kind"],
        identity=hash_json(described),
        version=described["version"],
        part=described.get("part"),
        recipe=recipe,
        inputs={name: [_lineage(one, place) for one in many] for name, many in inputs.items()},
        counts=counts,
        files=hash_files(folder),
        waman_version=__version__,
        commit=commit(),
        environment=environment(),
        seconds=round(seconds, 3),
        peak_memory_bytes=peak_memory,
    )
