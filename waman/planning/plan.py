"""`waman plan`: what training a model takes, before anything runs. Writes no artifact."""

import dataclasses
import math
from pathlib import Path

from waman.costing import time
from waman.costing.calibrate import Calibration
from waman.costing.devices import Device, device
from waman.costing.mesh import Placing, smallest_mesh
from waman.costing.shapes import family
from waman.errors import RecipeError
from waman.model.config import ModelConfig
from waman.model.count import flops_per_token, num_parameters
from waman.planning.bill import bill, completed, require_within
from waman.planning.machine import foretold_counts, machine_for, plan_here, render_outcome
from waman.planning.recipe import PlanRecipe
from waman.planning.sheet import Plan
from waman.planning.target import Target, read_target
from waman.training.recipe import PretrainRecipe

__all__ = ["foretold_counts", "machine_for", "plan", "render_outcome"]

_NO_TARGET = (
    "no target: name a preset, a recipe or a directory; or give --days or --budget, for the largest model they allow"
)


def plan(
    recipe: PlanRecipe,
    *,
    target: str | Path | ModelConfig | PretrainRecipe | None = None,
    machine: Calibration | None = None,
) -> Plan:
    """What the target takes, or, where there is none, the largest model that `gpu` trains in `max_days`.

    Without a `gpu` it is for this machine, as `machine` says, or measured now.

    Raises RecipeError for a budget that it exceeds, with the arithmetic, for a GPU that the table has not, and for a
    model that fits nowhere; InputError for a target that is not there.
    """
    if recipe.gpu is not None:
        gpu = device(recipe.gpu)
        return _largest(recipe, gpu) if target is None else _plan(recipe, read_target(target), gpu)
    if target is None:
        raise RecipeError(f"plan: {_NO_TARGET}, with a --gpu")
    return plan_here(recipe, read_target(target), machine)


def _plan(recipe: PlanRecipe, target: Target, gpu: Device) -> Plan:
    recipe = completed(recipe, target)
    speed = _speed_each(recipe, target.config, gpu)
    assert recipe.num_tokens is not None
    hours = time.device_hours(recipe.num_tokens, speed)
    placing = _place(recipe, target.config, gpu, hours)
    found = _assemble(recipe, target, gpu, placing, speed)
    require_within(recipe, found)
    return found


def _speed_each(recipe: PlanRecipe, config: ModelConfig, gpu: Device) -> float:
    if recipe.tokens_per_second is not None:
        return recipe.tokens_per_second
    return time.tokens_per_second(
        config,
        gpu,
        utilization=recipe.mfu,
        context=recipe.context_length,
        dtype=recipe.precision,
        recomputation=recipe.recomputation or "selective",
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
            recomputation=recipe.recomputation or "selective",
            zero_stage=recipe.zero_stage,
        )

    placing = on(recipe.num_gpus)
    if recipe.num_gpus is not None or recipe.max_days is None:
        return placing
    one = placing.mesh.num_devices
    return on(one * max(1, math.ceil(hours / 24 / recipe.max_days / one)))


def _assemble(recipe: PlanRecipe, target: Target, gpu: Device, placing: Placing, speed: float) -> Plan:
    assert recipe.context_length is not None
    each = flops_per_token(target.config, recipe.context_length)
    return bill(
        recipe,
        target,
        hours=time.device_hours(recipe.num_tokens or 0, speed),
        device=gpu.name,
        mesh=placing.mesh,
        memory=placing.memory,
        device_memory_bytes=gpu.memory_bytes,
        tokens_per_second=speed * placing.mesh.num_devices,
        mfu=speed * each / gpu.peak_flops[recipe.precision],
        watts=gpu.watts,
        listed_price=gpu.price_per_hour,
    )


def _largest(recipe: PlanRecipe, gpu: Device) -> Plan:
    """The largest of a family of shapes that fits and keeps within the days and the budget."""
    if recipe.max_days is None and recipe.budget is None:
        raise RecipeError(f"plan: {_NO_TARGET}")
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
