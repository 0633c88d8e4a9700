"""Chooses the next tokens of a pass, all rows together; no row's choice depends on another's."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from waman.inference.recipe import Sampling

ROWS_AT_ONCE = 64
"""Rows whose probabilities exist at once, in float64: bounds memory for large vocabularies."""


class Likely(NamedTuple):
    """A token and what the model gave it."""

    token_id: int
    log_probability: float
    """natural logarithm, before anything that sampling does to the logits"""


@dataclass(frozen=True)
class TokenLogs:
    """A token that stands in a text, and the likeliest in its place."""

    token_id: int
    log_probability: float
    """natural logarithm, before anything that sampling does to the logits"""
    top: tuple[Likely, ...] = ()
    """the likeliest first, equals by id"""


class Sampler:
    """What a sample's draws depend on beside the logits: its own generator, and the tokens that it holds."""

    def __init__(self, sampling: Sampling, *, number: int = 0, prompt: Sequence[int] = ()) -> None:
        """number: of the sample among those of its prompt; prompt: for the repetition penalty."""
        self.sampling = sampling
        self._generator = torch.Generator().manual_seed(_seed(sampling.seed, number))
        self._prompt = prompt
        self._seen: Tensor | None = None
        self._counts: Tensor | None = None
        bias: dict[int, float] = {}
        for one in sampling.logit_bias:
            bias[one.token_id] = bias.get(one.token_id, 0.0) + one.added
        self._bias = (torch.tensor(list(bias)), torch.tensor(list(bias.values()))) if bias else None

    @property
    def changes_logits(self) -> bool:
        """Whether `change` does anything."""
        return self._bias is not None or self._repeats or self._penalises

    @property
    def _repeats(self) -> bool:
        return self.sampling.repetition_penalty != 1.0

    @property
    def _penalises(self) -> bool:
        return bool(self.sampling.presence_penalty or self.sampling.frequency_penalty)

    def take(self, token_id: int) -> None:
        """The answer now holds this token too."""
        if self._seen is not None:
            self._seen[token_id] = True
        if self._counts is not None:
            self._counts[token_id] += 1

    def change(self, logits: Tensor) -> None:
        """logits: (vocab_size,), changed in place by biases and penalties. To be asked before the first `take`."""
        if self._bias is not None:
            logits[self._bias[0]] += self._bias[1].to(logits.dtype)
        if self._repeats:
            if self._seen is None:
                self._seen = torch.zeros(len(logits), dtype=torch.bool)
                self._seen[list(self._prompt)] = True
            penalty = self.sampling.repetition_penalty
            penalised = torch.where(logits > 0, logits / penalty, logits * penalty)
            logits.copy_(torch.where(self._seen, penalised, logits))
        if self._penalises:
            if self._counts is None:
                self._counts = torch.zeros(len(logits))
            logits.sub_(self._counts * self.sampling.frequency_penalty)
            logits.sub_((self._counts > 0) * self.sampling.presence_penalty)

    def draw(self) -> float:
        """A number from 0 to 1, 1 excluded."""
        return float(torch.rand((), generator=self._generator, dtype=torch.float64))


def choose(
    logits: Tensor, samplers: Sequence[Sampler], allowed: Sequence[Tensor | None] | None = None
) -> list[int | None]:
    """A token for each row, None where there is none to choose. logits: (rows, vocab_size), which stay as they are.

    allowed: for each row (vocab_size,), bool, what its constraint lets through; None where there is none.
    """
    logits = logits.cpu()
    masks = [None] * len(samplers) if allowed is None else allowed
    if any(one.changes_logits for one in samplers) or any(mask is not None for mask in masks):
        logits = logits.clone()
    for row, sampler, mask in zip(logits, samplers, masks, strict=True):
        if sampler.changes_logits:
            sampler.change(row)
        if mask is not None:
            row.masked_fill_(~mask, float("-inf"))
    largest, greedy = logits.max(dim=-1)
    sound = largest.isfinite().tolist()
    found = [token_id if is_sound else None for token_id, is_sound in zip(greedy.tolist(), sound, strict=True)]
    drawing = [row for row, one in enumerate(samplers) if one.sampling.temperature > 0 and sound[row]]
    for start in range(0, len(drawing), ROWS_AT_ONCE):
        some = drawing[start : start + ROWS_AT_ONCE]
        drawn = _draw(logits[some] if len(some) < len(logits) else logits, [samplers[row] for row in some])
        for row, token_id in zip(some, drawn, strict=True):
            found[row] = token_id
    return found


