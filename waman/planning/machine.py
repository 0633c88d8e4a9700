"""This machine, measured by trainings of our own, and what a recipe takes on it."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waman.artifact import Artifact
from waman.costing.calibrate import (
    Calibration,
    OptimizerStep,
    Precision,
    fit_seconds,
    process_memory,
    processor_seconds,
    step_seconds,
)
from waman.costing.memory import Mesh, TrainingMemory
from waman.costing.time import SECONDS_PER_HOUR
from waman.costing.trials import TRIALS
from waman.costing.work import Blocking
from waman.errors import RecipeError, WorkerError
from waman.log import get_logger
from waman.manifest import Manifest
from waman.model.config import ModelConfig
from waman.model.count import flops_per_token
from waman.model.recipe import Bfloat16, Float32
from waman.planning.bill import bill, completed, require_within
from waman.planning.recipe import PlanRecipe
from waman.planning.sheet import THIS_MACHINE, Plan
from waman.planning.target import Target
from waman.training.recipe import PretrainRecipe

MEASURING_SHARE = 0.05
"""A run is foretold unasked where measuring takes at most this share of its least time."""
MEASURING_SECONDS = 12
"""What measuring takes, loading torch included, on two cores that do nothing else."""


@dataclass(frozen=True)
class Forecast:
    """What a recipe takes on this machine while nothing else runs on it; its steps alone, without checkpoints."""

    num_steps: int
    step_seconds: float
    processor_seconds: float
    """of a step, on all cores together"""
    tokens_per_second: float
    memory: TrainingMemory

    @property
    def seconds(self) -> float:
        """Of all steps."""
        return self.num_steps * self.step_seconds


def measure_machine(precision: Precision | None = None) -> Calibration:
    """Times small trainings on this machine's processor, about ten seconds of it; `precision` absent: as Auto takes.

    Processor seconds are counted, so that other programs disturb it little.
    """
    import torch

    from waman.model.attention import PANEL_QUERIES
    from waman.model.precision import compute_dtype
    from waman.model.recipe import Auto
    from waman.training.loss import LOGITS_AT_ONCE
    from waman.training.throughput import matrix_flops_per_second
    from waman.training.trial import time_micro_batch, time_sequence, time_update

    cpu = torch.device("cpu")
    if precision is None:
        precision = "bfloat16" if compute_dtype(Auto(), cpu) == torch.bfloat16 else "float32"
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    lanes, blocking = torch.get_num_threads(), Blocking(PANEL_QUERIES, LOGITS_AT_ONCE)
    measured = [time_micro_batch(trial, dtype, lanes=lanes, repeats=2) for trial in TRIALS]
    few, many = (time_update(trial) for trial in (TRIALS[0], TRIALS[7]))
    per_weight = many.update_seconds / many.weights
    return Calibration(
        precision=precision,
        lanes=lanes,
        blocking=blocking,
        seconds=fit_seconds(TRIALS, measured, blocking=blocking, precision=precision),
        add_seconds_per_weight=many.add_seconds / many.weights,
        update_seconds_per_weight=per_weight,
        update_seconds_per_tensor=max(0.0, few.update_seconds - per_weight * few.weights) / few.tensors,
        sequence_seconds=time_sequence(256),
        baseline_bytes=measure_baseline(),
        matrix_flops=matrix_flops_per_second(dtype, cpu),
    )


_BASELINE = """
import waman.training.pretrain
from waman.costing.trials import TRIALS
from waman.surroundings import resident_bytes
from waman.training.trial import time_micro_batch
import torch
time_micro_batch(TRIALS[1], torch.bfloat16 if sys.argv[1] == "bfloat16" else torch.float32, lanes=2, repeats=1)
print(resident_bytes())
"""


def measure_baseline(precision: Precision = "float32") -> int:
    """Resident bytes of a fresh process that has loaded what training loads, and taken one tiny step."""
    program = "import sys\n" + _BASELINE
    found = str(Path(__file__).resolve().parents[2])  # also where waman is not installed, but imported from a folder
    path = os.pathsep.join(filter(None, [found, os.environ.get("PYTHONPATH")]))
    command, environment = [sys.executable, "-c", program, precision], os.environ | {"PYTHONPATH": path}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if ran.returncode:
        raise WorkerError(f"the process whose memory is measured failed: {ran.stderr.strip().splitlines()[-1:]}")
    return int(ran.stdout)


def foretell(calibration: Calibration, recipe: PretrainRecipe, config: ModelConfig) -> Forecast:
    """What the recipe takes on the measured machine; `config`: its model, with a vocab_size."""
    step = OptimizerStep(
        config,
        batch_sequences=recipe.batch_sequences(config.context_length),
        micro_batch_sequences=recipe.micro_batch_sequences,
        context=recipe.sequence_length or config.context_length,
        recomputation=recipe.recomputation,
    )
    seconds = step_seconds(calibration, step)
    return Forecast(
        num_steps=recipe.num_steps,
        step_seconds=seconds,
        processor_seconds=processor_seconds(calibration, step),
        tokens_per_second=step.batch_sequences * step.context / seconds,
        memory=process_memory(calibration, step),
    )


def plan_here(recipe: PlanRecipe, target: Target, machine: Calibration | None) -> Plan:
    """The plan for this machine, with the outcome beside it where the target is a finished run."""
    recipe = completed(recipe, target)
    pretrain = target.pretrain or _recipe_for(recipe, target.config)
    if recipe.recomputation == "none":
        raise RecipeError("recomputation = none: on this machine attention is always computed again; leave it out")
    pretrain = dataclasses.replace(
        pretrain,
        model=target.config,
        num_tokens=recipe.num_tokens or 0,
        sequence_length=recipe.context_length,
        recomputation=recipe.recomputation or "selective",
    )
    machine = machine or machine_for(pretrain)
    forecast = foretell(machine, pretrain, target.config)
    each = flops_per_token(target.config, recipe.context_length or 0)
    found = bill(
        recipe,
        target,
        hours=forecast.seconds / SECONDS_PER_HOUR,
        device=THIS_MACHINE,
        mesh=Mesh(),
        memory=forecast.memory,
        device_memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        tokens_per_second=forecast.tokens_per_second,
        mfu=forecast.tokens_per_second * each / machine.matrix_flops,
        watts=None,
        listed_price=None,
    )
    require_within(recipe, found)
    if target.finished is None:
        return found
    return dataclasses.replace(found, notes=(*found.notes, _against(found, target.finished)))


def machine_for(recipe: PretrainRecipe) -> Calibration:
    """This machine, measured in the precision that the recipe computes in. Measure once, and plan many with it."""
    return measure_machine(_precision(recipe))


def _recipe_for(recipe: PlanRecipe, config: ModelConfig) -> PretrainRecipe:
    """The defaults of pretraining, with whole sequences in a batch."""
    length = recipe.context_length or config.context_length
    return PretrainRecipe(batch_tokens=length * max(1, PretrainRecipe().batch_tokens // length))


def _precision(recipe: PretrainRecipe) -> Precision | None:
    match recipe.precision:
        case Bfloat16():
            return "bfloat16"
        case Float32():
            return "float32"
        case _:
            return None


def foretold_counts(
    recipe: PretrainRecipe, *, tokens: Artifact, start: Artifact | None = None, unasked: bool = True, **_: object
) -> dict[str, Any] | None:
    """What a run of the recipe takes here, as counts for its manifest; `unasked`: None for a run that ends too soon."""
    from waman.tokens.shards import TokenShards

    config = recipe.model or ModelConfig()
    if start is not None:
        from waman.weights.configuration import load_config

        config = load_config(start.path)
    vocab_size = TokenShards.open(tokens).info.vocab_size if start is None else config.vocab_size
    config = dataclasses.replace(config, vocab_size=vocab_size)
    if unasked and _least_seconds(recipe, config) * MEASURING_SHARE < MEASURING_SECONDS:
        return None
    try:
        forecast = foretell(machine_for(recipe), recipe, config)
    except WorkerError as error:
        if not unasked:
            raise
        get_logger().warning("the run is not foretold: %s", error)
        return None
    return {
        "tokens_per_second": round(forecast.tokens_per_second),
        "seconds": round(forecast.seconds, 1),
        "peak_memory_bytes": forecast.memory.total,
    }


def _least_seconds(recipe: PretrainRecipe, config: ModelConfig) -> float:
    """Were it nothing but large matrix products."""
    import torch

    from waman.model.precision import compute_dtype
    from waman.training.throughput import matrix_flops_per_second

    cpu = torch.device("cpu")
    rate = matrix_flops_per_second(compute_dtype(recipe.precision, cpu), cpu, seconds=0.05)
    return recipe.num_tokens * flops_per_token(config, recipe.sequence_length or config.context_length) / rate


def render_outcome(planned: Mapping[str, Any], manifest: Manifest) -> str:
    """Plan against outcome, in a line."""
    speed, peak = manifest.counts.get("tokens_per_second"), manifest.peak_memory_bytes
    parts = []
    if speed:
        expected = planned["tokens_per_second"]
        parts.append(f"{expected:,} tokens/s planned, {speed:,} reached ({speed / expected:.2f})")
    expected = planned["peak_memory_bytes"]
    parts.append(f"{expected / 2**20:,.0f} MiB planned, {peak / 2**20:,.0f} taken ({peak / expected:.2f})")
    return "; ".join(parts)


def _against(found: Plan, manifest: Manifest) -> str:
    planned = {"tokens_per_second": round(found.tokens_per_second), "peak_memory_bytes": found.memory_bytes_per_gpu}
    return f"outcome: {render_outcome(planned, manifest)}"
