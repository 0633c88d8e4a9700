"""Which doors every arm goes through, as steps of which equal ones are one: what arms have in common is made once.

Held out are the groups that the base's mixture holds out, in every arm; measured are the base's documents of these
groups; and the tokenizer is learned from the base's documents: a variant changes what it says, and not the yardstick.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from waman import settings
from waman.ablation.recipe import Pipeline
from waman.ablation.variants import Arm
from waman.corpus.recipe import WithholdRecipe
from waman.evaluation.recipe import BitsPerByte, EvaluateRecipe
from waman.identity import hash_json
from waman.model.config import Learned
from waman.settings import Off

GIVEN = "given"


@dataclass(frozen=True)
class Step:
    """A door, its recipe and the steps whose artifacts it reads."""

    door: str
    name: str
    """Of the folder that it is made in; a step of many has its key in it."""
    recipe: Any
    inputs: Mapping[str, tuple["Step", ...]] = field(default_factory=dict)
    given: str = ""
    """Identity of an artifact that is there already."""

    @cached_property
    def key(self) -> str:
        """The same for steps that make the same."""
        table = None if self.recipe is None else settings.to_table(self.recipe)
        inputs = {name: [one.key for one in many] for name, many in self.inputs.items()}
        return hash_json([self.door, table, inputs, self.given])

    def with_all_before(self) -> list["Step"]:
        """This step and all that it needs, each once, in an order in which they can be made."""
        found: dict[str, Step] = {}
        for many in self.inputs.values():
            for one in many:
                found |= {step.key: step for step in one.with_all_before()}
        return [*found.values(), self]


@dataclass(frozen=True)
class Road:
    """From documents to the scores of one arm with one seed."""

    arm: Arm
    seed: int
    run: Step
    scores: Step
    longer: Mapping[int, Step | None]
    """Context length -> scores at it; None where the arm cannot read as much."""

    @property
    def steps(self) -> list[Step]:
        """All steps, each once, in order."""
        ends = [self.scores, *(one for one in self.longer.values() if one is not None)]
        return once(step for end in ends for step in end.with_all_before())


@dataclass(frozen=True)
class Judge:
    """What all arms are judged on."""

    corpus: Step
    mixture: Step


def given(identity: str) -> Step:
    """Documents that are there."""
    return Step(GIVEN, "documents", None, given=identity)


def judge_of(base: Pipeline, documents: Sequence[Step]) -> Judge:
    """The base's documents, without anything planted, and its held-out groups."""
    corpus = _data("refine", "corpus", base.refine, documents=tuple(documents))
    return Judge(corpus, _data("mix", "mixture", base.mix, documents=(corpus,)))


def road_of(
    arm: Arm, seed: int, *, judge: Judge, documents: Sequence[Step], longer_contexts: Sequence[int] = ()
) -> Road:
    """The road of one arm with one seed."""
    recipe = _seeded(arm.pipeline, seed)
    corpus, mixture = _corpus(recipe, judge, tuple(documents))
    tokenizer = _data(
        "train_tokenizer",
        "tokenizer",
        recipe.train_tokenizer,
        documents=(judge.corpus,),
        mixture=(judge.mixture,),
    )
    tokens = _data(
        "tokenize", "tokens", recipe.tokenize, documents=(corpus,), mixture=(mixture,), tokenizer=(tokenizer,)
    )
    place = "/".join((*([arm.size] if arm.size is not None else []), arm.name, f"seed-{seed}"))
    run = Step("pretrain", f"runs/{place}", recipe.pretrain, {"tokens": (tokens,), "tokenizer": (tokenizer,)})
    measured = {"weights": (run,), "documents": (judge.corpus,), "mixture": (judge.mixture,)}
    longer = {
        length: Step("evaluate", f"scores/{place}-at-{length}", _at(recipe.evaluate, length), measured)
        if can_read(arm, length)
        else None
        for length in longer_contexts
    }
    return Road(arm, seed, run, Step("evaluate", f"scores/{place}", recipe.evaluate, measured), longer)


def can_read(arm: Arm, num_tokens: int) -> bool:
    """Whether the arm's model has positions for so many tokens."""
    return num_tokens <= arm.model.context_length or not isinstance(arm.model.position, Learned)


def once(steps: Iterable[Step]) -> list[Step]:
    """Each step once, where it comes first."""
    return list({step.key: step for step in steps}.values())


def _seeded(recipe: Pipeline, seed: int) -> Pipeline:
    """The recipes with this seed: of the model, and of what is planted, since which documents are matters as well."""
    plant = recipe.plant
    if not isinstance(plant, Off):
        plant = dataclasses.replace(plant, seed=plant.seed + seed)
    pretrain = dataclasses.replace(recipe.pretrain, seed=recipe.pretrain.seed + seed)
    return dataclasses.replace(recipe, plant=plant, pretrain=pretrain)


def _corpus(recipe: Pipeline, judge: Judge, documents: tuple[Step, ...]) -> tuple[Step, Step]:
    """The arm's documents, and its mixture, which holds out what the judge's does.

    Where these are not the judge's documents, duplicates of what is held out are taken away first.
    """
    if isinstance(recipe.plant, Off) and recipe.refine == judge.corpus.recipe:
        corpus = judge.corpus
        if recipe.mix == judge.mixture.recipe:
            return corpus, judge.mixture
        return corpus, _data("mix", "mixture", recipe.mix, documents=(corpus,), like=(judge.mixture,))
    documents = (
        _data(
            "withhold",
            "withheld",
            WithholdRecipe(),
            documents=documents,
            refined=(judge.corpus,),
            mixture=(judge.mixture,),
        ),
    )
    if not isinstance(recipe.plant, Off):
        documents = (_data("plant", "planted", recipe.plant, documents=documents),)
    corpus = _data("refine", "corpus", recipe.refine, documents=documents)
    return corpus, _data("mix", "mixture", recipe.mix, documents=(corpus,), like=(judge.mixture,))


def _data(door: str, noun: str, recipe: Any, **inputs: tuple[Step, ...]) -> Step:
    """A step whose folder's name holds its key, since several arms may have one, or each its own."""
    unnamed = Step(door, noun, recipe, inputs)
    return dataclasses.replace(unnamed, name=f"{noun}-{unnamed.key[:8]}")


def _at(recipe: EvaluateRecipe, length: int) -> EvaluateRecipe:
    """Bits per byte alone, the model reading so many tokens."""
    assert isinstance(recipe.bits, BitsPerByte)
    bits = dataclasses.replace(recipe.bits, context_length=length, scorers=())
    return dataclasses.replace(recipe, bits=bits, cloze=Off(), instructions=Off(), overlap=Off())
