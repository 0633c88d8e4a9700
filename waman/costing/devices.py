"""What accelerators can do, hold, draw and cost. Every figure has its source; a price is only a place to start from."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from waman.errors import RecipeError

DType = Literal["bfloat16", "tf32", "float32"]
"""In which numbers matrix products are computed; tf32 is float32 of which ten bits of fraction are multiplied."""


@dataclass(frozen=True)
class Device:
    """One accelerator. A figure that nobody has published for it is absent."""

    name: str
    title: str
    peak_flops: Mapping[DType, float]
    """dense floating-point operations per second, as its maker says"""
    memory_bytes: int
    watts: float | None
    """what it draws at most"""
    utilization: float
    """share of peak_flops that training reaches: `flops_per_token` times tokens, per second"""
    price_per_hour: float | None
    """US dollars for one on its own, on demand; ask your own cloud and override it"""
    sources: str
    """where the figures are from, and when they were read"""


_MAKER = "peak, memory and watts: the maker's data sheet, checked in November 2026 against pages that quote it"
_PRICES = "price: about the middle of what specialised clouds asked in May 2026 (hyperscalers twice as much)"

DEVICES: Mapping[str, Device] = MappingProxyType(
    {
        one.name: one
        for one in (
            Device(
                name="rtx-4090",
                title="GeForce RTX 4090, 24 GB",
                peak_flops={"bfloat16": 165.2e12, "tf32": 82.6e12, "float32": 82.6e12},
                memory_bytes=24 * 2**30,
                watts=450.0,
                utilization=0.40,
                price_per_hour=0.69,
                sources=f"{_MAKER} (Ada whitepaper, 2022; sums in float32); utilization: our guess; {_PRICES}",
            ),
            Device(
                name="a100-40gb",
                title="A100 SXM, 40 GB",
                peak_flops={"bfloat16": 312e12, "tf32": 156e12, "float32": 19.5e12},
                memory_bytes=40 * 2**30,
                watts=400.0,
                utilization=0.45,
                price_per_hour=1.10,
                sources=f"{_MAKER} (2020); utilization: as the 80 GB one's; {_PRICES}",
            ),
            Device(
                name="a100-80gb",
                title="A100 SXM, 80 GB",
                peak_flops={"bfloat16": 312e12, "tf32": 156e12, "float32": 19.5e12},
                memory_bytes=80 * 2**30,
                watts=400.0,
                utilization=0.45,
                price_per_hour=1.30,
                sources=f"{_MAKER} (2021); utilization: 0.45 in Narayanan et al. 2021 (their 140 of 312 TFLOP/s for a "
                f"model of 175 B), 0.48 to 0.50 in Touvron et al. 2023; {_PRICES}",
            ),
            Device(
                name="h100",
                title="H100 SXM, 80 GB",
                peak_flops={"bfloat16": 989.4e12, "tf32": 494.7e12, "float32": 66.9e12},
                memory_bytes=80 * 2**30,
                watts=700.0,
                utilization=0.40,
                price_per_hour=3.00,
                sources=f"{_MAKER} (2022); utilization: 0.38 to 0.43 in Grattafiori et al. 2024, table 4; {_PRICES}",
            ),
            Device(
                name="h200",
                title="H200 SXM, 141 GB",
                peak_flops={"bfloat16": 989.4e12, "tf32": 494.7e12, "float32": 66.9e12},
                memory_bytes=141 * 10**9,
                watts=700.0,
                utilization=0.40,
                price_per_hour=4.00,
                sources=f"{_MAKER} (2023); utilization: as the H100's; {_PRICES}",
            ),
        )
    }
)


def device(name: str) -> Device:
    """A device of the table. Raises RecipeError on an unknown name."""
    if name not in DEVICES:
        close = difflib.get_close_matches(name.lower(), DEVICES, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise RecipeError(f"no GPU '{name}' in the table; {hint}names: {', '.join(DEVICES)}")
    return DEVICES[name]
