"""What the report tells, read off the artifacts of a finished journey."""

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from waman.artifact import Artifact, open_artifact
from waman.document import Drop, document_files, read_documents, read_drops
from waman.evaluation.report import read_scores
from waman.journey import stages
from waman.journey.recipe import DemoRecipe
from waman.journey.report import (
    Answer,
    ArtifactNode,
    Cloze,
    Command,
    Curve,
    Estimate,
    Example,
    FunnelStage,
    InstructionResult,
    ModelFacts,
    ReportData,
    SourceBits,
    SourceTokens,
    StageCost,
    WholeLeftOut,
)
from waman.journey.stages import Journey
from waman.mixture import TRAIN, Split, read_sources, read_split
from waman.quantization.proof import told

NUM_KEPT_EXAMPLES, NUM_DROPPED_EXAMPLES = 3, 8
MAX_LOSS_POINTS = 200
_SCORERS = {
    "model": "the model",
    "word_overlap": "word overlap",
    "ngram": "5-gram",
    "untrained": "untrained network",
    "majority": "commonest answer",
    "unigram": "naive Bayes",
    "gzip": "gzip -9",
    "lzma": "lzma, primed",
}
_STAGES = {
    "documents-web": "Pages to text, with their language.",
    "documents-github": "Sources with a permissive licence.",
    "documents": "Your files to text, with their language.",
    "corpus": "Filters by source, then duplicates across all sources.",
}


def tell(journey: Journey, out: Path) -> ReportData:
    """All that the report of a finished journey shows; `out` is where it will lie."""
    made = journey.made
    prepared = ReportData(
        title="From your files to tokens" if "documents" in made else "From web pages to tokens",
        made_by=_made_by(made["tokens"]),
        vocab_size=made["tokenizer"].counts["vocab_size"],
        funnel=tuple(funnel_stage(name, made[name], seed=journey.recipe.seed) for name in _STAGES if name in made),
        sources=tuple(_sources(journey)),
        lineage=tuple(_lineage(made)),
        costs=tuple(_cost(name, one) for name, one in made.items()),
        commands=commands(journey.recipe, out),
    )
    return _with_models(prepared, journey) if "tuned" in made else prepared


def _with_models(prepared: ReportData, journey: Journey) -> ReportData:
    scores = read_scores(journey.made["scores-base"])
    return replace(
        prepared,
        title="From crawl to chat on this machine",
        model=_model_facts(journey.made["base"]),
        losses=tuple(_losses(journey.made)),
        bits_curves=tuple(_bits_curves(journey)),
        bits=tuple(_bits(scores)),
        curve_bytes=max((_num_bytes(one) for _, one in _scored_checkpoints(journey)), default=0),
        bits_bytes=_num_bytes(scores),
        cloze=_cloze(journey, scores),
        instructions=tuple(_instructions(journey.made)),
        answers=tuple(_answers(journey)),
        certificate=tuple(told(journey.made["quantized"].counts)),
    )


def commands(recipe: DemoRecipe, out: Path) -> tuple[Command, ...]:
    """What to type next."""
    if recipe.until == "tokens":
        return (
            Command(f"waman pretrain {out / 'tokens'} {out / 'tokenizer'} --out base", "train a model on the tokens"),
            Command(f"waman inspect {out / 'tokens'}", "trace them back to their sources"),
        )
    return (
        Command(f"waman chat {out / 'quantized'}", "talk with it"),
        Command(f'waman generate {out / "base" / "final"} "def "', "let the pretrained model go on from a text"),
        Command(f"waman inspect {out / 'quantized'}", "see its proof, and trace it back to its sources"),
    )


def _made_by(artifact: Artifact) -> str:
    manifest = artifact.manifest
    assert manifest is not None
    where = manifest.environment
    commit = f" at {manifest.commit[:12]}" if manifest.commit else ""
    return (
        f"waman {manifest.waman_version}{commit}, Python {where['python']}, {where['threads']} threads, "
        f"{where['platform']}"
    )


def _model_facts(base: Artifact) -> ModelFacts:
    from waman.weights.configuration import load_config

    config = load_config(base.path / "final")
    return ModelFacts(
        num_parameters=base.counts["parameters"],
        num_layers=config.num_layers,
        model_dim=config.model_dim,
        context_length=config.context_length,
        trained_tokens=base.counts["tokens"],
    )


# The funnel


