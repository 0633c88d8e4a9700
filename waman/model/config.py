"""What a decoder is made of: one dataclass per part, torch-free.

A part that has variants is a union, and its member is chosen by `kind`. No part knows a model by its name; the
published models are values of these (`presets.py`).
"""

from dataclasses import dataclass, field
from typing import Literal

from waman.errors import RecipeError

# Norms


@dataclass(frozen=True)
class RmsNorm:
    """Divides by the root mean square, in fp32 (Zhang and Sennrich 2019)."""

    eps: float = 1e-5
    """added to the mean square"""

    def __post_init__(self) -> None:
        _require_positive("norm.eps", self.eps)


@dataclass(frozen=True)
class LayerNorm:
    """Subtracts the mean and divides by the standard deviation, in fp32 (Ba et al. 2016)."""

    eps: float = 1e-5
    """added to the variance"""
    bias: bool = True
    """whether a learned vector is added after the learned scale"""

    def __post_init__(self) -> None:
        _require_positive("norm.eps", self.eps)


# Positions


@dataclass(frozen=True)
class Unscaled:
    """The wavelengths as they were trained."""


@dataclass(frozen=True)
class Linear:
    """Every position divided by the factor (Chen et al. 2023, position interpolation)."""

    factor: float = 2.0
    """how many times longer the context becomes"""

    def __post_init__(self) -> None:
        _require_positive("position.scaling.factor", self.factor)


@dataclass(frozen=True)
class Ntk:
    """A larger theta: the longest wavelength grows by the factor, the shortest stays (NTK-aware scaling, static).

    theta becomes theta * factor^(head_dim / (head_dim - 2)).
    """

    factor: float = 2.0
    """how many times longer the context becomes"""

    def __post_init__(self) -> None:
        _require_positive("position.scaling.factor", self.factor)


@dataclass(frozen=True)
class Yarn:
    """Long wavelengths are stretched, short ones kept, a ramp between; scores are sharpened (Peng et al. 2023)."""

    original_context_length: int = 4096
    """positions the weights were trained for, in tokens"""
    factor: float = 2.0
    """how many times longer the context becomes"""
    beta_fast: float = 32.0
    """wavelengths with more turns than this within the original context are kept"""
    beta_slow: float = 1.0
    """wavelengths with fewer turns than this are stretched by the factor"""
    attention_factor: float | None = None
    """scale of cos and sin; absent: 0.1 ln(factor) + 1"""
    truncate: bool = True
    """whether the ends of the ramp are rounded to whole dimensions"""

    def __post_init__(self) -> None:
        _require_positive("position.scaling.original_context_length", self.original_context_length)
        _require_positive("position.scaling.factor", self.factor)
        if not 0 < self.beta_slow < self.beta_fast:
            raise RecipeError(
                f"position.scaling: beta_slow = {self.beta_slow} and beta_fast = {self.beta_fast}; "
                "expected 0 < beta_slow < beta_fast"
            )


@dataclass(frozen=True)
class Llama3:
    """Long wavelengths are stretched, short ones kept, a smooth passage between (Llama 3.1's release)."""

    original_context_length: int = 8192
    """positions the weights were trained for, in tokens"""
    factor: float = 8.0
    """by how much the longest wavelengths grow"""
    low_freq_factor: float = 1.0
    """wavelengths above original_context_length / low_freq_factor are stretched by the factor"""
    high_freq_factor: float = 4.0
    """wavelengths below original_context_length / high_freq_factor are kept"""

    def __post_init__(self) -> None:
        _require_positive("position.scaling.original_context_length", self.original_context_length)
        _require_positive("position.scaling.factor", self.factor)
        if not 0 < self.low_freq_factor < self.high_freq_factor:
            raise RecipeError(
                f"position.scaling: low_freq_factor = {self.low_freq_factor} and high_freq_factor = "
                f"{self.high_freq_factor}; expected 0 < low_freq_factor < high_freq_factor"
            )


RopeScaling = Unscaled | Linear | Ntk | Yarn | Llama3


