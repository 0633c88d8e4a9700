"""`report.html` of documents: what came in, what was left out and why, and what another threshold would do.

One file that loads nothing from anywhere; the script in it moves thresholds over numbers that stand in the page.
"""

import functools
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from waman import figures
from waman.manifest import write_whole
from waman.report_data import (
    Histogram,
    Limit,
    clusters_of,
    examples_of,
    histograms_of,
    kept_by,
    published,
)

REPORT_FILE = "report.html"


def write_report(
    folder: Path,
    *,
    title: str,
    counts: Mapping[str, Any],
    limits: Mapping[str, Sequence[Limit]] | None = None,
    families: Mapping[str, str] | None = None,
    before: Sequence[Mapping[str, Any]] = (),
    seconds: Mapping[str, float] | None = None,
) -> None:
    """Writes the page of an artifact of documents, from its files and counts.

    `limits`: source -> the limits of its rules, whose thresholds are shown; `families`: reason -> the family of its
    rule, for the rates beside RefinedWeb's. `before`: the counts of the extractions behind it. `seconds`: the time
    each stage took, all workers together.
    """
    stages = _stages(counts, before)
    page = _template().render(
        title=title,
        stages=stages,
        most=max((stage["documents_in"] for stage in stages), default=0),
        published=[] if families is None else published(counts["stages"], families),
        histograms=[_drawn(one) for one in histograms_of(folder, limits or {})],
        examples=examples_of(folder),
        clusters=clusters_of(folder),
        kept=kept_by(folder),
        seconds=dict(seconds or {}),
    )
    write_whole(folder / REPORT_FILE, page)


@functools.cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    for shown in (figures.whole, figures.percent, figures.duration, figures.size):
        environment.filters[shown.__name__] = shown
    environment.filters["plain"] = _plain
    source = resources.files("waman").joinpath("report.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(source)


def _stages(counts: Mapping[str, Any], before: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The funnel: each stage with what entered, what left, and for which reasons the rest did not."""
    found = []
    extractions = [one for one in (*before, counts) if "records" in one]
    if extractions:
        reasons: dict[str, int] = {}
        for one in extractions:
            for reason, count in one["dropped"].items():
                reasons[reason] = reasons.get(reason, 0) + count
        left = sum(one["documents"] for one in extractions)
        told = {"documents_in": left + sum(reasons.values()), "documents_out": left, "bytes_in": None}
        size = sum(one["bytes"] for one in extractions)
        found.append(
            {
                "name": "extraction",
                "key": "extraction",
                **told,
                "bytes_out": size,
                "dropped": _ranked(reasons),
                "corrected": [],
            }
        )
    for stage in counts.get("stages", ()):
        rows = list(stage["sources"].values())
        total = {
            name: sum(row[name] for row in rows) for name in ("documents_in", "documents_out", "bytes_in", "bytes_out")
        }
        merged: dict[str, dict[str, int]] = {"dropped": {}, "corrected": {}}
        for row in rows:
            for name, table in merged.items():
                for key, count in row[name].items():
                    table[key] = table.get(key, 0) + count
        found.append(
            {"name": stage["stage"].replace("_", " "), "key": stage["stage"], **total}
            | {name: _ranked(table) for name, table in merged.items()}
        )
    return found


def _ranked(table: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(table.items(), key=lambda pair: (-pair[1], pair[0]))


def _drawn(one: Histogram) -> dict[str, Any]:
    """A histogram as the page draws it: heights are square roots, so that the few beside the many are seen."""
    tallest = max(one.counts)
    at = min(range(len(one.edges)), key=lambda place: abs(one.edges[place] - one.limit.threshold))
    gone = sum(one.counts[at:]) if one.limit.dropped == "above" else sum(one.counts[:at])
    return {
        "source": one.source,
        "limit": one.limit,
        "edges": [float(f"{edge:.6g}") for edge in one.edges],
        "counts": one.counts,
        "bars": [round(40 * (count / tallest) ** 0.5, 1) for count in one.counts],
        "at": at,
        "gone": gone,
        "total": one.total,
    }


def _plain(value: float | None) -> str:
    """A figure in few digits."""
    return "" if value is None else f"{value:.4g}"
