from collections.abc import Sequence

import numpy as np
import pytest
import torch

from tests.training.conftest import BOS, MakeTokens
from waman.artifact import Artifact
from waman.errors import InputError
from waman.tokens.shards import TokenShards
from waman.training.batches import Batches, Ids
from waman.training.sampling import BLOCK_SAMPLES

CONTEXT = 16


class Numbers:
    """A stream whose tokens are their own places, so that a test sees what was read."""

    def __init__(self, lengths: Sequence[int], first: int = 0) -> None:
        self.num_tokens = sum(lengths)
        self._documents = np.repeat(np.arange(len(lengths)), lengths)
        self._first = first

    def read(self, start: int, stop: int) -> tuple[Ids, Ids]:
        assert 0 <= start < stop <= self.num_tokens
        return np.arange(start, stop) + self._first, self._documents[start:stop]


def batches_of(streams: dict[str, Numbers], *, seed: int = 0, batch_sequences: int = 4) -> Batches:
    proportions = dict.fromkeys(streams, 1.0)
    return Batches(streams, proportions=proportions, context_length=CONTEXT, batch_sequences=batch_sequences, seed=seed)


def test_a_sample_depends_on_the_seed_and_its_number_alone() -> None:
    streams = {"web": Numbers([50, 300, 7]), "github": Numbers([400], first=1000)}
    forward = [batches_of(streams).sample(index) for index in range(100)]
    late, other_seed = batches_of(streams, batch_sequences=32), batches_of(streams, seed=1)
    for index in reversed(range(100)):
        for one, two in zip(late.sample(index), forward[index], strict=True):
            np.testing.assert_array_equal(one, two)
    assert any((other_seed.sample(index)[0] != forward[index][0]).any() for index in range(100))
    rows = late.batch(2)
    np.testing.assert_array_equal(rows.token_ids[5].numpy(), forward[69][0][:-1])
    np.testing.assert_array_equal(rows.targets[5].numpy(), forward[69][0][1:])


def test_an_epoch_predicts_no_token_twice_and_leaves_out_less_than_a_window() -> None:
    batches = batches_of({"web": Numbers([1000])})
    orders = []
    for epoch in range(3):
        numbers = range(epoch * batches.num_windows("web"), (epoch + 1) * batches.num_windows("web"))
        targets = [batches.sample(number)[0][1:] for number in numbers]
        seen = np.concatenate(targets)
        assert len(set(seen.tolist())) == len(seen) == 1000 // CONTEXT * CONTEXT
        orders.append([window[0] for window in targets])
    assert sorted(orders[0]) != sorted(orders[1]), "every epoch cuts at other places"


def test_sources_are_drawn_in_their_proportions() -> None:
    streams = {"web": Numbers([5000]), "github": Numbers([400], first=10_000)}
    batches = Batches(streams, proportions={"web": 3, "github": 1}, context_length=CONTEXT, batch_sequences=8, seed=0)
    from_web = [bool(batches.sample(index)[0][0] < 10_000) for index in range(BLOCK_SAMPLES)]
    assert sum(from_web) == BLOCK_SAMPLES * 3 // 4
    assert batches.epochs(BLOCK_SAMPLES) == {"github": 2500 / 25, "web": 7500 / 312}


def test_no_loss_is_taken_across_a_boundary_and_documents_are_apart(make_tokens: MakeTokens) -> None:
    batch = _batches(make_tokens({"web": [5, 9, 30, 4, 12], "github": [40, 11]})).batch(0)
    assert bool((batch.targets == BOS).any()), "the windows must hold boundaries"
    assert not bool(((batch.targets == BOS) & batch.in_loss).any())
    assert bool((batch.in_loss == (batch.targets != BOS)).all())
    begins = batch.token_ids[:, 1:] == BOS
    steps = batch.document_ids.diff(dim=1)
    assert bool((steps == begins.long()).all()), "a new number at each first token, and only there"


def test_the_end_of_a_stream_and_its_beginning_are_two_documents() -> None:
    batches = batches_of({"web": Numbers([40])}, batch_sequences=1)
    seams = 0
    for number in range(50):
        token_ids, documents = batches.sample(number)
        seam = token_ids[1:] < token_ids[:-1]
        np.testing.assert_array_equal(np.diff(documents), seam)
        seams += int(seam.sum())
    assert seams > 0


def test_a_source_smaller_than_a_sequence_is_read_around_beside_a_larger_one() -> None:
    batches = batches_of({"web": Numbers([400]), "tiny": Numbers([3, 2], first=9000)})
    tiny = next(sample for sample in map(batches.sample, range(10)) if sample[0][0] >= 9000)
    assert set(tiny[0].tolist()) == set(range(9000, 9005))
    assert len(set(tiny[1].tolist())) >= 7


def test_a_corpus_smaller_than_a_sequence_is_refused_with_both_figures() -> None:
    message = r"the corpus has 16 tokens to train on, one sequence needs 17 .*give it more text or shorten"
    with pytest.raises(InputError, match=message):
        batches_of({"web": Numbers([9]), "github": Numbers([7])})
    assert batches_of({"web": Numbers([10]), "github": Numbers([7])}).batch(0).token_ids.shape == (4, CONTEXT)


def test_shards_are_mapped_and_not_read_into_memory(make_tokens: MakeTokens) -> None:
    tokens = make_tokens({"web": [40, 50]})
    before = _batches(tokens).batch(0)
    assert before.token_ids.dtype == torch.int64
    shard = next((tokens.path / "train").glob("*.tokens"))
    opened = _batches(tokens)
    with shard.open("r+b") as file:
        file.write(b"\0" * shard.stat().st_size)
    assert int(opened.batch(0).token_ids.max()) == 0, "what changes on disk is what is read"


def _batches(tokens: Artifact) -> Batches:
    shards = TokenShards.open(tokens)
    return Batches(
        shards.streams["train"], proportions=shards.proportions, context_length=CONTEXT, batch_sequences=8, seed=3
    )
