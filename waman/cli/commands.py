"""The verbs whose few options have names of their own: generate, chat, plan, inspect."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from waman.manifest import InputRecord, Manifest

if TYPE_CHECKING:
    from waman.artifact import Artifact


def generate(
    model: Annotated[Path, typer.Argument(help="A weights artifact or a Hugging Face directory.")],
    prompt: Annotated[
        str | None, typer.Argument(help="The text to go on from; '-' reads it from standard input.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Tokens to write at most; else 128.")] = None,
    temperature: Annotated[float | None, typer.Option(help="0 takes the most likely token; else 0.8.")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Draw from the likeliest tokens that hold this probability; else 0.95.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Draw from this many of the likeliest tokens.")] = None,
    min_p: Annotated[
        float | None, typer.Option(help="Leave out what is less likely than this share of the likeliest.")
    ] = None,
    repetition_penalty: Annotated[float | None, typer.Option(help="Above 1: repeat less.")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same text; else 0.")] = None,
    stop: Annotated[list[str] | None, typer.Option(help="Stop before this text. May be repeated.")] = None,
    num_samples: Annotated[int | None, typer.Option(help="How many completions.")] = None,
    logprobs: Annotated[
        int | None, typer.Option(help="With --json: log-probabilities, and those of so many alternatives.")
    ] = None,
    json_schema: Annotated[
        str | None, typer.Option(metavar="FILE", help="The answer is JSON of this schema (a file, or {...}).")
    ] = None,
    regex: Annotated[str | None, typer.Option(help="The answer matches this expression.")] = None,
    grammar: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The answer is a sentence of this grammar (Lark).")
    ] = None,
    adapter: Annotated[Path | None, typer.Option(metavar="DIR", help="A LoRA adapter (PEFT).")] = None,
    sample: Annotated[
        str | None, typer.Option(help="In place of a prompt: mail, code, dialogue, shell, or a .toml.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Any other field of sampling; see docs/inference.md."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All that is known of the completions, as JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Complete a prompt, streamed as it is written; or show a sample of mail, code, dialogue or shell."""
    from waman import settings
    from waman.errors import InputError
    from waman.inference.generate import generate as run
    from waman.inference.generate import show_sample
    from waman.inference.recipe import Sampling

    if (prompt is None) == (sample is None):
        raise InputError("found " + ("neither" if prompt is None else "both") + " a prompt and --sample; give one")
    if sample is not None and as_json:
        raise InputError("--sample shows texts: leave out --json, or give a prompt")
    given = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "min_p": min_p,
        "repetition_penalty": repetition_penalty,
        "seed": seed,
        "stop": stop or None,
        "num_samples": num_samples,
        "logprobs": logprobs,
        "constraint": _constraint(json_schema=json_schema, regex=regex, grammar=grammar),
    }
    table = {name: value for name, value in given.items() if value is not None}

    def change(usual: Sampling) -> Sampling:
        return settings.parse(Sampling, settings.apply_overrides(settings.to_table(usual) | table, overrides or ()))

    if sample is not None:
        show_sample(sample, model=model, change=change, adapter=adapter)
    elif prompt is not None:
        usual = Sampling(max_tokens=128, temperature=0.8, top_p=0.95)
        run(change(usual), model=model, prompt=prompt, adapter=adapter, as_json=as_json)


def _constraint(*, json_schema: str | None, regex: str | None, grammar: Path | None) -> dict[str, str] | None:
    from waman.errors import InputError

    given = [option for option in (json_schema, regex, grammar) if option is not None]
    if len(given) > 1:
        raise InputError("--json-schema, --regex, --grammar: an answer has one form; give one of them")
    if json_schema is not None:
        inline = json_schema.lstrip().startswith("{")
        return {"kind": "json_schema", "schema": json_schema if inline else _read(Path(json_schema))}
    if regex is not None:
        return {"kind": "regex", "pattern": regex}
    return None if grammar is None else {"kind": "grammar", "rules": _read(grammar)}


def _read(path: Path) -> str:
    from waman.errors import InputError

    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}; give a text file") from error


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


