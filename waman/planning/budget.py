"""The inference budget: which model costs least to train and to serve, by a scaling law (Touvron et al. 2023, 1).

A model of N parameters trained on D tokens and serving T costs 6 N D to train and 2 N T to serve, each operation at its
price. Where that is least, alpha A / N^alpha = beta B / D^beta (1 + r T / 3 D), with r the price of a served operation
over that of a trained one: Chinchilla's optimum where nothing is served, else a smaller model trained for longer.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

from waman.errors import RecipeError
from waman.model.count import num_parameters
from waman.model.presets import preset
from waman.planning.law import SERVING_FLOPS, TRAINING_FLOPS, Law, Size, amount, require_at_least_zero, require_positive

_SERVED_PER_TRAINED = SERVING_FLOPS / TRAINING_FLOPS


@dataclass(frozen=True)
class Prices:
    """What one floating-point operation costs, in `currency`; by default costs are counted in operations."""

    training: float = 1.0
    serving: float = 1.0
    currency: str = "FLOPs"

    def __post_init__(self) -> None:
        require_positive("price of an operation of training", self.training)
        require_positive("price of an operation of serving", self.serving)

    @property
    def ratio(self) -> float:
        """A served operation's price over a trained one's."""
        return self.serving / self.training


def price_per_flop(*, price_per_hour: float, peak_flops: float, utilization: float) -> float:
    """What an operation costs on a device that is paid by the hour and reaches a share of its peak per second."""
    require_positive("price per hour", price_per_hour)
    require_positive("peak FLOP/s", peak_flops)
    if not 0 < utilization <= 1:
        raise RecipeError(f"utilization = {utilization:g}; expected a share of the peak: more than 0 and at most 1")
    return price_per_hour / 3600 / (peak_flops * utilization)


@dataclass(frozen=True)
class Choice:
    """A model and its training, what they reach, and what they cost together with the tokens served."""

    size: Size
    loss: float
    """predicted, nats per token"""
    served: float
    """tokens read or written in its life"""
    training_cost: float
    serving_cost: float

    @property
    def cost(self) -> float:
        """All of it, in the currency of the prices."""
        return self.training_cost + self.serving_cost


def cost_out(law: Law, size: Size, *, served: float, prices: Prices = Prices()) -> Choice:
    """What a model and its training reach and cost."""
    training = prices.training * size.training_flops
    serving = prices.serving * SERVING_FLOPS * size.parameters * served
    return Choice(size, law.loss(size.parameters, size.tokens), served, training, serving)


def cheapest(law: Law, *, loss: float, served: float, prices: Prices = Prices()) -> Choice:
    """The model and tokens that reach a loss for the least in all. Raises RecipeError for a loss of E or below."""
    require_at_least_zero("served tokens", served)
    excess, share = law.excess(loss), 1 - law.parameters_exponent
    found = law.optimum_of_loss(loss)
    if served > 0:
        # of the excess, the tokens' term gets at most the share it has where nothing is served
        def lean(log_share: float) -> float:
            return _lean(law, _divided(law, excess, math.exp(log_share)), served=served, ratio=prices.ratio)

        lowest = math.log(share) - 1
        while lean(lowest) < 0:
            lowest -= 1
        found = _divided(law, excess, math.exp(_root(lean, lowest, math.log(share))))
    return cost_out(law, found, served=served, prices=prices)


def best(law: Law, *, budget: float, served: float, prices: Prices = Prices()) -> Choice:
    """The model and tokens of the lowest loss that a budget, in the prices' currency, trains and serves."""
    require_positive("budget", budget)
    require_at_least_zero("served tokens", served)
    found = law.optimum(budget / prices.training)
    if served > 0:

        def lean(log_parameters: float) -> float:
            size = within(math.exp(log_parameters), budget=budget, served=served, prices=prices)
            return _lean(law, size, served=served, ratio=prices.ratio)

        # the largest model that can be served at all leaves nothing to train it with
        high = math.log(budget / (prices.serving * SERVING_FLOPS * served)) - 1e-9
        high = min(high, math.log(found.parameters))
        low = high - 1
        while lean(low) < 0:
            low -= 1
        found = within(math.exp(_root(lean, low, high)), budget=budget, served=served, prices=prices)
    return cost_out(law, found, served=served, prices=prices)


def within(parameters: float, *, budget: float, served: float, prices: Prices = Prices()) -> Size:
    """The tokens that a budget trains a model of this size on, once its serving is set aside. RecipeError for none."""
    serving = prices.serving * SERVING_FLOPS * parameters * served
    if serving >= budget:
        raise RecipeError(
            f"budget = {budget:.4g} {prices.currency}: to serve {amount(served)} tokens with {amount(parameters)} "
            f"parameters takes 2 N T = {serving:.4g} {prices.currency}, which leaves nothing to train with: raise the "
            "budget or take a smaller model"
        )
    return Size(parameters, (budget - serving) / (prices.training * TRAINING_FLOPS * parameters))


