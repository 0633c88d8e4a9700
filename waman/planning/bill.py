"""From hours to a whole plan: money, energy, and whether days and budget suffice."""

import dataclasses
import math

from waman.costing import money
from waman.costing.memory import Mesh, TrainingMemory, serving_memory
from waman.errors import RecipeError
from waman.model.count import flops_per_token, kv_bytes_per_token, num_parameters
from waman.planning.recipe import PlanRecipe
from waman.planning.sheet import Plan
from waman.planning.target import Target

TOKENS_PER_PARAMETER = 20
"""About what Hoffmann et al. 2022 find best for the computation spent (tables 3 and A3)."""


def completed(recipe: PlanRecipe, target: Target) -> PlanRecipe:
    """What the recipe leaves to the target, filled in."""
    pretrain = target.pretrain
    tokens, length = recipe.num_tokens, recipe.context_length
    if tokens is None:
        tokens = pretrain.num_tokens if pretrain else TOKENS_PER_PARAMETER * num_parameters(target.config)
    if length is None:
        length = (pretrain.sequence_length if pretrain else None) or target.config.context_length
    again = recipe.recomputation or (pretrain.recomputation if pretrain else "selective")
    return dataclasses.replace(recipe, num_tokens=tokens, context_length=length, recomputation=again)


def bill(
    recipe: PlanRecipe,
    target: Target,
    *,
    hours: float,
    device: str,
    mesh: Mesh,
    memory: TrainingMemory,
    device_memory_bytes: int,
    tokens_per_second: float,
    mfu: float,
    watts: float | None,
    listed_price: float | None,
) -> Plan:
    """The plan of a completed recipe that takes so many hours of one device."""
    config, length, tokens = target.config, recipe.context_length, recipe.num_tokens
    assert length is not None
    assert tokens is not None
    price = money.price_in(
        recipe.currency, per_hour=recipe.price_per_hour, listed=listed_price, exchange_rate=recipe.exchange_rate
    )
    drawn = watts if recipe.watts is None else recipe.watts
    mwh = None if drawn is None else money.megawatt_hours(hours, drawn, pue=recipe.pue)
    return Plan(
        target=target.name,
        parameters=num_parameters(config),
        tokens=tokens,
        context_length=length,
        flops_per_token=flops_per_token(config, length),
        flops=flops_per_token(config, length) * tokens,
        device=device,
        gpus=mesh.num_devices,
        mesh=mesh,
        memory=memory,
        device_memory_bytes=device_memory_bytes,
        tokens_per_second=tokens_per_second,
        mfu=mfu,
        days=hours / 24 / mesh.num_devices,
        gpu_hours=hours,
        mwh=mwh,
        tonnes_co2=None if mwh is None else money.tonnes_co2(mwh, intensity=recipe.carbon_intensity),
        cost=None if price is None else price.of(hours),
        currency=recipe.currency,
        price_per_hour=None if price is None else price.per_hour,
        serving_bytes=dataclasses.asdict(serving_memory(config, context=length)),
        cache_bytes_per_token=kv_bytes_per_token(config),
        notes=() if target.assumes is None else (target.assumes,),
    )


def require_within(recipe: PlanRecipe, found: Plan) -> None:
    """Raises RecipeError where days or money are exceeded, with the arithmetic and what would meet them."""
    work = (
        f"{found.target} on {found.tokens:,} tokens takes {found.gpu_hours:,.0f} hours of {found.device} "
        f"({found.flops:.3g} FLOPs at {found.mfu:.0%} of the peak)"
    )
    if recipe.max_days is not None and found.days > recipe.max_days * (1 + 1e-9):
        given = found.gpus * 24 * recipe.max_days
        share = given / found.gpu_hours
        raise RecipeError(
            f"{work}; {found.gpus} of them in {recipe.max_days:g} days give {given:,.0f}, {share:.2g} of it. It takes "
            f"{math.ceil(found.gpu_hours / 24 / recipe.max_days):,} GPUs, {found.days:,.1f} days, or "
            f"{math.floor(found.tokens * share):,} tokens"
        )
    if recipe.budget is None:
        return
    if found.cost is None:
        raise RecipeError(f"budget = {recipe.budget:g}, but {found.device} has no price: give --price")
    if found.cost > recipe.budget:
        raise RecipeError(
            f"{work}; at {found.price_per_hour:,.2f} {found.currency} an hour that is {found.cost:,.0f} "
            f"{found.currency}, and the budget is {recipe.budget:,.0f}: {recipe.budget / found.cost:.2g} of it. It "
            f"buys {math.floor(found.tokens * recipe.budget / found.cost):,} tokens"
        )
