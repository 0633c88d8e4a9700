"""What a report shows, gathered from an artifact of documents: few numbers and a few texts, whatever its size.

Columns are read file by file; texts only of the examples. Which documents are examples is drawn by a hash of their id.
"""

import difflib
import heapq
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from waman import ngrams

EXAMPLES_PER_REASON = 20
CLUSTERS = 12
MOST_FREQUENT = 30
"""Languages, hosts and licences that are named; the others are counted together."""
_BINS = 240
_SAMPLE = 20_000
"""Values of a figure that decide the edges of its bins."""
_WIDE = 50.0
"""Figures that differ by more than this factor are drawn on a logarithmic axis."""
_OUTER = 0.002
"""Share of documents at either end that may lie beyond a histogram: one page of a million would stretch it."""
_DIFF_WORDS = 300
_EXCERPT = 700
_WORD = re.compile(r"\S+\s*")
_RATES = (
    ("languages", "languages", 0.5066),
    ("repetition", "filters", 0.2428),
    ("quality", "filters", 0.1619),
    ("lines", "filters", 0.2259),
    ("near_duplicates", "near_duplicates", 0.3788),
    ("substrings", "substrings", 0.1847),
)


OTHER = "other"
"""Names the rules of every source that has none of its own."""


class Limit(Protocol):
    """Where a rule draws the line through a figure; a value that equals the threshold is kept."""

    @property
    def figure(self) -> str:
        """What is measured."""

    @property
    def dropped(self) -> Literal["below", "above"]:
        """On which side of the threshold documents are dropped."""

    @property
    def threshold(self) -> float:
        """The line."""

    @property
    def reason(self) -> str:
        """Under which name."""


@dataclass(frozen=True)
class Example:
    """A document that was left out."""

    id: str
    source: str
    origin: str
    url: str | None
    value: float | None
    text: str


@dataclass(frozen=True)
class Cluster:
    """A document that stays, and one that was dropped as its duplicate, word by word."""

    reason: str
    size: int
    kept: str
    """Where the one that stays is from."""
    dropped: str
    pieces: tuple[tuple[str, str], ...]
    """(`same`, `kept` or `dropped`, words): one after another, as much as fits."""


@dataclass(frozen=True)
class Histogram:
    """How the documents that reached a rule lie about its threshold."""

    source: str
    limit: Limit
    edges: tuple[float, ...]
    """Of the bins, the threshold among them: (bins + 1,)."""
    counts: tuple[int, ...]
    """(bins,); what lies beyond the outer edges is counted in the outer bins."""

    @property
    def total(self) -> int:
        """Documents that the rule looked at."""
        return sum(self.counts)


@dataclass(frozen=True)
class Published:
    """What RefinedWeb removed at a stage (Penedo et al. 2023, figure 2), and what was removed here."""

    stage: str
    theirs: float
    documents: float | None
    """Share of documents; None where the stage was not run."""


def examples_of(folder: Path) -> dict[str, list[Example]]:
    """A few left-out documents for each reason, reasons by name."""
    best: dict[str, list[tuple[int, int, Example]]] = defaultdict(list)
    for number, row in enumerate(
        _rows(folder / "dropped", ("id", "source", "origin", "url", "reason", "value", "text"))
    ):
        heap = best[row["reason"]]
        entry = (-ngrams.hash_text(row["id"]), -number)
        if len(heap) < EXAMPLES_PER_REASON or entry > heap[0][:2]:
            shown = {name: row[name] for name in ("id", "source", "origin", "url", "value")}
            example = Example(**shown, text=row["text"][:_EXCERPT])
            heapq.heappushpop(heap, (*entry, example)) if len(heap) == EXAMPLES_PER_REASON else heapq.heappush(
                heap, (*entry, example)
            )
    return {
        reason: [one for *_, one in sorted(best[reason], key=lambda e: e[:2], reverse=True)] for reason in sorted(best)
    }


def kept_by(folder: Path) -> dict[str, list[tuple[str, int]]]:
    """Language, host and licence of the documents that stay: the most frequent with their numbers."""
    counters: dict[str, Counter[str]] = {name: Counter() for name in ("language", "host", "licence")}
    for row in _rows(folder / "data", ("language", "url", "licence")):
        counters["language"][row["language"] or "none"] += 1
        counters["licence"][row["licence"] or "none stated"] += 1
        if row["url"]:
            counters["host"][_host(row["url"])] += 1
    return {name: _most(counter) for name, counter in counters.items()}


