"""Quantized matrices as checkpoints hold them, both ways.

Whole numbers in the layout `pack-quantized` of compressed-tensors, which vLLM and transformers read:
MODULE.weight_packed, .weight_scale, .weight_shape and, with zero points, .weight_zero_point. NF4 in that of
bitsandbytes, which transformers reads: MODULE.weight, .weight.absmax and so on.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from waman.errors import InputError
from waman.quantization.matrix import Matrix, Quantized, Table4, pack_nibbles, unpack_nibbles
from waman.quantization.recipe import Int4, Int8, Keep, Nf4, Scheme
from waman.quantization.schemes import nf4

COMPRESSED, BITSANDBYTES = "compressed-tensors", "bitsandbytes"
FORMAT, PLAIN_FORMAT = "pack-quantized", "int-quantized"
_STATE = ".weight.quant_state.bitsandbytes__nf4"

Read = Callable[[str], Tensor]


# Writing


def to_tensors(matrix: Quantized, module: str) -> dict[str, Tensor]:
    """The tensors of whole numbers."""
    found = {
        f"{module}.weight_packed": _pack(matrix.integers, matrix.bits),
        f"{module}.weight_scale": matrix.scales,
        f"{module}.weight_shape": torch.tensor(matrix.shape),
    }
    if matrix.zeros is not None:  # packed along the outputs
        found[f"{module}.weight_zero_point"] = _pack(matrix.zeros.T.contiguous(), matrix.bits).T.contiguous()
    return found


def nf4_to_tensors(stored: nf4.Stored, module: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """The tensors of NF4; `dtype`: what the matrix was quantized from."""
    flat = stored.codes.reshape(-1, 2)
    state: dict[str, Any] = {
        "quant_type": "nf4",
        "blocksize": nf4.BLOCK,
        "dtype": str(dtype).removeprefix("torch."),
        "shape": list(stored.codes.shape),
    }
    found = {f"{module}.weight": (flat[:, :1] << 4) | flat[:, 1:], f"{module}.weight.quant_map": stored.table}
    if isinstance(stored.absmax, nf4.Nested):
        nested = stored.absmax
        state |= {
            "nested_blocksize": nf4.NESTED_BLOCK,
            "nested_dtype": "float32",
            "nested_offset": float(nested.offset),
        }
        found[f"{module}.weight.absmax"] = nested.codes
        found[f"{module}.weight.nested_absmax"] = nested.scales
        found[f"{module}.weight.nested_quant_map"] = nested.table
    else:
        found[f"{module}.weight.absmax"] = stored.absmax
    found[f"{module}{_STATE}"] = torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)
    return found


def to_config(schemes: Mapping[str, Scheme], linear: Callable[[str], bool], dtype: torch.dtype) -> dict[str, Any]:
    """`quantization_config` of config.json. linear: whether a module is a linear layer, not the embedding."""
    if any(isinstance(one, Nf4) for one in schemes.values()):
        return _bitsandbytes_config(schemes, linear, dtype)
    groups: dict[Scheme, list[str]] = {}
    for module, scheme in schemes.items():
        if not isinstance(scheme, Keep):
            groups.setdefault(scheme, []).append(module)
    usual = max(groups, key=lambda scheme: sum(map(linear, groups[scheme])))
    kept = [module for module, scheme in schemes.items() if isinstance(scheme, Keep) and linear(module)]
    table = {}
    for number, (scheme, modules) in enumerate(groups.items()):
        # Names come before classes where both fit.
        named = [module for module in modules if scheme != usual or not linear(module)]
        targets = (["Linear"] if scheme == usual else []) + named
        table[f"group_{number}"] = {
            "targets": targets,
            "weights": _arguments(scheme),
            "input_activations": None,
            "output_activations": None,
            "format": FORMAT,
        }
    return {
        "quant_method": COMPRESSED,
        "format": FORMAT,
        "quantization_status": "compressed",
        "config_groups": table,
        "ignore": kept,
        "kv_cache_scheme": None,
        "global_compression_ratio": None,
    }


def _arguments(scheme: Scheme) -> dict[str, Any]:
    assert isinstance(scheme, Int4 | Int8)
    group = scheme.group
    return {
        "num_bits": 4 if isinstance(scheme, Int4) else 8,
        "type": "int",
        "symmetric": not (isinstance(scheme, Int4) and scheme.zeros),
        "strategy": "channel" if group is None else "group",
        "group_size": None if group is None else group,
        "dynamic": False,
    }


def _bitsandbytes_config(
    schemes: Mapping[str, Scheme], linear: Callable[[str], bool], dtype: torch.dtype
) -> dict[str, Any]:
    nested = any(isinstance(one, Nf4) and one.double_quantization for one in schemes.values())
    kept = [module for module, scheme in schemes.items() if isinstance(scheme, Keep) and linear(module)]
    return {
        "quant_method": BITSANDBYTES,
        "load_in_4bit": True,
        "load_in_8bit": False,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": nested,
        "bnb_4bit_compute_dtype": str(dtype).removeprefix("torch."),
        "bnb_4bit_quant_storage": "uint8",
        "llm_int8_skip_modules": kept,
    }


# Reading


@dataclass(frozen=True)
class Layout:
    """How a checkpoint says that its weights are quantized."""

    method: str
    where: str
    """the directory, for messages"""

    def matrix(self, module: str, shapes: Mapping[str, tuple[int, ...]], read: Read) -> Matrix | None:
        """The matrix of a module; None where it is kept. Raises InputError where its tensors do not fit together."""
        if self.method == BITSANDBYTES:
            return self._table(module, read) if f"{module}{_STATE}" in shapes else None
        if f"{module}.weight_scale" not in shapes:
            return None
        if f"{module}.weight_g_idx" in shapes:
            raise InputError(
                f"{self.where}: {module} has its inputs in another order (weight_g_idx), which is not read; "
                "quantize the original again without it"
            )
        return self._integers(module, shapes, read)

    def _integers(self, module: str, shapes: Mapping[str, tuple[int, ...]], read: Read) -> Quantized:
        scales = read(f"{module}.weight_scale")
        if f"{module}.weight_packed" in shapes:
            outputs, inputs = (int(size) for size in read(f"{module}.weight_shape"))
            packed = read(f"{module}.weight_packed")
            bits = next((bits for bits in (4, 8) if packed.shape[1] == -(-inputs * bits // 32)), None)
            if bits is None:
                raise InputError(
                    f"{self.where}: {module} packs {inputs} inputs into {packed.shape[1]} words; expected 4 or 8 bits: "
                    "other widths are not read"
                )
            integers = _unpack(packed, bits, inputs)
        else:
            integers, bits = read(f"{module}.weight"), 8
            outputs, inputs = integers.shape
            if integers.dtype != torch.int8:
                raise InputError(f"{self.where}: {module}.weight is {integers.dtype}, expected int8 beside its scale")
        num_groups = scales.shape[1] if scales.dim() == 2 else 0
        if integers.shape[0] != outputs or num_groups == 0 or len(scales) != outputs or inputs % num_groups:
            raise InputError(
                f"{self.where}: {module} has {tuple(integers.shape)} integers for {outputs} x {inputs} weights and "
                f"scales of shape {tuple(scales.shape)}; expected one for each group of an output: fetch it again"
            )
        zeros = None
        if f"{module}.weight_zero_point" in shapes:
            stored = read(f"{module}.weight_zero_point")
            packed_zeros = stored.dtype == torch.int32
            zeros = _unpack(stored.T.contiguous(), bits, outputs).T.contiguous() if packed_zeros else stored
        return Quantized(bits, inputs // num_groups, integers, scales, zeros)

    def _table(self, module: str, read: Read) -> Table4:
        state = json.loads(bytes(read(f"{module}{_STATE}").tolist()))
        if state.get("quant_type") != "nf4" or state["shape"][1] % state["blocksize"]:
            raise InputError(
                f"{self.where}: {module} is of type {state.get('quant_type')!r} in blocks of {state['blocksize']} for "
                f"{state['shape'][1]} inputs; read is nf4 whose blocks end with the rows"
            )
        packed = read(f"{module}.weight").view(-1, 1)
        codes = torch.cat((packed >> 4, packed & 15), dim=1).view(state["shape"])
        absmax = read(f"{module}.weight.absmax")
        if absmax.dtype == torch.uint8:
            scales, table = read(f"{module}.weight.nested_absmax"), read(f"{module}.weight.nested_quant_map")
            spread = scales.repeat_interleave(state["nested_blocksize"])[: len(absmax)]
            absmax = table[absmax.int()] * spread + state["nested_offset"]
        return Table4(state["blocksize"], codes, absmax.view(len(codes), -1), read(f"{module}.weight.quant_map"))


def read_layout(table: Mapping[str, Any], where: str) -> Layout:
    """What `quantization_config` says. Raises InputError for what is not read, all of it named."""
    method = table.get("quant_method")
    problems = []
    if method == COMPRESSED:
        formats = {table.get("format"), *(one.get("format") for one in table.get("config_groups", {}).values())}
        unknown = sorted(str(one) for one in formats - {FORMAT, PLAIN_FORMAT, "mixed-precision", None})
        problems += [f"format {one!r}, read are {FORMAT!r} and {PLAIN_FORMAT!r}" for one in unknown]
        for name, group in table.get("config_groups", {}).items():
            weights = group.get("weights") or {}
            if weights.get("type", "int") != "int":
                problems.append(f"{name}: weights of type {weights['type']!r}, read is 'int'")
            problems += [
                f"{name}: {kind} are quantized, which is not computed"
                for kind in ("input_activations", "output_activations")
                if group.get(kind)
            ]
        problems += [f"{key} = {table[key]!r}" for key in ("kv_cache_scheme", "transform_config") if table.get(key)]
    elif method == BITSANDBYTES:
        if not table.get("load_in_4bit") or table.get("bnb_4bit_quant_type") != "nf4":
            problems.append(f"bnb_4bit_quant_type = {table.get('bnb_4bit_quant_type')!r}, read is 'nf4' in 4 bits")
    else:
        problems.append(f"quant_method = {method!r}, read are {COMPRESSED!r} and {BITSANDBYTES!r}")
    if problems:
        raise InputError(
            f"{where}: its quantized weights are not read: {'; '.join(problems)}; take the original and quantize it"
        )
    return Layout(str(method), where)


# Words


def _pack(integers: Tensor, bits: int) -> Tensor:
    """(rows, columns) int8 -> int32 words, the first number in the lowest bits; rows filled up to whole words."""
    integers = torch.nn.functional.pad(integers, (0, -integers.shape[1] % (32 // bits)), value=-(1 << (bits - 1)))
    packed = pack_nibbles(integers) if bits == 4 else integers.view(torch.uint8) ^ 128
    return packed.reshape(-1).view(torch.int32).view(len(packed), -1)


def _unpack(words: Tensor, bits: int, columns: int) -> Tensor:
    """The other way, without what the rows were filled up with."""
    packed = words.reshape(-1).view(torch.uint8).view(len(words), -1)
    found = unpack_nibbles(packed) if bits == 4 else (packed ^ 128).view(torch.int8)
    return found[:, :columns].contiguous()
