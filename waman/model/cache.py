"""What a decoder asks of a key-value cache. The model owns none."""

from typing import Protocol

from torch import Tensor


class KeyValueCache(Protocol):
    """Keeps the keys and values of past tokens, a number per row that may differ between rows."""

    @property
    def lengths(self) -> Tensor:
        """(batch,), integers: tokens that each row holds. Read once per forward pass, before the first layer."""
        ...

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Adds the new tokens of one layer behind what each row holds; gives all of that layer, from token 0.

        keys, values: (batch, num_kv_heads, time, head_dim), keys already rotated
        -> both (batch, num_kv_heads, longest row, head_dim); beyond the end of a shorter row anything finite.
        """
        ...
