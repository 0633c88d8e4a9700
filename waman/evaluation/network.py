"""A decoder as a LanguageModel: windows for long texts, and options that share their context's keys and values."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from waman.evaluation.bits import Window, windows
from waman.evaluation.likelihood import Ids
from waman.evaluation.metrics import Floats
from waman.model.decoder import Decoder

_Item = TypeVar("_Item")
_BATCH_TOKENS = 4096
_HEAD_POSITIONS = 1024  # logits that exist at once: bounds memory at large vocabularies


@dataclass(frozen=True)
class Network:
    """A decoder that scores tokens.

    A sequence longer than the decoder's context is read in windows that overlap by `overlap` tokens (`bits.windows`).
    A context and an option together must fit into the context length.
    """

    decoder: Decoder
    overlap: int = 0

    @torch.inference_mode()
    def sequences(self, sequences: Sequence[Ids]) -> list[Floats]:
        """Log-probabilities of every token after the first."""
        context_length = self.decoder.config.context_length
        found = [np.zeros(max(len(sequence) - 1, 0)) for sequence in sequences]
        by_length: dict[int, list[tuple[int, Window]]] = defaultdict(list)
        for index, sequence in enumerate(sequences):
            for window in windows(len(sequence), context_length=context_length, overlap=self.overlap):
                by_length[window.stop - window.start].append((index, window))
        for length, shown in sorted(by_length.items()):
            for batch in _batches(shown, size=max(1, _BATCH_TOKENS // length)):
                self._score_windows(sequences, batch, found)
        return found

    @torch.inference_mode()
    def options(self, contexts: Sequence[Ids], options: Sequence[Sequence[Ids]]) -> list[Floats]:
        """Log-likelihoods of each context's options; the context is read once for all of them."""
        found = [np.zeros(len(many)) for many in options]
        by_length: dict[int, list[int]] = defaultdict(list)
        for index, context in enumerate(contexts):
            by_length[len(context)].append(index)
        longest = max((len(option) for many in options for option in many), default=0)
        most = max((len(many) for many in options), default=0)
        for length, indices in sorted(by_length.items()):
            for batch in _batches(indices, size=max(1, _BATCH_TOKENS // (length + most * longest))):
                self._score_options(contexts, options, batch, found)
        return found

    def _score_windows(self, sequences: Sequence[Ids], batch: list[tuple[int, Window]], found: list[Floats]) -> None:
        shown = torch.from_numpy(np.stack([sequences[index][window.start : window.stop] for index, window in batch]))
        hidden = self.decoder.hidden(shown[:, :-1])
        parts = [hidden[row, window.scored - window.start - 1 :] for row, (_, window) in enumerate(batch)]
        wanted = [shown[row, window.scored - window.start :] for row, (_, window) in enumerate(batch)]
        logs = self._log_probabilities(torch.cat(parts), torch.cat(wanted))
        start = 0
        for index, window in batch:
            count = window.stop - window.scored
            found[index][window.scored - 1 : window.stop - 1] = logs[start : start + count]
            start += count

    def _score_options(
        self, contexts: Sequence[Ids], options: Sequence[Sequence[Ids]], batch: list[int], found: list[Floats]
    ) -> None:
        prefix = _Prefix(rows=len(batch))
        context = torch.from_numpy(np.stack([contexts[index] for index in batch]))
        last = self.decoder.hidden(context, cache=prefix)[:, -1:]
        owners = [row for row, index in enumerate(batch) for _ in options[index]]
        many = [torch.from_numpy(option) for index in batch for option in options[index]]
        lengths = [len(option) for option in many]
        hidden = last[owners]
        if max(lengths) > 1:
            # Padding stands behind each option, where no token of it looks.
            fed = torch.nn.utils.rnn.pad_sequence(many, batch_first=True)[:, :-1]
            prefix.share(torch.tensor(owners))
            hidden = torch.cat([hidden, self.decoder.hidden(fed, cache=prefix)], dim=1)
        parts = torch.cat([hidden[row, :length] for row, length in enumerate(lengths)])
        logs = self._log_probabilities(parts, torch.cat(many))
        sums = iter([float(part.sum()) for part in np.split(logs, np.cumsum(lengths)[:-1])])
        for index in batch:
            found[index][:] = [next(sums) for _ in options[index]]

    def _log_probabilities(self, hidden: Tensor, wanted: Tensor) -> Floats:
        """hidden: (positions, model_dim), wanted ids: (positions,) -> natural log-probabilities (positions,)."""
        parts = [
            -F.cross_entropy(self.decoder.head(some).float(), ids, reduction="none")
            for some, ids in zip(
                torch.split(hidden, _HEAD_POSITIONS), torch.split(wanted, _HEAD_POSITIONS), strict=True
            )
        ]
        return torch.cat(parts).double().numpy()


class _Prefix:
    """A cache that first keeps the contexts' keys and values, then lends them to options and keeps no more."""

    def __init__(self, rows: int) -> None:
        self._lengths = torch.zeros(rows, dtype=torch.long)
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}
        self._owners: Tensor | None = None

    @property
    def lengths(self) -> Tensor:
        """(rows,): tokens before each row's first."""
        return self._lengths

    def share(self, owners: Tensor) -> None:
        """From now on row r continues the context `owners[r]`."""
        length = self._kept[0][0].shape[2]
        self._owners = owners
        self._lengths = torch.full((len(owners),), length, dtype=torch.long)

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """keys, values: (rows, num_kv_heads, time, head_dim) -> the same, with each row's context before it."""
        if self._owners is None:
            self._kept[layer] = (keys, values)
            return keys, values
        old_keys, old_values = self._kept[layer]
        return torch.cat([old_keys[self._owners], keys], dim=2), torch.cat([old_values[self._owners], values], dim=2)


def _batches(items: Sequence[_Item], *, size: int) -> Iterator[list[_Item]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
