"""Keys and values of all layers, in pages: in a floating type, or in 8 bits with a scale for each head and token."""

import torch
from torch import Tensor

from waman.errors import RecipeError
from waman.inference.memory import untouched
from waman.inference.runner import KV_BITS
from waman.model.config import ModelConfig

_FLOATING = {16: torch.bfloat16, 32: torch.float32, 64: torch.float64}
_LARGEST = 127


class PageStore:
    """A tensor for each layer, (2 * num_kv_heads, num_pages, page_tokens, head_dim): the keys', then the values'."""

    def __init__(
        self,
        config: ModelConfig,
        *,
        num_pages: int,
        page_tokens: int,
        kv_bits: int | None,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        """kv_bits: absent, as many as `dtype` has.

        Raises RecipeError for a number of bits that there is not.
        """
        if kv_bits not in (None, *KV_BITS):
            raise RecipeError(f"kv_bits: found {kv_bits}, expected one of {', '.join(map(str, KV_BITS))}")
        self.page_tokens = page_tokens
        shape = (2 * config.attention.num_kv_heads, num_pages, page_tokens, config.attention.head_dim)
        kept_as = torch.int8 if kv_bits == 8 else _floating(kv_bits, dtype)
        # Zeros, since what stands beyond a sequence's end is read, though with weight 0.
        self._numbers = [untouched(shape, kept_as, device) for _ in range(config.num_layers)]
        self._scales = [
            untouched((*shape[:3], 1), torch.float32, device) for _ in range(config.num_layers if kv_bits == 8 else 0)
        ]

    @property
    def num_bytes(self) -> int:
        """Memory of all pages."""
        return sum(one.nbytes for one in (*self._numbers, *self._scales))

    def write(self, layer: int, slots: Tensor, new: Tensor) -> None:
        """slots: (tokens,), page * page_tokens + place; new: (2 * num_kv_heads, tokens, head_dim)."""
        if self._scales:
            scales = new.float().abs().amax(dim=-1, keepdim=True) / _LARGEST
            _put(self._scales[layer], slots, scales)
            new = (new.float() / scales.clamp_min(torch.finfo(torch.float32).tiny)).round_()
        _put(self._numbers[layer], slots, new)

    def read(self, layer: int, pages: Tensor | slice, dtype: torch.dtype) -> Tensor:
        """pages: (rows, count) -> (2 * num_kv_heads, rows, count * page_tokens, head_dim).

        A slice of pages is those of one row; they are not copied where the type is theirs.
        """
        found = _take(self._numbers[layer], pages)
        if self._scales:
            found = found.float() * _take(self._scales[layer], pages)
        return found.to(dtype)

    def copy_page(self, source: int, target: int) -> None:
        """Makes one page hold what another does, in every layer."""
        for one in (*self._numbers, *self._scales):
            one[:, target] = one[:, source]


def _floating(kv_bits: int | None, dtype: torch.dtype) -> torch.dtype:
    return dtype if kv_bits in (None, dtype.itemsize * 8) else _FLOATING[kv_bits]


def _put(store: Tensor, slots: Tensor, new: Tensor) -> None:
    store.flatten(1, 2).index_copy_(1, slots, new.to(store.dtype))


def _take(store: Tensor, pages: Tensor | slice) -> Tensor:
    heads, _, page_tokens, dim = store.shape
    if isinstance(pages, slice):
        return store[:, pages].view(heads, 1, -1, dim)
    found = store.index_select(1, pages.flatten())
    return found.view(heads, len(pages), pages.shape[1] * page_tokens, dim)