def plan(
    target: Annotated[
        str | None,
        typer.Argument(
            help="A preset, a recipe of pretrain (.toml), a run or a model's directory; none: the largest that "
            "--gpu trains in --days."
        ),
    ] = None,
    tokens: Annotated[str | None, typer.Option(metavar="N", help="Tokens to train on: 1.4T, 300B, 3e9.")] = None,
    gpu: Annotated[str | None, typer.Option(help="A device of the table, such as h100.")] = None,
    gpus: Annotated[int | None, typer.Option(help="How many; else as few as it fits on.")] = None,
    mfu: Annotated[float | None, typer.Option(help="Share of the peak that is reached; else the table's.")] = None,
    speed: Annotated[float | None, typer.Option(help="Tokens per second of one device, in place of --mfu.")] = None,
    price: Annotated[float | None, typer.Option(help="Of a device, an hour, in the currency.")] = None,
    currency: Annotated[str, typer.Option(help="What money is given in, such as KRW.")] = "USD",
    exchange_rate: Annotated[float | None, typer.Option(help="Units of it for one USD, for the table's price.")] = None,
    watts: Annotated[float | None, typer.Option(help="What a device draws; else the table's.")] = None,
    days: Annotated[float | None, typer.Option(help="Refuse what takes longer.")] = None,
    budget: Annotated[float | None, typer.Option(help="Refuse what costs more, in the currency.")] = None,
    loss: Annotated[
        float | None, typer.Option(help="Which model costs least to reach this loss, nats per token, and to serve?")
    ] = None,
    served: Annotated[str | None, typer.Option(metavar="N", help="Tokens it will read and write in its life.")] = None,
    flops: Annotated[str | None, typer.Option(metavar="C", help="Or: which is best for so many FLOPs in all?")] = None,
    serving_mfu: Annotated[float | None, typer.Option(help="Share of the peak that serving reaches.")] = None,
    unique_tokens: Annotated[
        str | None, typer.Option(metavar="N", help="Which size and how many epochs, for so many tokens of a language?")
    ] = None,
    second_language: Annotated[
        list[float] | None, typer.Option(metavar="SHARE", help="A share of tokens of another. May be repeated.")
    ] = None,
    transfer: Annotated[
        list[float] | None, typer.Option(help="Worth of one of those in new tokens of the first. May be repeated.")
    ] = None,
    runs: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="Fit a law to runs and use it. May be repeated.")
    ] = None,
    law: Annotated[str | None, typer.Option(help="A published law: chinchilla, besiroglu; docs/planning.md.")] = None,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the curve of size and cost.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Any other field; see docs/costing.md, docs/planning.md."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Reckon what training a model takes: memory, time, money, energy; or which model to train."""
    from waman import settings
    from waman.cli.questions import answer, asks_for_a_size
    from waman.planning.plan import plan as run
    from waman.planning.recipe import PlanRecipe

    counts = {"served": served, "flops": flops, "unique_tokens": unique_tokens}
    given = {
        "target": target,
        "tokens": tokens,
        "gpu": gpu,
        "gpus": gpus,
        "mfu": mfu,
        "speed": speed,
        "price": price,
        "currency": None if currency == "USD" else currency,
        "exchange_rate": exchange_rate,
        "watts": watts,
        "days": days,
        "budget": budget,
        "loss": loss,
        "serving_mfu": serving_mfu,
        "second_language": second_language or None,
        "transfer": transfer or None,
        "runs": runs or None,
        "law": law,
        "svg": svg,
        **{name: None if text is None else float(parse_count(text)) for name, text in counts.items()},
    }
    if asks_for_a_size(given):
        print(answer(given, overrides=overrides or (), as_json=as_json), end="")
        return
    named = {
        "num_tokens": None if tokens is None else parse_count(tokens),
        "gpu": gpu,
        "num_gpus": gpus,
        "mfu": mfu,
        "tokens_per_second": speed,
        "price_per_hour": price,
        "currency": currency,
        "exchange_rate": exchange_rate,
        "watts": watts,
        "max_days": days,
        "budget": budget,
    }
    table = {name: value for name, value in named.items() if value is not None}
    found = run(settings.parse(PlanRecipe, settings.apply_overrides(table, overrides or ())), target=target)
    print(json.dumps(found.to_table(), indent=1, ensure_ascii=False) + "\n" if as_json else found.render(), end="")


