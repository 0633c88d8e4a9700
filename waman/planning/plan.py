"""`waman plan`: what training a model takes, before anything runs. Writes no artifact."""

import dataclasses
import math
from pathlib import Path

from waman.costing import money, time
from waman.costing.devices import Device, device
from waman.costing.memory import serving_memory
from waman.costing.mesh import Placing, smallest_mesh
from waman.costing.shapes import family
from waman.errors import RecipeError
from waman.model.config import ModelConfig
from waman.model.count import flops_per_token, kv_bytes_per_token, num_parameters
from waman.planning.recipe import PlanRecipe
from waman.planning.sheet import Plan
from waman.planning.target import Target, read_target
from waman.training.recipe import PretrainRecipe

TOKENS_PER_PARAMETER = 20
"""About what Hoffmann et al. 2022 find best for the computation spent (tables 3 and A3)."""


def plan(recipe: PlanRecipe, *, target: str | Path | ModelConfig | PretrainRecipe | None = None) -> Plan:
    """What the target takes, or, where there is none, the largest model that `gpu` trains in `max_days`.

    Raises RecipeError for a budget that it exceeds, with the arithmetic, for a GPU that the table has not, and for a
    model that fits nowhere; InputError for a target that is not there.
    """
    if recipe.gpu is None:
        raise RecipeError("plan: no --gpu NAME to plan for")
    if target is None:
        return _largest(recipe, device(recipe.gpu))
    return _plan(recipe, read_target(target), device(recipe.gpu))


def _plan(recipe: PlanRecipe, target: Target, gpu: Device) -> Plan:
    recipe = _completed(recipe, target)
    speed = _speed_each(recipe, target.config, gpu)
    assert recipe.num_tokens is not None
    hours = time.device_hours(recipe.num_tokens, speed)
    placing = _place(recipe, target.config, gpu, hours)
    found = _assemble(recipe, target, gpu, placing, speed)
    _require_within(recipe, found)
    return found


def _completed(recipe: PlanRecipe, target: Target) -> PlanRecipe:
    """What the recipe leaves to the target, filled in."""
    pretrain = target.pretrain
    tokens, length = recipe.num_tokens, recipe.context_length
    if tokens is None:
        tokens = pretrain.num_tokens if pretrain else TOKENS_PER_PARAMETER * num_parameters(target.config)
    if length is None:
        length = (pretrain.sequence_length if pretrain else None) or target.config.context_length
    return dataclasses.replace(recipe, num_tokens=tokens, context_length=length)


def _speed_each(recipe: PlanRecipe, config: ModelConfig, gpu: Device) -> float:
    if recipe.tokens_per_second is not None:
        return recipe.tokens_per_second
    return time.tokens_per_second(
        config,
        gpu,
        utilization=recipe.mfu,
        context=recipe.context_length,
        dtype=recipe.precision,
        recomputation=recipe.recomputation,
    )


def _place(recipe: PlanRecipe, config: ModelConfig, gpu: Device, hours: float) -> Placing:
    """The smallest mesh; where days are given and no number of devices, as many copies of it as meet them."""

    def on(number: int | None) -> Placing:
        return smallest_mesh(
            config,
            gpu,
            num_devices=number,
            context=recipe.context_length,
            micro_batch_sequences=recipe.micro_batch_sequences,
            recomputation=recipe.recomputation,
            zero_stage=recipe.zero_stage,
        )

    placing = on(recipe.num_gpus)
    if recipe.num_gpus is not None or recipe.max_days is None:
        return placing
    one = placing.mesh.num_devices
    return on(one * max(1, math.ceil(hours / 24 / recipe.max_days / one)))


def _assemble(recipe: PlanRecipe, target: Target, gpu: Device, placing: Placing, speed: float) -> Plan:
    config, length, tokens = target.config, recipe.context_length, recipe.num_tokens
    assert length is not None
    assert tokens is not None
    each = flops_per_token(config, length)
    hours = time.device_hours(tokens, speed)
    price = money.price_in(
        recipe.currency, per_hour=recipe.price_per_hour, listed=gpu.price_per_hour, exchange_rate=recipe.exchange_rate
    )
    watts = gpu.watts if recipe.watts is None else recipe.watts
    mwh = None if watts is None else money.megawatt_hours(hours, watts, pue=recipe.pue)
    serving = serving_memory(config, context=length)
    return Plan(
        target=target.name,
        parameters=num_parameters(config),
        tokens=tokens,
        context_length=length,
        flops_per_token=each,
        flops=each * tokens,
        device=gpu.name,
        gpus=placing.mesh.num_devices,
        mesh=placing.mesh,
        memory=placing.memory,
        device_memory_bytes=gpu.memory_bytes,
        tokens_per_second=speed * placing.mesh.num_devices,
        mfu=speed * each / gpu.peak_flops[recipe.precision],
        days=hours / 24 / placing.mesh.num_devices,
        gpu_hours=hours,
        mwh=mwh,
        tonnes_co2=None if mwh is None else money.tonnes_co2(mwh, intensity=recipe.carbon_intensity),
        cost=None if price is None else price.of(hours),
        currency=recipe.currency,
        price_per_hour=None if price is None else price.per_hour,
        serving_bytes=dataclasses.asdict(serving),
        cache_bytes_per_token=kv_bytes_per_token(config),
        notes=() if target.assumes is None else (target.assumes,),
    )


def _require_within(recipe: PlanRecipe, found: Plan) -> None:
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


def _largest(recipe: PlanRecipe, gpu: Device) -> Plan:
    """The largest of a family of shapes that fits and keeps within the days and the budget."""
    if recipe.max_days is None and recipe.budget is None:
        raise RecipeError(
            "plan: no target: name a preset, a recipe or a directory; or give --days or --budget, for the largest "
            "model that they allow"
        )
    recipe = dataclasses.replace(recipe, num_gpus=recipe.num_gpus or 1)
    found: Plan | None = None
    refusal: RecipeError | None = None
    for config in family(context_length=recipe.context_length or 2048):
        name = f"{num_parameters(config) / 1e9:.2f}B ({config.num_layers} layers of {config.model_dim})"
        try:
            found = _plan(recipe, Target(name, config), gpu)
        except RecipeError as error:
            refusal = error
            break
    if found is None:
        assert refusal is not None
        raise RecipeError(f"even the smallest model of the family is too much: {refusal}") from refusal
    note = "the largest of LLaMA's shapes" + (f"; of the next: {refusal}" if refusal is not None else "")
    return dataclasses.replace(found, notes=(*found.notes, note))
