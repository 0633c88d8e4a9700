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
    """A tensor for the keys and one for the values of each layer: (num_kv_heads, num_pages, page_tokens, head_dim)."""

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
        shape = (config.attention.num_kv_heads, num_pages, page_tokens, config.attention.head_dim)
        kept_as = torch.int8 if kv_bits == 8 else _floating(kv_bits, dtype)
        # Zeros, since what stands beyond a sequence's end is read, though with weight 0.
        self._numbers = [[untouched(shape, kept_as, device) for _ in range(2)] for _ in range(config.num_layers)]
        self._scales = [
            [untouched((*shape[:3], 1), torch.float32, device) for _ in range(2)]
            for _ in range(config.num_layers if kv_bits == 8 else 0)
        ]

    @property
    def num_bytes(self) -> int:
        """Memory of all pages."""
        return sum(one.nbytes for layer in (*self._numbers, *self._scales) for one in layer)

    def write(self, layer: int, slots: Tensor, keys: Tensor, values: Tensor) -> None:
        """slots: (tokens,), page * page_tokens + place; keys, values: (num_kv_heads, tokens, head_dim)."""
        for kind, new in enumerate((keys, values)):
            if self._scales:
                scales = new.float().abs().amax(dim=-1, keepdim=True) / _LARGEST
                _put(self._scales[layer][kind], slots, scales)
                new = (new.float() / scales.clamp_min(torch.finfo(torch.float32).tiny)).round_()
            _put(self._numbers[layer][kind], slots, new)

    def read(self, layer: int, pages: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """pages: (rows, count) -> keys and values, each (rows, num_kv_heads, count * page_tokens, head_dim)."""
        keys, values = (self._get(layer, kind, pages).to(dtype) for kind in range(2))
        return keys, values

    def copy_page(self, source: int, target: int) -> None:
        """Makes one page hold what another does, in every layer."""
        for layer in (*self._numbers, *self._scales):
            for one in layer:
                one[:, target] = one[:, source]

    def _get(self, layer: int, kind: int, pages: Tensor) -> Tensor:
        found = _take(self._numbers[layer][kind], pages)
        if self._scales:
            found = found.float() * _take(self._scales[layer][kind], pages)
        return found


def _floating(kv_bits: int | None, dtype: torch.dtype) -> torch.dtype:
    return dtype if kv_bits in (None, dtype.itemsize * 8) else _FLOATING[kv_bits]


def _put(store: Tensor, slots: Tensor, new: Tensor) -> None:
    store.flatten(1, 2).index_copy_(1, slots, new.to(store.dtype))


def _take(store: Tensor, pages: Tensor) -> Tensor:
    heads, _, page_tokens, dim = store.shape
    found = store.index_select(1, pages.flatten())
    return found.view(heads, len(pages), pages.shape[1] * page_tokens, dim).transpose(0, 1)
