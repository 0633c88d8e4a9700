"""Chooses the next token of one request."""

import torch
from torch import Tensor

from waman.inference.recipe import Sampling


class Sampler:
    """Draws from its own generator, so that a request's text does not depend on its neighbours."""

    def __init__(self, sampling: Sampling) -> None:
        self._temperature, self._top_p = sampling.temperature, sampling.top_p
        self._generator = torch.Generator().manual_seed(sampling.seed)

    def choose(self, logits: Tensor) -> int:
        """logits: (vocab_size,) -> a token id."""
        if self._temperature == 0:
            return int(logits.argmax())
        probabilities = torch.softmax(logits.double().cpu() / self._temperature, dim=-1)
        # In the order of their ids: in falling order two nearly equal ones, which rounding may swap, would swap places.
        token_ids = nucleus(probabilities, self._top_p)[1].sort().values
        reached = probabilities[token_ids].cumsum(0)
        drawn = torch.rand((), generator=self._generator, dtype=torch.float64) * reached[-1]
        place = min(int(torch.searchsorted(reached, drawn, right=True)), len(token_ids) - 1)
        return int(token_ids[place])


def nucleus(probabilities: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """The likeliest tokens: those before which no more than `top_p` is reached (LLaMA's released `sample_top_p`).

    probabilities: (vocab_size,) -> kept ones in falling order, and their token ids; equals go by id.
    """
    falling, token_ids = torch.sort(probabilities, descending=True, stable=True)
    before = falling.cumsum(0) - falling
    count = int((before <= top_p).sum())
    return falling[:count], token_ids[:count]
