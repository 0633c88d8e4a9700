"""What `compose` asks and how `tune` trains on it. Torch-free."""

from dataclasses import dataclass, field
from typing import Literal

from waman.model.recipe import Auto, Precision
from waman.training.recipe import AdamW, Checkpointing, Constant, Cosine, Evenly, require

Schedule = Cosine | Constant


@dataclass(frozen=True)
class ComposeRecipe:
    """Questions and answers made from documents: rows to train on from training groups, to test from held-out ones."""

    family: Literal["auto", "python", "passages"] = "auto"
    """Tasks about Python sources or about prose; auto: Python where training groups hold sources, prose elsewhere."""
    tasks: tuple[str, ...] | None = None
    """Names of the tasks; absent: all of the family."""
    held_out_clusters: tuple[str, ...] = ("describe", "place", "continuation")
    """Clusters that are tested and never trained on; a task and its reverse belong to one cluster."""
    max_per_document: int = 12
    """Questions of one task from one document, at most."""
    max_train: int = 30_000
    """Rows of one task to train on, at most (Wei et al. 2022, section 2.1)."""
    max_test: int = 400
    """Rows of one task to test on, at most."""
    max_characters: int = 400
    """Characters of prompt and longest answer together; longer rows are dropped."""
    turned_share: float = 0.1
    """Share of the training rows, 0 to 1, that are worded the other way round: from the answer to what was given."""
    seed: int = 0
    """Draws questions, options, their order and wordings."""

    def __post_init__(self) -> None:
        for name in ("max_per_document", "max_train", "max_test", "max_characters"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        require("turned_share", self.turned_share, 0 <= self.turned_share <= 1, "0 to 1")


@dataclass(frozen=True)
class ByRows:
    """A task is drawn in proportion to its rows, up to a cap (Wei et al. 2022, section 2.1)."""

    cap: int = 3000
    """rows of a task that count"""

    def __post_init__(self) -> None:
        require("mixing.cap", self.cap, self.cap >= 1, "at least 1")


@dataclass(frozen=True)
class ByAnswers:
    """As by rows, divided by the tokens of the task's mean answer: long answers do not drown the short ones."""

    cap: int = 3000
    """rows of a task that count"""

    def __post_init__(self) -> None:
        require("mixing.cap", self.cap, self.cap >= 1, "at least 1")


Mixing = ByRows | ByAnswers


@dataclass(frozen=True)
class TuneRecipe:
    """Trains a model to answer: the loss is on answers and their end alone."""

    num_tokens: int = 500_000
    """tokens to train on, questions and padding included, rounded up to whole steps"""
    batch_tokens: int = 512
    """tokens per optimizer step, rounded up to whole sequences of the model's context length"""
    mixing: Mixing = field(default_factory=ByAnswers)
    """how often each task is drawn"""
    later_turns: float = 0.3
    """share of rows that are asked as a later turn of a conversation: they see the row before them in their sequence"""
    micro_batch_sequences: int = 1
    """sequences that go through the model at once; changes memory and speed, not the gradient"""
    optimizer: AdamW = field(default_factory=lambda: AdamW(learning_rate=1.5e-3))
    """the rule of one step"""
    schedule: Schedule = field(default_factory=Cosine)
    """the learning rate over the steps"""
    precision: Precision = field(default_factory=Auto)
    """in which numbers the model computes"""
    checkpoints: Checkpointing = field(default_factory=lambda: Evenly(2))
    """when a checkpoint is written, beside that of the model as it was given"""
    keep: int | None = None
    """newest checkpoints to keep; absent: all"""
    seed: int = 0
    """draws the order of the rows"""

    def __post_init__(self) -> None:
        for name in ("num_tokens", "batch_tokens", "micro_batch_sequences"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        require("later_turns", self.later_turns, 0 <= self.later_turns <= 1, "a share from 0 to 1")
        if self.keep is not None:
            require("keep", self.keep, self.keep >= 1, "at least 1")

    def batch_sequences(self, context_length: int) -> int:
        """Sequences per optimizer step."""
        return -(-self.batch_tokens // context_length)

    def num_steps(self, context_length: int) -> int:
        """Optimizer steps of the whole run."""
        return -(-self.num_tokens // (self.batch_sequences(context_length) * context_length))
