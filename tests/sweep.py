"""Random sweeps: how many rounds, and with which seeds."""

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Sweep:
    """Rounds of a sweep, each with a seed of its own that a failure names."""

    factor: float
    """How many times the usual number of rounds."""
    first_seed: int
    only: bool
    """Whether the first seed's round is the only one."""
    seed: int | None = None
    """That of the round that runs."""

    def __call__(self, rounds: int) -> Iterator[random.Random]:
        """A source of randomness for each of so many rounds, times the factor."""
        for number in range(1 if self.only else max(1, round(rounds * self.factor))):
            self.seed = self.first_seed + number
            yield random.Random(self.seed)
