"""The verbs whose few options have names of their own: generate, chat, inspect."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from waman.manifest import InputRecord, Manifest


def generate(
    model: Annotated[Path, typer.Argument(help="A weights artifact or a Hugging Face directory.")],
    prompt: Annotated[str, typer.Argument(help="The text to go on from; '-' reads it from standard input.")],
    max_tokens: Annotated[int, typer.Option(help="Tokens to write at most.")] = 128,
    temperature: Annotated[float, typer.Option(help="0 always takes the most likely token.")] = 0.8,
    top_p: Annotated[float, typer.Option(help="Draw from the likeliest tokens that hold this probability.")] = 0.95,
    seed: Annotated[int, typer.Option(help="The same seed gives the same text.")] = 0,
    stop: Annotated[list[str] | None, typer.Option(help="Stop before this text. May be repeated.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Complete a prompt, streamed as it is written."""
    from waman.inference.generate import generate as run
    from waman.inference.recipe import Sampling

    sampling = Sampling(max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed, stop=tuple(stop or ()))
    run(sampling, model=model, prompt=prompt)


def chat(
    model: Annotated[Path, typer.Argument(help="A weights artifact or a Hugging Face directory.")],
    max_tokens: Annotated[int, typer.Option(help="Tokens of an answer at most.")] = 128,
    temperature: Annotated[float, typer.Option(help="0 always takes the most likely token.")] = 0.0,
    top_p: Annotated[float, typer.Option(help="Draw from the likeliest tokens that hold this probability.")] = 0.95,
    seed: Annotated[int, typer.Option(help="The same seed gives the same text.")] = 0,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Talk with a tuned model."""
    from waman.inference.chat import chat as run
    from waman.inference.recipe import Sampling

    run(Sampling(max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed), model=model)


def inspect(
    artifact: Annotated[Path, typer.Argument(help="An artifact directory.")],
    verify: Annotated[bool, typer.Option("--verify", help="Hash the files again and compare.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Show an artifact's counts and its lineage back to every source."""
    from waman.artifact import open_artifact
    from waman.artifact import verify as find_problems
    from waman.errors import ArtifactError

    opened = open_artifact(artifact)
    assert opened.manifest is not None
    problems = find_problems(opened) if verify else []
    if as_json:
        print(json.dumps(asdict(opened.manifest) | {"problems": problems}, indent=1, ensure_ascii=False))
    else:
        print(describe(opened.manifest))
        if verify and not problems:
            print(f"verified: all {len(opened.manifest.files)} files are as the manifest says")
    if problems:
        raise ArtifactError(
            f"{artifact} is not as its manifest says:\n"
            + "\n".join(problems)
            + "\nBring these files back, or make it again."
        )


def describe(manifest: Manifest) -> str:
    """The manifest for people: what, how much, from what, at what cost."""
    made = f"waman {manifest.waman_version}" + (f" at {manifest.commit[:12]}" if manifest.commit else "")
    lines = [
        f"kind      {manifest.kind}",
        f"identity  {manifest.identity[:16]}",
        f"made by   {made}, in {manifest.seconds:.1f} s and {manifest.peak_memory_bytes / 2**20:.0f} MiB",
        f"files     {len(manifest.files)}, {sum(one['bytes'] for one in manifest.files.values()) / 2**20:.1f} MiB",
        f"counts    {json.dumps(manifest.counts, ensure_ascii=False)}",
        "lineage",
        *_lineage(manifest.inputs, indent="  "),
    ]
    return "\n".join(lines)


def _lineage(inputs: dict[str, list[InputRecord]], *, indent: str) -> list[str]:
    lines = []
    for role, records in inputs.items():
        for record in records:
            lines.append(f"{indent}{role}: {record.path} ({record.kind}, {record.identity[:16]})")
            lines += _lineage(record.inputs, indent=indent + "  ")
    return lines