def funnel_stage(name: str, artifact: Artifact, *, seed: int) -> FunnelStage:
    """What went through the stage of that name, read off what it wrote; examples are drawn by `seed`."""
    from waman.crawl.extract import read_left_out

    kept: Counter[str] = Counter()
    for path in document_files(artifact):
        kept.update(pq.read_table(path, columns=["source"])["source"].to_pylist())
    left_out = read_left_out(artifact)
    names = {one.name for one in left_out}
    drops = [drop for drop in read_drops(artifact) if drop.origin not in names]
    return FunnelStage(
        name=name,
        what=_STAGES[name],
        kept=dict(sorted(kept.items())),
        dropped=dict(Counter(drop.reason for drop in drops).most_common()),
        kept_examples=tuple(_kept_examples(artifact, sum(kept.values()), seed=seed)),
        dropped_examples=tuple(_dropped_examples(drops, seed=seed)),
        left_out=tuple(
            WholeLeftOut(
                f"{one.name} {one.version or ''}".strip(), one.reason, one.licence, one.num_files, one.num_bytes
            )
            for one in left_out
        ),
    )


def _kept_examples(artifact: Artifact, num_documents: int, *, seed: int) -> Iterator[Example]:
    chosen = set(random.Random(seed).sample(range(num_documents), min(NUM_KEPT_EXAMPLES, num_documents)))
    for index, document in enumerate(read_documents(artifact)):
        if index in chosen:
            yield Example(document.source, document.url or document.origin, document.text)


def _dropped_examples(drops: Sequence[Drop], *, seed: int) -> Iterator[Example]:
    """One for each reason, the commonest first, drawn by seed."""
    by_reason: dict[str, list[Drop]] = {}
    for drop in drops:
        by_reason.setdefault(drop.reason, []).append(drop)
    commonest = sorted(by_reason, key=lambda reason: (-len(by_reason[reason]), reason))
    for reason in commonest[:NUM_DROPPED_EXAMPLES]:
        drop = random.Random(seed).choice(by_reason[reason])
        yield Example(drop.source, drop.url or drop.origin, drop.text, reason, drop.value)


# Tokens and training


def _sources(journey: Journey) -> Iterator[SourceTokens]:
    made = journey.made
    counts, mixture = made["tokens"].counts["train"], read_sources(made["mixture"].path)
    characters = _train_characters(made["corpus"], read_split(made["mixture"].path))
    epochs = made["base"].counts["epochs"] if "base" in made else {}
    for source, row in counts.items():
        yield SourceTokens(
            source=source,
            documents=row["documents"],
            characters=characters[source],
            tokens=row["tokens"],
            proportion=mixture[source]["proportion"],
            epochs=epochs.get(source, 0.0) if epochs else None,
        )


def _train_characters(corpus: Artifact, split: Mapping[str, Split]) -> Counter[str]:
    found: Counter[str] = Counter()
    for document in read_documents(corpus):
        if split[document.group] == TRAIN:
            found[document.source] += len(document.text)
    return found


def _losses(made: Mapping[str, Artifact]) -> Iterator[Curve]:
    for name, label in (("base", "pretraining"), ("tuned", "tuning, answers only")):
        lines = [json.loads(line) for line in (made[name].path / "metrics.jsonl").read_text().splitlines()]
        yield Curve(label, tuple(_thinned([(line["tokens"], line["loss"]) for line in lines])))


