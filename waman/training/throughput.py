"""How fast a run goes, and how much of what the machine can multiply that is."""

import time
from dataclasses import dataclass

import torch

from waman.model.config import ModelConfig
from waman.model.count import flops_per_token
from waman.model.threads import one_thread

_SIDE = 1024


@dataclass(frozen=True)
class Throughput:
    """The speed of a stretch of training."""

    tokens_per_second: float
    flop_share: float
    """floating-point operations of the model's formula per second, as a share of `matrix_flops_per_second`"""


def matrix_flops_per_second(dtype: torch.dtype, device: torch.device, *, seconds: float = 0.2) -> float:
    """Floating-point operations per second of a large square matrix product: the best of as many as fit in the time.

    On a CPU it is measured on one thread and multiplied by their number.
    """
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    square = torch.ones(_SIDE, _SIDE, dtype=dtype, device=device)
    best, end = float("inf"), time.perf_counter() + seconds
    with one_thread():
        while time.perf_counter() < end or best == float("inf"):
            started = time.perf_counter()
            (square @ square)[0, 0].item()
            best = min(best, time.perf_counter() - started)
    return threads * 2 * _SIDE**3 / best


def throughput(config: ModelConfig, *, tokens: int, seconds: float, matrix_flops: float) -> Throughput:
    """The speed at which `tokens` were trained on, in sequences of the config's context length."""
    speed = tokens / seconds
    return Throughput(speed, speed * flops_per_token(config, config.context_length) / matrix_flops)
