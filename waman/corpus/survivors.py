"""Which documents of the whole corpus are duplicates of which, and which lines recur, worked out from signatures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from waman.corpus.duplicates.clusters import Clusters, Indices, find_clusters
from waman.corpus.duplicates.lines import recurring_keys
from waman.corpus.recipe import RecurringLines, RefineRecipe
from waman.corpus.signatures import Signatures
from waman.ngrams import Hashes

EXACT, NEAR = "exact_duplicate", "near_duplicate"


@dataclass(frozen=True)
class SignedUnit:
    """A unit's documents as far as duplicates are concerned."""

    ids: Sequence[str]
    sources: Sequence[str]
    groups: Sequence[str]
    signatures: Signatures


@dataclass(frozen=True)
class Duplicate:
    """Why a document is dropped, and what stays instead."""

    reason: str
    kept_id: str
    cluster: str
    """The id of the first document of the cluster."""
    cluster_size: int


@dataclass(frozen=True)
class UnitVerdict:
    """What to leave out of a unit."""

    duplicates: dict[int, Duplicate]
    """Row -> why it is dropped."""
    recurring: dict[str, dict[str, frozenset[int]]]
    """Source -> group -> keys of lines to be removed; group "" is for every group."""


def find_survivors(units: Sequence[SignedUnit], recipe: RefineRecipe) -> list[UnitVerdict]:
    """What to leave out of each unit, so that one document stays of each cluster of duplicates."""
    ids = [one for unit in units for one in unit.ids]
    numbers = np.arange(len(ids))
    exact, every = _cluster(units)
    kept = every.keep_random(recipe.seed) if recipe.keep == "random" else every.keep_first()
    # Of each text one document is no exact duplicate: the one that stays, if it has that text, or else the first.
    original = exact.keep_first().copy()
    original[exact.label[kept]] = kept
    is_exact = numbers != original[exact.label]
    size = every.size
    recurring = _recurring_lines(units, kept == numbers, recipe)
    verdicts, start = [], 0
    for unit in units:
        stop = start + unit.signatures.num_documents
        duplicates = {
            int(index) - start: Duplicate(
                reason=EXACT if is_exact[index] else NEAR,
                kept_id=ids[kept[index]],
                cluster=ids[every.label[index]],
                cluster_size=int(size[index]),
            )
            for index in numbers[start:stop][kept[start:stop] != numbers[start:stop]]
        }
        verdicts.append(UnitVerdict(duplicates, recurring))
        start = stop
    return verdicts


def _cluster(units: Sequence[SignedUnit]) -> tuple[Clusters, Clusters]:
    """The clusters of the same text, and those of the same or nearly the same."""
    count = sum(unit.signatures.num_documents for unit in units)
    exact = find_clusters(count, [np.concatenate([unit.signatures.exact for unit in units])])
    buckets = zip(*(unit.signatures.buckets for unit in units), strict=True)
    return exact, find_clusters(count, (np.concatenate(parts) for parts in buckets), start=exact)


def _recurring_lines(
    units: Sequence[SignedUnit], is_kept: NDArray[np.bool_], recipe: RefineRecipe
) -> dict[str, dict[str, frozenset[int]]]:
    """The keys of the lines that recur in the documents that stay, by source and group; group "" is for every group."""
    rule = recipe.recurring_lines
    if not isinstance(rule, RecurringLines):
        return {}
    found: dict[str, dict[str, frozenset[int]]] = {}
    sources = np.array([one for unit in units for one in unit.sources])
    groups = np.array([one for unit in units for one in unit.groups])
    keys = np.concatenate([unit.signatures.line_keys for unit in units])
    num_lines = np.concatenate([unit.signatures.num_lines for unit in units])
    for source in sorted(rule.sources):
        chosen = is_kept & (sources == source)
        lines = keys[np.repeat(chosen, num_lines)]
        by_group = _split_by_group(lines, groups[chosen], num_lines[chosen], at_least=rule.min_documents)
        parts = [("", lines, int(chosen.sum())), *by_group]
        recurring = {group: recurring_keys(part, count, rule) for group, part, count in parts}
        found[source] = {group: frozenset(part.tolist()) for group, part in recurring.items() if len(part)}
    return found


def _split_by_group(
    lines: Hashes, groups: NDArray[np.str_], num_lines: Indices, *, at_least: int
) -> Iterator[tuple[str, Hashes, int]]:
    """Each group of `at_least` documents with the keys of its documents' lines and their number."""
    names, numbers, counts = np.unique(groups, return_inverse=True, return_counts=True)
    of_line = np.repeat(numbers, num_lines)
    ordered = lines[np.argsort(of_line, kind="stable")]
    ends = np.cumsum(np.bincount(of_line, minlength=len(names)))
    for number in np.flatnonzero(counts >= at_least):
        begin = ends[number - 1] if number else 0
        yield str(names[number]), ordered[begin : ends[number]], int(counts[number])
