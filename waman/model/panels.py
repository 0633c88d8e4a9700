"""Attention in panels: some queries against the keys that they may see; the backward pass computes again."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from waman.model.masks import Panel


@dataclass(frozen=True, eq=False)
class Distances:
    """What lowers the scores of far keys: a slope for each head, and the positions that it counts in."""

    slopes: Tensor
    """(num_heads,)"""
    queries: Tensor
    """(batch or 1, query_time), integers"""
    keys: Tensor
    """(batch or 1, key_time), integers"""

    def lower(self, scores: Tensor, panel: Panel) -> None:
        """Subtracts slope times distance from scores: (rows * kv_heads, group * queries, keys), in place."""
        queries = _rows(self.queries, panel.rows)[:, panel.queries]
        keys = torch.cat([_rows(self.keys, panel.rows)[:, span] for span in panel.keys], dim=1)
        # Rounded after the subtraction: near keys, the only ones that weigh, keep their exact distance in bf16.
        apart = (queries[:, :, None] - keys[:, None, :]).to(scores.dtype)
        num_rows = panel.rows.stop - panel.rows.start
        heads = scores.view(num_rows, len(self.slopes), -1, scores.shape[-1])
        heads.addcmul_(self.slopes.to(scores.dtype)[:, None, None], apart[:, None], value=-1)


def attend_in_panels(
    queries: Tensor, keys: Tensor, values: Tensor, panels: list[Panel], *, distances: Distances | None = None
) -> Tensor:
    """Softmax attention over what the panels allow; shapes as in `attention.attend`. Stores nothing of queries times
    keys but the scores of one panel, in both passes."""
    attended: Tensor = _Panelled.apply(queries, keys, values, panels, distances)  # type: ignore[no-untyped-call]
    return attended


class _Panelled(torch.autograd.Function):
    """Keeps its inputs and its output, which its neighbours keep anyway; the backward pass computes each panel's
    probabilities again.

    After Rabe and Staats 2021 and Dao et al. 2022, with whole rows of keys in place of running sums.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        panels: list[Panel],
        distances: Distances | None,
    ) -> Tensor:
        ctx.panels, ctx.distances = panels, distances  # type: ignore[attr-defined]
        batch, num_heads, time, head_dim = queries.shape
        # In memory (batch, time, num_heads, head_dim), as the output projection reads it.
        attended = queries.new_empty(batch, time, num_heads, head_dim).transpose(1, 2)
        scores = _scratch(queries, panels)
        with torch.autocast(queries.device.type, enabled=False):
            for panel in panels:
                q, k, v = _panel_of(panel, queries, keys, values)
                found = torch.bmm(_probabilities(q, k, panel, distances, scratch=scores), v)
                target = attended[panel.rows, :, panel.queries]
                target.copy_(found.view(target.shape))
        ctx.save_for_backward(queries, keys, values, attended)
        return attended

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        queries, keys, values, attended = ctx.saved_tensors  # type: ignore[attr-defined]
        panels: list[Panel] = ctx.panels  # type: ignore[attr-defined]
        # The sum over keys of a probability times its gradient, seen from the output's side (Dao et al. 2022, eq. 4).
        weighted = (gradient * attended).sum(dim=-1, keepdim=True)
        grad_queries = torch.empty(queries.shape, dtype=queries.dtype, device=queries.device)
        grad_keys = torch.zeros(keys.shape, dtype=keys.dtype, device=keys.device)
        grad_values = torch.zeros_like(grad_keys)
        scores, grads = _scratch(queries, panels), _scratch(queries, panels)
        with torch.autocast(queries.device.type, enabled=False):
            for panel in panels:
                q, k, v = _panel_of(panel, queries, keys, values)
                g = gradient[panel.rows, :, panel.queries].reshape(q.shape)
                probabilities = _probabilities(q, k, panel, ctx.distances, scratch=scores)  # type: ignore[attr-defined]
                _add_to_spans(grad_values, torch.bmm(probabilities.mT, g), panel)
                grad_scores = _product_into(grads, g, v.mT)
                grad_scores -= weighted[panel.rows, :, panel.queries].reshape(len(q), -1, 1)
                grad_scores *= probabilities
                _add_to_spans(grad_keys, torch.bmm(grad_scores.mT, q), panel)
                target = grad_queries[panel.rows, :, panel.queries]
                torch.mul(torch.bmm(grad_scores, k).view(target.shape), _scale(queries), out=target)
        return grad_queries, grad_keys, grad_values, None, None


def _scale(queries: Tensor) -> float:
    return float(queries.shape[-1] ** -0.5)


def _rows(x: Tensor, rows: slice) -> Tensor:
    return x if len(x) == 1 else x[rows]


def _panel_of(panel: Panel, queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Scaled queries: (rows * kv_heads, group * panel's queries, head_dim); keys, values: (rows * kv_heads, ...)."""
    scaled = torch.mul(queries[panel.rows, :, panel.queries], _scale(queries)).contiguous()
    num_products = scaled.shape[0] * keys.shape[1]
    grouped = scaled.view(num_products, -1, scaled.shape[-1])
    return grouped, _spans_of(keys, panel), _spans_of(values, panel)


def _spans_of(x: Tensor, panel: Panel) -> Tensor:
    """x: (batch, kv_heads, key_time, head_dim) -> (rows * kv_heads, panel's keys, head_dim)."""
    if len(panel.keys) == 1:
        return x[panel.rows, :, panel.keys[0]].flatten(0, 1)
    return torch.cat([x[panel.rows, :, span] for span in panel.keys], dim=2).flatten(0, 1)


def _add_to_spans(total: Tensor, found: Tensor, panel: Panel) -> None:
    """total: (batch, kv_heads, key_time, head_dim); found: (rows * kv_heads, panel's keys, head_dim)."""
    parts = found.view(panel.rows.stop - panel.rows.start, -1, *found.shape[1:])
    start = 0
    for span in panel.keys:
        stop = start + span.stop - span.start
        total[panel.rows, :, span] += parts[:, :, start:stop] if len(panel.keys) > 1 else parts
        start = stop


def _scratch(queries: Tensor, panels: list[Panel]) -> Tensor:
    """Memory for the scores of the largest panel: fresh memory for each panel would cost as much as filling it."""
    sizes = [
        (panel.rows.stop - panel.rows.start) * (panel.queries.stop - panel.queries.start) * panel.num_keys
        for panel in panels
    ]
    return queries.new_empty(queries.shape[1] * max(sizes))


def _product_into(scratch: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """left: (products, n, m), right: (products, m, k) -> (products, n, k), in the scratch memory."""
    shape = (left.shape[0], left.shape[1], right.shape[2])
    return torch.bmm(left, right, out=scratch[: shape[0] * shape[1] * shape[2]].view(shape))


def _probabilities(q: Tensor, k: Tensor, panel: Panel, distances: Distances | None, *, scratch: Tensor) -> Tensor:
    """q: (rows * kv_heads, group * queries, head_dim), k: (rows * kv_heads, keys, head_dim) -> (..., queries, keys)."""
    scores = _product_into(scratch, q, k.mT)
    if distances is not None:
        distances.lower(scores, panel)
    if panel.bias is not None:
        rows, height = panel.rows.stop - panel.rows.start, panel.queries.stop - panel.queries.start
        masked = scores.view(rows, -1, height, scores.shape[-1])[..., -panel.bias.shape[-1] :]
        masked += panel.bias[:, None]
    return torch.softmax(scores, dim=-1, out=scores)
