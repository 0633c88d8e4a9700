"""Makes steps by calling their doors, in the ablation's own folder; what is made already is taken as it is."""

import json
import math
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waman.ablation.roads import GIVEN, Step
from waman.artifact import Artifact, open_artifact
from waman.dataflow import Executor, Inline
from waman.errors import DivergedError, StaleError
from waman.log import get_logger
from waman.manifest import MANIFEST, read_table, to_json, unfinished, write_whole
from waman.training.recipe import PretrainRecipe

METRICS, DIVERGED = "metrics.jsonl", "diverged.json"
_LAST_SHARE = 0.1
"""Of a run's steps, whose mean loss is what it ends with."""


@dataclass(frozen=True)
class Diverged:
    """A run that came to nothing, kept with its curve."""

    folder: Path
    """Where its metrics are."""
    reason: str
    seconds: float

    @property
    def artifact(self) -> None:
        """There is none."""


@dataclass(frozen=True)
class Trained:
    """A run that came to a model."""

    artifact: Artifact
    seconds: float

    @property
    def folder(self) -> Path:
        """Where its metrics are."""
        return self.artifact.path


@dataclass
class Workshop:
    """What has been made so far, by key, and what it cost."""

    folder: Path
    executor: Executor | None
    earlier: Path | None = None
    """Another ablation, of which finished steps that are the same are taken over."""
    taken_over: list[str] = field(default_factory=list)
    """Names of these steps."""
    made: dict[str, Artifact] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """Name of a step's folder -> what it took, whenever it was made."""

    def hold(self, step: Step, artifact: Artifact) -> None:
        """Takes what is there already as the artifact of a step."""
        self.made[step.key] = artifact

    def make(self, step: Step) -> Artifact:
        """The artifact of a step, and before it of all that it needs."""
        if step.key in self.made:
            return self.made[step.key]
        assert step.door != GIVEN, "documents that nobody gave"
        inputs = {name: [self.make(one) for one in many] for name, many in step.inputs.items()}
        get_logger().info("%s ...", step.name)
        call = _DOORS[step.door]
        place = self.folder / step.name
        borrowed = self._borrow(step.name)
        try:
            artifact = call(self, step.recipe, inputs, place)
        except StaleError:
            if not borrowed:
                raise
            shutil.rmtree(place)  # made by another recipe or of other inputs
            borrowed, artifact = False, call(self, step.recipe, inputs, place)
        if borrowed:
            self.taken_over.append(step.name)
        self.made[step.key] = artifact
        self.seconds[step.name] = _seconds(artifact)
        return artifact

    def _borrow(self, name: str) -> bool:
        """Whether the earlier ablation's step of this name now stands here too, by links where there can be some."""
        place = self.folder / name
        if self.earlier is None or not (self.earlier / name / MANIFEST).is_file():
            return False
        if place.exists() or unfinished(place).exists():
            return False
        partial = place.with_name(place.name + ".borrowed")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(self.earlier / name, partial, copy_function=_link_or_copy)
        os.replace(partial, place)
        return True

    def train(self, step: Step) -> Trained | Diverged:
        """A run, or what is left of one that diverged: found again, it is not tried again."""
        place = self.folder / step.name
        aside = place.with_name(place.name + ".diverged")
        if (aside / DIVERGED).is_file():
            table = read_table(aside / DIVERGED)
            found: Trained | Diverged = Diverged(aside, table["reason"], table["seconds"])
        else:
            try:
                run = self.make(step)
                found = Trained(run, _seconds(run))
                guessing = worse_than_guessing(read_losses(run.path), _vocab_size(run))
                if guessing is not None:
                    found = Diverged(run.path, guessing, found.seconds)
            except DivergedError as error:
                found = _set_aside(unfinished(place), aside, str(error))
        self.seconds[step.name] = found.seconds
        return found

    # As a traveller (waman.journey.gather)

    def take(self, name: str, door: Callable[..., Artifact], recipe: object, **inputs: object) -> Artifact:
        """Goes through one door into the folder `name`."""
        get_logger().info("%s ...", name)
        artifact = door(recipe, **inputs, out=self.folder / name)
        self.seconds[name] = _seconds(artifact)
        return artifact

    def take_units(self, name: str, door: Callable[..., Artifact], recipe: object, **inputs: object) -> Artifact:
        """Goes through a door whose units the executor runs."""
        return self.take(name, door, recipe, **inputs, executor=self.executor)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)


def read_losses(run: Path) -> list[tuple[int, float]]:
    """(tokens read, loss in nats) of every step of a run, of an unfinished one as well."""
    path = run / METRICS
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [(int(line["tokens"]), float(line["loss"])) for line in map(json.loads, lines)]


