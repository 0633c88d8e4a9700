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
class Tree:
    """A token sees itself and its ancestors, in trees laid out one after the other in preorder (`tree_layout`).

    A packed document is a tree of one node, so one row may hold documents and trees.
    """

    ends: Tensor
    """(batch, key_time), integers: the queries j to ends[j] - 1 see key j, for a node's tokens the end of its
    subtree; spans lie within each other or apart"""


@dataclass(frozen=True, eq=False)
class Cached:
    """Query i of row r sees the keys 0 to starts[r] + i: rows of a cache that hold different numbers of tokens."""

    starts: Tensor
    """(batch,), integers: tokens that each row held before these queries"""


Mask = Causal | Document | Tree | Cached

# Rows of a ragged cache share a panel while their queries times the spread of their lengths stay within this.
GROUP_PAIRS = 4096


@dataclass(frozen=True, eq=False)
class Panel:
    """Consecutive queries of some rows against some spans of keys, among them all that these queries may see."""

    rows: slice
    queries: slice
    keys: tuple[slice, ...]
    """spans of keys, set side by side in this order"""
    bias: Tensor | None
    """(rows or 1, queries, width): 0 or -inf, added to the last `width` columns; None: everything is allowed"""

    @property
    def num_keys(self) -> int:
        """Columns: keys of all spans."""
        return sum(span.stop - span.start for span in self.keys)


def allowed(
    mask: Mask,
    query_length: int,
    key_length: int,
    device: torch.device,
    *,
    window: int | None = None,
    positions: Tensor | None = None,
) -> Tensor:
    """Which query may see which key: (batch or 1, query_length, key_length), bool. The reference: it stores all.

    window: how many positions back a query sees, its own included. positions: as in `distances`.
    """
    keys = torch.arange(key_length, device=device)
    queries = query_places(mask, query_length, key_length, device)[:, :, None]
    seen = keys <= queries
    match mask:
        case Document(document_ids=ids):
            seen = seen & (ids[:, key_length - query_length :, None] == ids[:, None, :])
        case Tree(ends=ends):
            seen = seen & (queries < ends[:, None, :])
        case _:
            pass
    if window is not None:
        seen = seen & (distances(mask, query_length, key_length, device, positions=positions) < window)
    return seen


def distances(
    mask: Mask, query_length: int, key_length: int, device: torch.device, *, positions: Tensor | None = None
) -> Tensor:
    """A query's position less a key's: (batch or 1, query_length, key_length). The reference: it stores all.

    positions: (batch, key_time) or (1, key_time), integers; absent: a token's place in its row and, in a tree, on its
    path from the root.
    """
    places = query_places(mask, query_length, key_length, device)
    known = positions_of(mask, key_length, device) if positions is None else positions
    return _at(known, places)[:, :, None] - known[:, None, :]


def query_places(mask: Mask, query_length: int, key_length: int, device: torch.device) -> Tensor:
    """Each query's place among the keys: (batch or 1, query_length)."""
    queries = torch.arange(query_length, device=device)
    if isinstance(mask, Cached):
        return mask.starts[:, None] + queries
    return (queries + key_length - query_length)[None]


def positions_of(mask: Mask, key_length: int, device: torch.device) -> Tensor:
    """Positions of which any two that see each other differ by their distance: (batch or 1, key_length)."""
    places = torch.arange(key_length, device=device)[None]
    if not isinstance(mask, Tree):
        return places
    # A token's ancestors are the tokens before it whose spans have not ended.
    ended = torch.zeros(len(mask.ends), key_length + 1, dtype=torch.long, device=device)
    stops = mask.ends.long().clamp(max=key_length)
    ended.scatter_add_(1, stops, torch.ones_like(stops))
    return places - ended.cumsum(dim=1)[:, :key_length]


