"""Who may see whom, as values; and the cut of a mask into panels that leaves out what nobody may see."""

from dataclasses import dataclass

import torch
from torch import Tensor

from waman.errors import InputError


@dataclass(frozen=True)
class Causal:
    """A token sees itself and what came before. Fewer queries than keys: the queries are the last positions."""


@dataclass(frozen=True, eq=False)
class Document:
    """A token sees itself and what came before in its own document."""

    document_ids: Tensor
    """(batch, key_time), integers: equal ids are one document"""


@dataclass(frozen=True, eq=False)
class Cached:
    """Query i of row r sees the keys 0 to starts[r] + i: rows of a cache that hold different numbers of tokens."""

    starts: Tensor
    """(batch,), integers: tokens that each row held before these queries"""


Mask = Causal | Document | Cached


@dataclass(frozen=True, eq=False)
class Panel:
    """Consecutive queries of some rows against consecutive keys, among them all that these queries may see."""

    rows: slice
    queries: slice
    keys: slice
    bias: Tensor | None
    """(rows or 1, queries, width): 0 or -inf, added to the last `width` columns; None: everything is allowed"""


def allowed(mask: Mask, query_length: int, key_length: int, device: torch.device) -> Tensor:
    """Which query may see which key: (batch or 1, query_length, key_length), bool. The reference: it stores all."""
    keys = torch.arange(key_length, device=device)
    first = key_length - query_length
    match mask:
        case Causal():
            return (keys <= (torch.arange(query_length, device=device) + first)[:, None])[None]
        case Document(document_ids=ids):
            same = ids[:, first:, None] == ids[:, None, :]
            return same & allowed(Causal(), query_length, key_length, device)
        case Cached(starts=starts):
            queries = starts[:, None] + torch.arange(query_length, device=device)
            return keys <= queries[:, :, None]


def cut(
    mask: Mask,
    *,
    batch: int,
    query_length: int,
    key_length: int,
    max_queries: int,
    max_pairs: int,
    dtype: torch.dtype,
    device: torch.device,
) -> list[Panel]:
    """Panels that cover every allowed pair, and leave out the keys before and after all that a panel may see.

    A panel has at most `max_queries` queries of a row and, unless it is of one row, `max_pairs` query-key pairs.
    Raises InputError if the mask is of another shape than the tokens.
    """
    _require_shape(mask, batch, key_length)
    first = key_length - query_length
    triangle = _bias(torch.ones(max_queries, max_queries, dtype=torch.bool, device=device).tril(), dtype)[None]
    panels: list[Panel] = []
    for start in range(0, query_length, max_queries):
        queries = slice(start, min(start + max_queries, query_length))
        height = queries.stop - queries.start
        bias = triangle[:, :height, :height] if height > 1 else None
        match mask:
            case Causal():
                panels.append(Panel(slice(0, batch), queries, slice(0, first + queries.stop), bias))
            case Document(document_ids=ids):
                panels.extend(_document_panels(ids, queries, first, bias=bias, dtype=dtype))
            case Cached(starts=starts):
                panels.append(_cached_panel(starts, queries, dtype))
    return [part for panel in panels for part in _split_rows(panel, max_pairs)]


def _require_shape(mask: Mask, batch: int, key_length: int) -> None:
    match mask:
        case Document(document_ids=found) if found.shape != (batch, key_length):
            expected: tuple[int, ...] = (batch, key_length)
        case Cached(starts=found) if found.shape != (batch,):
            expected = (batch,)
        case _:
            return
    raise InputError(
        f"mask: {type(mask).__name__} holds numbers of shape {tuple(found.shape)}, expected {expected}: "
        "one for each row and, with documents, each token, the cached ones included"
    )


def _document_panels(
    ids: Tensor, queries: slice, first: int, *, bias: Tensor | None, dtype: torch.dtype
) -> list[Panel]:
    """One panel for neighbouring rows that begin alike and hold one document; one for each row that holds more."""
    start, stop = first + queries.start, first + queries.stop
    begins = _first_keys(ids, start, stop)
    pure = ((ids[:, :stop] == ids[:, stop - 1 : stop]).sum(dim=1) == stop - begins).tolist()
    starts = begins.tolist()
    panels = []
    row = 0
    while row < len(starts):
        end, keys = row + 1, slice(starts[row], stop)
        if pure[row]:
            while end < len(starts) and pure[end] and starts[end] == starts[row]:
                end += 1
        own = bias if pure[row] else _document_bias(ids[row : row + 1, keys], stop - start, dtype)
        panels.append(Panel(slice(row, end), queries, keys, own))
        row = end
    return panels


def _first_keys(ids: Tensor, start: int, stop: int) -> Tensor:
    """For each row the first key whose id lies between the smallest and the largest of start to stop: (batch,)."""
    wanted, keys = ids[:, start:stop], ids[:, :stop]
    near = (keys >= wanted.amin(dim=1, keepdim=True)) & (keys <= wanted.amax(dim=1, keepdim=True))
    return near.int().argmax(dim=1)


def _document_bias(ids: Tensor, height: int, dtype: torch.dtype) -> Tensor:
    """ids: (rows, keys), the last `height` of them the queries -> (rows, height, keys)."""
    same = ids[:, -height:, None] == ids[:, None, :]
    same[:, :, -height:] &= torch.ones(height, height, dtype=torch.bool, device=ids.device).tril()
    return _bias(same, dtype)


def _cached_panel(starts: Tensor, queries: slice, dtype: torch.dtype) -> Panel:
    places = starts[:, None] + torch.arange(queries.start, queries.stop, device=starts.device)
    stop = int(places.max()) + 1
    keys = torch.arange(stop, device=starts.device)
    return Panel(slice(0, len(starts)), queries, slice(0, stop), _bias(keys <= places[:, :, None], dtype))


def _split_rows(panel: Panel, max_pairs: int) -> list[Panel]:
    pairs = (panel.queries.stop - panel.queries.start) * (panel.keys.stop - panel.keys.start)
    step = max(1, max_pairs // pairs)
    parts = []
    for start in range(panel.rows.start, panel.rows.stop, step):
        rows = slice(start, min(start + step, panel.rows.stop))
        bias = panel.bias
        if bias is not None and len(bias) > 1:
            bias = bias[start - panel.rows.start : rows.stop - panel.rows.start]
        parts.append(Panel(rows, panel.queries, panel.keys, bias))
    return parts


def _bias(seen: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, float("-inf"))
