"""LoRA adapters (Hu et al. 2021) as PEFT keeps them: a directory of adapter_config.json and adapter_model.safetensors.

Tensors go by the names of the base's Hugging Face checkpoint; `huggingface.to_hugging_face` gives a decoder's state
under these names as views, so that merging into them merges into the decoder.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from waman.errors import InputError
from waman.manifest import to_json
from waman.weights import safetensors
from waman.weights.configuration import read_json

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
# Keys that change what is computed, with the values that mean plain LoRA.
_FIXED: dict[str, tuple[Any, ...]] = {
    "peft_type": ("LORA",),
    "bias": ("none",),
    # others (PiSSA, OLoRA, CorDA, LoftQ) change the base as well
    "init_lora_weights": (True, False, "gaussian", "eva", "orthogonal", None),
}
_READ = {"r", "lora_alpha", "target_modules", "use_rslora", "fan_in_fan_out", "base_model_name_or_path"}
# Keys that say nothing about the merged weights; which modules are adapted, the tensors' names tell.
_BOOKKEEPING = {
    *("auto_mapping", "ensure_weight_tying", "exclude_modules", "inference_mode", "layers_pattern"),
    *("layers_to_transform", "lora_dropout", "megatron_core", "peft_version", "qalora_group_size", "revision"),
    *("runtime_config", "task_type"),
}


@dataclass(frozen=True)
class Adapter:
    """Low-rank changes of linear layers: W becomes W + scaling * B A."""

    rank: int
    alpha: float
    pairs: Mapping[str, tuple[Tensor, Tensor]]
    """module of the base -> A: (rank, inputs), B: (outputs, rank)"""
    rank_stabilized: bool = False
    """whether the change is divided by sqrt(rank) in place of rank (Kalajdzievski 2023)"""
    transposed: bool = False
    """whether the base keeps its matrices as (inputs, outputs), as GPT-2's checkpoints do"""
    base: str | None = None
    """where the base came from, as the adapter remembers it"""

    @property
    def scaling(self) -> float:
        """What the product B A is multiplied by."""
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilized else self.rank)


def read_adapter(folder: Path) -> Adapter:
    """Opens a PEFT directory. Raises InputError for anything but plain LoRA, each problem named, and for tensors that
    do not fit together."""
    path = folder / CONFIG_FILE
    table = read_json(path)
    problems = _problems(table)
    if problems:
        raise InputError(f"{path}: cannot be computed as written: {'; '.join(problems)}")
    pairs = _read_pairs(folder / WEIGHTS_FILE, rank=table["r"])
    unlike = [module for module in pairs if not _targets(table["target_modules"], module)]
    if unlike:
        raise InputError(f"{folder / WEIGHTS_FILE}: {', '.join(unlike)} are not among target_modules of {CONFIG_FILE}")
    return Adapter(
        rank=table["r"],
        alpha=table["lora_alpha"],
        pairs=pairs,
        rank_stabilized=table.get("use_rslora") or False,
        transposed=table.get("fan_in_fan_out") or False,
        base=table.get("base_model_name_or_path"),
    )