def worse_than_guessing(losses: list[tuple[int, float]], vocab_size: int) -> str | None:
    """Why a finished run counts as diverged: it ends worse than one that takes all tokens for equally likely."""
    last = [loss for _, loss in losses[-max(1, round(_LAST_SHARE * len(losses))) :]]
    mean = sum(last) / len(last) if last else math.nan
    if mean <= math.log(vocab_size):
        return None
    return f"its loss ends at {mean:.2f}, worse than ln({vocab_size}) = {math.log(vocab_size):.2f} of guessing"


def _set_aside(partial: Path, aside: Path, reason: str) -> Diverged:
    """Keeps the curve of a run that diverged, and nothing else of it."""
    losses = read_losses(partial)
    speeds = [json.loads(line)["tokens_per_second"] for line in _lines(partial / METRICS)]
    seconds = losses[-1][0] / (sum(speeds) / len(speeds)) if losses else 0.0
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    if (partial / METRICS).is_file():
        shutil.copyfile(partial / METRICS, aside / METRICS)
    write_whole(aside / DIVERGED, to_json({"reason": reason, "seconds": round(seconds, 3)}))
    shutil.rmtree(partial, ignore_errors=True)
    return Diverged(aside, reason, seconds)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _seconds(artifact: Artifact) -> float:
    return 0.0 if artifact.manifest is None else artifact.manifest.seconds


def _vocab_size(run: Artifact) -> int:
    from waman.weights.configuration import load_config

    size = load_config(run.path / "final").vocab_size
    assert size is not None
    return size


# The doors


_Inputs = Mapping[str, list[Artifact]]


def _plant(workshop: Workshop, recipe: Any, inputs: _Inputs, out: Path) -> Artifact:
    from waman.corpus.plant import plant

    return plant(recipe, documents=inputs["documents"], out=out, executor=workshop.executor)


def _withhold(workshop: Workshop, recipe: Any, inputs: _Inputs, out: Path) -> Artifact:
    from waman.corpus.withhold import withhold

    [refined], [mixture] = inputs["refined"], inputs["mixture"]
    documents = inputs["documents"]
    return withhold(recipe, documents=documents, refined=refined, mixture=mixture, out=out, executor=workshop.executor)


def _refine(workshop: Workshop, recipe: Any, inputs: _Inputs, out: Path) -> Artifact:
    from waman.corpus.refine import refine

    return refine(recipe, documents=inputs["documents"], out=out, executor=workshop.executor)


def _mix(workshop: Workshop, recipe: Any, inputs: _Inputs, out: Path) -> Artifact:
    from waman.corpus.mix import mix

    like = inputs["like"][0] if "like" in inputs else None
    return mix(recipe, documents=inputs["documents"], like=like, out=out, executor=workshop.executor)


def _train_tokenizer(workshop: Workshop, recipe: Any, inputs: _Inputs, out: Path) -> Artifact:
    from waman.tokens.train_tokenizer import train_tokenizer

    documents, [mixture] = inputs["documents"], inputs["mixture"]
    return train_tokenizer(recipe, documents=documents, mixture=mixture, out=out, executor=workshop.executor)


def _tokenize(workshop: Workshop, recipe: Any, inputs: _Inputs, out: Path) -> Artifact:
    from waman.tokens.tokenize import tokenize

    [mixture], [tokenizer] = inputs["mixture"], inputs["tokenizer"]
    return tokenize(
        recipe,
        documents=inputs["documents"],
        mixture=mixture,
        tokenizer=tokenizer,
        out=out,
        executor=workshop.executor,
    )


def _pretrain(workshop: Workshop, recipe: PretrainRecipe, inputs: _Inputs, out: Path) -> Artifact:
    from waman.training.pretrain import pretrain

    [tokens], [tokenizer] = inputs["tokens"], inputs["tokenizer"]
    return pretrain(recipe, tokens=tokens, tokenizer=tokenizer, out=out)


def _evaluate(workshop: Workshop, recipe: Any, inputs: _Inputs, out: Path) -> Artifact:
    """In this process, unless told otherwise: the model is small, and a worker would first have to load everything."""
    from waman.evaluation.evaluate import evaluate

    [run], [mixture] = inputs["weights"], inputs["mixture"]
    return evaluate(
        recipe,
        weights=open_artifact(run.path / "final", "weights"),
        documents=inputs["documents"],
        mixture=mixture,
        out=out,
        executor=workshop.executor or Inline(),
    )


_DOORS: Mapping[str, Callable[[Workshop, Any, _Inputs, Path], Artifact]] = {
    "withhold": _withhold,
    "plant": _plant,
    "refine": _refine,
    "mix": _mix,
    "train_tokenizer": _train_tokenizer,
    "tokenize": _tokenize,
    "pretrain": _pretrain,
    "evaluate": _evaluate,
}
