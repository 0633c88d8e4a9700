"""The rows of a pass, one after the other as one row of a batch: laid out, grouped for reading, cut into tiles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from waman.inference.runner import Row
from waman.inference.tiles import TILE_TOKENS
from waman.model.masks import Cached, Causal, Mask

GROUP_SPREAD = 2
"""Rows are read together while the longest has at most this many times the pages of the shortest, and a few more."""
GROUP_PAGES = 4


@dataclass(frozen=True)
class FlatRows:
    """The tokens of a pass, row after row."""

    token_ids: Tensor
    positions: Tensor
    slots: Tensor
    """(tokens,): page * page_tokens + place of each; -1 where a token is not kept"""
    tables: Tensor
    """(rows, pages), short rows filled with page 0; for a tile (tokens, pages)"""
    adapters: Tensor | None
    """(tokens,): the adapter of each, -1 for none; None where no row has one"""
    owners: Tensor
    """(tokens,): the row of each"""
    rows: Sequence[Row]
    starts: Sequence[int]
    """where each row's tokens begin"""


def lay_out(rows: Sequence[Row], *, page_tokens: int, device: torch.device) -> FlatRows:
    """The rows in the order given, their tensors on the device."""
    counts = torch.tensor([len(row.token_ids) for row in rows])
    stops = counts.cumsum(0)
    owners = torch.repeat_interleave(torch.arange(len(rows)), counts)
    cached = torch.tensor([row.cached for row in rows])
    positions = torch.arange(int(stops[-1])) - (stops - counts)[owners] + cached[owners]
    needed = [-(-(row.cached + len(row.token_ids)) // page_tokens) for row in rows]
    longest = max(needed)
    tables = torch.tensor(
        [[*row.pages[:count], *[0] * (longest - count)] for row, count in zip(rows, needed, strict=True)]
    )
    slots = tables[owners, positions // page_tokens] * page_tokens + positions % page_tokens
    adapters = None
    if any(row.adapter is not None for row in rows):
        adapters = torch.tensor([-1 if row.adapter is None else row.adapter for row in rows])[owners].to(device)
    return FlatRows(
        token_ids=torch.tensor([token for row in rows for token in row.token_ids], device=device),
        positions=positions.to(device),
        slots=slots.to(device),
        tables=tables.to(device),
        adapters=adapters,
        owners=owners.to(device),
        rows=rows,
        starts=(stops - counts).tolist(),
    )


class RowGroup:
    """Neighbouring rows with equally many new tokens."""

    def __init__(self, flat: FlatRows, some: slice, *, page_tokens: int) -> None:
        rows = flat.rows[some]
        count = len(rows[0].token_ids)
        first = flat.starts[some.start]
        self.tokens = slice(first, first + count * len(rows))
        self.longest = max(row.cached for row in rows) + count
        num_pages = -(-self.longest // page_tokens)
        self.tables = flat.tables[some, :num_pages]
        pages = list(rows[0].pages[:num_pages])
        self.span = slice(pages[0], pages[0] + num_pages) if len(rows) == 1 and _follow(pages) else None
        """the pages of a row alone, where each lies behind the one before"""
        starts = torch.tensor([row.cached for row in rows], device=flat.tables.device)
        even = all(row.cached == rows[0].cached for row in rows)
        self.mask: Mask = Causal() if even else Cached(starts)


def _follow(pages: list[int]) -> bool:
    return pages == list(range(pages[0], pages[0] + len(pages)))


def into_groups(flat: FlatRows, *, page_tokens: int) -> list[RowGroup]:
    """Cuts rows, ordered by new tokens and then by cached ones, so that little beyond the short ones is read."""
    rows, found, start = flat.rows, [], 0
    for stop in range(1, len(rows) + 1):
        if stop < len(rows) and len(rows[stop].token_ids) == len(rows[start].token_ids):
            allowed = GROUP_SPREAD * rows[start].cached + GROUP_PAGES * page_tokens
            if rows[stop].cached <= allowed:
                continue
        found.append(RowGroup(flat, slice(start, stop), page_tokens=page_tokens))
        start = stop
    return found


def into_tiles(flat: FlatRows) -> Iterator[FlatRows]:
    """Pieces of a fixed number of tokens, the last filled up with tokens that are not kept and that nobody reads."""
    for start in range(0, len(flat.token_ids), TILE_TOKENS):
        some = slice(start, start + TILE_TOKENS)
        yield FlatRows(
            token_ids=pad_tile(flat.token_ids[some]),
            positions=pad_tile(flat.positions[some]),
            slots=pad_tile(flat.slots[some], value=-1),
            tables=pad_tile(flat.tables[flat.owners[some]]),
            adapters=None if flat.adapters is None else pad_tile(flat.adapters[some], value=-1),
            owners=flat.owners[some],
            rows=flat.rows,
            starts=flat.starts,
        )


def pad_tile(x: Tensor, *, value: int = 0) -> Tensor:
    """x: (at most TILE_TOKENS, ...) -> (TILE_TOKENS, ...)."""
    missing = TILE_TOKENS - len(x)
    return torch.cat([x, x.new_full((missing, *x.shape[1:]), value)]) if missing else x
