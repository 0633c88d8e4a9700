"""The door of the whole journey: from web pages, or your own files, to a chat answer and a report."""

from collections.abc import Sequence
from pathlib import Path

from waman.artifact import Artifact
from waman.dataflow import Executor
from waman.draft import begin
from waman.journey import stages, story
from waman.journey.recipe import DemoRecipe
from waman.journey.report import render_report
from waman.journey.stages import Journey
from waman.log import get_logger
from waman.manifest import write_whole

VERSION = 1
REPORT = "report.html"


def demo(
    recipe: DemoRecipe,
    *,
    corpus: Sequence[Artifact] = (),
    out: Path,
    replace: bool = False,
    executor: Executor | None = None,
) -> Artifact:
    """Makes a small language model on this machine; every stage is an artifact of its own in `out`.

    Without a `corpus` it is made from the documentation and sources of the Python on this machine. Run again after a
    kill, it goes on from the last finished unit or checkpoint. Writes `report.html`.
    """
    draft = begin(out, kind="demo", version=VERSION, recipe=recipe, inputs={"corpus": list(corpus)}, replace=replace)
    if draft.finished is not None:
        _say_what_next(recipe, draft.finished.path)
        return draft.finished
    with draft:
        journey = Journey(recipe, draft.path, executor)
        stages.make_corpus(journey, corpus)
        stages.make_tokens(journey)
        if recipe.until == "tuned":
            stages.make_models(journey)
            stages.measure(journey)
            stages.quantize_tuned(journey)
        data = story.tell(journey, out)
        write_whole(draft.path / REPORT, render_report(data))
        made = draft.finish(counts={name: one.counts for name, one in journey.made.items()})
    _say_what_next(recipe, made.path)
    return made


def _say_what_next(recipe: DemoRecipe, out: Path) -> None:
    lines = [f"report: {out / REPORT}"]
    lines += [f"{command.purpose}: {command.command}" for command in story.commands(recipe, out)]
    for line in lines:
        get_logger().info("%s", line)
