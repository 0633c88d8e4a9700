"""The scaling law L(N, D) = E + A / N^alpha + B / D^beta (Hoffmann et al. 2022, equation 2), and its constants.

A loss is nats per token of the tokenizer the law was fitted with: laws of different tokenizers or texts do not compare.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from waman.errors import RecipeError

TRAINING_FLOPS = 6
"""Floating-point operations per parameter and token trained on (Kaplan et al. 2020, section 2.1)."""
SERVING_FLOPS = 2
"""The forward pass alone, per parameter and token read or written."""


@dataclass(frozen=True)
class Size:
    """How large a model is and how long it is trained."""

    parameters: float
    tokens: float

    @property
    def training_flops(self) -> float:
        """6 N D."""
        return TRAINING_FLOPS * self.parameters * self.tokens


@dataclass(frozen=True)
class Law:
    """L(N, D) = E + A / N^alpha + B / D^beta, nats per token."""

    E: float
    """what no model gets below: the entropy of the text"""
    A: float
    """weight of the term that a larger model lowers"""
    B: float
    """weight of the term that more tokens lower"""
    alpha: float
    """exponent of the parameters"""
    beta: float
    """exponent of the tokens"""

    def __post_init__(self) -> None:
        for name in ("E", "A", "B", "alpha", "beta"):
            value = getattr(self, name)
            fits = math.isfinite(value) and (value > 0 or (name == "E" and value == 0))
            if not fits:
                raise RecipeError(f"law: {name} = {value}; expected a finite number above 0")

    def loss(self, parameters: float, tokens: float) -> float:
        """The predicted loss, nats per token."""
        return float(self.E + self.A * parameters**-self.alpha + self.B * tokens**-self.beta)

    @property
    def parameters_exponent(self) -> float:
        """a in N_opt = G (C / 6)^a (Hoffmann et al. 2022, equation 4); that of the tokens is 1 - a."""
        return self.beta / (self.alpha + self.beta)

    @property
    def balance(self) -> float:
        """G = (alpha A / beta B)^(1 / (alpha + beta)) of the same equation."""
        return float((self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta)))

    def optimum(self, flops: float) -> Size:
        """The size of the lowest loss that so many floating-point operations of training reach."""
        require_positive("flops", flops)
        parameters = self.balance * (flops / TRAINING_FLOPS) ** self.parameters_exponent
        return Size(parameters, flops / TRAINING_FLOPS / parameters)

    def optimum_of_size(self, parameters: float) -> Size:
        """The tokens for which a model of this size is the optimum."""
        require_positive("parameters", parameters)
        product = (parameters / self.balance) ** (1 / self.parameters_exponent)
        return Size(parameters, product / parameters)

    def optimum_of_tokens(self, tokens: float) -> Size:
        """The model for which so many tokens are the optimum."""
        require_positive("tokens", tokens)
        product = (tokens * self.balance) ** (1 / (1 - self.parameters_exponent))
        return Size(product / tokens, tokens)

    def optimum_of_loss(self, loss: float) -> Size:
        """The size that reaches a loss with the fewest operations of training. Raises RecipeError at E or below.

        There alpha A / N^alpha = beta B / D^beta, so the two terms divide the excess as beta : alpha.
        """
        excess = self.excess(loss)
        share = self.parameters_exponent
        return Size(
            (self.A / (share * excess)) ** (1 / self.alpha), (self.B / ((1 - share) * excess)) ** (1 / self.beta)
        )

    def excess(self, loss: float) -> float:
        """loss - E. Raises RecipeError where it is not above 0."""
        if not (math.isfinite(loss) and loss > self.E):
            raise RecipeError(
                f"loss = {loss:g}: the law's irreducible loss is E = {self.E:g}, and {loss:g} - {self.E:g} = "
                f"{loss - self.E:g} is left for A / N^{self.alpha:g} + B / D^{self.beta:g}, which is above 0 for any "
                f"model: ask for more than {self.E:g}"
            )
        return loss - self.E

    def smallest_for(self, loss: float) -> float:
        """Parameters of the model that reaches a loss only with endless tokens. Raises RecipeError at E or below."""
        return float((self.A / self.excess(loss)) ** (1 / self.alpha))

    def tokens_for(self, loss: float, parameters: float) -> float:
        """Tokens after which a model of this size has a loss. Raises RecipeError where it is too small ever to."""
        excess, own = self.excess(loss), self.A * parameters**-self.alpha
        if own >= excess:
            raise RecipeError(
                f"{amount(parameters)} parameters never reach a loss of {loss:g}: A / N^{self.alpha:g} = {own:.4g} is "
                f"not under {loss:g} - E = {excess:.4g}; it takes more than {amount(self.smallest_for(loss))}"
            )
        return float((self.B / (excess - own)) ** (1 / self.beta))


@dataclass(frozen=True)
class Published:
    """A law with where its constants stand and what they were fitted on."""

    law: Law
    source: str
    fitted_on: str
    parameters: tuple[float, float]
    """smallest and largest model it was fitted on"""
    tokens: tuple[float, float]
    """fewest and most tokens it was fitted on"""

    def beyond(self, size: Size) -> str | None:
        """How far a size lies outside of what the law was fitted on; None inside."""
        found = []
        for name, value, (low, high) in (
            ("parameters", size.parameters, self.parameters),
            ("tokens", size.tokens, self.tokens),
        ):
            if value > high:
                found.append(f"{value / high:.2g} times the most {name} it was fitted on ({amount(high)})")
            elif value < low:
                found.append(f"{low / value:.2g} times fewer {name} than it was fitted on ({amount(low)})")
        return " and ".join(found) or None


_HOFFMANN = "MassiveText, over 400 runs"
PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {
        "chinchilla": Published(
            Law(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28),
            "Hoffmann et al. 2022, section 3.3, approach 3, as printed: rounded, so that a = 0.452, not their 0.46",
            _HOFFMANN,
            (7e7, 1.6e10),
            (5e9, 5e11),
        ),
        "chinchilla-unrounded": Published(
            Law(E=1.6934, A=406.4, B=410.7, alpha=0.3392, beta=0.2849),
            "the TeX source of Hoffmann et al. 2022, as Besiroglu et al. 2024 quote it; gives the paper's a = 0.46 and "
            "its 40B at Gopher's budget",
            _HOFFMANN,
            (7e7, 1.6e10),
            (5e9, 5e11),
        ),
        "besiroglu": Published(
            Law(E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658),
            "Besiroglu et al. 2024: approach 3 again, on runs read off the figures of Hoffmann et al.; standard errors "
            "0.03, 125, 1293, 0.02, 0.02; agrees with approaches 1 and 2",
            "240 of those runs",
            (5.7e7, 1.6e10),
            (2.5e8, 3.2e11),
        ),
        "muennighoff": Published(
            Law(E=math.exp(0.6254804), A=math.exp(6.255414), B=math.exp(7.3049974), alpha=0.3526596, beta=0.3526596),
            "Muennighoff et al. 2023, appendix A (alpha = beta was imposed): with these its constants of repetition "
            "were fitted",
            "C4, runs of one epoch",
            (7e6, 9e9),
            (1e8, 9e11),
        ),
    }
)
DEFAULT = "chinchilla"


def find_law(name: str) -> Published:
    """A published law by its name. Raises RecipeError, which lists the names."""
    if name not in PUBLISHED:
        raise RecipeError(f"law '{name}' is not known; there are {', '.join(PUBLISHED)}, or your own from --runs DIR")
    return PUBLISHED[name]


def require_positive(name: str, value: float) -> None:
    """Raises RecipeError where a quantity is not a finite number above 0."""
    if not (math.isfinite(value) and value > 0):
        raise RecipeError(f"{name} = {value:g}; expected a finite number above 0")


def require_at_least_zero(name: str, value: float) -> None:
    """Raises RecipeError where a quantity is not a finite number of 0 or more."""
    if not (math.isfinite(value) and value >= 0):
        raise RecipeError(f"{name} = {value:g}; expected a finite number, 0 or more")


def amount(value: float) -> str:
    """A count of parameters or tokens for the eye: 6.74B, 1.4T; beyond, with its power of ten."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if size <= value < 1e16:
            return f"{value / size:.3g}{unit}" if value / size < 1000 else f"{value / size:,.0f}{unit}"
    return f"{value:.3g}"
