"""A decoder's scores against its own logits, one plain forward pass at a time."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from waman.evaluation.likelihood import Ids
from waman.evaluation.metrics import Floats
from waman.evaluation.network import Network
from waman.model.config import Attention, ModelConfig, SwiGlu
from waman.model.decoder import Decoder
from waman.model.initialize import initialize


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    config = ModelConfig(
        vocab_size=50,
        context_length=24,
        model_dim=16,
        num_layers=2,
        attention=Attention(num_heads=4, num_kv_heads=2, head_dim=4),
        feed_forward=SwiGlu(hidden_dim=24),
    )
    made = Decoder(config)
    initialize(made, seed=0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(8 if parameter.ndim > 1 else 1)  # far from uniform, so that context matters
    return made


def _ids(length: int, seed: int) -> Ids:
    return np.random.default_rng(seed).integers(3, 50, length)


def _plain_logs(decoder: Decoder, ids: Ids) -> Floats:
    """Log-probability of every token after the first, from the whole sequence at once."""
    with torch.no_grad():
        logs = decoder(torch.from_numpy(ids[:-1])[None])[0].double().log_softmax(-1)
    chosen = logs.gather(1, torch.from_numpy(ids[1:])[:, None])[:, 0]
    return np.asarray(chosen.numpy(), dtype=np.float64)


def test_short_sequences_are_scored_as_by_one_forward_pass_each(decoder: Decoder) -> None:
    many = [_ids(length, seed=length) for length in (1, 2, 7, 7, 24, 25)]
    for sequence, found in zip(many, Network(decoder).sequences(many), strict=True):
        assert found.shape == (len(sequence) - 1,)
        if len(sequence) > 1:
            np.testing.assert_allclose(found, _plain_logs(decoder, sequence), atol=1e-5)


def test_a_long_sequence_is_scored_in_windows_whose_first_half_is_context(decoder: Decoder) -> None:
    ids = _ids(70, seed=1)
    [found] = Network(decoder, overlap=12).sequences([ids])
    expected = list(_plain_logs(decoder, ids[:25]))
    for start, stop in pairwise([25, 37, 49, 61]):
        expected += list(_plain_logs(decoder, ids[stop - 25 : stop])[-(stop - start) :])
    expected += list(_plain_logs(decoder, ids[70 - 25 :])[-9:])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_options_that_share_a_context_are_scored_as_each_alone(decoder: Decoder) -> None:
    contexts = [_ids(5, seed=1), _ids(9, seed=2), _ids(5, seed=3), _ids(12, seed=4)]
    options = [
        [_ids(3, seed=10), _ids(7, seed=11), _ids(1, seed=12)],
        [_ids(4, seed=13)],
        [_ids(1, seed=14), _ids(2, seed=15)],
        [_ids(1, seed=16), _ids(1, seed=17)],
    ]
    for context, many, found in zip(contexts, options, Network(decoder).options(contexts, options), strict=True):
        expected = [_plain_logs(decoder, np.concatenate([context, one]))[-len(one) :].sum() for one in many]
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_scoring_nothing_gives_nothing(decoder: Decoder) -> None:
    assert Network(decoder).sequences([]) == []
    assert Network(decoder).options([], []) == []


def test_an_untrained_network_is_near_uniform(decoder: Decoder) -> None:
    fresh = Decoder(decoder.config)
    initialize(fresh, seed=1)
    [found] = Network(fresh).sequences([_ids(24, seed=5)])
    assert found.mean() == pytest.approx(-np.log(50), rel=0.02)
