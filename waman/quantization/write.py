"""A quantized checkpoint written shard by shard: a shard and a matrix are in memory, never the model."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from waman.manifest import to_json, write_whole
from waman.quantization.compressed import nf4_to_tensors, to_config, to_tensors
from waman.quantization.matrix import Quantized
from waman.quantization.plan import EMBEDDING, make_plan
from waman.quantization.recipe import Int4, Int8, Keep, Nf4, QuantizeRecipe, Scheme
from waman.quantization.schemes import int4, int8, nf4
from waman.quantization.schemes.scheme import finite, quantize
from waman.weights import safetensors
from waman.weights.checkpoint import Checkpoint
from waman.weights.configuration import to_table
from waman.weights.huggingface import GENERATION_FILE, INDEX_FILE, TOKENIZER_FILES, WEIGHTS_FILE

SHARD_BYTES = 1 << 29
"""A shard is in memory whole while it is written."""
_TAKEN_ALONG = (*TOKENIZER_FILES, GENERATION_FILE, "about.json")
_TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")

Calibrated = Callable[[str], dict[str, Tensor] | None]
"""A module's name there -> its tensors, where calibration chose them"""


def nothing_calibrated(_: str) -> dict[str, Tensor] | None:
    """Every matrix is rounded by itself."""
    return None


class Writer:
    """Writes what a plan says of a checkpoint."""

    def __init__(self, source: Checkpoint, recipe: QuantizeRecipe, *, shard_bytes: int = SHARD_BYTES) -> None:
        """Raises RecipeError as `make_plan` does."""
        self.source, self.recipe = source, recipe
        self.plan = make_plan(source.config, source.family, recipe)
        self._dtype = source.dtype()
        self._shards = self._cut(shard_bytes)

    def write(self, folder: Path, *, calibrated: Calibrated = nothing_calibrated) -> None:
        """Writes the directory; shards that are there already are left alone: they are whole.

        Raises InputError for weights that are not finite, OSError where the disk is full.
        """
        for file, names in self._shards.items():
            if not (folder / file).is_file():
                tensors: dict[str, Tensor] = {}
                for name in names:
                    tensors |= self._tensors(name, calibrated)
                safetensors.write(folder / file, tensors)
        if len(self._shards) > 1:
            self._write_index(folder)
        self._write_config(folder)
        for name in _TAKEN_ALONG:
            if (self.source.folder / name).is_file():
                shutil.copyfile(self.source.folder / name, folder / name)

    def _tensors(self, name: str, calibrated: Calibrated) -> dict[str, Tensor]:
        module, scheme = name.removesuffix(".weight"), self.plan.scheme(name)
        chosen = calibrated(module)
        if chosen is not None:
            return chosen
        weight = self._stored(name)
        match scheme:
            case Keep():
                return {name: finite(weight, name)}
            case Nf4():
                return nf4_to_tensors(nf4.store(finite(weight, name), scheme), module, weight.dtype)
            case _:
                matrix = quantize(weight, scheme, name)
                assert isinstance(matrix, Quantized)
                return to_tensors(matrix, module)

    def _stored(self, name: str) -> Tensor:
        """The tensor in the source that becomes `name`, whole."""
        ours = self.plan.source(name, self.source.config)
        if self.plan.family is not self.source.family:
            return self.source.assemble(ours)
        tied = ours == EMBEDDING and name not in self.source.places
        return self.source.read(next(n for n, _ in self.source.parts(ours)) if tied else name)

    def _cut(self, shard_bytes: int) -> dict[str, list[str]]:
        """File -> names, in the model's order."""
        groups: list[list[str]] = [[]]
        used = 0.0
        for name, place in self.plan.places.items():
            size = math.prod(place.shape) * self._bits(self.plan.scheme(name), place.shape[-1]) / 8
            if groups[-1] and used + size > shard_bytes:
                groups.append([])
                used = 0.0
            groups[-1].append(name)
            used += size
        if len(groups) == 1:
            return {WEIGHTS_FILE: groups[0]}
        return {f"model-{n:05d}-of-{len(groups):05d}.safetensors": names for n, names in enumerate(groups, 1)}

    def _bits(self, scheme: Scheme, inputs: int) -> float:
        match scheme:
            case Keep():
                return 8 * self._dtype.itemsize
            case Int8():
                return int8.bits_per_weight(scheme, inputs)
            case Int4():
                return int4.bits_per_weight(scheme)
            case Nf4():
                return nf4.bits_per_weight(scheme)

    def _write_index(self, folder: Path) -> None:
        files: dict[str, str] = {}
        size = 0
        for file in self._shards:
            for name, tensor in safetensors.read(folder / file):
                files[name] = file
                size += tensor.numel() * tensor.element_size()
        write_whole(folder / INDEX_FILE, to_json({"metadata": {"total_size": size}, "weight_map": files}))

    def _write_config(self, folder: Path) -> None:
        table = self.source.table
        if self.plan.family is not self.source.family:
            ids = {name: table.get(name) for name in _TOKEN_IDS}
            table = to_table(self.plan.config, self._dtype, self.plan.family) | ids
        elif self.plan.config != self.source.config:
            table = table | {"tie_word_embeddings": False}
        schemes = dict(self.plan.schemes)
        if self.plan.config.tie_embeddings:  # a linear layer to others all the same
            schemes["lm_head"] = Keep()
        if any(not isinstance(scheme, Keep) for scheme in schemes.values()):
            table = table | {"quantization_config": to_config(schemes, self._is_linear, self._dtype)}
        write_whole(folder / "config.json", to_json(table))

    def _is_linear(self, module: str) -> bool:
        place = self.plan.places.get(f"{module}.weight")
        return place is None or place.name != EMBEDDING
