"""Who may see whom, as values; and the cut of a mask into panels that leaves out what nobody may see."""

from dataclasses import dataclass

import torch
from torch import Tensor


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
    """Consecutive queries of some rows against all keys that they may see."""

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
    mask: Mask, *, batch: int, query_length: int, key_length: int, height: int, device: torch.device
) -> list[Panel]:
    """Panels of at most `height` queries that cover every allowed pair, and no key that no query of a panel may see."""
    first = key_length - query_length
    panels = []
    for start in range(0, query_length, height):
        queries = slice(start, min(start + height, query_length))
        match mask:
            case Causal():
                panels.append(_causal_panel(slice(0, batch), queries, slice(0, first + queries.stop), device))
            case Document(document_ids=ids):
                panels.extend(_document_panels(ids, queries, first))
            case Cached(starts=starts):
                panels.append(_cached_panel(starts, queries))
    return panels


def _causal_panel(rows: slice, queries: slice, keys: slice, device: torch.device) -> Panel:
    height = queries.stop - queries.start
    if height == 1:
        return Panel(rows, queries, keys, bias=None)
    later = torch.ones(height, height, dtype=torch.bool, device=device).triu(1)
    return Panel(rows, queries, keys, bias=_bias(~later)[None])


def _document_panels(ids: Tensor, queries: slice, first: int) -> list[Panel]:
    """Rows whose queries all belong to one document, and start where it does, share a panel."""
    seen = slice(first + queries.start, first + queries.stop)
    same_as_first = ids[:, : seen.stop] == ids[:, seen.start, None]
    whole = same_as_first[:, seen].all(dim=1).tolist()
    begins = _first_key(ids, seen).tolist()
    panels: list[Panel] = []
    row = 0
    while row < len(begins):
        end = row + 1
        if whole[row]:
            while end < len(begins) and whole[end] and begins[end] == begins[row]:
                end += 1
        panels.append(_document_panel(ids, slice(row, end), queries, slice(begins[row], seen.stop), whole[row]))
        row = end
    return panels


def _first_key(ids: Tensor, seen: slice) -> Tensor:
    """For each row the first key whose id lies between the smallest and the largest id of the queries: (batch,)."""
    wanted = ids[:, seen]
    keys = ids[:, : seen.stop]
    near = (keys >= wanted.amin(dim=1, keepdim=True)) & (keys <= wanted.amax(dim=1, keepdim=True))
    return near.int().argmax(dim=1)


def _document_panel(ids: Tensor, rows: slice, queries: slice, keys: slice, whole: bool) -> Panel:
    height = queries.stop - queries.start
    causal = torch.ones(height, height, dtype=torch.bool, device=ids.device).tril()
    own = ids[rows, keys]
    if whole and bool((own == own[:, -1:]).all()):
        return Panel(rows, queries, keys, bias=_bias(causal)[None])
    same = own[:, -height:, None] == own[:, None, :]
    same[:, :, -height:] &= causal
    return Panel(rows, queries, keys, bias=_bias(same))


def _cached_panel(starts: Tensor, queries: slice) -> Panel:
    places = starts[:, None] + torch.arange(queries.start, queries.stop, device=starts.device)
    stop = int(places.max()) + 1
    keys = torch.arange(stop, device=starts.device)
    return Panel(slice(0, len(starts)), queries, slice(0, stop), bias=_bias(keys <= places[:, :, None]))


def _bias(allowed_pairs: Tensor) -> Tensor:
    return torch.zeros(allowed_pairs.shape, device=allowed_pairs.device).masked_fill_(~allowed_pairs, float("-inf"))