def histograms_of(folder: Path, limits: Mapping[str, Sequence[Limit]]) -> list[Histogram]:
    """One for each limit of each source that any document reached. `limits`: source -> its rules' limits.

    The files are read twice, one at a time: for the edges of the bins, which a sample decides, and for the counts.
    """
    wanted = [(source, limit) for source in sorted(limits) for limit in dict.fromkeys(limits[source])]
    samples: dict[tuple[str, str], _Sample] = {}
    for source, figure, values in _figures(folder / "figures", limits):
        samples.setdefault((source, figure), _Sample()).add(values)
    edges = {
        number: edges_of(limit, samples[source, limit.figure].values)
        for number, (source, limit) in enumerate(wanted)
        if (source, limit.figure) in samples
    }
    counts = {number: np.zeros(len(own) - 1, dtype=np.int64) for number, own in edges.items()}
    by_figure: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number in edges:
        by_figure[wanted[number][0], wanted[number][1].figure].append(number)
    for source, figure, values in _figures(folder / "figures", limits):
        for number in by_figure[source, figure]:
            counts[number] += count_values(wanted[number][1], edges[number], values)
    return [
        Histogram(*wanted[number], tuple(own.tolist()), tuple(counts[number].tolist())) for number, own in edges.items()
    ]


class _Sample:
    """Some of many values, evenly spread over their order, whatever their number."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.float32]] = []
        self._step, self._passed = 1, 0

    def add(self, values: NDArray[np.float32]) -> None:
        self._parts.append(values[-self._passed % self._step :: self._step])
        self._passed += len(values)
        while sum(map(len, self._parts)) > _SAMPLE:
            self._parts = [np.concatenate(self._parts)[::2]]
            self._step *= 2

    @property
    def values(self) -> NDArray[np.float32]:
        return np.concatenate(self._parts)


def edges_of(limit: Limit, values: NDArray[np.float32]) -> NDArray[np.float64]:
    """The edges of bins for such values, the threshold among them: (bins + 1,)."""
    low, high = (float(one) for one in np.quantile(values, [_OUTER, 1 - _OUTER]))
    low, high = min(low, limit.threshold), max(high, limit.threshold)
    if low == high:
        low, high = low - 0.5, high + 0.5
    wide = low > 0 and high > _WIDE * low
    spread, scale = (np.geomspace, math.log) if wide else (np.linspace, float)
    share = (scale(limit.threshold) - scale(low)) / (scale(high) - scale(low))
    below = max(1, round(share * _BINS)) if limit.threshold > low else 0
    above = max(1, _BINS - below) if limit.threshold < high else 0
    return np.concatenate([spread(low, limit.threshold, below + 1), spread(limit.threshold, high, above + 1)[1:]])


def count_values(limit: Limit, edges: NDArray[np.float64], values: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many values lie in each bin, the outer ones with all beyond: (bins,).

    A value at the threshold is kept, so it belongs to the side that is.
    """
    places = np.searchsorted(edges, values, side="left" if limit.dropped == "above" else "right") - 1
    return np.bincount(np.clip(places, 0, len(edges) - 2), minlength=len(edges) - 1)


