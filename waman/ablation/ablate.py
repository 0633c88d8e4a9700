"""`waman ablate`: a question in, a verdict with its uncertainty out, through the ordinary doors."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from waman import settings
from waman.ablation.outcomes import Outcome, Scores, read_records
from waman.ablation.recipe import AblateRecipe
from waman.ablation.report import Curve, average, render_page
from waman.ablation.results import RESULTS, comparisons, tell, tell_earlier
from waman.ablation.roads import Judge, Road, Step, given, judge_of, road_of
from waman.ablation.variants import Arm, resolve
from waman.ablation.verdict import all_decided
from waman.ablation.workshop import Diverged, Workshop, read_losses
from waman.artifact import Artifact
from waman.dataflow import Executor
from waman.draft import begin
from waman.errors import DivergedError, InputError
from waman.log import get_logger
from waman.manifest import to_json, write_whole

VERSION = 1
REPORT = "report.html"


def ablate(
    recipe: AblateRecipe,
    *,
    corpus: Sequence[Artifact] = (),
    earlier: Artifact | None = None,
    out: Path,
    replace: bool = False,
    executor: Executor | None = None,
) -> Artifact:
    """Trains every arm with the same seeds and says which is better, by how much, or what it would take to know.

    The documents are `corpus` (artifacts of documents, or files to extract), else those of the Python on this machine.
    Every stage is an artifact in `out`; what arms have in common is made once. One seed of every arm is run before the
    next; with `early_stop` it ends when every comparison is decided. Killed and run again, it goes on. What an
    `earlier` ablation made in the same way (the runs of fewer seeds, say) is taken over, and the page tells of it.
    Writes `verdict.json` and `report.html`. Raises RecipeError for arms that differ in more or less than they say,
    DivergedError where the first seed of every arm diverges.
    """
    arms = resolve(recipe)
    inputs = {"corpus": list(corpus)}
    draft = begin(out, kind="ablation", version=VERSION, recipe=recipe, inputs=inputs, replace=replace)
    if draft.finished is not None:
        return draft.finished
    with draft:
        workshop = Workshop(draft.path, executor, None if earlier is None else earlier.path.resolve())
        documents = _documents(recipe, corpus, workshop)
        runner = _Runner(recipe, workshop, documents, judge_of(recipe.base, documents))
        outcomes = _run_all(recipe, arms, runner)
        before = None if earlier is None else tell_earlier(earlier, workshop.taken_over)
        data = tell(recipe, draft.identity, arms, outcomes, workshop.seconds, earlier=before)
        write_whole(draft.path / RESULTS, to_json(data))
        page = render_page(data, _curves(outcomes), registered_recipe=settings.render(recipe))
        write_whole(draft.path / REPORT, page)
        counts = {
            "sentence": data["sentence"],
            "runs": sum(map(len, outcomes.values())),
            "diverged": sum(one.diverged is not None for some in outcomes.values() for one in some),
        }
        made = draft.finish(counts=counts)
    get_logger().info("report: %s", made.path / REPORT)
    return made


class _Runner:
    """Takes an arm and a seed to an outcome."""

    def __init__(self, recipe: AblateRecipe, workshop: Workshop, documents: Sequence[Step], judge: Judge) -> None:
        self._recipe, self._workshop, self._documents, self._judge = recipe, workshop, documents, judge

    def run(self, arm: Arm, seed: int) -> Outcome:
        """Trains and scores one seed of one arm; what is made already is read."""
        lengths = self._recipe.longer_contexts
        road = road_of(arm, seed, judge=self._judge, documents=self._documents, longer_contexts=lengths)
        trained = self._workshop.train(road.run)
        if isinstance(trained, Diverged):
            get_logger().warning("%s diverged: %s", road.run.name, trained.reason)
            return Outcome(arm.name, seed, trained.folder, trained.seconds, trained.reason, None, {})
        longer = {
            length: None if step is None else self._read(step, longer=True) for length, step in road.longer.items()
        }
        scores = self._read(road.scores)
        return Outcome(arm.name, seed, trained.folder, self._seconds(road), None, scores, longer)

    def _read(self, step: Step, *, longer: bool = False) -> Scores:
        metric = "bits_per_byte" if longer else self._recipe.metric
        return read_records(self._workshop.make(step), metric, self._recipe.judged_sources)

    def _seconds(self, road: Road) -> float:
        steps = [road.run, road.scores, *(step for step in road.longer.values() if step is not None)]
        return sum(self._workshop.seconds.get(step.name, 0.0) for step in steps)


def _run_all(
    recipe: AblateRecipe, arms: Mapping[str | None, Sequence[Arm]], runner: _Runner
) -> dict[str | None, list[Outcome]]:
    """One seed of every arm, then the next, until all are run or nothing is left undecided."""
    outcomes: dict[str | None, list[Outcome]] = {size: [] for size in arms}
    for seed in range(recipe.seeds):
        for size, some in arms.items():
            if _decided(recipe, some, outcomes[size]):
                continue
            outcomes[size] += [runner.run(arm, seed) for arm in some]
            if seed == 0:
                _require_one_model(outcomes[size])
            for one in comparisons(recipe, some, outcomes[size]):
                get_logger().info("after %d seeds: %s", seed + 1, one.sentence)
    return outcomes


def _decided(recipe: AblateRecipe, arms: Sequence[Arm], outcomes: Sequence[Outcome]) -> bool:
    if not recipe.early_stop or not outcomes:
        return False
    found = comparisons(recipe, arms, outcomes)
    return len(found) == len(arms) - 1 and all_decided([one.verdict for one in found])


def _require_one_model(outcomes: Sequence[Outcome]) -> None:
    if all(one.diverged is not None for one in outcomes):
        reasons = "; ".join(f"{one.arm}: {one.diverged}" for one in outcomes)
        raise DivergedError(
            f"the first seed of every arm diverged, so that there is nothing to compare: {reasons}. Lower "
            "base.pretrain.optimizer.learning_rate, with --replace"
        )


def _curves(outcomes: Mapping[str | None, Sequence[Outcome]]) -> list[Curve]:
    """Every arm's, and beside it that of each of its seeds which diverged."""
    found = []
    for size, some in outcomes.items():
        for name in dict.fromkeys(one.arm for one in some):
            own = [one for one in some if one.arm == name]
            whole = [read_losses(one.folder) for one in own if one.diverged is None]
            found.append(Curve(size, name, None, average(whole)))
            lost = [one for one in own if one.diverged is not None]
            found += [Curve(size, name, one.seed, average([read_losses(one.folder)])) for one in lost]
    return found


def _documents(recipe: AblateRecipe, corpus: Sequence[Artifact], workshop: Workshop) -> list[Step]:
    """The documents that all arms begin with: those given, made from the files given, or this Python's."""
    if not corpus:
        from waman.journey.gather import gather

        found = gather(recipe.gather, workshop)
    else:
        found = [one for one in corpus if one.kind == "documents"]
        files = [one for one in corpus if one.kind != "documents"]
        if files:
            from waman.crawl.extract import extract

            found.append(workshop.take_units("documents", extract, recipe.extract, archives=files))
    if not found:
        raise InputError("corpus: nothing to read; give documents, or files to extract")
    steps = []
    for artifact in found:
        step = given(artifact.identity)
        workshop.hold(step, artifact)
        steps.append(step)
    return steps