@dataclass(frozen=True)
class Rope:
    """Rotates queries and keys by their position, over the whole head, halves paired (Su et al. 2021)."""

    theta: float = 10000.0
    """base of the wavelengths: pair i of a head turns by position / theta^(2i / head_dim) radians"""
    scaling: RopeScaling = field(default_factory=Unscaled)
    """how the wavelengths change for a longer context than the weights were trained for"""

    def __post_init__(self) -> None:
        _require_positive("position.theta", self.theta)


@dataclass(frozen=True)
class Alibi:
    """Lowers each score by the distance times the head's slope (Press et al. 2021); knows no longest position."""

    divided_by_head_dim: bool = False
    """whether the penalty, like the scores, is divided by sqrt(head_dim), as Falcon-RW does"""


@dataclass(frozen=True)
class Learned:
    """A learned vector for each position, added to the embedding (Radford et al. 2018)."""


@dataclass(frozen=True)
class NoPosition:
    """Nothing but the causal mask tells a token its place (Kazemnejad et al. 2023)."""


# Feed-forward


@dataclass(frozen=True)
class Swiglu:
    """down(silu(gate(x)) * up(x)) (Shazeer 2020)."""

    hidden_dim: int = 512
    """width between the projections; LLaMA takes 8/3 of model_dim, rounded up"""
    bias: bool = False
    """whether the projections add a learned vector"""

    def __post_init__(self) -> None:
        _require_positive("feed_forward.hidden_dim", self.hidden_dim)


@dataclass(frozen=True)
class Geglu:
    """down(gelu(gate(x)) * up(x)) (Shazeer 2020)."""

    hidden_dim: int = 512
    """width between the projections; 8/3 of model_dim has as many weights as a plain layer of 4 model_dim"""
    bias: bool = False
    """whether the projections add a learned vector"""
    approximation: Literal["none", "tanh"] = "none"
    """how the normal distribution is computed; GPT-2 took the tanh formula"""

    def __post_init__(self) -> None:
        _require_positive("feed_forward.hidden_dim", self.hidden_dim)


@dataclass(frozen=True)
class Gelu:
    """down(gelu(up(x))) (Hendrycks and Gimpel 2016)."""

    hidden_dim: int = 768
    """width between the projections; 4 model_dim in GPT"""
    bias: bool = False
    """whether the projections add a learned vector"""
    approximation: Literal["none", "tanh"] = "none"
    """how the normal distribution is computed; GPT-2 took the tanh formula"""

    def __post_init__(self) -> None:
        _require_positive("feed_forward.hidden_dim", self.hidden_dim)


@dataclass(frozen=True)
class Relu:
    """down(relu(up(x))), as in the first transformer and in OPT."""

    hidden_dim: int = 768
    """width between the projections"""
    bias: bool = False
    """whether the projections add a learned vector"""

    def __post_init__(self) -> None:
        _require_positive("feed_forward.hidden_dim", self.hidden_dim)


@dataclass(frozen=True)
class SquaredRelu:
    """down(relu(up(x))^2) (So et al. 2021)."""

    hidden_dim: int = 768
    """width between the projections"""
    bias: bool = False
    """whether the projections add a learned vector"""

    def __post_init__(self) -> None:
        _require_positive("feed_forward.hidden_dim", self.hidden_dim)


# Attention


@dataclass(frozen=True)
class Attention:
    """Causal self-attention; query heads share key-value heads in equal groups (Ainslie et al. 2023)."""

    num_heads: int = 4
    """query heads"""
    num_kv_heads: int = 2
    """key and value heads; num_heads for multi-head, 1 for multi-query attention"""
    head_dim: int = 48
    """width of one head; even"""
    window: int | None = None
    """a token sees itself and the window - 1 tokens before it (Beltagy et al. 2020); absent: all before it"""
    bias: bool = False
    """whether queries, keys and values add a learned vector"""
    output_bias: bool = False
    """whether the output projection adds a learned vector"""

    def __post_init__(self) -> None:
        _require_positive("attention.num_heads", self.num_heads)
        _require_positive("attention.num_kv_heads", self.num_kv_heads)
        _require_positive("attention.head_dim", self.head_dim)
        if self.window is not None:
            _require_positive("attention.window", self.window)
        if self.num_heads % self.num_kv_heads:
            raise RecipeError(
                f"attention: num_heads = {self.num_heads} is not a multiple of num_kv_heads = {self.num_kv_heads}; "
                "each key-value head serves an equal group of query heads"
            )
        if self.head_dim % 2:
            raise RecipeError(
                f"attention: head_dim = {self.head_dim} is odd; make it even: rotary positions turn pairs"
            )