def require_shape(mask: Mask, batch: int, key_length: int, *, positions: Tensor | None = None) -> None:
    """Raises InputError if a mask or its positions are of another shape than the tokens, or a token sees not itself."""
    match mask:
        case Document(document_ids=found):
            _require(type(mask).__name__, found, (batch, key_length))
        case Tree(ends=found):
            _require(type(mask).__name__, found, (batch, key_length))
            early = found <= torch.arange(key_length, device=found.device)
            if early.any():
                row, token = (int(n) for n in early.nonzero()[0])
                raise InputError(
                    f"mask: Tree ends the span of token {token} of row {row} at {int(found[row, token])}; expected "
                    f"{token + 1} or more: a token sees itself"
                )
        case Cached(starts=found):
            _require(type(mask).__name__, found, (batch,))
        case Causal():
            pass
    if positions is not None and positions.shape != (1, key_length):
        _require("positions", positions, (batch, key_length))


def _require(name: str, found: Tensor, expected: tuple[int, ...]) -> None:
    if found.shape != expected:
        raise InputError(
            f"mask: {name} holds numbers of shape {tuple(found.shape)}, expected {expected}: "
            "one for each row and, but for a cache's, each token, the cached ones included"
        )


# Panels


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
    window: int | None = None,
    positions: Tensor | None = None,
    width_step: int = 1,
) -> list[Panel]:
    """Panels that cover every allowed pair, and leave out the keys that no query of a panel may see.

    A panel has at most `max_queries` queries of a row and, unless it is of one row, `max_pairs` query-key pairs; its
    keys are a multiple of `width_step` where there are so many.
    Raises InputError if the mask is of another shape than the tokens.
    """
    sight = sight_of(mask, batch, query_length, key_length, window=window, positions=positions)
    like = torch.empty(0, dtype=dtype, device=device)
    triangle = _bias(torch.ones(max_queries, max_queries, dtype=torch.bool).tril(), like)[None]
    panels: list[Panel] = []
    for start in range(0, query_length, max_queries):
        queries = slice(start, min(start + max_queries, query_length))
        height = queries.stop - queries.start
        bias = triangle[:, :height, :height] if height > 1 else None
        if isinstance(mask, Causal) and window is None:
            panels.append(Panel(slice(0, batch), queries, (slice(0, key_length - query_length + queries.stop),), bias))
        else:
            panels.extend(_cut_queries(sight, queries, triangle=bias, batch=batch, width_step=width_step, like=like))
    return [part for panel in panels for part in _split_rows(panel, max_pairs)]