def log_probabilities(logits: Tensor, token_ids: Sequence[int], *, top: int) -> list[TokenLogs]:
    """For each row the log-probability of a token and of the likeliest. logits: (rows, vocab_size)."""
    found = []
    top = min(top, logits.shape[1])
    for start in range(0, len(token_ids), ROWS_AT_ONCE):
        ids = token_ids[start : start + ROWS_AT_ONCE]
        logs = torch.log_softmax(logits[start : start + ROWS_AT_ONCE].double(), dim=-1).cpu()
        own = logs.gather(1, torch.tensor(ids)[:, None])[:, 0].tolist()
        likeliest = [_likeliest(row, top) for row in logs] if top else [()] * len(ids)
        found += [TokenLogs(*one) for one in zip(ids, own, likeliest, strict=True)]
    return found


def nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """The likeliest tokens: those before which no more than `top_p` is reached (LLaMA's released `sample_top_p`).

    probabilities: (vocab_size,), together 1 -> ids of the kept ones, rising; equals go by id.
    """
    # All those under this together hold less than 1 - top_p, so none of them is kept; half of it is left to rounding.
    floor = (1.0 - top_p) / len(probabilities) / 2
    token_ids = (probabilities >= floor).nonzero()[:, 0]
    some = probabilities[token_ids]
    falling = torch.from_numpy(np.sort(some.numpy())[::-1].copy())
    before = falling.cumsum(0) - falling
    return token_ids[_first(some, falling, int((before <= top_p).sum()))]


def likeliest(probabilities: Tensor, count: int) -> Tensor:
    """The `count` likeliest tokens: (vocab_size,) -> their ids, rising; equals go by id."""
    count = min(count, len(probabilities))
    return _first(probabilities, torch.topk(probabilities, count).values, count)


def _first(values: Tensor, falling: Tensor, count: int) -> Tensor:
    """Places of the `count` largest, of which `falling` begins with the values: equals go by place. Rising."""
    last = falling[count - 1]
    kept = (values >= last).nonzero()[:, 0]
    surplus = len(kept) - count
    if surplus:
        equal = (values[kept] == last).nonzero()[:, 0]
        stays = torch.ones(len(kept), dtype=torch.bool)
        stays[equal[len(equal) - surplus :]] = False
        kept = kept[stays]
    return kept


def _draw(logits: Tensor, samplers: Sequence[Sampler]) -> list[int]:
    temperatures = torch.tensor([one.sampling.temperature for one in samplers], dtype=torch.float64)
    probabilities = torch.softmax(logits.double() / temperatures[:, None], dim=-1)
    found = []
    for row, sampler in zip(probabilities, samplers, strict=True):
        # In the order of their ids: in falling order two nearly equal ones, which rounding may swap, would swap places.
        token_ids = _kept(row, sampler.sampling)
        reached = (row if token_ids is None else row[token_ids]).cumsum(0)
        drawn = sampler.draw() * reached[-1]
        place = int(torch.searchsorted(reached, drawn, right=True))
        if place == len(reached):  # rounded up to all there is
            place = int(torch.searchsorted(reached, reached[-1]))
        found.append(place if token_ids is None else int(token_ids[place]))
    return found


def _kept(probabilities: Tensor, sampling: Sampling) -> Tensor | None:
    """What top_k, top_p and min_p leave: ids, rising; None for all. probabilities: (vocab_size,), together 1."""
    some, token_ids = probabilities, None
    if sampling.top_k is not None and sampling.top_k < len(probabilities):
        token_ids = likeliest(probabilities, sampling.top_k)
        some = probabilities[token_ids]
        some = some / some.sum()
    if sampling.top_p < 1.0:
        places = nucleus(some, sampling.top_p)
        some, token_ids = some[places], places if token_ids is None else token_ids[places]
    if sampling.min_p > 0.0:
        places = (some >= sampling.min_p * some.max()).nonzero()[:, 0]
        token_ids = places if token_ids is None else token_ids[places]
    return token_ids


def _likeliest(logs: Tensor, count: int) -> tuple[Likely, ...]:
    ids = likeliest(logs, count)
    values, order = torch.sort(logs[ids], descending=True, stable=True)
    return tuple(Likely(*one) for one in zip(ids[order].tolist(), values.tolist(), strict=True))


def _seed(seed: int, number: int) -> int:
    """The first sample's is the seed itself; the others' have nothing to do with it nor with other seeds'."""
    if number == 0:
        return seed
    return int.from_bytes(hashlib.blake2b(b"%d %d" % (seed, number), digest_size=8).digest()) >> 1