# Blocks


@dataclass(frozen=True)
class Sequential:
    """Attention, then feed-forward, each added to the residual stream."""

    norm: Literal["before", "after"] = "before"
    """before each part and before the head (Radford et al. 2019), or after each addition (Vaswani et al. 2017)"""


@dataclass(frozen=True)
class Parallel:
    """Attention and feed-forward read the same stream and are added to it together (Wang and Komatsuzaki 2021)."""

    num_norms: Literal[1, 2] = 1
    """one norm that both read (PaLM, Falcon 7B), or one for each (Falcon 40B and 180B)"""


# Fresh weights


@dataclass(frozen=True)
class ScaledNormal:
    """Normal weights; the projections that write to the residual stream divided by sqrt(2 * num_layers).

    The division keeps the residual stream's variance independent of depth (Radford et al. 2019, section 2.3).
    """

    std: float = 0.02
    """standard deviation, 0.02 as in GPT-2"""

    def __post_init__(self) -> None:
        _require_positive("initialization.std", self.std)


@dataclass(frozen=True)
class Normal:
    """Normal weights, all alike (Radford et al. 2018)."""

    std: float = 0.02
    """standard deviation, 0.02 as in GPT-1"""

    def __post_init__(self) -> None:
        _require_positive("initialization.std", self.std)


@dataclass(frozen=True)
class FanIn:
    """Normal weights of variance 1 / inputs, embeddings of variance 1 (Chowdhery et al. 2022, section 5).

    A tied embedding is the head too: variance 1 / model_dim, and so have the positions that are added to it. PaLM draws
    it with variance 1 and scales the logits.
    """


Norm = RmsNorm | LayerNorm
Position = Rope | Alibi | Learned | NoPosition
FeedForward = Swiglu | Geglu | Gelu | Relu | SquaredRelu
BlockLayout = Sequential | Parallel
Initialization = ScaledNormal | Normal | FanIn


@dataclass(frozen=True)
class ModelConfig:
    """A decoder; the defaults are LLaMA's parts (Touvron et al. 2023, section 2.2)."""

    vocab_size: int | None = None
    """entries of the embedding; absent: taken from the tokenizer"""
    context_length: int = 256
    """positions the model is made for, in tokens"""
    model_dim: int = 192
    """width of the residual stream"""
    num_layers: int = 6
    """blocks of attention and feed-forward"""
    attention: Attention = field(default_factory=Attention)
    """heads of the self-attention"""
    feed_forward: FeedForward = field(default_factory=Swiglu)
    """the feed-forward part of a block"""
    norm: Norm = field(default_factory=RmsNorm)
    """normalisation of the residual stream"""
    block: BlockLayout = field(default_factory=Sequential)
    """how the parts of a block are put together"""
    position: Position = field(default_factory=Rope)
    """how a token knows its place"""
    tie_embeddings: bool = False
    """whether the head is the embedding, transposed"""
    initialization: Initialization = field(default_factory=ScaledNormal)
    """how fresh weights are drawn"""

    def __post_init__(self) -> None:
        if self.vocab_size is not None:
            _require_positive("vocab_size", self.vocab_size)
        _require_positive("context_length", self.context_length)
        _require_positive("model_dim", self.model_dim)
        _require_positive("num_layers", self.num_layers)
        if self.attention.head_dim == 2 and isinstance(self.position, Rope) and isinstance(self.position.scaling, Ntk):
            raise RecipeError(
                "position.scaling: kind = 'ntk' stretches long wavelengths and keeps the shortest, but head_dim = 2 "
                "has only one; take another scaling or a larger head_dim"
            )


def require_vocab_size(config: ModelConfig) -> int:
    """The vocabulary's size. Raises RecipeError while it is still to be taken from a tokenizer."""
    if config.vocab_size is None:
        raise RecipeError("model: vocab_size is absent; take it from the tokenizer before building the model")
    return config.vocab_size


def _require_positive(name: str, value: float) -> None:
    if value <= 0:
        raise RecipeError(f"{name} = {value}; expected more than 0")
