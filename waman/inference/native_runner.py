"""A runner whose whole pass is one call of the compiled library; not for blocks that end with their norms."""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from waman.errors import InputError
from waman.inference.adapting import HEAD, Change, fit
from waman.inference.memory import untouched
from waman.inference.runner import Row
from waman.model.config import Geglu, Gelu, ModelConfig, Parallel, Relu, RmsNorm, Sequential, SquaredRelu, Swiglu
from waman.model.decoder import Decoder
from waman.model.position import HeadSlopes, PositionEmbedding, Rotary
from waman.model.threads import one_thread
from waman.quantization.kernels import Matrix, Native
from waman.quantization.packed import can_pack, pack_linears
from waman.weights.adapters import Adapter

_PARTS = 4
"""Matrices of a layer: queries, keys and values; output; up (and gate); down."""
_KV_BITS = (16, 8)
HEAD_STEP = 16
MAX_HEAD_DIM = 1024
MAX_RANK = 1024
"""WAMAN_MAX_RANK of native/waman.h."""


class _Layer(ctypes.Structure):
    _fields_ = (
        ("parts", Matrix * _PARTS),
        ("attention_norm", ctypes.c_void_p),
        ("attention_norm_bias", ctypes.c_void_p),
        ("feed_forward_norm", ctypes.c_void_p),
        ("feed_forward_norm_bias", ctypes.c_void_p),
    )


class _Model(ctypes.Structure):
    _fields_ = (
        ("layers", ctypes.POINTER(_Layer)),
        *((name, ctypes.c_void_p) for name in ("norm", "norm_bias", "cos", "sin", "slopes")),
        ("head", Matrix),
        ("epsilon", ctypes.c_float),
        *((name, ctypes.c_int32) for name in ("num_layers", "model_dim", "num_heads", "num_kv_heads", "head_dim")),
        *((name, ctypes.c_int32) for name in ("hidden_dim", "norm_kind", "block_kind", "activation", "window")),
        ("cache", ctypes.c_void_p),
        ("num_pages", ctypes.c_int64),
        ("cache_bits", ctypes.c_int32),
    )


class _Change(ctypes.Structure):
    _fields_ = (("down", ctypes.c_void_p), ("up", ctypes.c_void_p), ("rank", ctypes.c_int32))


class _Row(ctypes.Structure):
    _fields_ = (
        ("num_tokens", ctypes.c_int32),
        ("num_cached", ctypes.c_int32),
        ("pages", ctypes.c_void_p),
        ("changes", ctypes.c_void_p),
    )


def can_run(decoder: Decoder, *, kv_bits: int) -> bool:
    """Whether the library computes this decoder with such a cache.

    Heads whose width is no multiple of 16 take more memory in it than `page_bytes` says, and are left to others.
    """
    config = decoder.config
    on_cpu = decoder.embedding.weight.device.type == "cpu"
    whole = config.attention.head_dim % HEAD_STEP == 0 and config.attention.head_dim <= MAX_HEAD_DIM
    return on_cpu and whole and kv_bits in _KV_BITS and config.block != Sequential(norm="after") and can_pack(decoder)


