"""A Hugging Face directory opened tensor by tensor: nothing is read before it is asked for."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from waman.errors import InputError
from waman.weights import safetensors
from waman.weights.configuration import parse_config, read_json
from waman.weights.huggingface import (
    Place,
    full_names,
    places,
    require_fit,
    require_promised,
    weight_files,
)


class Checkpoint:
    """The tensors of a directory by their full names, mapped from its files."""

    def __init__(self, folder: Path) -> None:
        """Raises InputError for a config that our decoder cannot compute, and for files that are not there."""
        self.folder = folder
        table = read_json(folder / "config.json")
        self.quantization: dict[str, Any] | None = table.pop("quantization_config", None)
        """What config.json says of quantized weights."""
        self.table = table
        """The rest of config.json."""
        self.config, self.family = parse_config(folder / "config.json", table)
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._files: dict[str, tuple[Path, str]] = {}
        for file, promised in weight_files(folder).items():
            there = safetensors.shapes(file)
            require_promised(file, promised - there.keys())
            for full, name in full_names(there, self.family).items():
                self.shapes[full], self._files[full] = there[name], (file, name)
        self._opened: dict[Path, Any] = {}

    @cached_property
    def places(self) -> dict[str, Place]:
        """For every tensor of an unquantized checkpoint its place in a decoder's state."""
        return places(self.config, self.family)

    def require_plain(self) -> None:
        """Raises InputError where weights are missing, do not fit the config, or are quantized."""
        if self.quantization is not None:
            raise InputError(
                f"{self.folder}: its weights are quantized already; expected those of the original: quantized twice "
                "they would lose twice"
            )
        require_fit(self.shapes, self.config, self.family, str(self.folder))

    def read(self, name: str) -> Tensor:
        """A tensor as it is stored."""
        file, stored = self._files[name]
        if file not in self._opened:
            self._opened[file] = safe_open(file, framework="pt")
        tensor: Tensor = self._opened[file].get_tensor(stored)
        return tensor

    def assemble(self, ours: str) -> Tensor:
        """One of our tensors whole, in the type in which it is stored."""
        parts = list(self.parts(ours))
        if len(parts) == 1 and isinstance(parts[0][1].rows, slice):
            name, place = parts[0]
            tensor = self.read(name)
            return tensor.T.contiguous() if place.transposed else tensor
        tensors = [(place, self.read(name)) for name, place in parts]
        rows = sum(tensor.shape[1 if place.transposed else 0] for place, tensor in tensors)
        first = tensors[0][1]
        found = torch.empty(rows, *first.shape[1:], dtype=first.dtype)
        for place, tensor in tensors:
            place.write(found, tensor)
        return found

    def parts(self, ours: str) -> Iterator[tuple[str, Place]]:
        """Their tensors that lie in one of ours, by rising rows."""
        return ((name, place) for name, place in self.places.items() if place.name == ours)

    def dtype(self) -> torch.dtype:
        """The type of the weights; float32 where there are several."""
        found = set[torch.dtype]().union(
            *(safetensors.dtypes(file) for file in {file for file, _ in self._files.values()})
        )
        return found.pop() if len(found) == 1 else torch.float32
