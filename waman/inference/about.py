"""What a model says of itself before a chat: `about.json` in its directory."""

import json
from dataclasses import dataclass
from pathlib import Path

from waman.errors import InputError
from waman.manifest import MANIFEST, read_manifest
from waman.quantization.proof import in_a_line

ABOUT_FILE = "about.json"


@dataclass(frozen=True)
class About:
    """How large a model is, what it was trained on and what it is good for."""

    parameters: int
    tokens: int | None = None
    """Tokens that it was trained on."""
    answers: str | None = None
    """What it can answer, in a few words."""
    questions: tuple[str, ...] = ()
    """Some to try."""
    certificate: str | None = None
    """What quantization changed, in a line."""

    def lines(self) -> list[str]:
        """What a chat opens with."""
        trained = f", trained on {_short(self.tokens)} tokens" if self.tokens is not None else ""
        lines = [f"A language model of {_short(self.parameters)} parameters{trained}."]
        if self.certificate is not None:
            lines.append(self.certificate)
        if self.answers is not None:
            lines.append(f"It can answer: {self.answers}")
        if self.questions:
            lines += ["Try:", *(f"  {question}" for question in self.questions)]
        return lines


def read_about(folder: Path, *, parameters: int) -> About:
    """What the directory's about.json says, without one the counted parameters, and the proof of a quantization.

    Raises InputError where the file cannot be read.
    """
    path = folder / ABOUT_FILE
    counts = read_manifest(folder).counts if (folder / MANIFEST).is_file() else {}
    certificate = in_a_line(counts)
    if not path.is_file():
        return About(parameters, certificate=certificate)
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return About(
            parameters=int(table["parameters"]),
            tokens=None if table["tokens"] is None else int(table["tokens"]),
            answers=str(table["answers"]),
            questions=tuple(str(question) for question in table["questions"]),
            certificate=certificate,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{path}: expected a table with parameters, tokens, answers (a text) and questions (a list): {error!r}; "
            "tune again, or remove it"
        ) from error


def _short(number: int) -> str:
    for size, name in ((10**12, "trillion"), (10**9, "billion"), (10**6, "million")):
        if number >= size:
            return f"{number / size:.3g} {name}"
    return f"{number:,}"
