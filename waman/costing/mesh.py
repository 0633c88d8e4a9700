"""The smallest mesh of one kind of device that a model is trained on."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from waman.costing.devices import Device
from waman.costing.memory import Mesh, Recomputation, TrainingMemory, ZeroStage, obstacle, training_memory
from waman.errors import RecipeError
from waman.model.config import ModelConfig

NODE = 8
"""Devices that are joined closely enough to share matrices (Narayanan et al. 2021, section 3.2)."""
MOST_DEVICES = 2**16


@dataclass(frozen=True)
class Placing:
    """A mesh and what it holds."""

    mesh: Mesh
    memory: TrainingMemory


def smallest_mesh(
    config: ModelConfig,
    device: Device,
    *,
    num_devices: int | None = None,
    context: int | None = None,
    micro_batch_sequences: int = 1,
    recomputation: Recomputation = "selective",
    zero_stage: ZeroStage = 1,
) -> Placing:
    """The fewest devices for one copy of the model, all others along the data axis; of equals, the shortest pipeline.

    `num_devices` absent: as few as it fits on. Raises RecipeError where it fits on none, with the least that it needs.
    """
    tried = [num_devices] if num_devices is not None else [2**power for power in range(MOST_DEVICES.bit_length())]
    best: Placing | None = None
    for number in tried:
        for mesh in _meshes(config, number, zero_stage):
            memory = training_memory(
                config,
                mesh,
                context=context,
                micro_batch_sequences=micro_batch_sequences,
                recomputation=recomputation,
            )
            placing = Placing(mesh, memory)
            if memory.total <= device.memory_bytes:
                return placing
            if best is None or memory.total < best.memory.total:
                best = placing
    assert best is not None
    raise RecipeError(_fits_nowhere(best, device, num_devices, recomputation))


def _meshes(config: ModelConfig, number: int, zero_stage: ZeroStage) -> Iterator[Mesh]:
    """All that cut the model, those with the fewest devices for a copy first."""
    tensors = [width for width in (1, 2, 4, NODE) if width <= number]
    sizes = [(tensor * depth, depth, tensor) for tensor in tensors for depth in range(1, config.num_layers + 1)]
    for devices, depth, tensor in sorted(sizes):
        if number % devices:
            continue
        mesh = Mesh(data=number // devices, tensor=tensor, pipeline=depth, zero_stage=zero_stage)
        if obstacle(config, mesh) is None:
            yield mesh


def _fits_nowhere(best: Placing, device: Device, num_devices: int | None, recomputation: Recomputation) -> str:
    parts = ", ".join(f"{name} {size / 1e9:.1f}" for name, size in dataclasses.asdict(best.memory).items())
    mesh = best.mesh
    other = "" if recomputation == "full" else "recompute more (--recomputation full), "
    shape = f"{mesh.tensor} x {mesh.pipeline} x {mesh.data} (tensor, pipeline, data)"
    return (
        f"the model fits on no mesh of {num_devices or MOST_DEVICES} x {device.name}: {shape} needs least, "
        f"{best.memory.total / 1e9:.1f} GB on a device of {device.memory_bytes / 1e9:.1f} GB ({parts}); "
        f"{other}take more or larger GPUs, shorter sequences or a smaller micro-batch"
    )
