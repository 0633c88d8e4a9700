"""What computes a pass for the engine: rows of tokens in, logits out, keys and values kept in pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from waman.errors import RecipeError
from waman.model.config import ModelConfig
from waman.weights.adapters import Adapter

PAGE_TOKENS = 32
KV_BITS = (8, 16, 32, 64)
SCALE_BYTES = 4
"""Of the scale, float32, that a head's key or value of one token has in a cache of 8 bits."""


@dataclass(frozen=True)
class Row:
    """A sequence's part of a pass: these tokens come behind the `cached` ones, whose keys and values its pages hold."""

    token_ids: Sequence[int]
    """at least one"""
    cached: int
    pages: Sequence[int]
    """of the whole sequence, room for cached + len(token_ids) tokens"""
    wanted: Sequence[int]
    """after which of the token_ids (by place, rising) logits are wanted: the last; all, for the prompt's
    log-probabilities; none"""
    adapter: int | None = None
    """what `add_adapter` gave; absent: the plain weights"""


class Runner(Protocol):
    """Computes passes. Pages are numbered from 0; who holds which is the engine's to know."""

    @property
    def page_tokens(self) -> int:
        """Tokens that a page holds."""
        ...

    @property
    def num_pages(self) -> int:
        """Pages there are."""
        ...

    def run(self, rows: Sequence[Row]) -> Tensor:
        """Writes the rows' keys and values into their pages -> (sum of wanted, vocab_size), float32, by row.

        Rows may share pages before their `cached`, never those that they write into.
        """
        ...

    def copy_page(self, source: int, target: int) -> None:
        """Copies what a page holds: a fork's last, half-full one."""
        ...

    def add_adapter(self, adapter: Adapter) -> int:
        """A number for `Row.adapter`. Raises InputError where the adapter does not fit the model."""
        ...


def page_bytes(config: ModelConfig, *, page_tokens: int = PAGE_TOKENS, kv_bits: int) -> int:
    """Bytes of the keys and values of all layers in one page; in 8 bits with the scales.

    Raises RecipeError for a number of bits that a cache cannot have.
    """
    if kv_bits not in KV_BITS:
        raise RecipeError(f"kv_bits: found {kv_bits}, expected one of {', '.join(map(str, KV_BITS))}")
    heads = config.attention
    of_head = heads.head_dim + SCALE_BYTES if kv_bits == 8 else heads.head_dim * kv_bits // 8
    return 2 * config.num_layers * page_tokens * heads.num_kv_heads * of_head
