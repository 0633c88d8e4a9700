"""`waman generate`: a prompt in, its completion out, as it is written; or a demonstration."""

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from waman import settings
from waman.errors import InputError, PromptError
from waman.inference.generation import Completion
from waman.inference.load import load
from waman.inference.recipe import SampleRecipe, Sampling
from waman.tokens.chat import Turn

SAMPLES = Path(__file__).parent / "samples"


def generate(
    recipe: Sampling,
    *,
    model: Path,
    prompt: str,
    adapter: Path | None = None,
    as_json: bool = False,
    source: TextIO | None = None,
    output: TextIO | None = None,
) -> str:
    """Writes the completion to `output` (standard output) while it comes, and returns what was written.

    The prompt `-` is read from `source` (standard input). adapter: a PEFT directory. Several samples come one after
    the other under their numbers; as_json: all that is known of them, as data.
    """
    output = output or sys.stdout
    if not as_json and (recipe.logprobs is not None or recipe.prompt_logprobs is not None):
        raise InputError("log-probabilities are told as data: give --json as well")
    text = (source or sys.stdin).read() if prompt == "-" else prompt
    llm = load(model)
    chosen = None if adapter is None else llm.add_adapter(adapter)
    if as_json or recipe.num_samples > 1:
        (found,) = llm.complete([text], recipe, adapter=chosen)
        shown = render_json(found) if as_json else render_samples(found, recipe)
        return _write([shown, "\n"], output).removesuffix("\n")
    written = _write(llm.stream(text, recipe, adapter=chosen), output)
    _write(["\n"], output)
    return written


def show_sample(
    name: str,
    *,
    model: Path,
    change: Callable[[Sampling], Sampling] | None = None,
    adapter: Path | None = None,
    output: TextIO | None = None,
) -> str:
    """Writes a demonstration, prompts and completions; returns what was written.

    name: `mail`, `code`, `dialogue`, `shell`, or a recipe of one's own (.toml). A model that chats is asked, where the
    recipe has a question; another goes on from the text. One that is too long for the model is passed over, which is
    said. change: what to do otherwise than the recipe says.
    """
    recipe = read_sample(name)
    sampling = recipe.sampling if change is None else change(recipe.sampling)
    output = output or sys.stdout
    llm = load(model)
    chosen = None if adapter is None else llm.add_adapter(adapter)
    written = []
    for number, prompt in enumerate(recipe.prompts):
        asked = prompt.question if llm.chats else None
        shown = prompt.text if asked is None else f"> {asked}\n"
        written.append(_write([f"{'' if number == 0 else chr(10)}== {prompt.title} ==\n", shown], output))
        try:
            if asked is None:
                pieces = llm.stream(prompt.text, sampling, adapter=chosen)
            else:
                pieces = llm.chat_stream([Turn("user", asked)], sampling, adapter=chosen)
            written.append(_write(pieces, output))
        except PromptError as error:
            written.append(_write([f" ({error})"], output))
        written.append(_write(["\n"], output))
    return "".join(written)


def read_sample(name: str) -> SampleRecipe:
    """A demonstration of ours by its name, or a .toml file. Raises RecipeError for what is neither."""
    if name.endswith(".toml"):
        return settings.load(SampleRecipe, name)
    known = sorted(path.stem for path in SAMPLES.glob("*.toml"))
    if name not in known:
        raise InputError(f"sample: found {name!r}, expected one of {', '.join(known)}, or a recipe (.toml)")
    return settings.load(SampleRecipe, SAMPLES / f"{name}.toml")


def render_samples(completions: list[Completion], sampling: Sampling) -> str:
    """The texts under their numbers; which of them do not fulfil their constraint, or failed, is said."""
    parts = []
    for one in completions:
        told = ""
        if one.finish == "failed":
            told = f" (failed: {one.problem})"
        elif sampling.constraint is not None and not one.is_whole:
            told = " (cut off before its constraint was fulfilled)"
        parts.append(f"== {one.sample} =={told}\n{one.text}")
    return "\n".join(parts)


def render_json(completions: list[Completion]) -> str:
    """All that is known of them."""
    return json.dumps([asdict(one) | {"is_whole": one.is_whole} for one in completions], ensure_ascii=False, indent=1)


def _write(pieces: Iterable[str], output: TextIO) -> str:
    written = []
    for piece in pieces:
        output.write(piece)
        output.flush()
        written.append(piece)
    return "".join(written)
