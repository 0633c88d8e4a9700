"""`waman compose`: documents in, instructions out: training groups give rows to train on, held-out ones to test on."""

import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from waman.artifact import Artifact
from waman.dataflow import Counts, Executor, Job
from waman.document import Document, Drop, read_drops, write_drops
from waman.draft import begin
from waman.errors import InputError
from waman.instruction.families import FAMILIES, PYTHON, TEMPLATES, choose_tasks, family_of
from waman.instruction.recipe import ComposeRecipe
from waman.instruction.rows import Row, read_rows, write_rows
from waman.instruction.wording import TEST, TRAIN, num_characters, word
from waman.log import get_logger
from waman.mixture import HELD_OUT, SplitRows, split_units
from waman.tasks.material import Material
from waman.tasks.question import Task

VERSION = 2
TOO_LONG, IN_TRAINING = "too_long", "in_training"


def compose(
    recipe: ComposeRecipe,
    *,
    documents: Sequence[Artifact],
    mixture: Artifact,
    out: Path,
    replace: bool = False,
    executor: Executor | None = None,
) -> Artifact:
    """Writes rows to train on and to test on; no row of a held-out cluster or a held-out group is trained on.

    Raises RecipeError for an unknown task or cluster, InputError where the documents give no row to train on.
    """
    inputs = {"documents": documents, "mixture": [mixture]}
    draft = begin(out, kind="instructions", version=VERSION, recipe=recipe, inputs=inputs, replace=replace)
    if draft.finished is not None:
        return draft.finished
    choose_tasks(recipe.tasks, recipe.held_out_clusters)
    jobs = [Job(f"{number:05d}", _AskJob(part, recipe)) for number, part in enumerate(split_units(documents, mixture))]
    with draft:
        draft.run_units(_ask_unit, jobs, executor=executor, stage="ask", scratch=True)
        select = Job("00000", _SelectJob(tuple(draft.unit_folders("ask")), recipe))
        [counts] = draft.run_units(_select_unit, [select], executor=executor, stage="select")
        if not counts[TRAIN]:
            raise InputError(
                f"no question could be made from the training groups of {len(jobs)} units of documents: give Python "
                "sources, or prose with spaces between its words"
            )
        for task in sorted(counts[TRAIN].keys() - counts[TEST].keys()):
            get_logger().warning("task '%s' has rows to train on, but the held-out groups give none to test on", task)
        return draft.finish(counts=counts)


@dataclass(frozen=True)
class _AskJob:
    part: SplitRows
    recipe: ComposeRecipe


@dataclass(frozen=True)
class _SelectJob:
    folders: tuple[Path, ...]
    recipe: ComposeRecipe


def ask(document: Document, split: str, recipe: ComposeRecipe) -> Iterator[Row]:
    """The rows of one document, those that are too long included."""
    material = Material(document)
    for task in choose_tasks(recipe.tasks, recipe.held_out_clusters):
        if not _wanted(task, split, recipe):
            continue
        drawn = random.Random(f"{recipe.seed}\x1f{document.id}\x1f{task.name}")
        questions = itertools.islice(task.make(material, drawn), recipe.max_per_document)
        for number, question in enumerate(questions):
            yield word(
                question,
                task=task,
                number=number,
                document=document,
                split=split,
                templates=TEMPLATES[task.name],
                turned_share=recipe.turned_share,
                random=drawn,
            )


def _wanted(task: Task, split: str, recipe: ComposeRecipe) -> bool:
    if recipe.family != "auto" and task not in FAMILIES[recipe.family]:
        return False
    return split == TEST or task.cluster not in recipe.held_out_clusters


def _ask_unit(job: _AskJob, folder: Path) -> Counts:
    """Rows of a unit, no more of a task than the whole may have."""
    recipe = job.recipe
    rows: dict[str, list[Row]] = {TRAIN: [], TEST: []}
    drops = []
    for document, side in job.part.read():
        split = TEST if side == HELD_OUT else TRAIN
        for row in ask(document, split, recipe):
            length = num_characters(row)
            if length <= recipe.max_characters:
                rows[split].append(row)
            else:
                drops.append(_drop(row, TOO_LONG, length))
    for split, most in _caps(recipe).items():
        write_rows(folder / split / "00000.parquet", first_of_each_task(rows[split], most))
    write_drops(folder / "dropped" / "00000.parquet", drops)
    return {}


def _select_unit(job: _SelectJob, folder: Path) -> Counts:
    """The rows of all units: one family, no more of a task than its cap, no test row that stands in training."""
    rows = {split: [row for unit in job.folders for row in read_rows(unit / split)] for split in (TRAIN, TEST)}
    drops = [drop for unit in job.folders for drop in read_drops(unit / "dropped" / "00000.parquet")]
    if job.recipe.family == "auto" and any(family_of(row.task) == PYTHON for row in rows[TRAIN]):
        rows = {split: [row for row in many if family_of(row.task) == PYTHON] for split, many in rows.items()}
    trained = {row.content for row in rows[TRAIN]}
    drops += [_drop(row, IN_TRAINING, None) for row in rows[TEST] if row.content in trained]
    rows[TEST] = [row for row in rows[TEST] if row.content not in trained]
    counts: Counts = {}
    for split, most in _caps(job.recipe).items():
        kept = first_of_each_task(rows[split], most)
        write_rows(folder / split / "00000.parquet", kept)
        counts[split] = dict(sorted(Counter(row.task for row in kept).items()))
    write_drops(folder / "dropped" / "00000.parquet", drops)
    return counts | {"dropped": dict(sorted(Counter(drop.reason for drop in drops).items()))}


def first_of_each_task(rows: Iterable[Row], most: int) -> list[Row]:
    """At most so many rows of each task, drawn by their ids, in the order of task and id."""
    by_task: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_task[row.task].append(row)
    return [
        row for task in sorted(by_task) for row in sorted(by_task[task], key=lambda row: (row.id, row.prompt))[:most]
    ]


def _caps(recipe: ComposeRecipe) -> dict[str, int]:
    return {TRAIN: recipe.max_train, TEST: recipe.max_test}


def _drop(row: Row, reason: str, value: float | None) -> Drop:
    origin = f"{row.document} {row.template}"
    return Drop(row.id, row.source, origin, "compose", reason, value, None, row.prompt)
