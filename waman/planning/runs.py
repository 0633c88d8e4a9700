"""One's own runs as points and curves for a scaling law, where they may be compared."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from waman import settings
from waman.artifact import Artifact, require_kind
from waman.errors import InputError
from waman.manifest import read_table
from waman.model.config import ModelConfig
from waman.model.count import flops_per_token
from waman.planning.allocation import Curve
from waman.planning.law import amount
from waman.planning.scaling import Floats, Point

METRICS = "metrics.jsonl"
END_SHARE = 0.05
"""Last share of the steps whose mean loss is a run's; also the stretch over which its curve is smoothed."""
MAX_PLACES = 400
"""Places of a curve that are kept, at equal ratios of tokens."""
MAX_EPOCHS = 4.0
"""Repeated so often, tokens are still worth nearly what new ones are (Muennighoff et al. 2023, section 6)."""


@dataclass(frozen=True)
class TrainedRun:
    """A run of `waman pretrain`, as a scaling law sees it."""

    name: str
    point: Point
    curve: Curve


@dataclass(frozen=True)
class _Opened:
    """A run with what has to be the same in all."""

    path: str
    artifact: Artifact
    same: dict[str, Any]
    flops_per_token: int


def read_runs(artifacts: Sequence[Artifact]) -> tuple[TrainedRun, ...]:
    """Each run's parameters, tokens, loss and operations, and its curve.

    The loss is that of training, on tokens not read before it: the mean over the last twentieth of the steps. The
    operations are counted for the model's parts, not as 6 N D. Raises InputError for runs that one law cannot describe:
    of other tokens, tokenizer, proportions, sequence length or architecture, tuned or gone on from other weights, read
    over more than four times; for a run that is given twice, and for one whose metrics are missing or damaged.
    """
    if not artifacts:
        raise InputError("no runs to fit a law to: give the directories that `waman pretrain` made")
    opened = [_open(one) for one in artifacts]
    first = opened[0]
    seen: dict[str, str] = {}
    for one in opened:
        if one.artifact.identity in seen:
            raise InputError(f"{one.path} is the same run as {seen[one.artifact.identity]}: give each run once")
        seen[one.artifact.identity] = one.path
        differing = [name for name, value in one.same.items() if value != first.same[name]]
        if differing:
            shown = "; ".join(f"{name}: {_show(one.same[name])}, there {_show(first.same[name])}" for name in differing)
            raise InputError(
                f"{one.path} does not compare with {first.path}: {shown}. A law holds for one text, tokenizer and "
                "architecture: fit one for each"
            )
    return tuple(_read(one) for one in opened)


def _open(artifact: Artifact) -> _Opened:
    run, path = require_kind(artifact, "run"), str(artifact.path)
    manifest = run.manifest
    assert manifest is not None, "a run has a manifest"
    inputs, recipe = manifest.inputs, manifest.recipe
    if "tokens" not in inputs:
        raise InputError(f"{path} was not made by `waman pretrain`: it has no tokens among its inputs; leave it out")
    if "start" in inputs:
        raise InputError(
            f"{path} goes on from {inputs['start'][0].path}: its tokens are not all that its loss comes from; give "
            "runs that begin fresh"
        )
    epochs = max(manifest.counts["epochs"].values(), default=0.0)
    if epochs > MAX_EPOCHS:
        raise InputError(
            f"{path} reads a source {epochs:.3g} times; expected {MAX_EPOCHS:g} or fewer, as a law takes every token "
            "as new: train on more tokens or for less"
        )
    config = _config(run)
    sequence = recipe.get("sequence_length") or config.context_length
    same = {
        "tokens": inputs["tokens"][0].identity[:16],
        "tokenizer": inputs["tokenizer"][0].identity[:16],
        "replay": [one.identity[:16] for one in inputs.get("replay", [])],
        "proportions": recipe.get("proportions"),
        "tokens per sequence": sequence,
        "schedule": recipe.get("schedule"),
        **_architecture(config),
    }
    return _Opened(path, run, same, flops_per_token(config, sequence))


def _config(run: Artifact) -> ModelConfig:
    """The model's parts from the recipe, its vocabulary from what was written."""
    assert run.manifest is not None
    config = settings.parse(ModelConfig, run.manifest.recipe.get("model", {}))
    return replace(config, vocab_size=int(read_table(run.path / "final" / "config.json")["vocab_size"]))


def _architecture(config: ModelConfig) -> dict[str, str]:
    """What a model is made of, beside its size."""
    parts = {name: type(getattr(config, name)).__name__ for name in ("position", "norm", "feed_forward")}
    return parts | {"block": repr(config.block), "tied embeddings": str(config.tie_embeddings)}


def _read(run: _Opened) -> TrainedRun:
    counts = run.artifact.counts
    parameters, tokens = float(counts["parameters"]), float(counts["tokens"])
    read, losses = _metrics(run.artifact)
    if read[-1] != tokens:
        raise InputError(
            f"{run.path}: {METRICS} ends after {amount(read[-1])} tokens, its manifest has {amount(tokens)}: bring the "
            "file back, or train the run again"
        )
    window = max(round(END_SHARE * len(losses)), 1)
    point = Point(parameters, tokens, float(losses[-window:].mean()), run.flops_per_token * tokens)
    return TrainedRun(run.artifact.path.name, point, _curve(parameters, read, losses, window, run.flops_per_token))


def _curve(parameters: float, read: Floats, losses: Floats, window: int, flops: int) -> Curve:
    """Means over `window` steps, where they end, at most MAX_PLACES of them."""
    sums = np.concatenate([[0.0], np.cumsum(losses)])
    means = (sums[window:] - sums[:-window]) / window
    ends = read[window - 1 :]
    wanted = np.geomspace(ends[0], ends[-1], min(MAX_PLACES, len(ends)))
    kept = np.unique(np.minimum(np.searchsorted(ends, wanted), len(ends) - 1))
    return Curve(parameters, flops * ends[kept], ends[kept], means[kept])


def _metrics(run: Artifact) -> tuple[Floats, Floats]:
    """(steps,) tokens read and (steps,) losses."""
    path = run.path / METRICS
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        read, losses = ([float(line[name]) for line in lines] for name in ("tokens", "loss"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; bring it back, or leave the run out") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is damaged, expected an object with tokens and loss on every line: {error}; bring it back, or "
            "leave the run out"
        ) from error
    if not losses or not all(map(math.isfinite, losses)) or sorted(read) != read:
        raise InputError(f"{path} is damaged: {len(losses)} steps, or losses or tokens out of order; leave the run out")
    return np.array(read), np.array(losses)


def _show(value: Any) -> str:
    return "none" if value in (None, []) else f"{value}"