def require_affordable(law: Law, *, loss: float, budget: float, served: float, prices: Prices = Prices()) -> Choice:
    """The cheapest way to a loss, if the budget pays for it. Raises RecipeError, with the arithmetic, if not."""
    least = cheapest(law, loss=loss, served=served, prices=prices)
    if least.cost > budget:
        size, reached = least.size, best(law, budget=budget, served=served, prices=prices)
        raise RecipeError(
            f"budget = {budget:.4g} {prices.currency}, but a loss of {loss:g} takes at least {least.cost:.4g}: "
            f"{amount(size.parameters)} parameters on {amount(size.tokens)} tokens are 6 N D = "
            f"{size.training_flops:.4g} operations of training ({least.training_cost:.4g} {prices.currency}) and "
            f"2 N T = {SERVING_FLOPS * size.parameters * served:.4g} of serving {amount(served)} tokens "
            f"({least.serving_cost:.4g}). The budget reaches a loss of {reached.loss:.4g}: ask for that, or raise it"
        )
    return least


def served_where_cheapest(law: Law, size: Size, *, prices: Prices = Prices()) -> float | None:
    """The tokens served for which a size is the cheapest of its loss; None where a larger model always costs less.

    It is 0 for Chinchilla's optimum, and None for a model that is larger than that: no serving pays for its size.
    """
    lean = law.alpha * law.A * size.parameters**-law.alpha / (law.beta * law.B * size.tokens**-law.beta)
    if lean < 1 - 1e-12:
        return None
    return float(max(lean - 1, 0.0)) * size.tokens / (_SERVED_PER_TRAINED * prices.ratio)


@dataclass(frozen=True)
class Standing:
    """A published model on a law."""

    name: str
    choice: Choice
    cheapest_for: float | None
    """tokens served at which it is the cheapest of its loss; None: it is larger than Chinchilla's optimum"""
    least: Choice
    """the cheapest model of the same predicted loss, for the same tokens served"""


TRAINED_ON = {"llama-7b": 1.0e12, "llama-13b": 1.0e12, "llama-33b": 1.4e12, "llama-65b": 1.4e12}
"""Tokens (Touvron et al. 2023, table 2)."""


def standing(law: Law, name: str, *, served: float, prices: Prices = Prices()) -> Standing:
    """Where a model of LLaMA's paper stands on a law."""
    size = Size(num_parameters(preset(name)), TRAINED_ON[name])
    choice = cost_out(law, size, served=served, prices=prices)
    least = cheapest(law, loss=choice.loss, served=served, prices=prices)
    return Standing(name, choice, served_where_cheapest(law, size, prices=prices), least)


def curve_of_loss(
    law: Law, *, loss: float, served: float, prices: Prices = Prices(), num_points: int = 49
) -> list[Choice]:
    """Models of one loss, from 1.3 times the smallest that reaches it to four times Chinchilla's, by what they cost."""
    low, high = law.smallest_for(loss) * 1.3, 4 * law.optimum_of_loss(loss).parameters
    sizes = (Size(one, law.tokens_for(loss, one)) for one in spaced(low, high, num_points))
    return [cost_out(law, size, served=served, prices=prices) for size in sizes]


def curve_of_budget(
    law: Law, *, budget: float, served: float, prices: Prices = Prices(), num_points: int = 49
) -> list[Choice]:
    """Models of one cost, from an eighth to eight times the best as far as they can be served, by their loss."""
    middle = best(law, budget=budget, served=served, prices=prices).size.parameters
    high = 8 * middle
    if served > 0:
        high = min(high, 0.98 * budget / (prices.serving * SERVING_FLOPS * served))
    sizes = (within(one, budget=budget, served=served, prices=prices) for one in spaced(middle / 8, high, num_points))
    return [cost_out(law, size, served=served, prices=prices) for size in sizes]


def spaced(low: float, high: float, number: int) -> list[float]:
    """Numbers at equal ratios, both ends included."""
    step = (math.log(high) - math.log(low)) / (number - 1)
    return [math.exp(math.log(low) + step * index) for index in range(number)]


def _divided(law: Law, excess: float, share: float) -> Size:
    """The size whose tokens' term is a share of the excess over E, and its parameters' term the rest."""
    return Size((law.A / ((1 - share) * excess)) ** (1 / law.alpha), (law.B / (share * excess)) ** (1 / law.beta))


def _lean(law: Law, size: Size, *, served: float, ratio: float) -> float:
    """Above 0 where a larger model on fewer tokens would do as much for less, below 0 where a smaller one would."""
    of_size = math.log(law.alpha * law.A) - law.alpha * math.log(size.parameters)
    of_tokens = math.log(law.beta * law.B) - law.beta * math.log(size.tokens)
    return of_size - of_tokens - math.log1p(ratio * _SERVED_PER_TRAINED * served / size.tokens)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function crosses 0, by halving; both ends are logarithms, so that 1e-13 is a share."""
    for _ in itertools.repeat(None, 200):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
        if high - low < 1e-13:
            break
    return (low + high) / 2
