import itertools

import hypothesis
import pytest
from hypothesis import strategies

from waman.training.sampling import BLOCK_SAMPLES, Turns, derive_key, permute

# Touvron et al. 2023, table 1, in percent
LLAMA = {
    "CommonCrawl": 67.0,
    "C4": 15.0,
    "GitHub": 4.5,
    "Wikipedia": 4.5,
    "Books": 4.5,
    "ArXiv": 2.5,
    "StackExchange": 2.0,
}


def test_every_block_holds_llamas_table_exactly() -> None:
    turns = Turns(LLAMA)
    for block in (0, 1, 7):
        found = [turns.turn(block * BLOCK_SAMPLES + place)[0] for place in range(BLOCK_SAMPLES)]
        counts = {source: 100 * found.count(source) / BLOCK_SAMPLES for source in LLAMA}
        assert counts == LLAMA


def test_at_every_moment_the_proportions_are_met_within_a_few_samples() -> None:
    turns = Turns(LLAMA)
    counts = dict.fromkeys(LLAMA, 0)
    for sample in range(2 * BLOCK_SAMPLES):
        source, turn = turns.turn(sample)
        assert turn == counts[source], "the number of the draw must not skip or repeat"
        counts[source] += 1
        for name, count in counts.items():
            # Each source is within half a turn of the common clock, which is itself off by half a turn a source.
            assert abs(count - LLAMA[name] / 100 * (sample + 1)) <= 0.5 + LLAMA[name] / 100 * len(LLAMA) / 2 + 1e-9
    assert turns.num_turns(2 * BLOCK_SAMPLES) == counts
    assert turns.num_turns(3)["CommonCrawl"] == 2


def test_a_source_with_the_smallest_share_still_has_a_turn_and_one_with_none_has_none() -> None:
    assert Turns({"a": 1.0, "b": 1e-9, "c": 0.0}).per_block == {"a": BLOCK_SAMPLES - 1, "b": 1}


@hypothesis.given(strategies.dictionaries(strategies.text(max_size=3), strategies.floats(1e-6, 1e6), min_size=1))
def test_a_block_is_always_full(proportions: dict[str, float]) -> None:
    turns = Turns(proportions)
    assert sum(turns.per_block.values()) == BLOCK_SAMPLES
    assert min(turns.per_block.values()) >= 1


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 17, 100, 1025])
def test_a_permutation_takes_every_index_to_another_place(size: int) -> None:
    assert sorted(permute(index, size=size, key=99) for index in range(size)) == list(range(size))


def test_keys_give_different_and_uncorrelated_orders() -> None:
    size = 1000
    first, second = ([permute(index, size=size, key=derive_key(seed)) for index in range(size)] for seed in (0, 1))
    # Two random permutations agree in one place on average, in eight or more with probability 1e-5.
    assert sum(a == b for a, b in zip(first, second, strict=True)) < 8
    ascending = sum(a < b for a, b in itertools.pairwise(first))
    # 500 with a standard deviation of 9.1
    assert 450 < ascending < 550


def test_a_key_depends_on_every_part_and_its_place() -> None:
    several = [(1, "a", 2), (1, "a", 3), (1, "b", 2), (2, "a", 1), ("1a2",), (1, "a2"), ("a", 12)]
    assert len({derive_key(*parts) for parts in several}) == len(several)
    assert derive_key(1, "a", 2) == derive_key(1, "a", 2) < 2**64
