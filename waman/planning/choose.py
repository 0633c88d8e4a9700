"""`waman plan`, asked for a size: what a scaling law answers. Writes no artifact."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from waman.artifact import Artifact
from waman.costing import money
from waman.costing.devices import device
from waman.errors import InputError, RecipeError
from waman.planning import budget
from waman.planning.allocation import Allocation, fit_curves, fit_isoflop
from waman.planning.answers import Forecast, LawAnswer, LawUsed, RepetitionAnswer, ServingAnswer
from waman.planning.budget import Choice, Prices, price_per_flop
from waman.planning.law import Law, Size, find_law
from waman.planning.recipe import LawRecipe, RepetitionRecipe, ServingRecipe
from waman.planning.repetition import (
    MUENNIGHOFF,
    Epochs,
    best_epochs,
    break_even_transfer,
    frontier,
    with_second_language,
    worth_of_repetition,
)
from waman.planning.runs import TrainedRun, read_runs
from waman.planning.scaling import Fit, Interval, fit_law, interval

MUCH_REPEATED = 40
"""Epochs beyond which Muennighoff et al. 2023 find repeating worthless, and at times harmful (their figure 1)."""


def choose(
    recipe: ServingRecipe | RepetitionRecipe | LawRecipe, *, runs: Sequence[Artifact] = ()
) -> ServingAnswer | RepetitionAnswer | LawAnswer:
    """What the recipe asks for, by a published law or, where runs are given, by the law fitted to them.

    Raises RecipeError, with the arithmetic, for what no model reaches or no budget pays for, InputError for runs that
    one law cannot describe.
    """
    trained = read_runs(runs) if runs else ()
    match recipe:
        case LawRecipe():
            return _fit(recipe, trained)
        case ServingRecipe():
            return _serve(recipe, _grounds(recipe.law, trained))
        case RepetitionRecipe():
            return _repeat(recipe, _grounds(recipe.law, trained))


@dataclass(frozen=True)
class _Grounds:
    """The law that is taken, and what is known of how far it may be trusted."""

    used: LawUsed
    fit: Fit | None

    def beyond(self, size: Size) -> str | None:
        """That a size lies outside of what the law was fitted on."""
        if self.fit is not None:
            times = self.fit.reach(size.training_flops)
            return f"extrapolated to {times:.3g} times the FLOPs of the largest run" if times > 1 else None
        outside = find_law(self.used.name).beyond(size)
        return None if outside is None else f"extrapolated: {outside}"


def _grounds(name: str, trained: Sequence[TrainedRun]) -> _Grounds:
    if not trained:
        published = find_law(name)
        return _Grounds(LawUsed(name, published.law, f"{published.source}; fitted on {published.fitted_on}"), None)
    fit = fit_law([one.point for one in trained])
    return _Grounds(_used(fit), fit)


def _used(fit: Fit) -> LawUsed:
    names = ("E", "A", "B", "alpha", "beta", "parameters_exponent")
    intervals = {name: fit.interval(lambda law, name=name: float(getattr(law, name))) for name in names}  # type: ignore[misc]
    return LawUsed("your runs", fit.law, f"approach 3 on {len(fit.points)} runs", intervals)


# Training and serving


def _serve(recipe: ServingRecipe, grounds: _Grounds) -> ServingAnswer:
    law, served = grounds.used.law, recipe.served_tokens
    prices, notes = _prices(recipe)
    limit = recipe.flops if recipe.flops is not None else recipe.budget
    chosen = _cheapest_or_best(recipe, law, prices)
    if recipe.loss is not None:
        if limit is not None:
            budget.require_affordable(law, loss=recipe.loss, budget=limit, served=served, prices=prices)
        curve = budget.curve_of_loss(law, loss=recipe.loss, served=served, prices=prices)
    else:
        assert limit is not None, "a recipe has a loss or something to spend"
        curve = budget.curve_of_budget(law, budget=limit, served=served, prices=prices)
    plain = budget.cost_out(law, law.optimum_of_loss(chosen.loss), served=served, prices=prices)
    published = () if grounds.fit is not None else tuple(budget.TRAINED_ON)
    standings = tuple(budget.standing(law, name, served=served, prices=prices) for name in published)
    intervals, unsure = _intervals(recipe, grounds, prices, chosen.size)
    notes += [one for one in (unsure, grounds.beyond(chosen.size)) if one is not None]
    return ServingAnswer(grounds.used, prices, chosen, intervals, plain, tuple(curve), standings, tuple(notes))


def _cheapest_or_best(recipe: ServingRecipe, law: Law, prices: Prices) -> Choice:
    if recipe.loss is not None:
        return budget.cheapest(law, loss=recipe.loss, served=recipe.served_tokens, prices=prices)
    limit = recipe.flops if recipe.flops is not None else recipe.budget
    assert limit is not None, "a recipe has a loss or something to spend"
    return budget.best(law, budget=limit, served=recipe.served_tokens, prices=prices)


def _prices(recipe: ServingRecipe) -> tuple[Prices, list[str]]:
    """What an operation costs; without a device, one."""
    if recipe.gpu is None:
        return Prices(), []
    gpu = device(recipe.gpu)
    price = money.price_in(
        recipe.currency, per_hour=recipe.price_per_hour, listed=gpu.price_per_hour, exchange_rate=recipe.exchange_rate
    )
    if price is None:
        raise RecipeError(f"{gpu.name} has no price in the table: give --price, an hour of one in {recipe.currency}")
    training = gpu.utilization if recipe.mfu is None else recipe.mfu
    serving = training if recipe.serving_mfu is None else recipe.serving_mfu
    each = [
        price_per_flop(price_per_hour=price.per_hour, peak_flops=gpu.peak_flops[recipe.precision], utilization=share)
        for share in (training, serving)
    ]
    hour = f"{gpu.name} at {price.per_hour:,.2f} {price.currency} an hour"
    notes = [f"{hour}, {training:.0%} of its peak in training and {serving:.0%} in serving"]
    if recipe.serving_mfu is None:
        notes.append("one request at a time reaches far less of the peak than training does: give --serving-mfu")
    return Prices(each[0], each[1], price.currency), notes


def _intervals(
    recipe: ServingRecipe, grounds: _Grounds, prices: Prices, size: Size
) -> tuple[tuple[Interval, Interval] | None, str | None]:
    """Of the chosen parameters and tokens over the resampled laws, and in how many of them the loss is out of reach."""
    if grounds.fit is None:
        return None, None
    every = grounds.fit.resampled
    laws = [law for law in every if recipe.loss is None or recipe.loss > law.E]
    unsure = None
    if len(laws) < len(every):
        lost = len(every) - len(laws)
        unsure = f"a loss of {recipe.loss:g} is at E or under it, out of reach, in {lost} of {len(every)} resamples"
    if not laws:
        return None, unsure
    sizes = [_cheapest_or_best(recipe, law, prices).size for law in laws]
    parameters = interval(size.parameters, [one.parameters for one in sizes])
    return (parameters, interval(size.tokens, [one.tokens for one in sizes])), unsure


# Few tokens


def _repeat(recipe: RepetitionRecipe, grounds: _Grounds) -> RepetitionAnswer:
    law, unique = grounds.used.law, recipe.unique_tokens
    rows = frontier(law, unique=unique)
    chosen = rows[-1] if recipe.flops is None else best_epochs(law, unique=unique, flops=recipe.flops)
    mixtures = [
        with_second_language(law, chosen.size, unique=unique, share=share, transfer=transfer)
        for share in recipe.shares
        for transfer in recipe.transfers
        if transfer * share * chosen.size.tokens > -0.5 * (1 - share) * unique
    ]
    return RepetitionAnswer(
        grounds.used,
        unique,
        tuple(rows),
        chosen,
        MUENNIGHOFF.lowest_loss(law, unique),
        worth_of_repetition(chosen.size, unique=unique),
        break_even_transfer(law, chosen.size, unique=unique),
        tuple(mixtures),
        tuple(_repeat_notes(recipe, grounds, chosen)),
    )


def _repeat_notes(recipe: RepetitionRecipe, grounds: _Grounds, chosen: Epochs) -> list[str]:
    notes = ["repetition as Muennighoff et al. 2023 fitted it to English (R_D* = 15.4, R_N* = 5.3), not to yours"]
    if recipe.flops is None:
        notes.append("doubling the FLOPs once more would lower the loss by 0.01 nats or less")
    if grounds.used.name != "muennighoff":
        notes.append(f"its constants were fitted beside the law muennighoff, not {grounds.used.name}")
    if chosen.epochs > MUCH_REPEATED:
        notes.append(
            f"over {MUCH_REPEATED} epochs the paper found repeating worthless or harmful: the law only flattens"
        )
    beyond = grounds.beyond(chosen.size)
    return notes if beyond is None else [*notes, beyond]


# One's own law


def _fit(recipe: LawRecipe, trained: Sequence[TrainedRun]) -> LawAnswer:
    points = [one.point for one in trained]
    fit = fit_law(points, seed=recipe.seed, num_resamples=recipe.num_resamples)
    allocations: list[Allocation] = []
    refused: list[str] = []
    seeded = {"seed": recipe.seed, "num_resamples": recipe.num_resamples}
    approaches: tuple[Callable[[], Allocation], ...] = (
        lambda: fit_curves([one.curve for one in trained], **seeded),
        lambda: fit_isoflop(points, **seeded),
    )
    for approach in approaches:
        try:
            allocations.append(approach())
        except InputError as error:
            refused.append(str(error))
    largest = max(one.flops for one in points)
    over = [one.flops / Size(one.parameters, one.tokens).training_flops for one in points]
    scatter = math.sqrt(sum(one**2 for one in fit.residuals) / len(points))
    forecasts = tuple(_forecast(fit, times * largest) for times in recipe.times)
    return LawAnswer(
        _used(fit), len(points), scatter, (min(over), max(over)), tuple(allocations), tuple(refused), forecasts
    )


def _forecast(fit: Fit, flops: float) -> Forecast:
    parameters, tokens = fit.optimum(flops)
    return Forecast(flops, fit.reach(flops), parameters, tokens, fit.loss(Size(parameters.value, tokens.value)))
