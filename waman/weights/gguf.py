"""GGUF, llama.cpp's format: weights in plain or quantized types with the tokenizer beside them, and plain ones back."""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import torch
from torch import Tensor

from waman.errors import ExtraError, InputError
from waman.model.config import Llama3, ModelConfig, Rope
from waman.weights.gguf_names import (
    ROPE_FACTORS,
    Architecture,
    Piece,
    architecture_named,
    architecture_of,
    rope_factors,
    rope_scaling,
)
from waman.weights.gguf_tokenizer import KEY_OF_TOKENIZER_JSON, Entry
from waman.weights.meta import to_halves, to_neighbours
from waman.weights.recipe import GgufType

_FALLBACK: GgufType = "F16"
"""The type of a matrix whose rows are no multiple of a quantized type's block, as in llama.cpp."""
_TORCH_TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_PACKED = ("Q8_0", "Q4_0")
_BLOCK = 32
"""Inputs that share a scale in both."""
_CHUNK_ELEMENTS = 1 << 24
"""Quantized at a time, so that a large embedding needs no second copy in fp32."""
_NOT_OURS = ("tokenizer.", "general.", "GGUF.")
_HARMLESS = {"vocab_size", "attention.causal", "use_parallel_residual", "tensor_data_layout"}


@dataclass(frozen=True)
class Opened:
    """What a GGUF file holds."""

    config: ModelConfig
    state: dict[str, Tensor]
    """a decoder's, each tensor in the type it is stored in, quantized ones in fp32"""
    tokenizer_json: str | None
    """the content of tokenizer.json, where the writer put it in"""
    metadata: dict[str, Any]


