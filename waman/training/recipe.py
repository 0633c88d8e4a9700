"""What a training run is told: the parts that every run shares, and the recipe of pretraining. Torch-free."""

from dataclasses import dataclass, field
from typing import Literal

from waman.errors import RecipeError
from waman.model.config import ModelConfig
from waman.model.recipe import Auto, Precision


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay, set as LLaMA sets it (Touvron et al. 2023, section 2.3)."""

    learning_rate: float = 2e-3
    """peak learning rate; LLaMA took 3e-4 for 7B, small models bear more"""
    beta1: float = 0.9
    """decay of the mean of gradients, per step"""
    beta2: float = 0.95
    """decay of the mean of squared gradients, per step"""
    eps: float = 1e-8
    """added to the root of the mean of squares"""
    weight_decay: float = 0.1
    """share of a matrix taken off per step, times the learning rate; norms are spared"""
    clip_norm: float = 1.0
    """largest L2 norm of the whole gradient; a longer one is shortened to it"""

    def __post_init__(self) -> None:
        require("optimizer.learning_rate", self.learning_rate, self.learning_rate > 0, "more than 0")
        require("optimizer.beta1", self.beta1, 0 <= self.beta1 < 1, "0 or more and under 1")
        require("optimizer.beta2", self.beta2, 0 <= self.beta2 < 1, "0 or more and under 1")
        require("optimizer.eps", self.eps, self.eps > 0, "more than 0")
        require("optimizer.weight_decay", self.weight_decay, self.weight_decay >= 0, "0 or more")
        require("optimizer.clip_norm", self.clip_norm, self.clip_norm > 0, "more than 0")


@dataclass(frozen=True)
class Cosine:
    """A straight climb to the peak, then half a cosine down to a tenth of it (Touvron et al. 2023, section 2.3)."""

    warmup_share: float = 0.05
    """share of the steps that the climb takes; LLaMA's 2,000 of 350,000 are 0.006, too few steps for a short run"""
    floor_share: float = 0.1
    """last learning rate as a share of the peak"""

    def __post_init__(self) -> None:
        require("schedule.warmup_share", self.warmup_share, 0 <= self.warmup_share < 1, "0 or more and under 1")
        require("schedule.floor_share", self.floor_share, 0 <= self.floor_share <= 1, "0 to 1")


@dataclass(frozen=True)
class Constant:
    """A straight climb to the peak, which is then kept (as Chung et al. 2022 tune)."""

    warmup_share: float = 0.05
    """share of the steps that the climb takes"""

    def __post_init__(self) -> None:
        require("schedule.warmup_share", self.warmup_share, 0 <= self.warmup_share < 1, "0 or more and under 1")


Schedule = Cosine | Constant


@dataclass(frozen=True)
class EverySteps:
    """A checkpoint each time so many steps are done, and at the end."""

    steps: int = 1000
    """optimizer steps from one checkpoint to the next"""

    def __post_init__(self) -> None:
        require("checkpoints.steps", self.steps, self.steps > 0, "more than 0")


@dataclass(frozen=True)
class Evenly:
    """So many checkpoints at equal distances, the last at the end."""

    number: int = 10
    """checkpoints, that of the untrained model not counted"""

    def __post_init__(self) -> None:
        require("checkpoints.number", self.number, self.number > 0, "more than 0")


Checkpointing = EverySteps | Evenly


@dataclass(frozen=True)
class PretrainRecipe:
    """Trains a model to predict the next token: a fresh one, or one that `--from` names."""

    model: ModelConfig | None = None
    """a fresh model, its vocab_size taken from the tokenizer; with --from absent, or that model's own shape"""
    num_tokens: int = 3_000_000
    """tokens to train on, rounded up to whole steps; a token counts each time it is read"""
    batch_tokens: int = 4096
    """tokens per optimizer step; a multiple of a sequence's"""
    sequence_length: int | None = None
    """tokens per sequence; absent: the model's context_length, which it may not exceed"""
    proportions: dict[str, float] | None = None
    """share of the sequences by source, in any unit; absent: as the mixture says"""
    replay_share: float | None = None
    """share of the sequences that are read from --replay, in its own proportions; absent: 0.1 where it is given"""
    micro_batch_sequences: int = 4
    """sequences that go through the model at once, on each thread; changes memory and speed, not the gradient"""
    optimizer: AdamW = field(default_factory=AdamW)
    """the rule of one step"""
    optimizer_state: Literal["fresh", "restored"] = "fresh"
    """with --from, what the optimizer remembers: nothing, or the moments in that checkpoint's training_state"""
    schedule: Schedule = field(default_factory=Cosine)
    """the learning rate over the steps of this run; with --from it climbs anew"""
    z_loss: float = 0.0
    """weight of log(Z)^2, Z the softmax's sum, beside the cross-entropy; PaLM and Falcon took 1e-4"""
    precision: Precision = field(default_factory=Auto)
    """in which numbers the model computes"""
    checkpoints: Checkpointing = field(default_factory=Evenly)
    """when a checkpoint is written, beside the first, of the untrained model"""
    keep: int | None = None
    """newest checkpoints to keep; absent: all"""
    recomputation: Literal["selective", "full"] = "selective"
    """what the backward pass computes again: attention and gated activations, or every layer from its input, which
    takes about a third longer and changes no result"""
    seed: int = 0
    """draws the first weights and the order of the data"""
    fresh_weights: Literal["in_turn", "by_name"] = "in_turn"
    """how fresh matrices are drawn: one after another, or each by the seed and its name, so that models which differ in
    one part begin alike in all others"""

    def __post_init__(self) -> None:
        require("num_tokens", self.num_tokens, self.num_tokens > 0, "more than 0")
        require("batch_tokens", self.batch_tokens, self.batch_tokens > 0, "more than 0")
        require("micro_batch_sequences", self.micro_batch_sequences, self.micro_batch_sequences > 0, "more than 0")
        require("z_loss", self.z_loss, self.z_loss >= 0, "0 or more")
        if self.keep is not None:
            require("keep", self.keep, self.keep > 0, "more than 0")
        for source, share in (self.proportions or {}).items():
            require(f"proportions.{source}", share, share >= 0, "0 or more")
        if self.replay_share is not None:
            require("replay_share", self.replay_share, 0 < self.replay_share < 1, "more than 0 and under 1")
        if self.sequence_length is not None:
            require("sequence_length", self.sequence_length, self.sequence_length > 0, "more than 0")
        if self.model is not None:
            self.batch_sequences(self.model.context_length)

    def batch_sequences(self, context_length: int) -> int:
        """Sequences per optimizer step of a model. Raises RecipeError where they do not fit it or each other."""
        name, length = "model.context_length", context_length
        if self.sequence_length is not None:
            name, length = "sequence_length", self.sequence_length
            expected = f"at most the model's context_length, {context_length}"
            require(name, length, length <= context_length, expected)
        if self.batch_tokens % length:
            raise RecipeError(
                f"batch_tokens = {self.batch_tokens} is not a multiple of {name} = {length}; "
                "a batch holds whole sequences"
            )
        return self.batch_tokens // length

    @property
    def num_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return -(-self.num_tokens // self.batch_tokens)


def require(name: str, value: float, holds: bool, expected: str) -> None:
    """Raises RecipeError with the field's name, what was found and what was expected."""
    if not holds:
        raise RecipeError(f"{name} = {value}; expected {expected}")
