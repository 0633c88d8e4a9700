"""Attention that never stores who looks at whom: panels of queries against the keys that they may see."""

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

from waman.model.cache import KeyValueCache
from waman.model.config import Attention
from waman.model.masks import Causal, Mask, Panel, allowed, cut
from waman.model.position import split_and_turn

# Measured on two cores with batches of 8 to 16, 4 to 6 heads of 32 to 64, contexts of 256 and 512, in fp32 and bf16:
# 64 queries waste less on the diagonal than 128 and cost fewer calls than 32; scores of 1 to 4 MiB stay in the cache.
PANEL_QUERIES = 64
PANEL_BYTES = 2**21


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Mask) -> Tensor:
    """Softmax attention, scaled by 1 / sqrt(head_dim), under a mask.

    queries: (batch, num_heads, query_time, head_dim); keys, values: (batch, num_kv_heads, key_time, head_dim)
    -> (batch, num_heads, query_time, head_dim). Query heads h*g to h*g + g - 1 read key-value head h, g the group.
    """
    return MaskedAttention(mask)(queries, keys, values)


def attend_plainly(queries: Tensor, keys: Tensor, values: Tensor, mask: Mask) -> Tensor:
    """The formula as written, storing every pair: the reference for `attend`, same shapes."""
    group = queries.shape[1] // keys.shape[1]
    keys, values = keys.repeat_interleave(group, dim=1), values.repeat_interleave(group, dim=1)
    scores = queries @ keys.transpose(-2, -1) / queries.shape[-1] ** 0.5
    seen = allowed(mask, queries.shape[2], keys.shape[2], queries.device)[:, None]
    attended: Tensor = scores.masked_fill(~seen, float("-inf")).softmax(dim=-1) @ values
    return attended


class MaskedAttention:
    """`attend` under one mask, for all layers: chooses how to compute, and cuts the mask into panels once."""

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        self._panels: dict[tuple[int, int, int, int], list[Panel]] = {}

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Shapes as in `attend`."""
        causal = isinstance(self.mask, Causal)
        if causal and queries.shape[2] == 1:
            return F.scaled_dot_product_attention(queries, keys, values, enable_gqa=True)
        if causal and queries.device.type != "cpu" and queries.shape[2] == keys.shape[2]:
            return F.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=True)
        attended: Tensor = _Panelled.apply(queries, keys, values, self._cut(queries, keys))  # type: ignore[no-untyped-call]
        return attended

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
            )
        return self._panels[shape]


class _Panelled(torch.autograd.Function):
    """Keeps its inputs and its output, which its neighbours keep anyway; the backward pass computes each panel's
    probabilities again.

    After Rabe and Staats 2021 and Dao et al. 2022, with whole rows of keys in place of running sums.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, queries: Tensor, keys: Tensor, values: Tensor, panels: list[Panel]) -> Tensor:
        ctx.panels = panels  # type: ignore[attr-defined]
        batch, num_heads, time, head_dim = queries.shape
        # In memory (batch, time, num_heads, head_dim), as the output projection reads it.
        attended = queries.new_empty(batch, time, num_heads, head_dim).transpose(1, 2)
        scores = _scratch(queries, panels)
        with torch.autocast(queries.device.type, enabled=False):
            for panel in panels:
                q, k, v = _panel_of(panel, queries, keys, values)
                found = torch.bmm(_probabilities(q, k, panel, scratch=scores), v)
                target = attended[panel.rows, :, panel.queries]
                target.copy_(found.view(target.shape))
        ctx.save_for_backward(queries, keys, values, attended)
        return attended

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        queries, keys, values, attended = ctx.saved_tensors  # type: ignore[attr-defined]
        # The sum over keys of a probability times its gradient, seen from the output's side (Dao et al. 2022, eq. 4).
        weighted = (gradient * attended).sum(dim=-1, keepdim=True)
        grad_queries = torch.empty(queries.shape, dtype=queries.dtype, device=queries.device)
        grad_keys = torch.zeros(keys.shape, dtype=keys.dtype, device=keys.device)
        grad_values = torch.zeros_like(grad_keys)
        scores, grads = _scratch(queries, ctx.panels), _scratch(queries, ctx.panels)  # type: ignore[attr-defined]
        with torch.autocast(queries.device.type, enabled=False):
            for panel in ctx.panels:  # type: ignore[attr-defined]
                q, k, v = _panel_of(panel, queries, keys, values)
                g = gradient[panel.rows, :, panel.queries].reshape(q.shape)
                probabilities = _probabilities(q, k, panel, scratch=scores)
                grad_values[panel.rows, :, panel.keys] += _ungrouped(torch.bmm(probabilities.mT, g), panel)
                grad_scores = _product_into(grads, g, v.mT)
                grad_scores -= weighted[panel.rows, :, panel.queries].reshape(len(q), -1, 1)
                grad_scores *= probabilities
                grad_keys[panel.rows, :, panel.keys] += _ungrouped(torch.bmm(grad_scores.mT, q), panel)
                target = grad_queries[panel.rows, :, panel.queries]
                torch.mul(torch.bmm(grad_scores, k).view(target.shape), _scale(queries), out=target)
        return grad_queries, grad_keys, grad_values, None


