"""Log-likelihoods of continuations; a context that several continuations share is read once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from waman.inference.cache import Cache, pad, read_contexts
from waman.model.decoder import Decoder

BATCH_TOKENS = 4096
"""Tokens of a forward pass, padding aside."""
HEAD_POSITIONS = 1024
"""Positions whose logits exist at once: bounds memory for large vocabularies."""

_Item = TypeVar("_Item")


class Score(NamedTuple):
    """What a model makes of a continuation."""

    log_likelihood: float
    """Natural logarithm of its probability, given the context."""
    is_greedy: bool
    """Whether always taking the most likely token would have written it."""


@dataclass(frozen=True)
class Query:
    """A context of at least one token, and the tokens to be scored after it."""

    context: tuple[int, ...]
    continuation: tuple[int, ...]


@dataclass(frozen=True)
class _Shared:
    context: tuple[int, ...]
    owners: list[int]
    """Numbers of the queries that continue it."""


@torch.inference_mode()
def score(decoder: Decoder, queries: Sequence[Query]) -> list[Score]:
    """The score of every query, in order. A context and its continuation must fit into the context length."""
    found = [Score(0.0, True)] * len(queries)
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, query in enumerate(queries):
        if query.continuation:
            groups.setdefault(query.context, []).append(number)
    alone = sorted((owners[0] for owners in groups.values() if len(owners) == 1), key=lambda n: _size(queries[n]))
    for single in _batches(alone, lambda number: _size(queries[number])):
        _score_alone(decoder, queries, single, found)
    shared = [_Shared(context, owners) for context, owners in groups.items() if len(owners) > 1]
    shared.sort(key=lambda group: len(group.context))
    for some in _batches(shared, lambda group: sum(_size(queries[number]) for number in group.owners)):
        _score_shared(decoder, queries, some, found)
    return found


def _score_alone(decoder: Decoder, queries: Sequence[Query], batch: Sequence[int], found: list[Score]) -> None:
    rows = [(*queries[number].context, *queries[number].continuation[:-1]) for number in batch]
    hidden = decoder.hidden(pad(rows, next(decoder.blocks.parameters()).device))
    parts = [hidden[row, len(queries[number].context) - 1 : len(rows[row])] for row, number in enumerate(batch)]
    _fill(decoder, queries, batch, parts, found)


def _score_shared(decoder: Decoder, queries: Sequence[Query], batch: Sequence[_Shared], found: list[Score]) -> None:
    contexts = [group.context for group in batch]
    cache = Cache(decoder, rows=len(batch), capacity=max(map(len, contexts)))
    last = read_contexts(decoder, cache, contexts)
    numbers = [number for group in batch for number in group.owners]
    rows = [row for row, group in enumerate(batch) for _ in group.owners]
    parts = [last[row][None] for row in rows]
    fed = [queries[number].continuation[:-1] for number in numbers]
    if any(fed):
        cache.choose(rows)
        token_ids = pad(fed, last.device)
        places = cache.lengths[:, None] + torch.arange(token_ids.shape[1], device=last.device)
        # padding may stand beyond the context; nobody reads it, so any place will do
        hidden = decoder.hidden(token_ids, cache=cache, positions=places.clamp(max=decoder.config.context_length - 1))
        parts = [torch.cat([part, hidden[row, : len(fed[row])]]) for row, part in enumerate(parts)]
    _fill(decoder, queries, numbers, parts, found)


def _fill(
    decoder: Decoder, queries: Sequence[Query], numbers: Sequence[int], parts: Sequence[Tensor], found: list[Score]
) -> None:
    """parts: for each query the hidden states from which its tokens follow, (tokens, model_dim)."""
    wanted = torch.tensor([token for number in numbers for token in queries[number].continuation])
    logs, greedy = _judge(decoder, torch.cat(list(parts)), wanted.to(parts[0].device))
    sizes = [len(queries[number].continuation) for number in numbers]
    for number, some, firsts in zip(numbers, torch.split(logs, sizes), torch.split(greedy, sizes), strict=True):
        found[number] = Score(float(some.sum()), bool(firsts.all()))


def _judge(decoder: Decoder, hidden: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """hidden: (positions, model_dim), wanted: (positions,) ids -> log-probability and whether it is the likeliest."""
    logs, greedy = [], []
    for some, ids in zip(torch.split(hidden, HEAD_POSITIONS), torch.split(wanted, HEAD_POSITIONS), strict=True):
        logits = decoder.head(some).float()
        chosen = logits.gather(1, ids[:, None])[:, 0]
        logs.append((chosen - logits.logsumexp(dim=1)).double().cpu())
        greedy.append((logits.argmax(dim=1) == ids).cpu())
    return torch.cat(logs), torch.cat(greedy)


def _size(query: Query) -> int:
    return len(query.context) + len(query.continuation)


def _batches(items: Sequence[_Item], size: Callable[[_Item], int]) -> Iterator[list[_Item]]:
    """Cuts items so that a batch of as many as its largest stays within BATCH_TOKENS."""
    batch: list[_Item] = []
    largest = 0
    for item in items:
        largest = max(largest, size(item))
        if batch and largest * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch, largest = [], size(item)
        batch.append(item)
    if batch:
        yield batch
