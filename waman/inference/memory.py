"""How much memory is free for a cache, and how many pages a budget buys."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from waman.errors import InputError, RecipeError
from waman.inference.runner import PAGE_TOKENS, page_bytes
from waman.model.config import ModelConfig
from waman.model.count import num_parameters

SHARE = 0.5
"""Of what is free, where no budget is given: the passes themselves and other programs need some."""
_GROUP = Path("/sys/fs/cgroup")
_ALIGNMENT = 64


def free_bytes(device: torch.device) -> int | None:
    """What this process may still take; None where the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    found = [one for one in (_available(Path("/proc/meminfo")), _left_of_group(_GROUP)) if one is not None]
    return min(found, default=None)


def pages_for(config: ModelConfig, *, kv_bits: int, cache_bytes: int | None, free: int | None, max_rows: int) -> int:
    """Pages that a budget buys; without one, what `max_rows` full contexts take, but at most a share of what is free.

    Raises RecipeError where a budget, or the share, does not hold one page.
    """
    size = page_bytes(config, page_tokens=PAGE_TOKENS, kv_bits=kv_bits)
    wanted = max_rows * -(-config.context_length // PAGE_TOKENS)
    if cache_bytes is None:
        budget = wanted * size if free is None else int(free * SHARE)
        told = f"half of the {free or 0:,} bytes that are free"
    else:
        budget = cache_bytes
        told = f"cache_bytes = {cache_bytes:,}"
    if budget < size:
        raise RecipeError(
            f"{told}: a page of {PAGE_TOKENS} tokens takes {size:,} bytes, a whole context of "
            f"{config.context_length} {-(-config.context_length // PAGE_TOKENS) * size:,}: give the cache more, or "
            "keep it in 8 bits (kv_bits)"
        )
    return budget // size if cache_bytes is not None else min(wanted, budget // size)


def require_room(
    config: ModelConfig, *, dtype: torch.dtype, free: int | None, where: str, stored: int | None = None
) -> None:
    """Raises InputError where a model's weights and one full context do not fit into what is free, with what would.

    stored: bytes of weights that stay quantized as they are stored; absent: all are of the type.
    """
    weights, context = num_parameters(config), -(-config.context_length // PAGE_TOKENS)
    cache = context * page_bytes(config, kv_bits=dtype.itemsize * 8)
    needed = (weights * dtype.itemsize if stored is None else stored) + cache
    if free is None or needed <= free:
        return
    forms = {
        "in bfloat16 (dtype=torch.bfloat16)": weights * 2 + cache * 2 // dtype.itemsize,
        "in 8 bits (waman quantize)": weights * 9 // 8 + cache * 2 // dtype.itemsize,
        "in 4 bits (waman quantize)": weights * 5 // 8 + cache * 2 // dtype.itemsize,
    }
    fitting = [f"{form} {size:,}" for form, size in forms.items() if size <= free and size < needed]
    raise InputError(
        f"{where}: {weights:,} weights in {str(dtype).removeprefix('torch.')} and one context of "
        f"{config.context_length} tokens take {needed:,} bytes, {free:,} are free: "
        + (f"it takes {', '.join(fitting)}" if fitting else "no form of it fits; take a smaller model or free memory")
    )


def untouched(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros that take memory only where something is written, on a CPU; aligned to 64 bytes."""
    if device.type != "cpu":
        return torch.zeros(tuple(shape), dtype=dtype, device=device)
    size = math.prod(shape) * dtype.itemsize
    raw = torch.from_numpy(np.zeros(size + _ALIGNMENT, dtype=np.uint8))
    start = -raw.data_ptr() % _ALIGNMENT
    return raw[start : start + size].view(dtype).view(tuple(shape))


def _available(path: Path) -> int | None:
    """MemAvailable of Linux."""
    if not path.is_file():
        return None
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _left_of_group(folder: Path) -> int | None:
    """What a container's limit leaves (control groups 2)."""
    limit, used = folder / "memory.max", folder / "memory.current"
    if not limit.is_file() or not used.is_file():
        return None
    text = limit.read_text(encoding="ascii").strip()
    if text == "max":
        return None
    statistics = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
    # Files that were read a while ago are counted as used, but given up when somebody needs the memory.
    return max(0, int(text) - int(used.read_text(encoding="ascii")) + int(statistics.get("inactive_file", 0)))
