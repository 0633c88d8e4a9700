"""What an ablation asks, settled before its first run. Loads no torch."""

import re
from dataclasses import dataclass, field, replace
from typing import Literal

from waman.corpus.recipe import HeldOut, MixRecipe, PlantRecipe, RefineRecipe
from waman.crawl.recipe import ExtractRecipe, FetchRecipe
from waman.errors import RecipeError
from waman.evaluation.recipe import BitsPerByte, EvaluateRecipe
from waman.journey.recipe import PythonCorpus
from waman.model.config import Attention, FanIn, ModelConfig, Swiglu
from waman.settings import Off
from waman.tokens.recipe import TokenizeRecipe, TokenizerRecipe
from waman.training.recipe import AdamW, Cosine, Evenly, PretrainRecipe

MetricName = Literal["bits_per_byte", "cloze"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")


def _model() -> ModelConfig:
    return ModelConfig(
        context_length=128,
        model_dim=96,
        num_layers=3,
        attention=Attention(num_heads=4, num_kv_heads=4, head_dim=24),
        feed_forward=Swiglu(hidden_dim=256),
        tie_embeddings=True,
        initialization=FanIn(),
    )


def _pretrain() -> PretrainRecipe:
    """The base that learned most of those tried, and whose seeds scattered least (docs/decisions/ablation-base.md)."""
    return PretrainRecipe(
        model=_model(),
        num_tokens=1_000_000,
        batch_tokens=2048,
        micro_batch_sequences=8,
        optimizer=AdamW(learning_rate=1e-2),
        schedule=Cosine(warmup_share=0.1),
        checkpoints=Evenly(1),
        keep=1,
        fresh_weights="by_name",
    )


def _evaluate() -> EvaluateRecipe:
    return EvaluateRecipe(
        bits=BitsPerByte(scorers=(), max_bytes=100_000), cloze=Off(), instructions=Off(), overlap=Off()
    )


def _without_presets(recipe: RefineRecipe) -> RefineRecipe:
    """The same filters, spelled out: a preset would have to agree with what a variant says of them."""
    return replace(recipe, presets={})


@dataclass(frozen=True)
class Gather:
    """The documents where none are given: documentation as web pages, and permissive sources, of this Python."""

    documented: tuple[str, ...] = field(default_factory=lambda: PythonCorpus().documented)
    """Installed distributions whose documentation is read, beside the standard library's."""
    fetch: FetchRecipe = field(default_factory=lambda: PythonCorpus().fetch)
    """Fetching the pages."""
    extract_web: ExtractRecipe = field(default_factory=lambda: PythonCorpus().extract_web)
    """Pages to text."""
    extract_github: ExtractRecipe = field(default_factory=lambda: PythonCorpus().extract_github)
    """Sources to text."""


@dataclass(frozen=True)
class Pipeline:
    """The recipes of the doors that every arm goes through, in order. A variant names their fields."""

    plant: PlantRecipe | Off = field(default_factory=Off)
    """Duplicates planted among the documents before they are refined, never among those that are judged on; drawn anew
    with every seed."""
    refine: RefineRecipe = field(default_factory=lambda: _without_presets(PythonCorpus().refine))
    """Filters and deduplication."""
    mix: MixRecipe = field(default_factory=lambda: MixRecipe(held_out=HeldOut(share=0.08)))
    """Proportions; and, in the base alone, the held-out groups that all arms are judged on."""
    train_tokenizer: TokenizerRecipe = field(default_factory=lambda: TokenizerRecipe(vocab_size=2048))
    """The tokenizer, learned in every arm from the base's documents."""
    tokenize: TokenizeRecipe = field(default_factory=TokenizeRecipe)
    """Token shards."""
    pretrain: PretrainRecipe = field(default_factory=_pretrain)
    """Pretraining; `seed` is that of the first seed."""
    evaluate: EvaluateRecipe = field(default_factory=_evaluate)
    """What every model is measured by, on the base's held-out documents."""


@dataclass(frozen=True)
class Finding:
    """What a paper found, to stand beside ours."""

    text: str = ""
    """In a sentence."""
    source: str = ""
    """Where it is published."""


@dataclass(frozen=True)
class AblateRecipe:
    """One question, its arms, and how the answer is judged: all settled before the first run."""

    question: str = ""
    """What is asked, for the page."""
    finding: Finding = field(default_factory=Finding)
    """What was published about it."""
    reference: str = "base"
    """Name of the arm that is the base as it stands; every variant is compared with it."""
    variants: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Name -> what it changes of the base, as 'section.field=value' of base's sections; by nothing else may it
    differ."""
    sizes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Name -> what it changes of base.pretrain for all arms, in ascending order: the question is asked at each. Empty:
    at the base's size alone."""
    base: Pipeline = field(default_factory=Pipeline)
    """What all arms share, but for what a variant changes."""
    gather: Gather = field(default_factory=Gather)
    """The documents, where none are given."""
    extract: ExtractRecipe = field(default_factory=ExtractRecipe)
    """Files to text, where files are given."""
    matched: Literal["tokens", "flops"] = "tokens"
    """What all arms spend as much of in training: tokens, or floating-point operations by the model's formula."""
    max_parameter_difference: float | None = None
    """Share by which an arm's parameters may differ from the reference's; absent: by any."""
    metric: MetricName = "bits_per_byte"
    """What decides: held-out bits per byte, or the share of cloze questions answered right."""
    judged_sources: tuple[str, ...] = ()
    """Sources of held-out documents that count; empty: all."""
    longer_contexts: tuple[int, ...] = ()
    """Lengths in tokens at which bits per byte are measured as well, the model reading more than it was trained on."""
    smallest_difference: float = 0.01
    """The smallest difference that matters, in bits per byte or as a share of questions."""
    seeds: int = 5
    """Seeds of every arm at most: first weights and order of the data, the same across arms."""
    early_stop: bool = True
    """Whether to stop as soon as every comparison is decided; looking early costs a little certainty at the end."""

    def __post_init__(self) -> None:
        for name in (self.reference, *self.variants, *self.sizes):
            if not _NAME.fullmatch(name):
                raise RecipeError(
                    f"variants: '{name}' is no name for an arm or a size; use letters, digits and any of _ . + -"
                )
        if self.reference in self.variants:
            raise RecipeError(
                f"variants: '{self.reference}' is the reference, the base as it stands; give the variant another name"
            )
        if self.seeds < 2:
            raise RecipeError(f"seeds: found {self.seeds}, expected at least 2: one tells nothing of the next")
        if not self.smallest_difference > 0:
            raise RecipeError(
                f"smallest_difference: found {self.smallest_difference}, expected more than 0: between equal arms no "
                "number of seeds would decide"
            )
        if self.max_parameter_difference is not None and self.max_parameter_difference < 0:
            raise RecipeError(f"max_parameter_difference: found {self.max_parameter_difference}, expected 0 or more")
        self._check_measures()

    def _check_measures(self) -> None:
        measure = self.base.evaluate
        part = "bits" if self.metric == "bits_per_byte" else "cloze"
        if isinstance(getattr(measure, part), Off):
            raise RecipeError(f"metric: '{self.metric}' needs base.evaluate.{part}, which is off")
        if isinstance(measure.bits, Off) and self.longer_contexts:
            raise RecipeError("longer_contexts: bits per byte are measured there, but base.evaluate.bits is off")
        for length in self.longer_contexts:
            if length < 2:
                raise RecipeError(f"longer_contexts: found {length}, expected at least 2 tokens")
        if isinstance(self.base.mix.held_out, Off):
            raise RecipeError("base.mix.held_out: off, so that there is nothing to judge on; hold groups out")
        if self.base.pretrain.model is None:
            raise RecipeError("base.pretrain.model: absent; an ablation trains fresh models, so give their shape")