def _scale(queries: Tensor) -> float:
    return float(queries.shape[-1] ** -0.5)


def _panel_of(panel: Panel, queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scaled queries: (rows * kv_heads, group * panel's queries, head_dim); keys, values: (rows * kv_heads, ...)."""
    scaled = torch.mul(queries[panel.rows, :, panel.queries], _scale(queries)).contiguous()
    num_products = scaled.shape[0] * keys.shape[1]
    grouped = scaled.view(num_products, -1, scaled.shape[-1])
    return grouped, keys[panel.rows, :, panel.keys].flatten(0, 1), values[panel.rows, :, panel.keys].flatten(0, 1)


def _ungrouped(x: Tensor, panel: Panel) -> Tensor:
    """(rows * kv_heads, keys, head_dim) -> (rows, kv_heads, keys, head_dim)."""
    return x.view(panel.rows.stop - panel.rows.start, -1, *x.shape[1:])


def _scratch(queries: Tensor, panels: list[Panel]) -> Tensor:
    """Memory for the scores of the largest panel: fresh memory for each panel would cost as much as filling it."""
    sizes = [
        (panel.rows.stop - panel.rows.start)
        * (panel.queries.stop - panel.queries.start)
        * (panel.keys.stop - panel.keys.start)
        for panel in panels
    ]
    return queries.new_empty(queries.shape[1] * max(sizes))


def _product_into(scratch: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """left: (products, n, m), right: (products, m, k) -> (products, n, k), in the scratch memory."""
    shape = (left.shape[0], left.shape[1], right.shape[2])
    return torch.bmm(left, right, out=scratch[: shape[0] * shape[1] * shape[2]].view(shape))


def _probabilities(q: Tensor, k: Tensor, panel: Panel, *, scratch: Tensor) -> Tensor:
    """q: (rows * kv_heads, group * queries, head_dim), k: (rows * kv_heads, keys, head_dim) -> (..., queries, keys)."""
    scores = _product_into(scratch, q, k.mT)
    if panel.bias is not None:
        rows, height = panel.rows.stop - panel.rows.start, panel.queries.stop - panel.queries.start
        masked = scores.view(rows, -1, height, scores.shape[-1])[..., -panel.bias.shape[-1] :]
        masked += panel.bias[:, None]
    return torch.softmax(scores, dim=-1, out=scores)


class SelfAttention(nn.Module):
    """Every token reads the tokens that the mask shows it; queries, keys and values are one matrix, in this order."""

    def __init__(self, config: Attention, model_dim: int) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.num_kv_heads = config.num_kv_heads
        self.head_dim = config.head_dim
        width = (config.num_heads + 2 * config.num_kv_heads) * config.head_dim
        self.query_key_value = nn.Linear(model_dim, width, bias=False)
        self.output = nn.Linear(config.num_heads * config.head_dim, model_dim, bias=False)

    def forward(
        self,
        x: Tensor,
        *,
        attention: MaskedAttention,
        rotation: tuple[Tensor, Tensor],
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
