"""A plan: its figures, as data and as a page for the eye."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from waman.costing.memory import Mesh, TrainingMemory

THIS_MACHINE = "this machine"


@dataclass(frozen=True)
class Plan:
    """What a training run takes."""

    target: str
    parameters: int
    tokens: int
    context_length: int
    flops_per_token: int
    """to train on one: forward and backward (`waman.model.count`)"""
    flops: int
    """of the whole training"""
    device: str
    gpus: int
    mesh: Mesh
    memory: TrainingMemory
    """bytes on the fullest device"""
    device_memory_bytes: int
    tokens_per_second: float
    """of all devices together"""
    mfu: float
    """share of the peak that flops_per_token reach"""
    days: float
    gpu_hours: float
    mwh: float | None
    tonnes_co2: float | None
    cost: float | None
    currency: str
    price_per_hour: float | None
    serving_bytes: Mapping[str, int]
    """to answer from the trained model: weights and, for one sequence of context_length, its cache"""
    cache_bytes_per_token: int
    notes: tuple[str, ...] = ()

    @property
    def memory_bytes_per_gpu(self) -> int:
        """On the fullest device."""
        return self.memory.total

    def to_table(self) -> dict[str, Any]:
        """Plain data, what `--json` prints."""
        return dataclasses.asdict(self) | {"memory_bytes_per_gpu": self.memory_bytes_per_gpu}

    def render(self) -> str:
        """For people."""
        mesh, energy = self.mesh, "unknown: give --watts"
        if self.mwh is not None:
            energy = f"{self.mwh:,.3g} MWh, {self.tonnes_co2:,.3g} t CO2e"
        axes = f"tensor {mesh.tensor} x pipeline {mesh.pipeline} x data {mesh.data}"
        served = f"{_bytes(self.serving_bytes['weights'])} of weights, {_bytes(self.cache_bytes_per_token)} of cache"
        hours = "" if self.device == THIS_MACHINE else f", {_hours(self.gpu_hours)} GPU-hours"
        rows = [
            ("model", f"{self.target}: {_short(self.parameters)} parameters"),
            ("tokens", f"{_short(self.tokens)}, in sequences of {self.context_length:,}"),
            ("FLOPs", f"{self.flops:.3g}, {self.flops_per_token:.3g} a token"),
            ("devices", self.device if self.device == THIS_MACHINE else f"{self.gpus:,} x {self.device}: {axes}"),
            ("speed", f"{self.tokens_per_second:,.0f} tokens/s, {self.mfu:.1%} of the peak"),
            ("time", f"{_duration(self.days)}{hours}"),
            ("money", _money(self)),
            ("energy", energy),
            ("memory", f"{_bytes(self.memory_bytes_per_gpu)} of {_bytes(self.device_memory_bytes)} per device"),
            *((f"  {name}", _bytes(size)) for name, size in dataclasses.asdict(self.memory).items()),
            ("serving", f"{served} a token"),
            *(("note", note) for note in self.notes),
        ]
        return "".join(f"{name:<14}{text}\n" for name, text in rows)


def _money(plan: Plan) -> str:
    if plan.cost is None:
        return "unknown: give --price"
    cost = f"{plan.cost:,.0f}" if plan.cost >= 10 else f"{plan.cost:.2g}"
    return f"{cost} {plan.currency}, at {plan.price_per_hour:,.2f} an hour"


def _short(number: float) -> str:
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if number >= size:
            return f"{number / size:.4g}{letter}"
    return f"{number:g}"


def _bytes(number: float) -> str:
    for size, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if number >= size:
            return f"{number / size:.3g} {name}"
    return f"{number:.0f} bytes"


def _duration(days: float) -> str:
    if days >= 1:
        return f"{days:,.1f} days"
    seconds = days * 86400
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds:.0f} seconds"


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"
