"""Self-attention, by the fastest correct path for its mask and device; no path stores who looks at whom."""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from waman.model.cache import KeyValueCache
from waman.model.config import Attention
from waman.model.kernels import FlexMask, attend_flexibly, attend_packed, flex_mask, packed
from waman.model.masks import (
    Causal,
    Document,
    Mask,
    Panel,
    allowed,
    cut,
    distances,
    positions_of,
    query_places,
    require_shape,
)
from waman.model.panels import Distances, attend_in_panels
from waman.model.position import Rotation, split_and_turn

# Measured on two cores with batches of 8 to 16, 4 to 6 heads of 32 to 64, contexts of 256 and 512, in fp32 and bf16:
# 64 queries waste less on the diagonal than 128 and cost fewer calls than 32; scores of 1 to 4 MiB stay in the cache.
PANEL_QUERIES = 64
PANEL_BYTES = 2**21
# PyTorch compiles a product in bf16 for each shape that it has not met lately, on a CPU in nearly a millisecond.
HALF_WIDTH_STEP = 32


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Mask,
    *,
    window: int | None = None,
    slopes: Tensor | None = None,
    positions: Tensor | None = None,
) -> Tensor:
    """Softmax attention, scaled by 1 / sqrt(head_dim), under a mask.

    queries: (batch, num_heads, query_time, head_dim); keys, values: (batch, num_kv_heads, key_time, head_dim)
    -> (batch, num_heads, query_time, head_dim). Query heads h*g to h*g + g - 1 read key-value head h, g the group.
    The other arguments as in `MaskedAttention`.
    """
    return MaskedAttention(mask, window=window, slopes=slopes, positions=positions)(queries, keys, values)


def attend_plainly(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Mask,
    *,
    window: int | None = None,
    slopes: Tensor | None = None,
    positions: Tensor | None = None,
) -> Tensor:
    """The formula as written, storing every pair: the reference for `attend`, same arguments."""
    query_length, key_length, device = queries.shape[2], keys.shape[2], queries.device
    group = queries.shape[1] // keys.shape[1]
    keys, values = keys.repeat_interleave(group, dim=1), values.repeat_interleave(group, dim=1)
    scores = queries @ keys.transpose(-2, -1) / queries.shape[-1] ** 0.5
    if slopes is not None:
        apart = distances(mask, query_length, key_length, device, positions=positions)
        scores = scores - slopes[:, None, None] * apart[:, None]
    seen = allowed(mask, query_length, key_length, device, window=window, positions=positions)[:, None]
    attended: Tensor = scores.masked_fill(~seen, float("-inf")).softmax(dim=-1) @ values
    return attended


Path = Literal["one query", "causal kernel", "panels", "flex", "varlen"]

# From so many tokens on PyTorch's causal kernel is faster than panels on a CPU; in bf16 it never was, up to 4096
# (`python -m benchmarks.attention`).
CPU_KERNEL_FROM = {torch.float32: 4096}
# A graph is compiled for FlexAttention's every use: not worth it for a few queries, nor possible for narrow heads.
FLEX_FROM_QUERIES = 128
FLEX_FROM_HEAD_DIM = 16


