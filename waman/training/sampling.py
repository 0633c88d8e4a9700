"""Which window of which source a sample is: arithmetic on seed and sample number, without history or tables."""

import hashlib
import math
from collections.abc import Mapping

BLOCK_SAMPLES = 10_000
"""Proportions are met exactly in every block of so many samples, and rounded to its reciprocal."""

_MASK = 2**64 - 1
_ROUNDS = 4


class Turns:
    """Sources taking turns: in every block each has its exact number of samples, spread as evenly as they go."""

    def __init__(self, proportions: Mapping[str, float]) -> None:
        """`proportions` in any unit; a source above zero has at least one turn in a block."""
        self.per_block = _apportion(proportions)
        turns = [
            ((turn + 0.5) / number, name, turn) for name, number in self.per_block.items() for turn in range(number)
        ]
        self._block = [(name, turn) for _, name, turn in sorted(turns)]

    def turn(self, sample: int) -> tuple[str, int]:
        """The source of a sample, and how many samples before it had the same source."""
        block, place = divmod(sample, BLOCK_SAMPLES)
        source, turn = self._block[place]
        return source, block * self.per_block[source] + turn

    def num_turns(self, num_samples: int) -> dict[str, int]:
        """How many of the first samples each source has."""
        blocks, rest = divmod(num_samples, BLOCK_SAMPLES)
        counts = {source: blocks * number for source, number in self.per_block.items()}
        for source, _ in self._block[:rest]:
            counts[source] += 1
        return counts


def _apportion(proportions: Mapping[str, float]) -> dict[str, int]:
    """Splits a block by largest remainder, every source with a share having at least one sample."""
    total = math.fsum(proportions.values())
    wanted = {name: BLOCK_SAMPLES * share / total for name, share in sorted(proportions.items()) if share > 0}
    assert 0 < len(wanted) <= BLOCK_SAMPLES
    counts = {name: max(math.floor(share), 1) for name, share in wanted.items()}
    by_need = sorted(wanted, key=lambda name: (counts[name] - wanted[name], name))
    missing = BLOCK_SAMPLES - sum(counts.values())
    for name in by_need[: max(missing, 0)]:
        counts[name] += 1
    for _ in range(-missing):
        counts[max(counts, key=lambda name: (counts[name], name))] -= 1
    return counts


def permute(index: int, *, size: int, key: int) -> int:
    """Where a permutation of range(size), chosen by a 64-bit key, takes an index: a Feistel network, walked into range.

    Needs no memory, so that it serves a corpus of any size (Black and Rogaway 2002, section 4).
    """
    assert 0 <= index < size
    half_bits = max((size - 1).bit_length() + 1, 2) // 2
    half_mask = (1 << half_bits) - 1
    while True:
        left, right = index >> half_bits, index & half_mask
        for number in range(_ROUNDS):
            left, right = right, left ^ (_scramble(key + (number << 56) + right) & half_mask)
        index = left << half_bits | right
        if index < size:
            return index


def derive_key(*parts: int | str) -> int:
    """64 bits that depend on all parts, the same on every machine and version."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _scramble(x: int) -> int:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    x = (x + 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)
