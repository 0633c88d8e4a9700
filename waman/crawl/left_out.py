"""What `extract` leaves out whole, and why: a list beside the documents."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from waman.artifact import Artifact
from waman.errors import InputError
from waman.manifest import to_json, write_whole

LEFT_OUT_FILE = "left_out.json"


@dataclass(frozen=True)
class LeftOut:
    """A distribution, a standard module or a folder of a repository that none of the documents is from."""

    name: str
    """Origin of its record among the dropped ones."""
    reason: str
    """Why: see docs/crawl.md."""
    version: str | None = None
    """Version of a distribution that is installed."""
    licence: str | None = None
    """The licence as stated; None: none is."""
    num_files: int = 0
    """Sources that would have been read."""
    num_bytes: int = 0
    """Their size."""

    def __str__(self) -> str:
        licence = f"licence: {self.licence}" if self.licence else "no licence stated"
        name = " ".join(filter(None, (self.name, self.version)))
        return f"{name}\n{licence}\n{self.num_files} files, {self.num_bytes} B"


def write_left_out(folder: Path, left_out: Sequence[LeftOut]) -> None:
    """Writes the list, where there is something to list."""
    if left_out:
        write_whole(folder / LEFT_OUT_FILE, to_json([asdict(one) for one in left_out]))


def read_left_out(documents: Artifact) -> list[LeftOut]:
    """What was left out whole when the documents were made, in order. Raises InputError where the list is damaged."""
    path = documents.path / LEFT_OUT_FILE
    if not path.exists():
        return []
    try:
        return [LeftOut(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path} is damaged, expected a list of what was left out: {error}; extract again") from error