def write_adapter(adapter: Adapter, folder: Path) -> None:
    """Writes a directory that PEFT opens. Equal adapters give equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    table = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": adapter.base,
        "inference_mode": True,
        "r": adapter.rank,
        "lora_alpha": adapter.alpha,
        "lora_dropout": 0.0,
        "use_rslora": adapter.rank_stabilized,
        "fan_in_fan_out": adapter.transposed,
        "target_modules": sorted(adapter.pairs),
        "bias": "none",
    }
    (folder / CONFIG_FILE).write_text(to_json(table), encoding="utf-8", newline="\n")
    tensors = {}
    for module, (down, up) in adapter.pairs.items():
        tensors[f"{_PREFIX}{module}{_DOWN}"], tensors[f"{_PREFIX}{module}{_UP}"] = down, up
    safetensors.write(folder / WEIGHTS_FILE, tensors)


@torch.no_grad()
def merge(adapter: Adapter, named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Adds the adapter to a checkpoint's tensors in place, in fp32, rounded once; returns the ones it changed as they
    were, for `unmerge`.

    named: by the names of the Hugging Face checkpoint, views or not.
    Raises InputError before anything is changed where a module is missing or of another shape.
    """
    problems = []
    for module, (down, up) in adapter.pairs.items():
        weight = named.get(f"{module}.weight")
        shape = (down.shape[1], up.shape[0]) if adapter.transposed else (up.shape[0], down.shape[1])
        if weight is None:
            problems.append(f"the base has no {module}.weight")
        elif tuple(weight.shape) != shape:
            problems.append(f"{module}.weight has shape {tuple(weight.shape)}, the adapter changes {shape}")
    if problems:
        raise InputError(f"the adapter does not fit the base: {'; '.join(problems)}")
    kept = {}
    for module, (down, up) in adapter.pairs.items():
        weight = named[f"{module}.weight"]
        kept[f"{module}.weight"] = weight.clone()
        change = (up.float() @ down.float()) * adapter.scaling
        weight.copy_(weight.float() + (change.T if adapter.transposed else change).to(weight.device))
    return kept


@torch.no_grad()
def unmerge(named: Mapping[str, Tensor], kept: Mapping[str, Tensor]) -> None:
    """Puts back what `merge` kept: to subtract again would leave the rounding behind."""
    for name, tensor in kept.items():
        named[name].copy_(tensor)


def _problems(table: Mapping[str, Any]) -> list[str]:
    problems = []
    for name in ("r", "lora_alpha"):
        value = table.get(name)
        whole = name == "r"
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or value <= 0:
            problems.append(f"{name} = {value!r}, expected a {'whole ' if whole else ''}number above 0")
    targets = table.get("target_modules")
    if not isinstance(targets, str) and not (
        isinstance(targets, list) and all(isinstance(one, str) for one in targets)
    ):
        problems.append(f"target_modules = {targets!r}, expected names or a pattern")
    for name, value in sorted(table.items()):
        if name in _FIXED:
            if value not in _FIXED[name]:
                problems.append(f"{name} = {value!r}, ours computes {_FIXED[name][0]!r}")
        elif name not in _READ | _BOOKKEEPING and value not in (None, False, [], {}):  # empty: the option is off
            problems.append(f"{name} = {value!r} is not computed")
    return problems


def _read_pairs(path: Path, *, rank: int) -> dict[str, tuple[Tensor, Tensor]]:
    tensors = dict(safetensors.read(path))
    modules = {
        name.removeprefix(_PREFIX).removesuffix(end)
        for name in tensors
        for end in (_DOWN, _UP)
        if name.startswith(_PREFIX) and name.endswith(end)
    }
    names = {module: (f"{_PREFIX}{module}{_DOWN}", f"{_PREFIX}{module}{_UP}") for module in sorted(modules)}
    known = {name for pair in names.values() for name in pair}
    problems = [f"missing {name}" for name in sorted(known - set(tensors))]
    problems += [f"extra {name}" for name in sorted(set(tensors) - known)]
    pairs = {}
    for module, (down, up) in names.items():
        if down in tensors and up in tensors:
            pairs[module] = (tensors[down], tensors[up])
            shapes = tuple(tensors[down].shape), tuple(tensors[up].shape)
            if any(len(shape) != 2 for shape in shapes) or shapes[0][0] != rank or shapes[1][1] != rank:
                problems.append(
                    f"{module}: shapes {shapes[0]} and {shapes[1]}, expected ({rank}, ...) and (..., {rank})"
                )
    if problems or not pairs:
        raise InputError(f"{path}: not the pairs of a LoRA adapter: {'; '.join(problems) or 'it holds none'}")
    return pairs


def _targets(targets: str | list[str], module: str) -> bool:
    """Whether PEFT adapts a module under these target_modules."""
    if isinstance(targets, str):
        return targets == "all-linear" or re.fullmatch(targets, module) is not None
    return any(module == one or module.endswith(f".{one}") for one in targets)
