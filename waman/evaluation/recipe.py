"""What `evaluate` measures, and beside what. Loads no torch."""

from dataclasses import dataclass, field
from typing import Literal

from waman.errors import RecipeError
from waman.model.recipe import Auto, Precision
from waman.settings import Off


@dataclass(frozen=True)
class BitsPerByte:
    """Bits per byte on held-out documents, by source."""

    scorers: tuple[Literal["gzip", "lzma", "ngram"], ...] = ("gzip", "lzma", "ngram")
    """What the model is compared with: `gzip -9`, lzma primed with training text, the n-gram model."""
    max_bytes: int = 100_000
    """UTF-8 bytes of text per source: whole documents, drawn by `seed`, as many as fit."""
    context_length: int | None = None
    """Tokens that the model reads at most; absent: its own context length. More is beyond what it was trained on, and
    refused where its positions are learned."""
    overlap: float = 0.5
    """Share of that length by which windows of a longer document overlap (0: they do not)."""
    max_priming_bytes: int = 16_000_000
    """Bytes of training text that lzma sees before the held-out text: a draw of documents where there is more."""

    def __post_init__(self) -> None:
        _at_least("max_bytes", self.max_bytes, 1)
        _at_least("max_priming_bytes", self.max_priming_bytes, 0)
        if self.context_length is not None:
            _at_least("context_length", self.context_length, 2)
        if not 0 <= self.overlap < 1:
            raise RecipeError(f"overlap: found {self.overlap}, expected a share of at least 0 and below 1")


@dataclass(frozen=True)
class Cloze:
    """The true continuation against three from later in the same document."""

    scorers: tuple[Literal["word_overlap", "ngram", "untrained"], ...] = ("word_overlap", "ngram", "untrained")
    """What the model is compared with: words shared with the context, the n-gram model, the same network untrained."""
    unconditional: bool = True
    """Whether options are also scored without their context, for the second normaliser; costs half as much again."""
    num_questions: int = 1000
    """Questions at most; fewer where the held-out documents give no more."""
    max_per_document: int = 20
    """Questions from one document at most; they are taken in turn, so that no more are used than needed."""
    min_context_tokens: int = 32
    """Tokens before the shortest context's continuation."""
    max_context_tokens: int = 128
    """Tokens of context at most, `<s>` included; less where the model's context length asks for it."""
    min_option_tokens: int = 32
    """Tokens of an option at least."""
    max_option_tokens: int = 64
    """Tokens of an option at most."""

    def __post_init__(self) -> None:
        _at_least("num_questions", self.num_questions, 1)
        _at_least("max_per_document", self.max_per_document, 1)
        _at_least("min_context_tokens", self.min_context_tokens, 1)
        _at_least("max_context_tokens", self.max_context_tokens, self.min_context_tokens)
        _at_least("min_option_tokens", self.min_option_tokens, 1)
        _at_least("max_option_tokens", self.max_option_tokens, self.min_option_tokens)


@dataclass(frozen=True)
class Instructions:
    """Held-out instructions, by task and cluster; measured where an instructions artifact is given."""

    scorers: tuple[Literal["majority", "unigram", "word_overlap"], ...] = ("majority", "unigram", "word_overlap")
    """What the model is compared with: the commonest training answer, naive Bayes over words, words of the prompt."""
    num_questions: int = 300
    """Questions with options from clusters with training rows, and as many from the others, evenly over tasks."""
    num_written: int = 50
    """Questions without options, whose answers are generated, likewise."""
    max_answer_tokens: int = 64
    """Tokens generated at most for a question without options."""

    def __post_init__(self) -> None:
        _at_least("num_questions", self.num_questions, 1)
        _at_least("num_written", self.num_written, 0)
        _at_least("max_answer_tokens", self.max_answer_tokens, 1)


@dataclass(frozen=True)
class Ngram:
    """The n-gram model that the figures stand beside."""

    order: int = 5
    """Tokens of the longest n-gram."""
    max_bytes: int = 32_000_000
    """Bytes of training text at most: a draw of documents where there is more; some 150 bytes of memory per token."""

    def __post_init__(self) -> None:
        _at_least("order", self.order, 1)
        _at_least("max_bytes", self.max_bytes, 0)


@dataclass(frozen=True)
class Overlap:
    """How much of the held-out text stands in the training text."""

    words: int = 13
    """Words of an n-gram (Brown et al. 2020, appendix C)."""
    threshold: float = 0.2
    """Share of a document's n-grams from which on it counts as seen (Touvron et al. 2023b, section A.6)."""

    def __post_init__(self) -> None:
        _at_least("words", self.words, 1)
        if not 0 < self.threshold <= 1:
            raise RecipeError(f"threshold: found {self.threshold}, expected a share above 0, at most 1")


@dataclass(frozen=True)
class EvaluateRecipe:
    """What `evaluate` measures. A part that is off is not measured; a part without scorers measures the model alone."""

    bits: BitsPerByte | Off = field(default_factory=BitsPerByte)
    """Bits per byte."""
    cloze: Cloze | Off = field(default_factory=Cloze)
    """Cloze questions."""
    instructions: Instructions | Off = field(default_factory=Instructions)
    """Instructions."""
    overlap: Overlap | Off = field(default_factory=Overlap)
    """Held-out n-grams seen in training, and the figures without such documents."""
    ngram: Ngram = field(default_factory=Ngram)
    """The n-gram model, trained where a part asks for it."""
    precision: Precision = field(default_factory=Auto)
    """In which numbers the model computes; `docs/evaluation.md` says how little that moves the figures."""
    max_held_out_bytes: int = 20_000_000
    """Bytes of held-out text that are looked at: a draw of documents where there is more."""
    seed: int = 0
    """Of every draw: documents, questions, the untrained network, the bootstrap."""

    def __post_init__(self) -> None:
        _at_least("max_held_out_bytes", self.max_held_out_bytes, 1)


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise RecipeError(f"{name}: found {value}, expected at least {least}")