def clusters_of(folder: Path) -> list[Cluster]:
    """The largest clusters, and as many drawn from all, with one dropped document of each beside the one that stays."""
    rows: dict[str, dict[str, Any]] = {}
    for row in _rows(folder / "duplicates", ("id", "reason", "kept_id", "cluster", "cluster_size")):
        rows.setdefault(row["cluster"], row)
    by_size = sorted(rows.values(), key=lambda row: (-row["cluster_size"], row["cluster"]))
    drawn = sorted(rows.values(), key=lambda row: ngrams.hash_text(row["cluster"]))
    near = [row for row in drawn if row["reason"] != "exact_duplicate"]
    chosen = {row["cluster"]: row for row in [*by_size[: CLUSTERS // 2], *near[: CLUSTERS // 2]]}
    kept = _texts(folder / "data", {row["kept_id"] for row in chosen.values()})
    gone = _texts(folder / "dropped", {row["id"] for row in chosen.values()})
    return [
        Cluster(
            row["reason"],
            row["cluster_size"],
            kept[row["kept_id"]][0],
            gone[row["id"]][0],
            tuple(word_difference(kept[row["kept_id"]][1], gone[row["id"]][1])),
        )
        for row in chosen.values()
        if row["kept_id"] in kept and row["id"] in gone
    ]


def word_difference(kept: str, dropped: str) -> Iterator[tuple[str, str]]:
    """The beginnings of two texts as stretches of words: `same`, or of one of them."""
    ours, theirs = (_WORD.findall(text)[:_DIFF_WORDS] for text in (kept, dropped))
    matcher = difflib.SequenceMatcher(
        a=[one.strip() for one in ours], b=[one.strip() for one in theirs], autojunk=False
    )
    for name, i, j, k, m in matcher.get_opcodes():
        if name == "equal":
            yield "same", "".join(ours[i:j])
            continue
        for side, words in (("kept", ours[i:j]), ("dropped", theirs[k:m])):
            if words:
                yield side, "".join(words)


def published(stages: Sequence[Mapping[str, Any]], families: Mapping[str, str]) -> list[Published]:
    """RefinedWeb's rates beside those of the web pages here. `families`: reason -> the family of its filter."""
    web = {stage["stage"]: stage["sources"]["web"] for stage in stages if "web" in stage["sources"]}
    found, gone = [], 0
    for name, stage, theirs in _RATES:
        row = web.get(stage)
        if row is None:
            found.append(Published(name, theirs, None))
        elif stage != "filters":
            found.append(Published(name, theirs, _removed(row, sum(row["dropped"].values()), 0)))
        else:
            own = sum(count for reason, count in row["dropped"].items() if families.get(reason, "quality") == name)
            found.append(Published(name, theirs, _removed(row, own, gone)))
            gone += own
    return found


def _removed(row: Mapping[str, Any], dropped: int, before: int) -> float:
    entered: int = row["documents_in"] - before
    return dropped / max(1, entered)


# Reading


def _rows(folder: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            names = [name for name in columns if name in file.schema_arrow.names]
            for batch in file.iter_batches(batch_size=4096, columns=names):
                yield from batch.to_pylist()


def _texts(folder: Path, ids: set[str]) -> dict[str, tuple[str, str]]:
    """Id -> URL or origin, and text."""
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(folder.glob("*.parquet")) if ids else ():
        table = pq.read_table(path, columns=["id", "url", "origin", "text"], filters=[("id", "in", sorted(ids))])
        for row in table.to_pylist():
            found[row["id"]] = row["url"] or row["origin"], row["text"]
    return found


def _figures(folder: Path, limits: Mapping[str, Sequence[Limit]]) -> Iterator[tuple[str, str, NDArray[np.float32]]]:
    """Source, figure and values, file by file; the source OTHER stands for all that are not named."""
    names = list(dict.fromkeys(limit.figure for own in limits.values() for limit in own))
    for path in sorted(folder.glob("*.parquet")):
        there = set(pq.read_schema(path).names)
        present = [name for name in names if name in there]
        table = pq.read_table(path, columns=["source", *present])
        sources = table["source"].to_pylist()
        columns = {name: table[name].to_numpy() for name in present}
        for source in sorted(limits):
            own = np.array(
                [one == source or (source == OTHER and one not in limits) for one in sources], dtype=np.bool_
            )
            for figure in dict.fromkeys(limit.figure for limit in limits[source]):
                if figure in columns and own.any():
                    values = columns[figure][own]
                    values = values[~np.isnan(values)]
                    if len(values):
                        yield source, figure, values


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower() or "none"
    except ValueError:  # a bracket that is not closed
        return "none"


def _most(counter: Counter[str]) -> list[tuple[str, int]]:
    ranked = sorted(counter.items(), key=lambda pair: (-pair[1], pair[0]))
    rest = sum(count for _, count in ranked[MOST_FREQUENT:])
    return ranked[:MOST_FREQUENT] + ([(f"{len(ranked) - MOST_FREQUENT} others", rest)] if rest else [])
