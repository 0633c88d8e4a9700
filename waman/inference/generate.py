"""`waman generate`: a prompt in, its completion out, as it is written."""

import sys
from pathlib import Path
from typing import TextIO

from waman.inference.load import load
from waman.inference.recipe import Sampling


def generate(
    recipe: Sampling, *, model: Path, prompt: str, source: TextIO | None = None, output: TextIO | None = None
) -> str:
    """Writes the completion to `output` (standard output) while it comes, and returns it.

    The prompt `-` is read from `source` (standard input).
    """
    output = output or sys.stdout
    text = (source or sys.stdin).read() if prompt == "-" else prompt
    written = []
    for piece in load(model).stream(text, recipe):
        output.write(piece)
        output.flush()
        written.append(piece)
    output.write("\n")
    return "".join(written)
