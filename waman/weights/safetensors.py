"""The safetensors format: written as a stream, read through a memory map."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from waman.errors import InputError

DTYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def write(path: Path, tensors: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> None:
    """Writes tensors as the safetensors library lays them out, one at a time: no second copy in memory.

    dtype: what they are written in; absent: each in its own. Widest first, then by name, so that equal tensors give
    equal bytes. The file is whole or as before; raises OSError where the disk is full.
    """
    kinds = {name: dtype or tensor.dtype for name, tensor in tensors.items()}
    names = sorted(tensors, key=lambda name: (-kinds[name].itemsize, name))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in names:
        start, end = end, end + tensors[name].numel() * kinds[name].itemsize
        header[name] = {
            "dtype": DTYPE_NAMES[kinds[name]],
            "shape": list(tensors[name].shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    # Beside the old file, not over it: a tensor may still be mapped from there.
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(len(text).to_bytes(8, "little"))
            file.write(text)
            for name in names:
                flat = tensors[name].detach().to("cpu", kinds[name]).contiguous().view(-1)
                file.write(flat.view(torch.uint8).numpy().data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in the file. Raises InputError as `read` does."""
    with _opened(path) as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def not_floating(path: Path) -> dict[str, str]:
    """The names of tensors that are whole numbers, truth values or of 8 bits, each with its type in the format."""
    floating = {"F64", "F32", "F16", "BF16"}
    with _opened(path) as file:
        kinds = {name: str(file.get_slice(name).get_dtype()) for name in file.keys()}  # noqa: SIM118
    return {name: kind for name, kind in kinds.items() if kind not in floating}


def dtypes(path: Path) -> set[torch.dtype]:
    """The types of the tensors in the file. Raises InputError as `read` does."""
    by_name = {name: dtype for dtype, name in DTYPE_NAMES.items()}
    with _opened(path) as file:
        return {by_name[file.get_slice(name).get_dtype()] for name in file.keys()}  # noqa: SIM118


def read(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Every tensor with its name, one at a time from a memory map.

    Raises InputError if the file is missing, cut short or not in this format.
    """
    with _opened(path) as file:
        for name in file.keys():  # noqa: SIM118
            yield name, file.get_tensor(name)


def _opened(path: Path) -> safe_open:
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected weights in safetensors format")
    try:
        return safe_open(path, framework="pt")
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: cut short or not in safetensors format ({error}); fetch or write it again"
        ) from error