def _thinned(points: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Means of consecutive points, at most MAX_LOSS_POINTS of them."""
    width = -(-len(points) // MAX_LOSS_POINTS) or 1
    for start in range(0, len(points), width):
        some = points[start : start + width]
        yield some[-1][0], sum(loss for _, loss in some) / len(some)


def _scored_checkpoints(journey: Journey) -> Iterator[tuple[int, dict[str, Any]]]:
    """(tokens seen, scores) of every checkpoint, all on the same text and questions."""
    for step, checkpoint in journey.checkpoints():
        yield checkpoint.counts["tokens"], read_scores(journey.made[f"scores-step-{step}"])


def _bits_curves(journey: Journey) -> Iterator[Curve]:
    points: dict[str, list[tuple[float, float]]] = {}
    for tokens, scores in _scored_checkpoints(journey):
        for source, part in scores.get("bits", {}).get("by_source", {}).items():
            points.setdefault(source, []).append((tokens, part["bits_per_byte"]["model"]["value"]))
    for source, line in points.items():
        yield Curve(source, tuple(line))


# Scores


def _estimate(figure: Mapping[str, Any]) -> Estimate:
    low, high = figure["interval"] or (figure["value"], figure["value"])
    return Estimate(figure["value"], low, high)


def _bits(scores: Mapping[str, Any]) -> Iterator[SourceBits]:
    if "bits" not in scores:
        return
    for source, part in {**scores["bits"]["by_source"], "all": scores["bits"]}.items():
        figures = dict(part["bits_per_byte"])
        model = figures.pop("model")["value"]
        yield SourceBits(source, model, {_name(name): one["value"] for name, one in figures.items()})


def _num_bytes(scores: Mapping[str, Any]) -> int:
    return int(scores["bits"]["bytes"]) if "bits" in scores else 0


def _cloze(journey: Journey, scores: Mapping[str, Any]) -> Cloze | None:
    """Ranked by the gain over no context; the figures per character alone stand beside them."""
    cloze = scores.get("cloze", {})
    gain = cloze.get("unconditional", {})
    if "best_other" not in gain:
        return None
    without = cloze.get("without_overlap", {}).get("unconditional", {}).get("accuracy")
    seen = scores["overlap"]["seen_share"] if "overlap" in scores else None
    scored = [
        (tokens, found) for tokens, found in _scored_checkpoints(journey) if "unconditional" in found.get("cloze", {})
    ]
    return Cloze(
        questions=cloze["questions"],
        model=_estimate(gain["accuracy"]["model"]),
        checkpoint_questions=max((found["cloze"]["questions"] for _, found in scored), default=0),
        checkpoints=tuple(
            (tokens, _estimate(found["cloze"]["unconditional"]["accuracy"]["model"])) for tokens, found in scored
        ),
        scorers={_name(name): _estimate(one) for name, one in _others(gain["accuracy"])},
        best=_name(gain["best_other"]),
        difference=_estimate(gain["difference_to"][gain["best_other"]]),
        seen_ngrams=seen["value"] if seen else None,
        without_seen=_estimate(without["model"]) if without else None,
        per_character={_name(name): _estimate(one) for name, one in cloze["accuracy"].items()},
    )


def _others(figures: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, one) for name, one in figures.items() if not name.startswith("model")]


def _name(scorer: str) -> str:
    return _SCORERS.get(scorer, scorer)


def _instructions(made: Mapping[str, Artifact]) -> Iterator[InstructionResult]:
    """The clusters together, then each task, before and after tuning."""
    old, new = (read_scores(made[name]).get("instructions") for name in ("scores-base", "scores-tuned"))
    if old is None or new is None:
        return
    trained_tasks = {row["task"] for row in stages.read_rows(made["instructions"], "train", columns=["task"])}
    rows = [("trained clusters", True, old["trained_clusters"], new["trained_clusters"])]
    rows += [("unseen cluster", False, old["unseen_clusters"], new["unseen_clusters"])]
    rows += [(name, name in trained_tasks, old["by_task"][name], part) for name, part in new["by_task"].items()]
    for name, trained, first, last in rows:
        if "accuracy" not in first or "accuracy" not in last:
            continue
        yield InstructionResult(
            name=name,
            trained=trained,
            questions=last["questions"],
            before=_estimate(first["accuracy"]["model"]),
            after=_estimate(last["accuracy"]["model"]),
            scorers={_name(one): _estimate(figure) for one, figure in _others(last["accuracy"])},
        )


def _answers(journey: Journey) -> Iterator[Answer]:
    for row, answer in stages.talk(journey):
        yield Answer(row["task"], row["prompt"], answer, row["target"], correct=answer == row["target"].strip())


# What it cost, and where it comes from


def _lineage(made: Mapping[str, Artifact]) -> Iterator[ArtifactNode]:
    known: dict[str, str] = {}
    for name, artifact in made.items():
        assert artifact.manifest is not None
        records = [record for many in artifact.manifest.inputs.values() for record in many]
        inputs = dict.fromkeys(known[record.identity] for record in records if record.identity in known)
        yield ArtifactNode(name, artifact.kind, artifact.identity, tuple(inputs))
        known[artifact.identity] = name
        if artifact.kind == "run":
            known |= {open_artifact(path).identity: name for path in _weights_of(artifact)}


def _weights_of(run: Artifact) -> list[Path]:
    return [run.path / "final", *sorted((run.path / "checkpoints").glob("step-*"))]


def _cost(name: str, artifact: Artifact) -> StageCost:
    manifest = artifact.manifest
    assert manifest is not None
    size = sum(one["bytes"] for one in manifest.files.values())
    return StageCost(
        name, manifest.seconds, manifest.peak_memory_bytes, f"{len(manifest.files)} files, {size / 1e6:.1f} MB"
    )
