"""Every door on inputs small enough to be killed in the middle many times; each reads what the ones before it wrote."""

import inspect
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waman import settings
from waman.artifact import Artifact, open_input
from waman.cli.verbs import VERBS, resolve
from waman.dataflow import Inline, Local

HOST = "site.test"
ADDRESS = "address.json"
"""Where the web server is that `fetch` reads; in the folder of all artifacts."""
NUM_PAGES, NUM_GROUPS = 40, 10


@dataclass(frozen=True)
class Door:
    """One door, with a recipe that cuts its input into at least four units."""

    settings: tuple[str, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Name of the input -> the artifact's place in the folder."""
    verb: str | None = None
    """The verb, where the door is called in more than one way."""
    dated: str = "no file"
    """Files whose bytes tell the time, as a shell pattern."""
    in_units: bool = True
    """Whether work is finished in parts; else a door that was stopped begins anew."""


DOORS: dict[str, Door] = {
    "fetch": Door(
        (f"seeds=['http://{HOST}/']", "delay_seconds=0.0", "pages_per_unit=6"),
        dated="warc/*",
    ),
    "extract": Door(
        ("unit_bytes=12000", "group.kind=by_path_segment"), {"archives": "fetch"}, dated="report.html"
    ),
    "refine": Door(("filters.web=[]",), {"documents": "extract"}, dated="report.html"),
    "extract-records": Door(
        ("unit_bytes=12000", "group.kind=by_record"), {"archives": "fetch"}, verb="extract", dated="report.html"
    ),
    "train-classifier": Door((), {"reference": "extract", "pages": "extract-records"}),
    "overlap": Door((), {"documents": "extract", "benchmarks": "refine"}),
    "decontaminate": Door(("remedy.max_share=0.5",), {"documents": "extract", "overlap": "overlap"}),
    "publish": Door((), {"documents": "extract"}),
    "mix": Door(("held_out.share=0.2",), {"documents": "refine"}),
    "train-tokenizer": Door(("vocab_size=400",), {"documents": "refine", "mixture": "mix"}),
    "tokenize": Door((), {"documents": "refine", "mixture": "mix", "tokenizer": "train-tokenizer"}),
    "pretrain": Door(
        (
            "num_tokens=10_240", "batch_tokens=512", "checkpoints.kind=every_steps", "checkpoints.steps=4",
            "precision.kind=float32", "model.context_length=128", "model.model_dim=32", "model.num_layers=2",
            "model.attention.num_heads=2", "model.attention.num_kv_heads=1", "model.attention.head_dim=16",
            "model.feed_forward.hidden_dim=48",
        ),
        {"tokens": "tokenize", "tokenizer": "train-tokenizer"},
        dated="metrics.jsonl",
    ),
    "extend-tokenizer": Door(
        ("num_tokens=60",), {"weights": "pretrain/final", "documents": "refine", "mixture": "mix"}
    ),
    "pretrain-from": Door(
        (
            "num_tokens=10_240", "batch_tokens=512", "checkpoints.kind=every_steps", "checkpoints.steps=4",
            "precision.kind=float32", "optimizer_state=restored", "replay_share=0.3",
        ),
        {"tokens": "tokenize", "start": "pretrain/checkpoints/step-8", "replay": "tokenize"},
        verb="pretrain",
        dated="metrics.jsonl",
    ),
    "evaluate": Door(
        (
            "cloze.num_questions=40", "cloze.min_context_tokens=8", "cloze.min_option_tokens=8",
            "cloze.max_option_tokens=16", "bits.max_bytes=20_000",
        ),
        {"weights": "pretrain/final", "documents": "refine", "mixture": "mix"},
    ),
    "quantize": Door(
        ("layers.kind=int8", "layers.group.kind=none", "proof.fewer=take", "proof.length=64"),
        {"weights": "pretrain/final", "tokens": "tokenize"},
        in_units=False,
    ),
    "compose": Door(("max_characters=300", "max_train=60", "max_test=20"), {"documents": "refine", "mixture": "mix"}),
    "tune": Door(
        (
            "num_tokens=32_768", "micro_batch_sequences=4", "checkpoints.kind=every_steps", "checkpoints.steps=16",
            "precision.kind=float32",
        ),
        {"weights": "pretrain/final", "instructions": "compose"},
        dated="metrics.jsonl",
    ),
}  # fmt: skip


def run(folder: Path, name: str, out: Path, *, workers: bool) -> Artifact:
    """Calls a door on the artifacts in the folder, its units in this process or in workers."""
    (verb,) = (one for one in VERBS if one.name == (DOORS[name].verb or name))
    opened = {one: open_input(folder / place) for one, place in DOORS[name].inputs.items()}
    inputs: dict[str, Any] = {
        one.name: (opened[one.name],) if one.many else opened[one.name] for one in verb.inputs if one.name in opened
    }
    call = resolve(verb.door)
    taken = inspect.signature(call).parameters
    if "executor" in taken:
        inputs["executor"] = Local(workers=2) if workers else Inline()
    if "connect" in taken:
        inputs["connect"] = {HOST: tuple(json.loads((folder / ADDRESS).read_text()))}
    made = call(settings.load(resolve(verb.recipe), None, DOORS[name].settings), **inputs, out=out)
    assert isinstance(made, Artifact)
    return made


def pages() -> dict[str, str | bytes]:
    """A site: an index, and pages of made-up words in directories of their own."""
    draw = random.Random(0)
    common = ["the", "of", "and", "to", "that", "with", "be", "have"]
    words = common * 8 + ["".join(draw.choices("aeioulnrstdm", k=draw.randint(3, 8))) for _ in range(300)]
    names = [f"/group{number % NUM_GROUPS}/{number}.html" for number in range(NUM_PAGES)]
    links = " ".join(f"<a href='{name}'>{name}</a>" for name in names)
    found: dict[str, str | bytes] = {"/": f"<html><body><p>{links}</p></body></html>"}
    for name in names:
        paragraphs = "".join(f"<p>{_paragraph(words, draw)}</p>" for _ in range(4))
        found[name] = f"<html><head><title>{name}</title></head><body><article>{paragraphs}</article></body></html>"
    return found


def _paragraph(words: list[str], draw: random.Random) -> str:
    sentences = [" ".join(draw.choices(words, k=draw.randint(6, 14))).capitalize() for _ in range(12)]
    return " ".join(f"{sentence}." for sentence in sentences)
