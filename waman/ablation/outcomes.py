"""What runs came to: the metric of every held-out record, and from it differences that seeds and records pair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from waman.ablation.estimate import Estimate, Floats, estimate
from waman.ablation.metric import Metric
from waman.ablation.recipe import MetricName
from waman.artifact import Artifact
from waman.errors import InputError


@dataclass(frozen=True)
class Records:
    """The held-out records that arms are judged on: documents, or cloze questions."""

    ids: tuple[str, ...]
    groups: tuple[str, ...]
    weights: Floats
    """(records,): bytes of a document, 1 of a question."""

    def by_group(self, values: Floats) -> Floats:
        """(records,) -> (groups,): sums, the groups in order of name."""
        _, members = np.unique(np.asarray(self.groups, dtype=np.str_), return_inverse=True)
        return np.bincount(members, weights=values).astype(np.float64)


@dataclass(frozen=True)
class Scores:
    """Every record's total (bits of a document, credit of a question) with one model."""

    records: Records
    totals: Floats

    @property
    def value(self) -> float:
        """The metric."""
        return float(self.totals.sum() / self.records.weights.sum())


@dataclass(frozen=True)
class Outcome:
    """What became of one seed of one arm."""

    arm: str
    seed: int
    folder: Path
    """Where its metrics are."""
    seconds: float
    """Of training and scoring."""
    diverged: str | None
    """Why it counts as diverged."""
    scores: Scores | None
    """None where it diverged."""
    longer: Mapping[int, Scores | None]
    """Context length -> scores at it."""

    def scores_at(self, length: int | None) -> Scores | None:
        """The scores at the training length, or at a longer one."""
        return self.scores if length is None else self.longer.get(length)


def read_records(scores: Artifact, metric: MetricName, sources: Sequence[str]) -> Scores:
    """What `evaluate` wrote of every record of these sources (none: all). Raises InputError where there is none."""
    name, identify, total, weight = _TABLES[metric]
    rows = pq.read_table(scores.path / name).to_pylist()
    chosen = [row for row in rows if not sources or row["source"] in sources]
    if not chosen:
        found = ", ".join(sorted({row["source"] for row in rows})) or "none"
        raise InputError(
            f"judged_sources: nothing held out is of {' or '.join(sources) or 'any source'}; held out are {found}"
        )
    records = Records(
        tuple("/".join(str(row[field]) for field in identify) for row in chosen),
        tuple(row["group"] for row in chosen),
        np.array([row[weight] if weight else 1.0 for row in chosen], dtype=np.float64),
    )
    return Scores(records, np.array([row[total] for row in chosen], dtype=np.float64))


_TABLES: Mapping[str, tuple[str, tuple[str, ...], str, str | None]] = {
    "bits_per_byte": ("bits.parquet", ("id",), "model_bits", "num_bytes"),
    "cloze": ("cloze.parquet", ("document", "place", "boundary"), "model_credit", None),
}
"""File, the columns that name a record, its total's and its weight's."""


def compare(
    arm: Sequence[Outcome], reference: Sequence[Outcome], metric: Metric, *, length: int | None = None
) -> Estimate | None:
    """The arm minus the reference, paired by seed and record; None where nothing was scored.

    A diverged seed counts in every record as a model that knows nothing: dropped, it would make its arm look better.
    Raises InputError where the two were not asked about the same records.
    """
    scored = [one for pair in (arm, reference) for one in pair if one.diverged is None]
    found = [scores for one in scored if (scores := one.scores_at(length)) is not None]
    if not found or len(found) < len(scored):
        return None
    records = found[0].records
    for scores in found:
        if scores.records.ids != records.ids:
            raise InputError(
                "the arms were not asked about the same records: cloze questions depend on the tokenizer and the "
                'context length; set metric = "bits_per_byte"'
            )
    by_seed = {one.seed: one for one in reference}
    rows = [
        records.by_group(_totals(one, records, metric, length) - _totals(by_seed[one.seed], records, metric, length))
        for one in arm
        if one.seed in by_seed
    ]
    return estimate(np.array(rows), records.by_group(records.weights))


def values(outcomes: Sequence[Outcome], metric: Metric, *, length: int | None = None) -> list[float | None]:
    """The metric of every seed, in order; None where it is not known at that length."""
    found: list[float | None] = []
    for one in outcomes:
        scores = one.scores_at(length)
        found.append(metric.knows_nothing if one.diverged is not None else None if scores is None else scores.value)
    return found


def to_plain(estimated: Estimate) -> dict[str, Any]:
    """The parts of an estimate as data."""
    return {
        "seed_variance": estimated.seed_variance,
        "group_variance": estimated.group_variance,
        "equal_groups": estimated.num_groups,
    }


def _totals(outcome: Outcome, records: Records, metric: Metric, length: int | None) -> Floats:
    scores = outcome.scores_at(length)
    if outcome.diverged is not None or scores is None:
        return metric.knows_nothing * records.weights
    return scores.totals