def choose_path(
    mask: Mask,
    *,
    device: torch.device,
    dtype: torch.dtype,
    query_length: int,
    key_length: int,
    head_dim: int,
    window: int | None = None,
    slopes: Tensor | None = None,
    positions: Tensor | None = None,
) -> Path:
    """The fastest correct way to compute attention."""
    if query_length == 1:
        return "one query"
    aligned = query_length == key_length and slopes is None and (window is None or positions is None)
    causal = isinstance(mask, Causal) and aligned and window is None
    if device.type != "cuda":
        return "causal kernel" if causal and query_length >= CPU_KERNEL_FROM.get(dtype, math.inf) else "panels"
    if dtype == torch.float64:
        return "panels"
    if causal:
        return "causal kernel"
    if isinstance(mask, Document) and aligned and dtype != torch.float32:
        return "varlen"
    return "flex" if query_length >= FLEX_FROM_QUERIES and head_dim >= FLEX_FROM_HEAD_DIM else "panels"


Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""queries, keys, values -> attended, shapes as in `attend`; who keeps keys elsewhere may read them there."""


class MaskedAttention:
    """`attend` under one mask, for all layers: chooses how to compute, and prepares it once."""

    def __init__(
        self,
        mask: Mask,
        *,
        window: int | None = None,
        slopes: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> None:
        """window: how many positions back a query sees, its own included; absent: all.

        slopes: (num_heads,), not trained: each score is lowered by its head's slope times the distance (ALiBi).
        positions: (batch or 1, key_time), integers that window and distances count in; absent: a token's place in its
        row and, in a tree, on its path from the root.
        """
        self.mask = mask
        self.window = window
        self.slopes = slopes
        self.positions = positions
        self._prepared: dict[tuple[object, ...], Attend] = {}

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Shapes as in `attend`. Raises InputError if the mask is of another shape than the tokens."""
        kind = (queries.shape, keys.shape, queries.dtype, queries.device)
        if kind not in self._prepared:
            path = choose_path(
                self.mask,
                device=queries.device,
                dtype=queries.dtype,
                query_length=queries.shape[2],
                key_length=keys.shape[2],
                head_dim=queries.shape[3],
                window=self.window,
                slopes=self.slopes,
                positions=self.positions,
            )
            self._prepared[kind] = self.prepare(path, queries, keys)
        return self._prepared[kind](queries, keys, values)

    def prepare(self, path: Path, queries: Tensor, keys: Tensor) -> Attend:
        """A function for inputs of these shapes, by one path; `choose_path` says which paths are correct."""
        match path:
            case "one query":
                return self._one_query(queries, keys)
            case "causal kernel":
                return partial(F.scaled_dot_product_attention, is_causal=True, enable_gqa=True)
            case "panels":
                return partial(
                    attend_in_panels, panels=self._cut(queries, keys), distances=self._distances(queries, keys)
                )
            case "flex":
                return partial(attend_flexibly, mask=self._flex(queries, keys))
            case "varlen":
                assert isinstance(self.mask, Document)
                require_shape(self.mask, len(keys), keys.shape[2])
                documents = packed(self.mask)
                if documents is None:
                    return self.prepare("flex", queries, keys)
                return partial(attend_packed, documents=documents, window=self.window)

    def _one_query(self, queries: Tensor, keys: Tensor) -> Attend:
        """A row of scores for each head is small: PyTorch's kernel takes it whole, the mask as numbers to add."""
        batch, _, key_length, _ = keys.shape
        device, dtype = queries.device, queries.dtype
        require_shape(self.mask, batch, key_length, positions=self.positions)
        if isinstance(self.mask, Causal) and self.slopes is None and self.positions is None:
            first = 0 if self.window is None else max(0, key_length - self.window)
            return partial(_attend_from, first)
        bias = one_query_bias(
            self.mask, key_length, device, dtype, window=self.window, slopes=self.slopes, positions=self.positions
        )
        return partial(F.scaled_dot_product_attention, attn_mask=bias, enable_gqa=True)

    def _cut(self, queries: Tensor, keys: Tensor) -> list[Panel]:
        batch, num_heads, query_length, _ = queries.shape
        return cut(
            self.mask,
            batch=batch,
            query_length=query_length,
            key_length=keys.shape[2],
            max_queries=PANEL_QUERIES,
            max_pairs=PANEL_BYTES // (queries.element_size() * num_heads),
            dtype=queries.dtype,
            device=queries.device,
            window=self.window,
            positions=self.positions,
            width_step=HALF_WIDTH_STEP if queries.element_size() < 4 else 1,
        )

    def _distances(self, queries: Tensor, keys: Tensor) -> Distances | None:
        if self.slopes is None:
            return None
        device, query_length, key_length = queries.device, queries.shape[2], keys.shape[2]
        known = positions_of(self.mask, key_length, device) if self.positions is None else self.positions
        places = query_places(self.mask, query_length, key_length, device)
        rows = max(len(known), len(places))
        at = known.expand(rows, -1).gather(1, places.expand(rows, -1))
        return Distances(self.slopes.to(device), at, known)

    def _flex(self, queries: Tensor, keys: Tensor) -> FlexMask:
        return flex_mask(
            self.mask,
            batch=len(keys),
            query_length=queries.shape[2],
            key_length=keys.shape[2],
            device=queries.device,
            window=self.window,
            slopes=self.slopes,
            positions=self.positions,
        )


def one_query_bias(
    mask: Mask,
    key_length: int,
    device: torch.device,
    dtype: torch.dtype,
    *,
    window: int | None = None,
    slopes: Tensor | None = None,
    positions: Tensor | None = None,
) -> Tensor:
    """What is added to the scores of each row's last token: (batch or 1, num_heads or 1, 1, key_time), -inf where it
    does not see. Arguments as in `MaskedAttention`."""
    seen = allowed(mask, 1, key_length, device, window=window, positions=positions)[:, None]
    bias = torch.zeros(seen.shape, dtype=dtype, device=device)
    if slopes is not None:
        apart = distances(mask, 1, key_length, device, positions=positions)[:, None]
        bias = (-slopes.to(device)[:, None, None] * apart).to(dtype)
    return bias.masked_fill(~seen, float("-inf"))


def _attend_from(first: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(queries, keys[:, :, first:], values[:, :, first:], enable_gqa=True)


class SelfAttention(nn.Module):
    """Every token reads the tokens that the mask shows it; queries, keys and values are one matrix, in this order."""

    def __init__(self, config: Attention, model_dim: int) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.num_kv_heads = config.num_kv_heads
        self.head_dim = config.head_dim
        width = (config.num_heads + 2 * config.num_kv_heads) * config.head_dim
        self.query_key_value = nn.Linear(model_dim, width, bias=config.bias)
        self.output = nn.Linear(config.num_heads * config.head_dim, model_dim, bias=config.output_bias)

    def forward(
        self,
        x: Tensor,
        *,
        attention: Attend,
        rotation: Rotation | None,
        layer: int,
        cache: KeyValueCache | None,
    ) -> Tensor:
        """x: (batch, time, model_dim) -> (batch, time, model_dim). `layer` is this block's place in the cache."""
        batch, time, _ = x.shape
        heads = self.query_key_value(x).view(batch, time, -1, self.head_dim)
        queries, keys, values = split_and_turn(
            heads, rotation, num_heads=self.num_heads, num_kv_heads=self.num_kv_heads
        )
        if cache is not None:
            keys, values = cache.update(layer, keys, values)
        attended = attention(queries, keys, values)
        result: Tensor = self.output(attended.transpose(1, 2).reshape(batch, time, -1))
        return result
