"""Self-attention, by the fastest correct path for its mask and device; no path stores who looks at whom."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from waman.model.cache import KeyValueCache
from waman.model.config import Attention
from waman.model.masks import (
    Causal,
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


Path = Literal["causal kernel", "one query", "panels"]


def choose_path(mask: Mask, queries: Tensor, keys: Tensor, *, window: int | None, slopes: Tensor | None) -> Path:
    """The fastest correct way to compute attention; shapes as in `attend`."""
    query_length, key_length = queries.shape[2], keys.shape[2]
    if query_length == 1:
        return "one query"
    plain = isinstance(mask, Causal) and window is None and slopes is None and query_length == key_length
    return "causal kernel" if plain and queries.device.type != "cpu" else "panels"


class MaskedAttention:
    """`attend` under one mask, for all layers: chooses how to compute, and cuts the mask into panels once."""

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
        self._panels: dict[tuple[int, int, int, int], list[Panel]] = {}
        self._distances: dict[tuple[int, int], Distances] = {}

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Shapes as in `attend`. Raises InputError if the mask is of another shape than the tokens."""
        match choose_path(self.mask, queries, keys, window=self.window, slopes=self.slopes):
            case "one query":
                return self._one_query(queries, keys, values)
            case "causal kernel":
                return F.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=True)
            case "panels":
                panels = self._cut(queries, keys)
                return attend_in_panels(queries, keys, values, panels, distances=self._distances_of(queries, keys))

    def _one_query(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """A row of scores for each head is small: PyTorch's kernel takes it whole, the mask as numbers to add."""
        batch, _, key_length, _ = keys.shape
        require_shape(self.mask, batch, key_length, positions=self.positions)
        if isinstance(self.mask, Causal) and self.slopes is None and self.positions is None:
            near = slice(0 if self.window is None else max(0, key_length - self.window), None)
            return F.scaled_dot_product_attention(queries, keys[:, :, near], values[:, :, near], enable_gqa=True)
        seen = allowed(self.mask, 1, key_length, queries.device, window=self.window, positions=self.positions)[:, None]
        bias = torch.zeros(seen.shape, dtype=queries.dtype, device=queries.device)
        if self.slopes is not None:
            apart = distances(self.mask, 1, key_length, queries.device, positions=self.positions)[:, None]
            bias = (-self.slopes[:, None, None] * apart).to(queries.dtype)
        bias = bias.masked_fill(~seen, float("-inf"))
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, enable_gqa=True)

    def _cut(self, queries: Tensor, keys: Tensor) -> list[Panel]:
        batch, num_heads, query_length, _ = queries.shape
        shape = (batch, num_heads, query_length, keys.shape[2])
        if shape not in self._panels:
            self._panels[shape] = cut(
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
        return self._panels[shape]

    def _distances_of(self, queries: Tensor, keys: Tensor) -> Distances | None:
        if self.slopes is None:
            return None
        shape = (queries.shape[2], keys.shape[2])
        if shape not in self._distances:
            known = self.positions
            if known is None:
                known = positions_of(self.mask, shape[1], queries.device)
            places = query_places(self.mask, *shape, queries.device)
            rows = max(len(known), len(places))
            at = known.expand(rows, -1).gather(1, places.expand(rows, -1))
            self._distances[shape] = Distances(self.slopes.to(queries.device), at, known)
        return self._distances[shape]


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
        attention: MaskedAttention,
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
