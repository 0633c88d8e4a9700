"""LoRA adapters that tokens of one pass choose for themselves."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from waman.errors import InputError
from waman.model.config import ModelConfig
from waman.model.decoder import Decoder
from waman.weights.adapters import Adapter
from waman.weights.huggingface import Place, places

HEAD = "unembedding"
_TABLES = ("embedding", "position")
"""Matrices that are looked up, not multiplied."""


@dataclass(frozen=True)
class Change:
    """What an adapter adds to some outputs of one of our linear layers."""

    adapter: int
    outputs: Tensor
    """numbers of the outputs that it changes"""
    down: Tensor
    """(rank, inputs)"""
    up: Tensor
    """(outputs, rank), already scaled"""


def fit(adapter: Adapter, config: ModelConfig, *, number: int, like: Tensor) -> list[tuple[str, Change]]:
    """What an adapter changes, by the names of our linear layers, of the type and on the device of `like`.

    Raises InputError that names every module that the model lacks or that is of another shape.
    """
    known = places(config)
    problems, changes = [], []
    for module, (down, up) in adapter.pairs.items():
        place = known.get(f"{module}.weight")
        name = "" if place is None else place.name.removesuffix(".weight")
        if place is None or len(place.shape) != 2 or name in _TABLES:
            problems.append(f"the model has no linear layer {module}")
            continue
        outputs = _outputs(place)
        inputs = place.shape[0 if place.transposed else 1]
        if (len(outputs), inputs) != (up.shape[0], down.shape[1]):
            problems.append(
                f"{module} has {inputs} inputs and {len(outputs)} outputs, "
                f"the adapter {down.shape[1]} and {up.shape[0]}"
            )
            continue
        scaled = (up.float() * adapter.scaling).to(like)
        changes.append((name, Change(number, outputs.to(like.device), down.to(like), scaled)))
    if problems:
        raise InputError(f"the adapter does not fit the model: {'; '.join(problems)}")
    return changes


class Adapters:
    """The adapters of a decoder, which itself stays as it is."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._count = 0
        self._changes: dict[str, list[Change]] = {}

    def add(self, adapter: Adapter) -> int:
        """Its number. Raises InputError that names every module that the model lacks or that is of another shape."""
        like = next(self._decoder.blocks.parameters())
        for name, change in fit(adapter, self._decoder.config, number=self._count, like=like):
            self._changes.setdefault(name, []).append(change)
        self._count += 1
        return self._count - 1

    @contextmanager
    def applied(self, chosen: Tensor | None) -> Iterator[None]:
        """While a pass runs. chosen: (tokens,), each token's adapter, -1 for none; None: nobody has one."""
        handles = []
        if chosen is not None:
            for name, changes in self._changes.items():
                if name != HEAD:
                    module = self._decoder.get_submodule(name)
                    handles.append(module.register_forward_hook(_hook(changes, chosen)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def head(self, hidden: Tensor, chosen: Tensor | None) -> Tensor:
        """hidden: (tokens, model_dim) -> logits: (tokens, vocab_size)."""
        logits = self._decoder.head(hidden)
        if chosen is not None:
            for change in self._changes.get(HEAD, ()):
                _add(change, chosen, hidden, logits)
        return logits


def _hook(changes: Sequence[Change], chosen: Tensor) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    def add(module: nn.Module, given: Any, output: Tensor) -> Tensor:
        for change in changes:
            _add(change, chosen, given[0][0], output[0])
        return output

    return add


def _add(change: Change, chosen: Tensor, x: Tensor, into: Tensor) -> None:
    """x: (tokens, inputs), into: (tokens, outputs). All tokens are multiplied, so that the shapes are a pass's own."""
    changed = F.linear(F.linear(x, change.down), change.up)
    into.index_add_(1, change.outputs, torch.where((chosen == change.adapter)[:, None], changed, 0).to(into.dtype))


def _outputs(place: Place) -> Tensor:
    rows = place.rows
    return torch.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
