"""A model's vocabulary made larger: rows of the embedding and of an untied head for new tokens."""

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from waman.errors import InputError
from waman.model.config import ModelConfig, require_vocab_size

ROWS_BY_TOKEN = ("embedding.weight", "unembedding.weight")
"""The tensors of a decoder's state that have a row per token; the second only where the head is not tied."""


def add_rows(
    state: Mapping[str, Tensor], config: ModelConfig, *, first: int, pieces: Sequence[Sequence[int]]
) -> tuple[dict[str, Tensor], ModelConfig]:
    """The state and config with tokens first, first + 1, ...; each starts as the mean of the rows of its old pieces.

    The rows before `first` are as they were, to the bit. Rows from `first` on that the model has already, which stand
    for no token, are overwritten. Raises InputError where the model knows fewer than `first` tokens.
    """
    known = require_vocab_size(config)
    if first > known:
        raise InputError(
            f"the tokenizer has {first} tokens, but the model knows {known}; it is the tokenizer of another model"
        )
    size = max(known, first + len(pieces))
    grown = dict(state)
    for name in ROWS_BY_TOKEN:
        if name in state:
            rows = state[name].new_empty((size, *state[name].shape[1:]))
            rows[:known] = state[name]
            rows[first : first + len(pieces)] = _means(state[name], pieces)
            grown[name] = rows
    return grown, dataclasses.replace(config, vocab_size=size)


def _means(rows: Tensor, pieces: Sequence[Sequence[int]]) -> Tensor:
    """Rows of means, taken in float32 and rounded once. rows: (tokens, width) -> (pieces, width)."""
    assert all(pieces), "a new token without old pieces has nothing to start from"
    return torch.stack([rows[torch.tensor(ids)].float().mean(dim=0) for ids in pieces]).to(rows.dtype)
