"""Owns the keys and values of tokens read so far, for a batch whose rows may hold different numbers of them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from waman.model.decoder import Decoder

BLOCK_TOKENS = 128


class Cache:
    """A `KeyValueCache` that grows in blocks. Rows can be shortened, left out and repeated between passes."""

    def __init__(self, decoder: Decoder, *, rows: int, capacity: int) -> None:
        """Room for `capacity` tokens a row, rounded up to blocks, on the decoder's device.

        Each layer keeps its keys and values in the dtype in which they first come: under autocast not the weights' own.
        """
        self._num_layers = decoder.config.num_layers
        self._device = next(decoder.blocks.parameters()).device
        self._capacity = _blocks(capacity)
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._lengths = [0] * rows

    @property
    def lengths(self) -> Tensor:
        """(rows,): tokens that each row holds."""
        return torch.tensor(self._lengths, device=self._device)

    @property
    def capacity(self) -> int:
        """Tokens a row has room for before the cache grows."""
        return self._capacity

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Adds new tokens behind what each row holds; the last layer's call makes them count.

        keys, values: (rows, num_kv_heads, time, head_dim) -> both (rows, num_kv_heads, longest row, head_dim), views.
        """
        time = keys.shape[2]
        longest = max(self._lengths) + time
        if longest > self.capacity:
            self._grow(longest)
        if layer == len(self._keys):
            self._keys.append(self._empty(keys))
            self._values.append(self._empty(values))
        for store, new in ((self._keys[layer], keys), (self._values[layer], values)):
            self._write(store, new)
        if layer == self._num_layers - 1:
            self._lengths = [length + time for length in self._lengths]
        return self._keys[layer][:, :, :longest], self._values[layer][:, :, :longest]

    def shorten(self, lengths: Sequence[int]) -> None:
        """Forgets what each row holds beyond its length: padding, say."""
        assert all(new <= old for new, old in zip(lengths, self._lengths, strict=True))
        self._lengths = list(lengths)

    def choose(self, rows: Sequence[int]) -> None:
        """Keeps these rows in this order; a row may come several times."""
        index = torch.tensor(rows, device=self._device)
        for store in (self._keys, self._values):
            store[:] = [one.index_select(0, index) for one in store]
        self._lengths = [self._lengths[row] for row in rows]

    def _empty(self, like: Tensor) -> Tensor:
        """Zeros, since what stands beyond the end of a row is read, though with weight 0."""
        rows, heads, _, dim = like.shape
        return like.new_zeros(rows, heads, self._capacity, dim)

    def _write(self, store: Tensor, new: Tensor) -> None:
        time, first = new.shape[2], self._lengths[0]
        if all(length == first for length in self._lengths):
            store[:, :, first : first + time] = new
            return
        rows = torch.arange(len(self._lengths), device=store.device)[:, None]
        places = self.lengths[:, None] + torch.arange(time, device=store.device)
        store[rows, :, places] = new.transpose(1, 2)

    def _grow(self, wanted: int) -> None:
        added = _blocks(wanted) - self._capacity
        self._capacity += added
        for store in (self._keys, self._values):
            store[:] = [torch.cat([one, one.new_zeros(*one.shape[:2], added, one.shape[3])], dim=2) for one in store]


def _blocks(tokens: int) -> int:
    return -(-max(tokens, 1) // BLOCK_TOKENS) * BLOCK_TOKENS


def read_contexts(decoder: Decoder, cache: Cache, contexts: Sequence[Sequence[int]]) -> Tensor:
    """Fills an empty cache -> the hidden state at the last token of each context: (rows, model_dim)."""
    lengths = [len(context) for context in contexts]
    hidden = decoder.hidden(pad(contexts, cache.lengths.device), cache=cache)
    cache.shorten(lengths)
    return hidden[torch.arange(len(lengths), device=hidden.device), torch.tensor(lengths, device=hidden.device) - 1]


def pad(rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """(rows, longest): token ids, 0 behind the shorter ones, where a causal model does not look."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=device)
