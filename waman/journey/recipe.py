"""The demo's recipe: one recipe for every door it goes through."""

from dataclasses import dataclass, field
from typing import Literal

from waman.corpus.recipe import HeldOut, MixRecipe, RefineRecipe
from waman.crawl.recipe import ByPathSegment, ExtractRecipe, FetchRecipe, Python, Web
from waman.errors import RecipeError
from waman.evaluation.recipe import BitsPerByte, Cloze, EvaluateRecipe, Instructions
from waman.instruction.recipe import ComposeRecipe, TuneRecipe
from waman.model.presets import preset
from waman.quantization.recipe import Int8, Proof, QuantizeRecipe
from waman.settings import Off
from waman.tokens.recipe import TokenizeRecipe, TokenizerRecipe
from waman.training.recipe import AdamW, Evenly, PretrainRecipe

HOST = "pages.waman.test"
"""The name under which the demo's own pages are fetched; `.test` is reserved (RFC 6761) and never resolved."""
_DISTRIBUTIONS = (
    "fastwarc", "fsspec", "jinja2", "lxml", "rich", "safetensors", "tokenizers", "trafilatura", "typer", "urllib3",
)  # fmt: skip


def _pretrain() -> PretrainRecipe:
    return PretrainRecipe(
        model=preset("laptop-1m"),
        num_tokens=4_000_000,
        batch_tokens=2048,
        micro_batch_sequences=4,
        optimizer=AdamW(learning_rate=3e-3),
        checkpoints=Evenly(5),
    )


def _along_the_way() -> EvaluateRecipe:
    return EvaluateRecipe(
        bits=BitsPerByte(scorers=(), max_bytes=40_000),
        cloze=Cloze(scorers=(), num_questions=300),
        instructions=Off(),
        overlap=Off(),
    )


def _at_the_end() -> EvaluateRecipe:
    return EvaluateRecipe(cloze=Cloze(num_questions=1500))


def _answers_only() -> EvaluateRecipe:
    return EvaluateRecipe(bits=Off(), cloze=Off(), instructions=Instructions(), overlap=Off())


def _quantize() -> QuantizeRecipe:
    """Layers in 4 bits; the embedding, half of so small a model, in 8."""
    return QuantizeRecipe(head=Int8(), embeddings=Int8(), proof=Proof(fewer="take"), max_kl=Off())


@dataclass(frozen=True)
class PythonCorpus:
    """The corpus that every machine with Python can make: documentation as web pages, and permissive sources."""

    documented: tuple[str, ...] = _DISTRIBUTIONS
    """Installed distributions whose documentation is served as web pages, beside the standard library's."""
    fetch: FetchRecipe = FetchRecipe(
        seeds=(f"http://{HOST}/index.html",), delay_seconds=0.0, max_pages=4000, pages_per_unit=100
    )
    """Fetching the pages."""
    extract_web: ExtractRecipe = ExtractRecipe(source=Web(), group=ByPathSegment(), unit_bytes=250_000)
    """Pages to text."""
    extract_github: ExtractRecipe = ExtractRecipe(
        source=Python(exclude=("distutils", "idlelib", "lib2to3"), distributions=_DISTRIBUTIONS),
        name="github",
        unit_bytes=2_000_000,
    )
    """Sources of the standard library and of the distributions that it names, where their licence permits, to text."""
    refine: RefineRecipe = field(default_factory=lambda: RefineRecipe(presets={"web": "reference"}))
    """Filters and deduplication."""
    mix: MixRecipe = field(
        default_factory=lambda: MixRecipe(proportions={"web": 0.25, "github": 0.75}, held_out=HeldOut(share=0.08))
    )
    """Proportions and the held-out groups."""


@dataclass(frozen=True)
class OwnCorpus:
    """The corpus that is made from your own files."""

    extract: ExtractRecipe = ExtractRecipe()
    """Files to text."""
    refine: RefineRecipe = field(default_factory=RefineRecipe)
    """Filters and deduplication."""
    mix: MixRecipe = field(default_factory=lambda: MixRecipe(held_out=HeldOut(share=0.08)))
    """Proportions and the held-out groups."""


@dataclass(frozen=True)
class DemoRecipe:
    """From web pages to a chat answer on this machine."""

    python: PythonCorpus = field(default_factory=PythonCorpus)
    """The corpus where no files are given."""
    own: OwnCorpus = field(default_factory=OwnCorpus)
    """The corpus where files are given."""
    tokenizer: TokenizerRecipe = field(default_factory=TokenizerRecipe)
    """The tokenizer."""
    tokenize: TokenizeRecipe = field(default_factory=TokenizeRecipe)
    """Token shards."""
    pretrain: PretrainRecipe = field(default_factory=_pretrain)
    """Pretraining."""
    evaluate_checkpoints: EvaluateRecipe = field(default_factory=_along_the_way)
    """What is measured of every checkpoint."""
    evaluate: EvaluateRecipe = field(default_factory=_at_the_end)
    """What is measured of the pretrained model, beside what needs no model."""
    compose: ComposeRecipe = field(default_factory=ComposeRecipe)
    """Instructions made from the documents."""
    tune: TuneRecipe = field(default_factory=TuneRecipe)
    """Tuning on them."""
    evaluate_tuned: EvaluateRecipe = field(default_factory=_answers_only)
    """What is measured of the tuned model."""
    quantize: QuantizeRecipe = field(default_factory=_quantize)
    """The tuned model with fewer bits, proven on the held-out tokens; it answers the report's questions."""
    until: Literal["tokens", "tuned"] = "tuned"
    """The last of the stages: "tokens" ends with the corpus, its report, tokenizer and tokens; no model is trained."""
    num_answers: int = 5
    """Held-out questions that the quantized model is asked at the end, drawn by `seed`."""
    seed: int = 0
    """Draws those questions."""

    def __post_init__(self) -> None:
        if self.num_answers < 1:
            raise RecipeError(f"num_answers: found {self.num_answers}, expected at least 1")
