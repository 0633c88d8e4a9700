"""Training on few tokens, repeatedly, and what a share of a second language buys (Muennighoff et al. 2023).

A repetition of tokens is worth less the more often they were read, and parameters beyond what the unique tokens call
for are worth less as well: both go into the plain law as the fewer tokens and parameters that they amount to.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from waman.errors import RecipeError
from waman.planning.budget import spaced
from waman.planning.law import TRAINING_FLOPS, Law, Size, amount, require_positive


@dataclass(frozen=True)
class Repetition:
    """How fast repeating loses its worth (Muennighoff et al. 2023, appendix A: C4 in English, up to 9B parameters).

    Fitted beside the constants of `PUBLISHED["muennighoff"]`; with another law they are an assumption. The form only
    flattens: it does not know that very many epochs, or far too large a model, make the loss rise.
    """

    tokens: float = 15.387756
    """R_D*: after so many repetitions a token read again is worth 1/e of a new one"""
    parameters: float = 5.309743
    """R_N*: the same of parameters, in multiples of the optimum for the unique tokens"""

    def effective_tokens(self, tokens: float, unique: float) -> float:
        """New tokens that `tokens`, read from `unique` ones, are worth (equation 5 there); at one epoch, themselves."""
        return _saturated(tokens, unique, self.tokens)

    def effective_parameters(self, law: Law, parameters: float, unique: float) -> float:
        """Parameters that a model is worth on so many unique tokens (equation 6 there)."""
        return _saturated(parameters, law.optimum_of_tokens(unique).parameters, self.parameters)

    def loss(self, law: Law, size: Size, unique: float) -> float:
        """The predicted loss, nats per token; up to one epoch and the optimal size, the plain law's."""
        unique = min(unique, size.tokens)
        parameters = self.effective_parameters(law, size.parameters, unique)
        return law.loss(parameters, self.effective_tokens(size.tokens, unique))

    def lowest_loss(self, law: Law, unique: float) -> float:
        """What endless epochs of an endless model come down to."""
        parameters = law.optimum_of_tokens(unique).parameters * (1 + self.parameters)
        return law.loss(parameters, unique * (1 + self.tokens))


MUENNIGHOFF = Repetition()


def _saturated(value: float, unique: float, scale: float) -> float:
    if value <= unique:
        return value
    return unique * (1 - scale * math.expm1(-(value / unique - 1) / scale))


@dataclass(frozen=True)
class Epochs:
    """A model trained on few tokens."""

    size: Size
    """its tokens are those read, repetitions included"""
    unique: float
    loss: float

    @property
    def epochs(self) -> float:
        """How often each token is read."""
        return self.size.tokens / self.unique


def best_epochs(law: Law, *, unique: float, flops: float, repetition: Repetition = MUENNIGHOFF) -> Epochs:
    """The model and the epochs of the lowest loss that operations of training reach on so many unique tokens."""
    require_positive("unique tokens", unique)
    require_positive("flops", flops)
    middle = law.optimum(flops).parameters

    def loss_of(log_parameters: float) -> float:
        parameters = math.exp(log_parameters)
        return repetition.loss(law, Size(parameters, flops / TRAINING_FLOPS / parameters), unique)

    # repeated tokens may call for a larger or a smaller model than new ones do, by less than the curve is wide
    grid = [math.log(one) for one in spaced(middle / 300, middle * 300, 241)]
    losses = [loss_of(one) for one in grid]
    lowest = min(range(1, len(grid) - 1), key=losses.__getitem__)
    parameters = math.exp(_minimum(loss_of, grid[lowest - 1], grid[lowest + 1]))
    size = Size(parameters, flops / TRAINING_FLOPS / parameters)
    return Epochs(size, min(unique, size.tokens), repetition.loss(law, size, unique))


