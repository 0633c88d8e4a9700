"""What a training step is given. The loop knows only `BatchSource`; pretraining and tuning each bring their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from waman.errors import InputError
from waman.training.sampling import Turns, derive_key, permute

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """The sequences of one optimizer step; all tensors are (batch, time)."""

    token_ids: Tensor
    """int64: what the model reads."""
    targets: Tensor
    """int64: the token that follows each position."""
    in_loss: Tensor
    """bool: whether predicting the target counts. Where it is False the target is any valid token id."""
    document_ids: Tensor
    """int64: positions of a row see each other only where these are equal; ascending along time."""


class BatchSource(Protocol):
    """Batches by number, so that a resumed run reads what an unbroken one would have read."""

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted from 0: a pure function of `step`, with the same shape at every step."""
        ...


class TokenStream(Protocol):
    """The documents of one source, end to end (`tokens.shards.Stream` is one)."""

    @property
    def num_tokens(self) -> int:
        """Tokens in the stream."""
        ...

    def read(self, start: int, stop: int) -> tuple[Ids, Ids]:
        """(stop - start,) tokens of the stream, and for each the index of the document it belongs to."""
        ...


class Batches:
    """Windows of the sources in their proportions. Sample i is a function of (seed, i) alone.

    A source's stream is closed to a ring and cut into windows that abut, from a place that each epoch draws anew; an
    epoch takes every window once, in its own order.
    """

    def __init__(
        self,
        streams: Mapping[str, TokenStream],
        *,
        proportions: Mapping[str, float],
        context_length: int,
        batch_sequences: int,
        seed: int,
    ) -> None:
        """`proportions` name streams, in any unit. Raises InputError if all tokens together make no sequence."""
        self._streams = {name: streams[name] for name, share in proportions.items() if share > 0}
        total = sum(stream.num_tokens for stream in self._streams.values())
        if total < context_length + 1:
            raise InputError(
                f"the corpus has {total} tokens to train on, one sequence needs {context_length + 1} "
                "(model.context_length and one to predict); give it more text or shorten model.context_length"
            )
        self._turns = Turns(proportions)
        self._context_length, self._batch_sequences, self._seed = context_length, batch_sequences, seed

    def num_windows(self, source: str) -> int:
        """Windows that an epoch of a source has."""
        return max(self._streams[source].num_tokens // self._context_length, 1)

    def sample(self, index: int) -> tuple[Ids, Ids]:
        """The tokens of a sample and the numbers of their documents: (context_length + 1,) each."""
        source, turn = self._turns.turn(index)
        num_windows = self.num_windows(source)
        epoch, number = divmod(turn, num_windows)
        key = derive_key(self._seed, source, epoch)
        window = permute(number, size=num_windows, key=key)
        first = derive_key("first token", key) % self._streams[source].num_tokens
        return _read_ring(self._streams[source], first + window * self._context_length, self._context_length + 1)

    def batch(self, step: int) -> Batch:
        """Samples step * batch_sequences and on; a document's first token is never predicted from another document."""
        first = step * self._batch_sequences
        samples = [self.sample(index) for index in range(first, first + self._batch_sequences)]
        tokens = torch.from_numpy(np.stack([token_ids for token_ids, _ in samples]))
        documents = torch.from_numpy(np.stack([document_ids for _, document_ids in samples]))
        same_document = documents[:, 1:] == documents[:, :-1]
        return Batch(tokens[:, :-1], tokens[:, 1:], same_document, documents[:, :-1])

    def epochs(self, num_samples: int) -> dict[str, float]:
        """How many times over the first samples read each source."""
        turns = self._turns.num_turns(num_samples)
        return {source: number / self.num_windows(source) for source, number in sorted(turns.items())}


def _read_ring(stream: TokenStream, start: int, length: int) -> tuple[Ids, Ids]:
    """Tokens from a place on, around the end if need be, and their documents, numbered from 0 as they are met."""
    tokens, begins = [], []
    while length:
        start %= stream.num_tokens
        stop = min(start + length, stream.num_tokens)
        token_ids, documents = stream.read(start, stop)
        tokens.append(token_ids)
        begins.append(np.diff(documents, prepend=-1) != 0)  # what follows the end is always another document
        start, length = stop, length - len(token_ids)
    return np.concatenate(tokens), np.cumsum(np.concatenate(begins)) - 1
