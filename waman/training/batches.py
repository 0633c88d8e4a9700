"""What a training step is given. The loop knows only `BatchSource`; pretraining and tuning each bring their own."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


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
        """The batch of a step, counted from 0: a pure function of `step`, with the same number of rows at every step."""