def _minimum(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one valley between two places is least (golden section)."""
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if function(left) < function(right) else (left, high)
    return (low + high) / 2


def frontier(law: Law, *, unique: float, repetition: Repetition = MUENNIGHOFF) -> list[Epochs]:
    """The best model at budgets that double, from Chinchilla's for one epoch on, until doubling buys 0.01 nats or less.

    The last row is the largest budget worth spending on these tokens by that measure.
    """
    require_positive("unique tokens", unique)
    flops = law.optimum_of_tokens(unique).training_flops
    rows = [best_epochs(law, unique=unique, flops=flops, repetition=repetition)]
    while True:
        flops *= 2
        found = best_epochs(law, unique=unique, flops=flops, repetition=repetition)
        if rows[-1].loss - found.loss <= WORTH_DOUBLING:
            return rows
        rows.append(found)


WORTH_DOUBLING = 0.01
"""Nats per token that twice the operations must buy, a hundredth off the perplexity; ours."""


@dataclass(frozen=True)
class Mixture:
    """A model that reads a second language for a share of its tokens, judged by its loss on the first."""

    share: float
    transfer: float
    """worth of a token of the second language, in new tokens of the first"""
    epochs: float
    """how often each token of the first is read"""
    effective_tokens: float
    """new tokens of the first language that all this is worth"""
    loss: float
    """predicted on the first language, nats per token"""


def with_second_language(
    law: Law, size: Size, *, unique: float, share: float, transfer: float, repetition: Repetition = MUENNIGHOFF
) -> Mixture:
    """What the first language's loss comes to where a share of the same tokens is of a second, never repeated.

    The form is that of Longpre et al. 2025 (ATLAS): D_eff = S(D_own; U_own) + transfer * D_other, S as above; unique
    tokens count likewise where they limit the parameters (ours). The transfer is yours to measure, or to vary: it
    depends on the pair, the direction and the model. Not modelled: what the second language is worth for itself, and
    the capacity that two languages share.
    """
    require_positive("unique tokens", unique)
    if not 0 <= share < 1:
        raise RecipeError(f"second-language share = {share:g}; expected 0 or more and under 1")
    if not (math.isfinite(transfer) and -1 < transfer <= 1):
        raise RecipeError(
            f"transfer = {transfer:g}; expected more than -1 and at most 1: the worth of a token of the second "
            "language in new tokens of the first, below 0 where it disturbs"
        )
    own = (1 - share) * size.tokens
    unique = min(unique, own)
    worth, other = repetition.effective_tokens(own, unique), transfer * share * size.tokens
    if worth + other <= 0:
        raise RecipeError(
            f"transfer = {transfer:g}: a share of {share:g} takes away {amount(-other)} tokens of the {amount(worth)} "
            "that the first language's are worth, and nothing is left: take a smaller share"
        )
    parameters = repetition.effective_parameters(law, size.parameters, unique + max(other, 0.0))
    return Mixture(share, transfer, own / unique, worth + other, law.loss(parameters, worth + other))


def worth_of_repetition(size: Size, *, unique: float, repetition: Repetition = MUENNIGHOFF) -> float:
    """What a token read once more is worth in new ones, exp(-R / R_D*) after R repetitions; 1 before the first.

    A second language whose tokens are worth more than that lowers the first one's loss for equal operations (one worth
    slightly less does as well, where the model is larger than the unique tokens call for).
    """
    repeated = max(size.tokens / unique - 1, 0.0)
    return math.exp(-repeated / repetition.tokens)


def break_even_transfer(law: Law, size: Size, *, unique: float, repetition: Repetition = MUENNIGHOFF) -> float:
    """What a token of a second language must be worth for a hundredth of them to lower the first one's loss."""

    def loss(share: float, transfer: float) -> float:
        mixed = with_second_language(law, size, unique=unique, share=share, transfer=transfer, repetition=repetition)
        return mixed.loss

    alone, low, high = loss(0.0, 0.0), 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if loss(0.01, middle) > alone else (low, middle)
    return high


def transfer_of_score(score: float) -> float:
    """The transfer that a bilingual transfer score of ATLAS amounts to, where half of the tokens are of each language.

    To the loss of d tokens of one language it takes s tokens of both, d = s / 2 + transfer * s / 2, and the score is
    (2 d - s) / d (Longpre et al. 2025, section 4): 0 where the second language neither helps nor disturbs.
    """
    if not score < 2:
        raise RecipeError(
            f"bilingual transfer score = {score:g}; expected under 2, where the own tokens count for nothing"
        )
    return score / (2 - score)


@dataclass(frozen=True)
class Transferred:
    """Effective data transferred, k D_F^alpha N^beta (Hernandez et al. 2021, equation 1.1 and table 1).

    Fitted on fine-tuning to Python code: on characters, parameters without embeddings, and only where the own data are
    under a tenth of what a model of the size would need. It is of no language pair.
    """

    k: float
    alpha: float
    beta: float
    source: str

    def characters(self, own_characters: float, parameters: float) -> float:
        """Characters of the target that training on the source first is worth, beside the own ones."""
        require_positive("own characters", own_characters)
        require_positive("parameters", parameters)
        return float(self.k * own_characters**self.alpha * parameters**self.beta)


HERNANDEZ: Sequence[Transferred] = (
    Transferred(1.9e4, 0.18, 0.38, "English text, then Python"),
    Transferred(2.1e5, 0.096, 0.38, "half English text, half other code, then Python"),
)
