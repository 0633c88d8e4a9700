"""Attention whose result for a token depends on nothing but its own sequence, to the bit.

Every operation has the same shape in every pass: a fixed number of tokens, each against a fixed number of keys of its
own at a time, from the first on. Blocks of keys that a token does not see leave what it has gathered unchanged exactly.
"""

import torch
from torch import Tensor

from waman.inference.page_store import PageStore
from waman.model.precision import at_least_fp32

TILE_TOKENS = 16
BLOCK_TOKENS = 128
# What a maximum starts from: finite, so that what is hidden (-inf) has weight 0 and not NaN.
_LOWEST = -1e30


class TileAttention:
    """The cache and the attention of one tile, for all layers. Keys that the tile brings are kept before it reads."""

    def __init__(
        self,
        store: PageStore,
        tables: Tensor,
        positions: Tensor,
        slots: Tensor,
        *,
        window: int | None,
        slopes: Tensor | None,
    ) -> None:
        """tables: (tokens, pages); positions: (tokens,), of which each sees those up to its own; slots: as kept."""
        self.lengths = positions[:1]
        self._store = store
        self._kept = slots >= 0
        self._slots = slots[self._kept]
        self._layer = 0
        pages = BLOCK_TOKENS // store.page_tokens
        missing = -tables.shape[1] % pages
        padded = torch.cat([tables, tables.new_zeros(len(tables), missing)], dim=1)
        self._tables = torch.split(padded, pages, dim=1)
        places = torch.arange(padded.shape[1] * store.page_tokens, device=tables.device)
        apart = positions[:, None] - places
        unseen = apart < 0 if window is None else (apart < 0) | (apart >= window)
        self._unseen = torch.split(unseen[:, None, None], BLOCK_TOKENS, dim=-1)
        self._penalties = None
        if slopes is not None:
            self._penalties = torch.split(slopes[:, None] * apart[:, None], BLOCK_TOKENS, dim=-1)

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """keys, values: (1, num_kv_heads, tokens, head_dim), given back as they are."""
        self._layer = layer
        self._store.write(layer, self._slots, torch.cat((keys[0], values[0]))[:, self._kept])
        return keys, values

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """queries: (1, num_heads, tokens, head_dim) -> the same shape."""
        _, num_heads, tokens, head_dim = queries.shape
        kv_heads = keys.shape[1]
        wide = at_least_fp32(queries)
        grouped = (tokens, kv_heads, num_heads // kv_heads)
        own = (queries[0].transpose(0, 1).to(wide) / head_dim**0.5).reshape(*grouped, head_dim)
        top = own.new_full((*grouped, 1), _LOWEST)
        total, gathered = torch.zeros_like(top), torch.zeros_like(own)
        for number, (pages, unseen) in enumerate(zip(self._tables, self._unseen, strict=True)):
            kept = self._store.read(self._layer, pages, wide).transpose(0, 1).contiguous()
            some_keys, some_values = (one.contiguous() for one in kept.chunk(2, dim=1))
            scores = own @ some_keys.transpose(-1, -2)
            if self._penalties is not None:
                scores -= self._penalties[number].reshape(*grouped, -1)
            scores.masked_fill_(unseen, float("-inf"))
            higher = torch.maximum(top, scores.amax(dim=-1, keepdim=True))
            kept, weights = torch.exp(top - higher), torch.exp(scores - higher)
            total = total * kept + weights.sum(dim=-1, keepdim=True)
            gathered = gathered * kept + weights @ some_values
            top = higher
        return (gathered / total).flatten(1, 2).transpose(0, 1)[None].to(queries.dtype)
