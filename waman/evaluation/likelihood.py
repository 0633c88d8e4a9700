"""What anything that gives tokens a probability offers to the evaluations, and the n-gram model as one of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from waman.evaluation.metrics import Floats
from waman.evaluation.ngram import NgramModel, log_probabilities

Ids = NDArray[np.int64]


class LanguageModel(Protocol):
    """Natural log-probabilities of token ids, given those before them."""

    def sequences(self, sequences: Sequence[Ids]) -> list[Floats]:
        """ids (length,) each, of any length -> log-probability of every token after the first (length - 1,) each."""

    def options(self, contexts: Sequence[Ids], options: Sequence[Sequence[Ids]]) -> list[Floats]:
        """Contexts (length,) and each one's options (tokens,) -> log-likelihood of every option (options,) each."""


@dataclass(frozen=True)
class Ngrams:
    """The n-gram model as a LanguageModel."""

    model: NgramModel

    def sequences(self, sequences: Sequence[Ids]) -> list[Floats]:
        """Log-probabilities of every token after the first."""
        return log_probabilities(self.model, sequences)

    def options(self, contexts: Sequence[Ids], options: Sequence[Sequence[Ids]]) -> list[Floats]:
        """Log-likelihoods; of a context only the last order - 1 tokens matter."""
        reach = len(self.model.orders) - 1
        joined = [
            np.concatenate([context[-max(reach, 1) :], option])
            for context, many in zip(contexts, options, strict=True)
            for option in many
        ]
        logs = iter(log_probabilities(self.model, joined))
        return [np.array([next(logs)[-len(option) :].sum() for option in many]) for many in options]