class NativeRunner:
    """A `Runner`. A row's logits are bit for bit the same alone, in any batch, and however its tokens were cut."""

    def __init__(
        self, decoder: Decoder, library: Native, *, num_pages: int, page_tokens: int = 32, kv_bits: int = 16
    ) -> None:
        """Packs the decoder's matrices, which then live in no other form; keys and values take 16 bits or 8."""
        assert page_tokens == library.functions.waman_page_tokens()
        pack_linears(decoder, library)
        self.page_tokens, self.num_pages = page_tokens, num_pages
        self._decoder, self._library = decoder, library
        self._kept: list[object] = []  # what the structures point to
        self._adapters: list[ctypes.Array[_Change]] = []
        block = library.functions.waman_block_bytes(decoder.config.attention.head_dim, kv_bits)
        shape = (decoder.config.num_layers, num_pages, decoder.config.attention.num_kv_heads * block)
        self._cache = untouched(shape, torch.uint8, torch.device("cpu"))
        self._model = self._describe(kv_bits)

    def run(self, rows: Sequence[Row]) -> Tensor:
        """See `Runner`."""
        team = self._library.team
        with one_thread():
            return self._run(rows, team)

    def _run(self, rows: Sequence[Row], team: int) -> Tensor:
        x = self._embed(rows)
        pages = [np.asarray(row.pages, np.int32) for row in rows]
        table = (_Row * len(rows))(
            *(
                _Row(len(row.token_ids), row.cached, held.ctypes.data, self._changes_of(row))
                for row, held in zip(rows, pages, strict=True)
            )
        )
        starts = np.cumsum([0, *(len(row.token_ids) for row in rows)])
        wanted = np.concatenate(
            [np.asarray(row.wanted, np.int32) + start for row, start in zip(rows, starts[:-1], strict=True)],
            dtype=np.int32,
            casting="unsafe",
        )
        logits = torch.empty(len(wanted), self._decoder.embedding.num_embeddings)
        failed = self._library.functions.waman_pass(
            *(team, ctypes.byref(self._model), table, len(rows), x.data_ptr(), wanted.ctypes.data),
            *(len(wanted), logits.data_ptr()),
        )
        if failed:
            raise MemoryError(f"no memory for a pass of {len(x)} tokens")
        return logits

    def copy_page(self, source: int, target: int) -> None:
        """See `Runner`."""
        self._cache[:, target] = self._cache[:, source]

    def add_adapter(self, adapter: Adapter) -> int:
        """See `Runner`. Raises InputError also where its ranks are beyond what the library takes."""
        config = self._decoder.config
        found: dict[str, list[Change]] = {}
        for name, change in fit(adapter, config, number=len(self._adapters), like=torch.empty(0)):
            found.setdefault(name, []).append(change)
        names = [name for layer in range(config.num_layers) for name in _names_of_layer(self._decoder, layer)]
        changes = (_Change * (len(names) + 1))()
        for number, name in enumerate((*names, HEAD)):
            if name in found:
                module: Any = self._decoder.get_submodule(name)
                changes[number] = self._join(found[name], outputs=module.packed.shape[0])
        self._adapters.append(changes)
        return len(self._adapters) - 1

    def _join(self, changes: Sequence[Change], *, outputs: int) -> _Change:
        """One change of all of a matrix's outputs: the ranks of several one behind the other."""
        down = torch.cat([one.down for one in changes]).contiguous()
        up = torch.zeros(outputs, len(down))
        first = 0
        for one in changes:
            rank = len(one.down)
            up[one.outputs, first : first + rank] = one.up
            first += rank
        if len(down) > MAX_RANK:
            raise InputError(
                f"the adapter's ranks add up to {len(down)} for one of our matrices, expected at most {MAX_RANK}: "
                "merge it into the model with `waman convert`"
            )
        self._kept.extend((down, up))
        return _Change(down.data_ptr(), up.data_ptr(), len(down))

    def _changes_of(self, row: Row) -> int | None:
        return None if row.adapter is None else ctypes.addressof(self._adapters[row.adapter])

    def _embed(self, rows: Sequence[Row]) -> Tensor:
        """(tokens, model_dim), float32."""
        token_ids = torch.tensor([token for row in rows for token in row.token_ids])
        x: Tensor = self._decoder.embedding(token_ids)
        if isinstance(self._decoder.position, PositionEmbedding):
            places = [row.cached + place for row in rows for place in range(len(row.token_ids))]
            x = x + self._decoder.position.weight[torch.tensor(places)]
        return x.to(torch.float32).contiguous()

    def _describe(self, kv_bits: int) -> _Model:
        decoder, config = self._decoder, self._decoder.config
        layers = (_Layer * config.num_layers)()
        block: Any
        for number, (layer, block) in enumerate(zip(layers, decoder.blocks, strict=True)):
            modules = map(decoder.get_submodule, _names_of_layer(decoder, number))
            layer.parts = (Matrix * _PARTS)(*map(self._matrix, modules))
            layer.attention_norm, layer.attention_norm_bias = self._norm(block.attention_norm)
            if block.feed_forward_norm is not None:
                layer.feed_forward_norm, layer.feed_forward_norm_bias = self._norm(block.feed_forward_norm)
        model = _Model(layers=layers, head=self._matrix(decoder.unembedding), epsilon=config.norm.eps)
        self._kept.append(layers)
        model.norm, model.norm_bias = self._norm(decoder.norm)
        match decoder.position:
            case Rotary() as rotary:
                model.cos, model.sin = self._address(rotary.cos), self._address(rotary.sin)
            case HeadSlopes() as slopes:
                model.slopes = self._address(slopes.slopes)
        model.num_layers, model.model_dim = config.num_layers, config.model_dim
        model.num_heads, model.num_kv_heads = config.attention.num_heads, config.attention.num_kv_heads
        model.head_dim, model.hidden_dim = config.attention.head_dim, config.feed_forward.hidden_dim
        model.norm_kind = 0 if isinstance(config.norm, RmsNorm) else 1
        model.block_kind = config.block.num_norms if isinstance(config.block, Parallel) else 0
        model.activation = _activation(config)
        model.window = config.attention.window or 0
        model.cache, model.num_pages, model.cache_bits = self._cache.data_ptr(), self.num_pages, kv_bits
        return model

    def _matrix(self, module: Any) -> Matrix:
        bias = None if module.bias is None else module.bias.detach().to(torch.float32).contiguous()
        self._kept.extend((module, bias))
        matrix: Matrix = module.packed.matrix(bias)
        return matrix

    def _norm(self, norm: Any) -> tuple[int | None, int | None]:
        bias = getattr(norm, "bias", None)
        return self._address(norm.weight), None if bias is None else self._address(bias)

    def _address(self, tensor: Tensor) -> int:
        kept = tensor.detach().to(torch.float32).contiguous()
        self._kept.append(kept)
        return kept.data_ptr()


def _names_of_layer(decoder: Decoder, layer: int) -> tuple[str, str, str, str]:
    """Our names of a layer's matrices, as the library orders them."""
    place = f"blocks.{layer}"
    up = "gate_up" if isinstance(decoder.config.feed_forward, Swiglu | Geglu) else "up"
    attention, feed_forward = f"{place}.attention", f"{place}.feed_forward"
    return f"{attention}.query_key_value", f"{attention}.output", f"{feed_forward}.{up}", f"{feed_forward}.down"


def _activation(config: ModelConfig) -> int:
    match config.feed_forward:
        case Swiglu():
            return 0
        case Geglu(approximation=approximation):
            return 1 if approximation == "tanh" else 2
        case Gelu(approximation=approximation):
            return 3 if approximation == "tanh" else 4
        case Relu():
            return 5
        case SquaredRelu():
            return 6
