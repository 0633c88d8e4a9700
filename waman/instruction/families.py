"""The tasks that there are, by the kind of document that they are made from, with their wordings."""

import difflib
from collections.abc import Mapping, Sequence

from waman.errors import RecipeError
from waman.instruction.templates import passages as passages_templates
from waman.instruction.templates import python as python_templates
from waman.instruction.templates.template import Template
from waman.tasks import passages, python_completion, python_functions, python_imports, python_order, python_syntax
from waman.tasks.question import Task

PYTHON, PASSAGES = "python", "passages"

FAMILIES: Mapping[str, tuple[Task, ...]] = {
    PYTHON: (
        *python_syntax.TASKS,
        *python_completion.TASKS,
        *python_order.TASKS,
        *python_functions.TASKS,
        *python_imports.TASKS,
    ),
    PASSAGES: passages.TASKS,
}
TEMPLATES: Mapping[str, tuple[Template, ...]] = {**python_templates.TEMPLATES, **passages_templates.TEMPLATES}


def choose_tasks(names: Sequence[str] | None, held_out_clusters: Sequence[str]) -> list[Task]:
    """The tasks of these names (None: all). Raises RecipeError for a name or a cluster that there is not."""
    tasks = [task for family in FAMILIES.values() for task in family]
    _require_known("tasks", names or (), {task.name for task in tasks})
    _require_known("held_out_clusters", held_out_clusters, {task.cluster for task in tasks})
    return [task for task in tasks if names is None or task.name in names]


def family_of(task: str) -> str:
    """The family that a task belongs to."""
    return next(name for name, tasks in FAMILIES.items() if task in {one.name for one in tasks})


def _require_known(field: str, names: Sequence[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(sorted(known))}"
            raise RecipeError(f"{field}: no '{name}'; {hint}")
