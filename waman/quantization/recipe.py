"""What can be chosen of a quantization. Imports no library beside the standard one."""

from dataclasses import dataclass, field
from typing import Literal

from waman.errors import RecipeError
from waman.settings import Off

# Schemes


@dataclass(frozen=True)
class Int8:
    """Whole numbers of 8 bits times a scale."""

    group: Literal[32, 64, 128] | None = 32
    """inputs that share a scale; kind = "none": one scale for each output"""


@dataclass(frozen=True)
class Int4:
    """Whole numbers of 4 bits times a scale."""

    group: Literal[32, 64, 128] = 32
    """inputs that share a scale"""
    zeros: bool = False
    """whether each group has a zero point too, for weights that lie to one side of 0"""


@dataclass(frozen=True)
class Nf4:
    """The 16 quantiles of a normal distribution times the largest of 64 weights (Dettmers et al. 2023)."""

    double_quantization: bool = True
    """whether the largest are kept in 8 bits themselves, 256 to a scale"""


@dataclass(frozen=True)
class Keep:
    """As it is stored."""


Scheme = Int8 | Int4 | Nf4 | Keep


@dataclass(frozen=True)
class ModuleScheme:
    """A scheme for some modules."""

    pattern: str
    """names of modules as the checkpoint has them, * for anything: `*.mlp.down_proj`, `model.layers.0.*`"""
    scheme: Scheme
    """what becomes of their matrices"""


# Calibration and proof


@dataclass(frozen=True)
class Gptq:
    """Integers chosen column by column, each making up for the error of those before (Frantar et al. 2022)."""

    num_sequences: int = 128
    """sequences of the train split whose activations are looked at"""
    length: int = 512
    """tokens of each; the context length where that is less"""
    damping: float = 0.01
    """added to the diagonal of the activations' second moments, as a share of its mean"""
    seed: int = 0
    """which sequences are drawn"""

    def __post_init__(self) -> None:
        _require_positive("gptq", self, "num_sequences", "length", "damping")


@dataclass(frozen=True)
class Proof:
    """Original and quantized model side by side on held-out tokens."""

    num_tokens: int = 200_000
    """tokens that both predict"""
    fewer: Literal["refuse", "take"] = "refuse"
    """where the held-out split has fewer: an error, or the proof is on those there are"""
    length: int = 512
    """tokens of a sequence; the context length where that is less"""
    seed: int = 0
    """which sequences are drawn, where there are more, and the resamples of the intervals"""

    def __post_init__(self) -> None:
        _require_positive("proof", self, "num_tokens", "length")


@dataclass(frozen=True)
class AtMost:
    """What is worse is refused."""

    nats: float = 0.1
    """mean divergence from the original, nats per token"""

    def __post_init__(self) -> None:
        _require_positive("max_kl", self, "nats")


# The recipe


@dataclass(frozen=True)
class QuantizeRecipe:
    """A model with fewer bits."""

    layers: Scheme = field(default_factory=Int4)
    """the matrices of the blocks"""
    head: Scheme = field(default_factory=Keep)
    """the matrix before the logits; a tied one that is quantized becomes one of its own"""
    embeddings: Scheme = field(default_factory=Keep)
    """the vectors of the tokens; transformers opens them quantized only to dequantize them (docs/quantization.md)"""
    modules: tuple[ModuleScheme, ...] = ()
    """exceptions, the first that fits: [[modules]] pattern = "*.down_proj", scheme = {kind = "int8"}"""
    gptq: Gptq | Off = field(default_factory=Off)
    """calibration of whole numbers on the train split of the tokens"""
    proof: Proof = field(default_factory=Proof)
    """what is measured on the held-out split of the tokens"""
    max_kl: AtMost | Off = field(default_factory=AtMost)
    """the worst that is taken, where there are tokens to measure it on"""

    def __post_init__(self) -> None:
        schemes = [self.layers, self.head, self.embeddings, *(one.scheme for one in self.modules)]
        whole = [one for one in schemes if isinstance(one, Int4 | Int8)]
        if whole and any(isinstance(one, Nf4) for one in schemes):
            raise RecipeError(
                "nf4 beside int4 or int8: no layout that other programs read holds both; take one of them, and keep "
                "for the rest"
            )
        if isinstance(self.embeddings, Nf4):
            raise RecipeError("embeddings: nf4 is for linear layers; take int8, int4 or keep")
        if isinstance(self.gptq, Gptq) and not whole:
            raise RecipeError("gptq: no part of the model becomes whole numbers; take int4 or int8, or gptq off")


def _require_positive(section: str, values: object, *names: str) -> None:
    for name in names:
        if getattr(values, name) <= 0:
            raise RecipeError(f"{section}.{name}: found {getattr(values, name)}, expected more than 0")
