"""What a decoder is made of: one dataclass per part, torch-free.

A part that has variants is a union; a union of one member is a part that has one variant so far.
"""

from dataclasses import dataclass, field

from waman.errors import RecipeError


@dataclass(frozen=True)
class RmsNorm:
    """Divides by the root mean square, in fp32 (Zhang and Sennrich 2019)."""

    eps: float = 1e-5
    """added to the mean square"""

    def __post_init__(self) -> None:
        _require_positive("norm.eps", self.eps)


@dataclass(frozen=True)
class Rope:
    """Rotates queries and keys by their position, over the whole head, halves paired (Su et al. 2021)."""

    theta: float = 10000.0
    """base of the wavelengths: pair i of a head turns by position / theta^(2i / head_dim) radians"""

    def __post_init__(self) -> None:
        _require_positive("position.theta", self.theta)


@dataclass(frozen=True)
class SwiGlu:
    """down(silu(gate(x)) * up(x)), without biases (Shazeer 2020)."""

    hidden_dim: int = 512
    """width between the projections; LLaMA takes 8/3 of model_dim, rounded up"""

    def __post_init__(self) -> None:
        _require_positive("feed_forward.hidden_dim", self.hidden_dim)


@dataclass(frozen=True)
class Attention:
    """Causal self-attention; query heads share key-value heads in equal groups (Ainslie et al. 2023)."""

    num_heads: int = 4
    """query heads"""
    num_kv_heads: int = 2
    """key and value heads; num_heads for multi-head, 1 for multi-query attention"""
    head_dim: int = 48
    """width of one head; even"""

    def __post_init__(self) -> None:
        _require_positive("attention.num_heads", self.num_heads)
        _require_positive("attention.num_kv_heads", self.num_kv_heads)
        _require_positive("attention.head_dim", self.head_dim)
        if self.num_heads % self.num_kv_heads:
            raise RecipeError(
                f"attention: num_heads = {self.num_heads} is not a multiple of num_kv_heads = {self.num_kv_heads}; "
                "each key-value head serves an equal group of query heads"
            )
        if self.head_dim % 2:
            raise RecipeError(
                f"attention: head_dim = {self.head_dim} is odd; make it even: rotary positions turn pairs"
            )


@dataclass(frozen=True)
class ScaledNormal:
    """Normal weights; the projections that write to the residual stream divided by sqrt(2 * num_layers).

    The division keeps the residual stream's variance independent of depth (Radford et al. 2019, section 2.3).
    """

    std: float = 0.02
    """standard deviation, 0.02 as in GPT-2"""

    def __post_init__(self) -> None:
        _require_positive("initialization.std", self.std)


Norm = RmsNorm
Position = Rope
FeedForward = SwiGlu
Initialization = ScaledNormal


@dataclass(frozen=True)
class ModelConfig:
    """A pre-norm decoder without biases (Touvron et al. 2023, section 2.2)."""

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
    feed_forward: FeedForward = field(default_factory=SwiGlu)
    """the feed-forward part of a block"""
    norm: Norm = field(default_factory=RmsNorm)
    """normalisation before each part and before the head"""
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


def require_vocab_size(config: ModelConfig) -> int:
    """The vocabulary's size. Raises RecipeError while it is still to be taken from a tokenizer."""
    if config.vocab_size is None:
        raise RecipeError("model: vocab_size is absent; take it from the tokenizer before building the model")
    return config.vocab_size


def _require_positive(name: str, value: float) -> None:
    if value <= 0:
        raise RecipeError(f"{name} = {value}; expected more than 0")
