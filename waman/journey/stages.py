"""The demo's stages in order: each calls a door on what the doors before it made."""

import functools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from waman.artifact import Artifact, open_artifact
from waman.dataflow import Executor
from waman.journey.gather import gather
from waman.journey.recipe import DemoRecipe
from waman.log import get_logger

ANSWER_TOKENS = 96


@dataclass
class Journey:
    """What has been made so far, by the name of its folder."""

    recipe: DemoRecipe
    folder: Path
    executor: Executor | None
    made: dict[str, Artifact] = field(default_factory=dict)

    def take(self, name: str, door: Callable[..., Artifact], recipe: object, **inputs: object) -> Artifact:
        """Goes through one door into the folder `name` and says what it cost."""
        get_logger().info("%s ...", name)
        artifact = door(recipe, **inputs, out=self.folder / name)
        assert artifact.manifest is not None
        seconds, memory = artifact.manifest.seconds, artifact.manifest.peak_memory_bytes
        get_logger().info("%s: %.1f s, %.2f GiB", name, seconds, memory / 2**30)
        self.made[name] = artifact
        return artifact

    def take_units(self, name: str, door: Callable[..., Artifact], recipe: object, **inputs: object) -> Artifact:
        """Goes through a door whose units the demo's executor runs."""
        return self.take(name, functools.partial(door, executor=self.executor), recipe, **inputs)

    def checkpoints(self) -> list[tuple[int, Artifact]]:
        """The pretrained model's checkpoints by step, that of the untrained model first."""
        found = (self.made["base"].path / "checkpoints").glob("step-*")
        pairs = [(int(path.name.removeprefix("step-")), open_artifact(path, "weights")) for path in found]
        return sorted(pairs, key=lambda pair: pair[0])


def make_corpus(journey: Journey, own: Sequence[Artifact]) -> None:
    """Gathers documents, from the user's files where there are any, filters them and holds groups out."""
    from waman.corpus.mix import mix
    from waman.corpus.refine import refine

    chosen = journey.recipe.own if own else journey.recipe.python
    documents = _extract_own(journey, own) if own else gather(journey.recipe.python, journey)
    corpus = journey.take_units("corpus", refine, chosen.refine, documents=documents)
    journey.take_units("mixture", mix, chosen.mix, documents=[corpus])


def _extract_own(journey: Journey, own: Sequence[Artifact]) -> list[Artifact]:
    from waman.crawl.extract import extract

    return [journey.take_units("documents", extract, journey.recipe.own.extract, archives=own)]


def make_tokens(journey: Journey) -> None:
    """Trains a tokenizer and encodes the documents."""
    from waman.tokens.tokenize import tokenize
    from waman.tokens.train_tokenizer import train_tokenizer

    recipe, made = journey.recipe, journey.made
    inputs = {"documents": [made["corpus"]], "mixture": made["mixture"]}
    tokenizer = journey.take_units("tokenizer", train_tokenizer, recipe.tokenizer, **inputs)
    journey.take_units("tokens", tokenize, recipe.tokenize, **inputs, tokenizer=tokenizer)


def make_models(journey: Journey) -> None:
    """Pretrains a model, composes instructions from the training groups and tunes the model on them."""
    from waman.instruction.compose import compose
    from waman.instruction.tune import tune
    from waman.training.pretrain import pretrain

    recipe, made = journey.recipe, journey.made
    base = journey.take("base", pretrain, recipe.pretrain, tokens=made["tokens"], tokenizer=made["tokenizer"])
    journey.take_units("instructions", compose, recipe.compose, documents=[made["corpus"]], mixture=made["mixture"])
    weights = open_artifact(base.path / "final", "weights")
    journey.take("tuned", tune, recipe.tune, weights=weights, instructions=[made["instructions"]])


def measure(journey: Journey) -> None:
    """Evaluates every checkpoint, the pretrained model beside what needs no model, and the tuned model."""
    from waman.evaluation.evaluate import evaluate

    recipe, made = journey.recipe, journey.made
    shared = {"documents": [made["corpus"]], "mixture": made["mixture"]}
    for step, checkpoint in journey.checkpoints():
        journey.take_units(f"scores-step-{step}", evaluate, recipe.evaluate_checkpoints, weights=checkpoint, **shared)
    shared["instructions"] = [made["instructions"]]
    for name, measured in (("base", recipe.evaluate), ("tuned", recipe.evaluate_tuned)):
        weights = open_artifact(made[name].path / "final", "weights")
        journey.take_units(f"scores-{name}", evaluate, measured, weights=weights, **shared)


def quantize_tuned(journey: Journey) -> None:
    """Gives the tuned model fewer bits, and proves on the held-out tokens what that changes."""
    from waman.quantization.quantize import quantize

    made = journey.made
    weights = open_artifact(made["tuned"].path / "final", "weights")
    journey.take("quantized", quantize, journey.recipe.quantize, weights=weights, tokens=made["tokens"])


def talk(journey: Journey) -> list[tuple[dict[str, Any], str]]:
    """Asks the quantized model held-out questions, drawn by seed whatever it answers -> rows, and what it said."""
    from waman.inference.load import load

    rows = read_rows(journey.made["instructions"], "test", columns=["task", "prompt", "target"])
    model = load(journey.made["quantized"].path)
    get_logger().info("%s", "\n".join(model.about.lines()[:2]))
    said = []
    for row in random.Random(journey.recipe.seed).sample(rows, min(journey.recipe.num_answers, len(rows))):
        answer = model.chat([row["prompt"]], max_tokens=ANSWER_TOKENS).strip()
        get_logger().info("> %s\n%s", row["prompt"], answer)
        said.append((row, answer))
    return said


def read_rows(instructions: Artifact, split: str, *, columns: list[str]) -> list[dict[str, Any]]:
    """Some columns of a split of composed instructions."""
    found: list[dict[str, Any]] = []
    for path in sorted((instructions.path / split).glob("*.parquet")):
        found += pq.read_table(path, columns=columns).to_pylist()
    return found