_LETTERS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def parse_count(text: str) -> int:
    """A number of tokens: 1.4T, 300B, 3e9, 250000. Raises InputError for what is none."""
    from waman.errors import InputError

    letter = text[-1:].upper()
    try:
        number = float(text[:-1]) * _LETTERS[letter] if letter in _LETTERS else float(text)
        return round(number)
    except (ValueError, OverflowError) as error:
        raise InputError(f"'{text}' is no number of tokens; expected such as 1.4T, 300B, 3e9") from error


def build_kernels(
    compiler: Annotated[str | None, typer.Option(help="A C++ compiler; else g++, clang++ or c++.")] = None,
    every_level: Annotated[
        bool, typer.Option("--every-level", help="For all processors that the kernels know, not this one.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="The folder to write; else the user's cache, where it is found.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Compile the kernels of quantized and plain models for this processor, once."""
    from waman.errors import InputError
    from waman.quantization.build_kernels import build_every_level
    from waman.quantization.build_kernels import build_kernels as build

    if every_level and out is None:
        raise InputError("--every-level makes the libraries that a wheel brings: name their folder with --out")
    paths = build_every_level(out, compiler=compiler) if every_level and out else [build(folder=out, compiler=compiler)]
    for path in paths:
        print(path)


def inspect(
    artifact: Annotated[Path | None, typer.Argument(help="An artifact directory.")] = None,
    machine: Annotated[bool, typer.Option("--machine", help="Show what this machine computes with instead.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Hash the files again and compare.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
    card: Annotated[
        Path | None, typer.Option(help="Write a corpus's data card (a README.md for the Hub) here.")
    ] = None,
    contact: Annotated[str | None, typer.Option(help="Whom the card tells people to write to.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Show an artifact's counts and its lineage back to every source."""
    from waman.artifact import open_artifact
    from waman.artifact import verify as find_problems
    from waman.errors import ArtifactError, InputError

    if (artifact is None) is not machine:
        raise InputError("inspect: give either an artifact's directory or --machine")
    if artifact is None:
        _show_machine(as_json=as_json)
        return
    opened = open_artifact(artifact)
    assert opened.manifest is not None
    if card is not None:
        _write_card(opened, card, contact)
    elif contact is not None:
        raise InputError("--contact names whom a data card tells people to write to: give --card FILE as well")
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


def _show_machine(*, as_json: bool) -> None:
    from waman.quantization.build_kernels import machine

    found = machine()
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        print("\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in found.items()))


def _write_card(opened: "Artifact", card: Path, contact: str | None) -> None:
    from waman.corpus.card import render_card
    from waman.errors import InputError

    text = render_card(opened, contact=contact)
    try:
        card.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{card} cannot be written: {error.strerror}; give a file where you may write") from error


def trace(
    artifacts: Annotated[list[Path], typer.Argument(help="Artifacts: weights, runs, tokens, documents.")],
    url: Annotated[str, typer.Option(help="The page's address.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Tell where a page went: the documents, shards and weights that hold it, or why it was dropped."""
    from waman.artifact import open_artifact
    from waman.tracing.trace import render
    from waman.tracing.trace import trace as find

    traced = find(url, artifacts=[open_artifact(path) for path in artifacts])
    print(json.dumps(traced.to_data(), indent=1, ensure_ascii=False) if as_json else render(traced), end="\n" * as_json)


def describe(manifest: Manifest) -> str:
    """The manifest for people: what, how much, from what, at what cost."""
    from waman.quantization.proof import told

    made = f"waman {manifest.waman_version}" + (f" at {manifest.commit[:12]}" if manifest.commit else "")
    lines = [
        f"kind      {manifest.kind}",
        f"identity  {manifest.identity[:16]}",
        f"made by   {made}, in {manifest.seconds:.1f} s and {manifest.peak_memory_bytes / 2**20:.0f} MiB",
        f"files     {len(manifest.files)}, {sum(one['bytes'] for one in manifest.files.values()) / 2**20:.1f} MiB",
        f"counts    {json.dumps(manifest.counts, ensure_ascii=False)}",
        *told(manifest.counts),
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