@dataclass(frozen=True, eq=False)
class Sight:
    """What a mask and a window say of every key, on the CPU; rows that are alike are one."""

    first: Tensor
    """(rows, 1): place of a row's first query among its keys"""
    ends: Tensor
    """(rows, key_time): no query from here on sees the key; before, each from the key on does, save for what follows"""
    positions: Tensor
    """(rows, key_time): see `window`"""
    window: int | None
    """a query sees the keys whose position is less than this behind its own"""
    ids: Tensor | None
    """(rows, key_time): a query sees the keys of its own id; absent where `ends` says it all"""

    def of(self, queries: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Keys of which some query, keys of which every query sees all it may, and the queries' own: (rows, key_time).

        The first is true of every key that one of the queries may see; the second of no key that one may not.
        """
        start, stop = self.first + queries.start, self.first + queries.stop
        keys = torch.arange(self.ends.shape[1])
        own = (keys >= start) & (keys < stop)
        some, every = self.ends > start, self.ends >= stop
        places = start + torch.arange(queries.stop - queries.start)
        if self.window is not None:
            reached = _at(self.positions, places)
            some &= reached.amin(dim=1, keepdim=True) - self.positions < self.window
            every &= reached.amax(dim=1, keepdim=True) - self.positions < self.window
        if self.ids is not None:
            same = _at(self.ids, places)[:, :, None] == self.ids[:, None, :]
            some, every = some & same.any(dim=1), every & same.all(dim=1)
        return (some & (keys < stop)) | own, every & (keys < stop), own

    def pairs(self, rows: slice, queries: slice, keys: Tensor) -> Tensor:
        """Which query sees which of some keys: (rows, queries, keys)."""
        places = (self._rows(self.first, rows) + torch.arange(queries.start, queries.stop))[:, :, None]
        seen = (keys <= places) & (places < self._rows(self.ends, rows)[:, None, keys])
        if self.window is not None:
            positions = self._rows(self.positions, rows)
            seen &= _at(positions, places[:, :, 0])[:, :, None] - positions[:, None, keys] < self.window
        if self.ids is not None:
            ids = self._rows(self.ids, rows)
            seen &= _at(ids, places[:, :, 0])[:, :, None] == ids[:, None, keys]
        return seen

    @staticmethod
    def _rows(x: Tensor, rows: slice) -> Tensor:
        return x if len(x) == 1 else x[rows]


def sight_of(
    mask: Mask, batch: int, query_length: int, key_length: int, *, window: int | None, positions: Tensor | None
) -> Sight:
    """The mask's numbers, fetched from their device once. Raises InputError if they do not fit the tokens."""
    require_shape(mask, batch, key_length, positions=positions)
    cpu = torch.device("cpu")
    ids = None
    ends = torch.full((1, key_length), key_length)
    match mask:
        case Document(document_ids=found):
            ends, returning = document_ends(found.cpu())
            ids = found.cpu() if returning else None
        case Tree(ends=found):
            mask = Tree(found.cpu())
            ends = mask.ends
        case Cached(starts=found):
            mask = Cached(found.cpu())
            ends = torch.full((len(found), key_length), key_length)
        case Causal():
            pass
    known = positions_of(mask, key_length, cpu) if positions is None else positions.cpu()
    first = query_places(mask, 1, key_length, cpu) if isinstance(mask, Cached) else None
    rows = max(len(ends), len(known))
    return Sight(
        first=torch.full((rows, 1), key_length - query_length) if first is None else first,
        ends=ends.expand(rows, -1),
        positions=known.expand(rows, -1),
        window=window,
        ids=None if ids is None else ids.expand(rows, -1),
    )


def document_ends(ids: Tensor) -> tuple[Tensor, bool]:
    """Where each token's document ends, and whether any document comes back after another: then the row's end."""
    length = ids.shape[1]
    changes = ids[:, 1:] != ids[:, :-1]
    ordered = ids.sort(dim=1).values
    if (changes.sum(dim=1) != (ordered[:, 1:] != ordered[:, :-1]).sum(dim=1)).any():
        return torch.full_like(ids, length), True
    ends = torch.full(ids.shape, length)
    ends[:, :-1] = torch.where(changes, torch.arange(1, length), length)
    return ends.flip(1).cummin(dim=1).values.flip(1), False


def _cut_queries(
    sight: Sight, queries: slice, *, triangle: Tensor | None, batch: int, width_step: int, like: Tensor
) -> list[Panel]:
    """Panels of some queries: one for each group of neighbouring rows that see nearly the same keys."""
    some, every, own = sight.of(queries)
    groups = _groups(sight, some, every, height=queries.stop - queries.start)
    firsts = torch.tensor([rows.start for rows in groups])
    full, rest = _columns(groups, firsts, some, every & ~own, is_ragged=bool((sight.first != sight.first[0]).any()))
    # Nothing but the queries' own keys is seen in part, and these as in a causal mask.
    plain = ((rest == own[firsts]) & (every[firsts] | ~rest)).all(dim=1)
    if width_step > 1:
        plain &= ~_widen(full, rest, width_step)
    panels = []
    for rows, columns, spans, is_plain in zip(groups, rest, _spans(full, rest), plain.tolist(), strict=True):
        bias = triangle
        if not is_plain:
            bias = _bias(sight.pairs(rows, queries, columns.nonzero()[:, 0]), like)
        panels.append(Panel(rows if len(some) > 1 else slice(0, batch), queries, spans, bias))
    return panels


def _widen(full: Tensor, rest: Tensor, step: int) -> Tensor:
    """Adds keys that nobody sees to `rest`, (groups, key_time), until the columns are a multiple of a step.

    First those behind the queries, which prolong their span; then those before. Gives which groups have changed.
    """
    missing = (-(full | rest).sum(dim=1) % step).tolist()
    last = full.shape[1] - 1 - rest.flip(1).int().argmax(dim=1)
    for row, (wanted, stop) in enumerate(zip(missing, (last + 1).tolist(), strict=True)):
        behind = min(wanted, full.shape[1] - stop)
        rest[row, stop : stop + behind] = True
        if wanted > behind:
            free = (~(full[row] | rest[row])).nonzero()[:, 0]
            rest[row, free[max(0, len(free) - (wanted - behind)) :]] = True
    return torch.tensor(missing) > 0


def _groups(sight: Sight, some: Tensor, every: Tensor, *, height: int) -> list[slice]:
    """Neighbouring rows that share a panel: those that see the same keys, or whose queries stand close together.

    In the second case keys are computed that some rows do not see, but the bias stays within GROUP_PAIRS for each row.
    """
    alike = ((some[1:] == some[:-1]) & (every[1:] == every[:-1])).all(dim=1).tolist()
    firsts = sight.first[:, 0].tolist()
    groups: list[slice] = []
    start, low, high = 0, firsts[0], firsts[0]
    for row, first in enumerate(firsts[1:], start=1):
        low, high = min(low, first), max(high, first)
        joins = alike[row - 1] if low == high else height * (high - low) <= GROUP_PAIRS
        if not joins:
            groups.append(slice(start, row))
            start, low, high = row, first, first
    return [*groups, slice(start, len(firsts))]


def _columns(
    groups: list[slice], firsts: Tensor, some: Tensor, every: Tensor, *, is_ragged: bool
) -> tuple[Tensor, Tensor]:
    """Keys before its queries that all of a group see, and the others that some may see: (groups, key_time)."""
    if not is_ragged:
        full = every[firsts]
        return full, some[firsts] & ~full
    full = torch.stack([every[rows].all(dim=0) for rows in groups])
    return full, torch.stack([some[rows].any(dim=0) for rows in groups]) & ~full


def _spans(full: Tensor, rest: Tensor) -> list[tuple[slice, ...]]:
    """For each row the runs of keys in `full`, then those in `rest`, neighbours joined."""
    found: list[list[slice]] = [[] for _ in full]
    for flags in (full, rest):
        steps = torch.diff(flags.int(), dim=1, prepend=flags.new_zeros(len(flags), 1, dtype=torch.int))
        stops = torch.diff(flags.int(), dim=1, append=flags.new_zeros(len(flags), 1, dtype=torch.int))
        ends = (stops == -1).nonzero()[:, 1] + 1
        for (row, start), stop in zip((steps == 1).nonzero().tolist(), ends.tolist(), strict=True):
            spans = found[row]
            if spans and spans[-1].stop == start:
                spans[-1] = slice(spans[-1].start, stop)
            else:
                spans.append(slice(start, stop))
    return [tuple(spans) for spans in found]


def _split_rows(panel: Panel, max_pairs: int) -> list[Panel]:
    pairs = (panel.queries.stop - panel.queries.start) * panel.num_keys
    step = max(1, max_pairs // pairs)
    parts = []
    for start in range(panel.rows.start, panel.rows.stop, step):
        rows = slice(start, min(start + step, panel.rows.stop))
        bias = panel.bias
        if bias is not None and len(bias) > 1:
            bias = bias[start - panel.rows.start : rows.stop - panel.rows.start]
        parts.append(Panel(rows, panel.queries, panel.keys, bias))
    return parts


def _bias(seen: Tensor, like: Tensor) -> Tensor:
    """0 or -inf, of the dtype and on the device of another tensor."""
    bias = torch.where(seen, torch.tensor(0.0, dtype=like.dtype), torch.tensor(float("-inf"), dtype=like.dtype))
    return bias.to(like.device)


def _at(x: Tensor, places: Tensor) -> Tensor:
    """x: (rows or 1, keys), places: (rows or 1, n) -> (rows, n)."""
    rows = max(len(x), len(places))
    return x.expand(rows, -1).gather(1, places.expand(rows, -1))
