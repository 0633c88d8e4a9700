"""How often each source is read, and which groups are kept from training: a table, no copies."""

import difflib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace as replace_fields
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from waman.artifact import Artifact, require_kind
from waman.corpus.held_out import hold_out
from waman.corpus.recipe import HeldOut, MixRecipe
from waman.dataflow import Executor, Job
from waman.document import document_files
from waman.draft import begin
from waman.errors import InputError
from waman.manifest import to_json, write_whole
from waman.mixture import GROUPS_FILE, HELD_OUT, MIXTURE_FILE, TRAIN, read_proportions, read_split
from waman.units import Rows, cut_units

VERSION = 1

_SIZES = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
    ]
)
_GROUPS = pa.schema(
    [
        pa.field("group", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        *(_SIZES.field(name) for name in ("source", "documents", "bytes")),
    ]
)
_Sizes = dict[tuple[str, str], tuple[int, int]]
"""(group, source) -> documents, bytes."""


def mix(
    recipe: MixRecipe,
    *,
    documents: Sequence[Artifact],
    like: Artifact | None = None,
    out: Path,
    replace: bool = False,
    executor: Executor | None = None,
) -> Artifact:
    """Writes a mixture: the split of every group, and each source's size, proportion and epochs.

    With another mixture given as `like`, the groups that it holds out are held out and no other, whatever
    `recipe.held_out` says; and its proportions are taken where the recipe has none. Raises InputError where there are
    no documents or too few groups, or where the proportions do not fit the sources.
    """
    inputs: dict[str, Artifact | Sequence[Artifact]] = {"documents": documents}
    if like is not None:
        inputs["like"] = require_kind(like, "mixture")
    draft = begin(out, kind="mixture", version=VERSION, recipe=recipe, inputs=inputs, replace=replace)
    if draft.finished is not None:
        return draft.finished
    units = cut_units(documents)
    if like is not None and not recipe.proportions:
        recipe = replace_fields(recipe, proportions=read_proportions(like.path))
    _check_recipe(recipe, documents, like)
    jobs = [Job(f"{number:05d}", rows) for number, rows in enumerate(units)]
    with draft:
        draft.run_units(_measure_unit, jobs, executor=executor, stage="measure", scratch=True)
        sizes = _add_sizes(draft.unit_folders("measure"))
        held_out = _choose_held_out(recipe, sizes, like)
        sources = _describe_sources(recipe, sizes, held_out)
        _write_groups(draft.path / GROUPS_FILE, sizes, held_out)
        write_whole(draft.path / MIXTURE_FILE, to_json({"sources": sources}))
        return draft.finish(counts=_counts(sources, sizes, held_out))


def num_epochs(proportion: float, training_bytes: int, source_bytes: int) -> float:
    """How often a source is read (Touvron et al. 2023, table 1): its share of the training over its size."""
    return proportion * training_bytes / source_bytes if source_bytes else 0.0


def _check_recipe(recipe: MixRecipe, documents: Sequence[Artifact], like: Artifact | None) -> None:
    """Finds what does not fit from two columns, before anything is written that would then be of another recipe."""
    names = ["source", "group"]
    tables = [pq.read_table(path, columns=names) for one in documents for path in document_files(one)]
    found = pa.concat_tables(tables).group_by(names).aggregate([]).to_pylist()
    pairs = sorted((record["group"], record["source"]) for record in found)
    _proportions(recipe.proportions, {source: 1 for _, source in sorted(pairs, key=itemgetter(1))})
    _choose_held_out(recipe, dict.fromkeys(pairs, (1, 1)), like)


def _measure_unit(rows: Rows, folder: Path) -> dict[str, int]:
    sizes: _Sizes = defaultdict(lambda: (0, 0))
    count = 0
    for document in rows.read():
        documents, size = sizes[document.group, document.source]
        sizes[document.group, document.source] = (documents + 1, size + len(document.text.encode()))
        count += 1
    records = [
        {"source": source, "group": group, "documents": number, "bytes": size}
        for (group, source), (number, size) in sorted(sizes.items())
    ]
    pq.write_table(pa.Table.from_pylist(records, schema=_SIZES), folder / "sizes.parquet")
    return {"documents": count}


def _add_sizes(folders: Sequence[Path]) -> _Sizes:
    sizes: _Sizes = {}
    for folder in folders:
        for record in pq.read_table(folder / "sizes.parquet").to_pylist():
            key = (record["group"], record["source"])
            documents, size = sizes.get(key, (0, 0))
            sizes[key] = (documents + record["documents"], size + record["bytes"])
    return dict(sorted(sizes.items()))


def _choose_held_out(recipe: MixRecipe, sizes: _Sizes, like: Artifact | None) -> set[str]:
    if like is not None:
        split = read_split(like.path)
        return {group for group, _ in sizes if split.get(group) == HELD_OUT}
    if not isinstance(recipe.held_out, HeldOut):
        return set()
    by_group: dict[str, dict[str, int]] = {}
    for (group, source), (_, size) in sizes.items():
        by_group.setdefault(group, {})[source] = size
    return hold_out(by_group, recipe.held_out)


def _describe_sources(recipe: MixRecipe, sizes: _Sizes, held_out: set[str]) -> dict[str, dict[str, Any]]:
    names = ("documents", "bytes", "train_documents", "train_bytes", "held_out_documents", "held_out_bytes")
    sources: dict[str, dict[str, Any]] = {}
    for (group, source), (documents, size) in sizes.items():
        split = HELD_OUT if group in held_out else TRAIN
        row = sources.setdefault(source, dict.fromkeys(names, 0))
        for name, number in (("documents", documents), ("bytes", size)):
            row[name] += number
            row[f"{split}_{name}"] += number
    train_bytes = {source: row["train_bytes"] for source, row in sorted(sources.items())}
    if not sum(train_bytes.values()):
        raise InputError("the documents hold no text to train on: all of them are empty; give others")
    proportions = _proportions(recipe.proportions, train_bytes)
    for source, row in sources.items():
        row["proportion"] = proportions[source]
        row["epochs_at"] = {
            str(number): num_epochs(proportions[source], number, train_bytes[source])
            for number in recipe.training_bytes or (sum(train_bytes.values()),)
        }
    return dict(sorted(sources.items()))


def _proportions(wanted: Mapping[str, float], train_bytes: Mapping[str, int]) -> dict[str, float]:
    """The recipe's proportions, checked against the sources; as many as the bytes where it has none."""
    if not wanted:
        return {source: size / sum(train_bytes.values()) for source, size in train_bytes.items()}
    for source in wanted:
        if source not in train_bytes:
            close = difflib.get_close_matches(source, train_bytes, n=1)
            hint = f"; did you mean '{close[0]}'?" if close else ""
            raise InputError(f"proportions: no document of source '{source}'; sources: {', '.join(train_bytes)}{hint}")
    absent = [source for source in train_bytes if source not in wanted]
    if absent:
        raise InputError(f"proportions: none for source {', '.join(absent)}; give 0 to leave a source out")
    empty = [source for source, proportion in wanted.items() if proportion and not train_bytes[source]]
    if empty:
        raise InputError(f"proportions: source {', '.join(empty)} has no text to train on; give it 0")
    return dict(wanted)


def _write_groups(path: Path, sizes: _Sizes, held_out: set[str]) -> None:
    records = [
        {
            "group": group,
            "split": HELD_OUT if group in held_out else TRAIN,
            "source": source,
            "documents": documents,
            "bytes": size,
        }
        for (group, source), (documents, size) in sizes.items()
    ]
    pq.write_table(pa.Table.from_pylist(records, schema=_GROUPS), path, compression="zstd")


def _counts(sources: Mapping[str, Mapping[str, Any]], sizes: _Sizes, held_out: set[str]) -> dict[str, Any]:
    totals = {name: sum(row[name] for row in sources.values()) for name in ("documents", "bytes", "held_out_bytes")}
    return {
        **totals,
        "groups": len({group for group, _ in sizes}),
        "held_out_groups": len(held_out),
        "sources": {name: dict(row) for name, row in sources.items()},
    }