@dataclass(frozen=True)
class Blocks:
    """A matrix that lies on llama.cpp's grid already: 32 inputs share a scale, around 0."""

    bits: int
    """4 or 8"""
    integers: Tensor
    """(outputs, inputs) int8"""
    scales: Tensor
    """(outputs, inputs / 32) float16"""

    @property
    def kind(self) -> GgufType:
        """llama.cpp's name of the grid."""
        return "Q4_0" if self.bits == 4 else "Q8_0"

    @property
    def shape(self) -> torch.Size:
        """(outputs, inputs)"""
        return self.integers.shape

    def to_neighbours(self, num_heads: int) -> "Blocks":
        """With the rows of each head in llama.cpp's order."""
        integers, scales = (to_neighbours(one, num_heads) for one in (self.integers, self.scales))
        return Blocks(self.bits, integers, scales)

    def encoded(self) -> Any:
        """The bytes, as a numpy array."""
        scales = self.scales.reshape(-1, 1).contiguous().view(torch.uint8)
        grouped = self.integers.reshape(-1, _BLOCK)
        if self.bits == 4:
            codes = (grouped + 8).view(torch.uint8)
            return torch.cat([scales, codes[:, : _BLOCK // 2] | codes[:, _BLOCK // 2 :] << 4], dim=1).numpy()
        return torch.cat([scales, grouped.view(torch.uint8)], dim=1).numpy()


class Stored(Protocol):
    """How a quantized source holds its matrices."""

    def blocks(self, ours: str, rows: slice) -> Blocks | None:
        """Rows of one of our tensors, where they lie on llama.cpp's grid."""

    def kept(self, ours: str, rows: slice) -> GgufType | None:
        """The type of rows that were not quantized; None where they were."""


def save_gguf(
    path: Path,
    state: Mapping[str, Tensor],
    config: ModelConfig,
    *,
    kind: GgufType,
    tokenizer: Entry | None,
    name: str,
    stored: Stored | None = None,
) -> dict[str, int]:
    """Writes the file, whole or not at all, one tensor at a time; returns the number of tensors of each type.

    Matrices are of the type `kind`, vectors and learned positions stay F32. Of a quantized source (`stored`), in a
    quantized `kind`, what lies on llama.cpp's grids is written as it is and what was kept stays kept. Equal weights
    give equal bytes.
    Raises RecipeError for a model that llama.cpp does not compute, ExtraError without the package `gguf`.
    """
    gguf = library()
    architecture = architecture_of(config)
    partial = path.with_name(path.name + ".partial")
    writer = gguf.GGUFWriter(None, architecture.name)
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType[_file_type(kind)])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    _add_metadata(writer, architecture, config)
    (tokenizer or Entry.none()).add_to(writer)
    counts: dict[str, int] = {}
    held = stored if kind in _PACKED else None
    for theirs, tensor, chosen in _named(architecture, state, config, kind, held):
        counts[chosen] = counts.get(chosen, 0) + 1
        block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[chosen]]
        num_bytes = math.prod(tensor.shape) // block * size
        writer.add_tensor_info(theirs, tensor.shape, None, num_bytes, gguf.GGMLQuantizationType[chosen])
    try:
        writer.write_header_to_file(partial)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        file = writer.fout[0]
        for _, tensor, chosen in _named(architecture, state, config, kind, held):
            writer.write_padding(file, file.tell())
            # not write_tensor_data: on a full disk its error does not say so
            file.write(_encoded(tensor, chosen, gguf).data)
        writer.write_padding(file, file.tell())
        file.flush()
        os.fsync(file.fileno())
        writer.close()
        os.replace(partial, path)
    except OSError:
        with contextlib.suppress(OSError):  # what is still to be written has no place either
            writer.close()
        partial.unlink(missing_ok=True)
        raise
    return counts


def load_gguf(path: Path) -> Opened:
    """Reads a file of an architecture that we know.

    Raises InputError for a file cut short or of another format, metadata that we would have to ignore, types that we
    do not read, and tensors that do not fit, all named.
    """
    gguf = library()
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected weights in GGUF format")
    try:
        reader = gguf.GGUFReader(path)
        metadata = {name: _plain(field.contents()) for name, field in reader.fields.items()}
    except (ValueError, IndexError, KeyError, OSError) as error:
        raise InputError(f"{path}: cut short or not in GGUF format ({error}); fetch it again") from error
    architecture = architecture_named(str(metadata.get("general.architecture")), str(path))
    tensors = {one.name: one for one in reader.tensors}
    config = _read_config(architecture, metadata, tensors, path)
    state = _read_state(architecture, config, tensors, path, gguf)
    content = metadata.get(KEY_OF_TOKENIZER_JSON)
    return Opened(config, state, content if isinstance(content, str) else None, metadata)


def exact_dtype(state: Mapping[str, Tensor]) -> torch.dtype:
    """The type of the matrices where it holds every value exactly, vectors included; else fp32."""
    matrices = {tensor.dtype for tensor in state.values() if tensor.dim() > 1}
    if len(matrices) != 1:
        return torch.float32
    (dtype,) = matrices
    exact = all(torch.equal(tensor.to(dtype).to(tensor.dtype), tensor) for tensor in state.values())
    return dtype if exact else torch.float32


def library() -> ModuleType:
    """The package `gguf`. Raises ExtraError where it is not installed."""
    try:
        import gguf
    except ImportError as error:
        raise ExtraError("GGUF files need the package gguf: pip install 'waman[gguf]'") from error
    return gguf


def _file_type(kind: GgufType) -> str:
    return "ALL_F32" if kind == "F32" else f"MOSTLY_{kind}"


def _add_metadata(writer: Any, architecture: Architecture, config: ModelConfig) -> None:
    for key, value in architecture.metadata(config).items():
        full = f"{architecture.name}.{key}"
        if isinstance(value, str):
            writer.add_string(full, value)
        elif isinstance(value, float):
            writer.add_float32(full, value)
        else:
            writer.add_uint32(full, value)


def _named(
    architecture: Architecture, state: Mapping[str, Tensor], config: ModelConfig, kind: GgufType, stored: Stored | None
) -> Iterator[tuple[str, Tensor | Blocks, GgufType]]:
    """Tensors under llama.cpp's names with their types, views where nothing is reordered."""
    for piece in architecture.pieces(config):
        blocks = None if stored is None else stored.blocks(piece.ours, piece.rows)
        if blocks is not None:
            ordered = blocks if piece.num_heads is None else blocks.to_neighbours(piece.num_heads)
            yield piece.theirs, ordered, ordered.kind
            continue
        kept = None if stored is None else stored.kept(piece.ours, piece.rows)
        tensor = state[piece.ours].detach()[piece.rows]
        tensor = tensor if piece.num_heads is None else to_neighbours(tensor, piece.num_heads)
        yield piece.theirs, tensor, _type_of(piece.theirs, tensor, kept or kind)
    position = config.position
    if isinstance(position, Rope) and isinstance(position.scaling, Llama3):
        factors = torch.tensor(rope_factors(position.scaling, position.theta, config.attention.head_dim))
        yield ROPE_FACTORS, factors, "F32"


def _type_of(name: str, tensor: Tensor, kind: GgufType) -> GgufType:
    if tensor.dim() < 2 or name == "position_embd.weight":
        return "F32"
    return kind if kind not in _PACKED or tensor.shape[-1] % _BLOCK == 0 else _FALLBACK


def _encoded(tensor: Tensor | Blocks, kind: str, gguf: ModuleType) -> Any:
    """The tensor's bytes as llama.cpp lays them out, as a numpy array."""
    if isinstance(tensor, Blocks):
        return tensor.encoded()
    tensor = tensor.detach().cpu().contiguous()
    if kind in _TORCH_TYPES:
        return tensor.to(_TORCH_TYPES[kind]).view(torch.uint8).numpy()
    import numpy as np

    rows = max(1, _CHUNK_ELEMENTS // tensor.shape[-1])
    chosen = gguf.GGMLQuantizationType[kind]
    return np.concatenate([gguf.quants.quantize(part.float().numpy(), chosen) for part in torch.split(tensor, rows)])


def _read_config(
    architecture: Architecture, metadata: Mapping[str, Any], tensors: Mapping[str, Any], path: Path
) -> ModelConfig:
    prefix = f"{architecture.name}."
    table = {name.removeprefix(prefix): value for name, value in metadata.items() if name.startswith(prefix)}
    if "token_embd.weight" not in tensors:
        raise InputError(f"{path}: no token_embd.weight")
    vocab_size = int(tensors["token_embd.weight"].shape[1])
    table["two_norms"] = "blk.0.attn_norm_2.weight" in tensors
    factors = tensors[ROPE_FACTORS].data.tolist() if ROPE_FACTORS in tensors else None
    tied = "output.weight" not in tensors
    try:
        head_dim = table.get("attention.key_length", table["embedding_length"] // table["attention.head_count"])
        theta = float(table.get("rope.freq_base", 10000.0))
        scaling = rope_scaling(table, factors, theta=theta, head_dim=head_dim)
        config = architecture.from_metadata(table, vocab_size, tied, scaling)
    except KeyError as error:
        raise InputError(f"{path}: {prefix}{error.args[0]} is missing") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    known = set(architecture.metadata(config)) | _HARMLESS | {"two_norms", "rope.scaling.type", "rope.scaling.factor"}
    unknown = [f"{prefix}{name} = {table[name]!r}" for name in sorted(set(table) - known)]
    unknown += [name for name in metadata if not name.startswith((prefix, *_NOT_OURS))]
    if unknown:
        raise InputError(f"{path}: cannot be computed as written: unknown {', '.join(unknown)}")
    return config


def _read_state(
    architecture: Architecture, config: ModelConfig, tensors: Mapping[str, Any], path: Path, gguf: ModuleType
) -> dict[str, Tensor]:
    pieces = list(architecture.pieces(config))
    expected = {piece.theirs for piece in pieces}
    problems = [f"missing {name}" for name in sorted(expected - set(tensors))]
    problems += [f"extra {name}" for name in sorted(set(tensors) - expected - {ROPE_FACTORS})]
    problems += [
        f"{name} is of type {one.tensor_type.name}, read are {', '.join((*_TORCH_TYPES, *_PACKED))}"
        for name, one in tensors.items()
        if one.tensor_type.name not in (*_TORCH_TYPES, *_PACKED)
    ]
    if not problems:
        problems = _misshaped(pieces, config, tensors)
    if problems:
        raise InputError(f"{path}: the weights do not fit the metadata: {'; '.join(problems)}")
    parts: dict[str, list[Tensor]] = {}
    for piece in pieces:
        tensor = _decoded(tensors[piece.theirs], gguf)
        parts.setdefault(piece.ours, []).append(
            tensor if piece.num_heads is None else to_halves(tensor, piece.num_heads)
        )
    return {name: some[0] if len(some) == 1 else torch.cat(some) for name, some in parts.items()}


def _misshaped(pieces: list[Piece], config: ModelConfig, tensors: Mapping[str, Any]) -> list[str]:
    from waman.model.decoder import Decoder

    with torch.device("meta"):
        ours = Decoder(config).state_dict()
    problems = []
    for piece in pieces:
        expected = tuple(ours[piece.ours][piece.rows].shape)
        found = tuple(int(size) for size in reversed(tensors[piece.theirs].shape))
        if found != expected:
            problems.append(f"{piece.theirs} has shape {found}, expected {expected}")
    return problems


def _plain(value: Any) -> Any:
    """Metadata holds numbers in fp32: 1e-05 is read back as 1e-05, not as the sum of powers of two next to it."""
    import numpy as np

    return float(str(np.float32(value))) if isinstance(value, float) else value


def _decoded(stored: Any, gguf: ModuleType) -> Tensor:
    kind, data = stored.tensor_type.name, stored.data
    shape = tuple(int(size) for size in reversed(stored.shape))
    if kind in _TORCH_TYPES:  # copied out of the memory map, which cannot be written to
        return torch.from_numpy(data.copy()).view(_TORCH_TYPES[kind]).view(shape)
    return torch.from_numpy(gguf.quants.dequantize(data, stored.tensor_type)).view(shape)
