"""`waman convert`, which also takes what `waman quantize` made."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from waman.artifact import Artifact
from waman.quantization.load import QuantizedCheckpoint, look_at
from waman.quantization.matrix import Quantized, join_rows
from waman.quantization.rewrite import in_our_order
from waman.weights import convert as plain
from waman.weights.convert import Source
from waman.weights.gguf import Blocks
from waman.weights.recipe import ConvertRecipe, GgufType

BLOCK = 32
"""Inputs that share a scale in Q4_0 and Q8_0."""
_TYPES: Mapping[torch.dtype, GgufType] = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def convert(
    recipe: ConvertRecipe,
    *,
    model: Artifact,
    adapter: Sequence[Artifact] = (),
    out: Path,
    replace: bool = False,
) -> Artifact:
    """As `waman.weights.convert`; quantized weights are dequantized, except where GGUF's grids are theirs."""
    return plain.convert(recipe, model=model, adapter=adapter, out=out, replace=replace, read_quantized=open_quantized)


def open_quantized(folder: Path) -> Source | None:
    """The source that a quantized directory is, matrices dequantized one by one; None for another.

    Raises InputError as `load_quantized` does.
    """
    if not (folder / "config.json").is_file() or look_at(folder)[1] is None:
        return None
    opened = QuantizedCheckpoint(folder)
    tokenizer = folder if (folder / "tokenizer.json").is_file() else None
    return Source(opened.checkpoint.config, Dequantized(opened), tokenizer, stored=Held(opened))


class Dequantized(Mapping[str, Tensor]):
    """A decoder's state in float32, each tensor made when it is asked for."""

    def __init__(self, opened: QuantizedCheckpoint) -> None:
        self._opened = opened
        self._names = list(dict.fromkeys(place.name for place in opened.checkpoint.places.values()))

    def __getitem__(self, name: str) -> Tensor:
        return self._opened.plain(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Held:
    """What GGUF may take as it is."""

    def __init__(self, opened: QuantizedCheckpoint) -> None:
        self._opened = opened

    def blocks(self, ours: str, rows: slice) -> Blocks | None:
        """Rows of one of our tensors, where they lie on llama.cpp's grid."""
        parts = self._parts(ours, rows)
        if not all(isinstance(part, Quantized) for part in parts):
            return None
        quantized = [part for part in parts if isinstance(part, Quantized)]
        if len({(one.bits, one.group, one.zeros is None) for one in quantized}) != 1:
            return None
        return _on_grid(join_rows(quantized))

    def kept(self, ours: str, rows: slice) -> GgufType | None:
        """The type of rows that were not quantized; None where they were."""
        parts = self._parts(ours, rows)
        types = {part.dtype for part in parts if isinstance(part, Tensor)}
        return _TYPES.get(types.pop()) if len(types) == 1 and all(isinstance(one, Tensor) for one in parts) else None

    def _parts(self, ours: str, rows: slice) -> list[Quantized | Tensor | object]:
        """What lies in these rows of ours, by rising rows."""
        found: list[Quantized | Tensor | object] = []
        end = 0
        for name, place in self._opened.checkpoint.parts(ours):
            part = in_our_order(place, self._opened.matrix(name))
            start, end = end, end + int(part.shape[0])
            first, last, _ = rows.indices(max(end, rows.stop or 0))
            low, high = max(first, start) - start, min(last if rows.stop is not None else end, end) - start
            if low < high:
                found.append(part[low:high] if isinstance(part, Tensor) else part.rows(low, high))
        return found


def _on_grid(matrix: Quantized) -> Blocks | None:
    """Larger groups are several of 32 with one scale; None where there are zero points or scales beyond float16."""
    scales = matrix.scales.to(torch.float16)
    if matrix.zeros is not None or matrix.group % BLOCK or not scales.float().equal(matrix.scales.float()):
        return None
    return Blocks(matrix.bits, matrix.integers, scales.repeat_interleave(matrix.group // BLOCK, dim=1))
