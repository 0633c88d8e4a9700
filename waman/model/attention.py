"""Attention that never stores who looks at whom: panels of queries against the keys that they may see."""

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

from waman.model.cache import KeyValueCache
from waman.model.config import Attention
from waman.model.masks import Causal, Mask, Panel, allowed, cut
from waman.model.position import rotate

PANEL_QUERIES = 128


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
        self._panels: dict[tuple[int, int, int], list[Panel]] = {}

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
        batch, query_length, key_length = queries.shape[0], queries.shape[2], keys.shape[2]
        shape = (batch, query_length, key_length)
        if shape not in self._panels:
            self._panels[shape] = cut(
                self.mask,
                batch=batch,
                query_length=query_length,
                key_length=key_length,
                height=PANEL_QUERIES,
                device=queries.device,
            )
        return self._panels[shape]


class _Panelled(torch.autograd.Function):
    """Keeps queries, keys and values only; the backward pass computes each panel's probabilities again.

    After Rabe and Staats 2021 and Dao et al. 2022, with whole rows of keys in place of running sums.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, queries: Tensor, keys: Tensor, values: Tensor, panels: list[Panel]) -> Tensor:
        ctx.save_for_backward(queries, keys, values)
        ctx.panels = panels  # type: ignore[attr-defined]
        with torch.autocast(queries.device.type, enabled=False):
            return _forward(queries, keys, values, panels)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        queries, keys, values = ctx.saved_tensors  # type: ignore[attr-defined]
        panels = ctx.panels  # type: ignore[attr-defined]
        with torch.autocast(queries.device.type, enabled=False):
            return *_backward(queries, keys, values, gradient, panels), None


def _forward(queries: Tensor, keys: Tensor, values: Tensor, panels: list[Panel]) -> Tensor:
    batch, num_heads, time, head_dim = queries.shape
    attended = queries.new_empty(batch, time, num_heads, head_dim).transpose(1, 2)
    for panel in panels:
        k, v = (x[panel.rows, :, panel.keys].flatten(0, 1) for x in (keys, values))
        probabilities = _probabilities(_grouped(queries, panel, keys), k, panel)
        _grouped_view(attended, panel, keys).copy_(_ungroup(torch.bmm(probabilities, v), panel, queries, keys))
    return attended


def _backward(
    queries: Tensor, keys: Tensor, values: Tensor, gradient: Tensor, panels: list[Panel]
) -> tuple[Tensor, Tensor, Tensor]:
    grad_queries = torch.empty_like(queries)
    grad_keys, grad_values = torch.zeros_like(keys), torch.zeros_like(values)
    scale = queries.shape[-1] ** -0.5
    for panel in panels:
        k, v = (x[panel.rows, :, panel.keys].flatten(0, 1) for x in (keys, values))
        q, g = _grouped(queries, panel, keys), _grouped(gradient, panel, keys)
        probabilities = _probabilities(q, k, panel)
        shape = keys[panel.rows, :, panel.keys].shape
        grad_values[panel.rows, :, panel.keys] += torch.bmm(probabilities.transpose(1, 2), g).view(shape)
        grad_scores = torch.bmm(g, v.transpose(1, 2))
        grad_scores = probabilities * (grad_scores - (grad_scores * probabilities).sum(dim=-1, keepdim=True))
        grad_scores *= scale
        grad_keys[panel.rows, :, panel.keys] += torch.bmm(grad_scores.transpose(1, 2), q).view(shape)
        _grouped_view(grad_queries, panel, keys).copy_(_ungroup(torch.bmm(grad_scores, k), panel, queries, keys))
    return grad_queries, grad_keys, grad_values


def _grouped(x: Tensor, panel: Panel, keys: Tensor) -> Tensor:
    """(batch, num_heads, time, head_dim) -> (rows * num_kv_heads, group * panel's queries, head_dim)."""
    rows = x[panel.rows, :, panel.queries]
    return rows.reshape(rows.shape[0] * keys.shape[1], -1, x.shape[-1])


def _grouped_view(x: Tensor, panel: Panel, keys: Tensor) -> Tensor:
    return x[panel.rows, :, panel.queries]


def _ungroup(x: Tensor, panel: Panel, queries: Tensor, keys: Tensor) -> Tensor:
    height = panel.queries.stop - panel.queries.start
    return x.view(-1, queries.shape[1], height, queries.shape[-1])


def _probabilities(q: Tensor, k: Tensor, panel: Panel) -> Tensor:
    """q: (rows * kv_heads, group * queries, head_dim), k: (rows * kv_heads, keys, head_dim) -> (..., queries, keys)."""
    scores = torch.bmm(q, k.transpose(1, 2)) * q.shape[-1] ** -0.5
    if panel.bias is not None:
        height = panel.queries.stop - panel.queries.start
        rows = panel.rows.stop - panel.rows.start
        masked = scores.view(rows, -1, height, scores.shape[-1])[..., -panel.bias.shape[-1] :]
        masked += panel.bias[:, None].to(scores.dtype)
    return torch.softmax(scores, dim=-1)


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
        turned = rotate(heads[:, :, : self.num_heads + self.num_kv_heads], *rotation)
        queries = turned[:, :, : self.num_heads].transpose(1, 2)
        keys = turned[:, :, self.num_heads :].transpose(1, 2)
        values = heads[:, :, self.num_heads + self.num_kv_heads :].transpose(1, 2)
        if cache is not None:
            keys, values = cache.update(layer, keys, values)
        attended = attention(queries, keys, values)
        result: Tensor = self.output(attended.transpose(1, 2).reshape(batch, time, -1))
        return result
