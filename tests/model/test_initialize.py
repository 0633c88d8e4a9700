"""What fresh weights depend on."""

import dataclasses

import pytest
import torch

from waman.model.config import Attention, Learned, ModelConfig, Swiglu
from waman.model.decoder import Decoder
from waman.model.initialize import initialize

TINY = ModelConfig(
    vocab_size=32,
    context_length=16,
    model_dim=24,
    num_layers=2,
    attention=Attention(num_heads=2, num_kv_heads=1, head_dim=12),
    feed_forward=Swiglu(hidden_dim=32),
)


def fresh(config: ModelConfig, seed: int, *, by_name: bool) -> dict[str, torch.Tensor]:
    decoder = Decoder(config)
    initialize(decoder, seed, by_name=by_name)
    return {name: parameter.detach() for name, parameter in decoder.named_parameters()}


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(TINY, position=Learned()),
        dataclasses.replace(TINY, feed_forward=Swiglu(hidden_dim=40)),
        dataclasses.replace(TINY, attention=Attention(num_heads=2, num_kv_heads=2, head_dim=12)),
    ],
    ids=["learned positions", "wider", "more heads"],
)
def test_drawn_by_name_models_that_differ_in_one_part_begin_alike_in_the_others(other: ModelConfig) -> None:
    ours, theirs = fresh(TINY, 3, by_name=True), fresh(other, 3, by_name=True)
    alike = [name for name in ours if name in theirs and ours[name].shape == theirs[name].shape]
    assert len(alike) >= len(ours) - 6
    assert all(torch.equal(ours[name], theirs[name]) for name in alike)
    in_turn, other_in_turn = fresh(TINY, 3, by_name=False), fresh(other, 3, by_name=False)
    matrices = [name for name in alike if ours[name].ndim == 2]
    assert not all(torch.equal(in_turn[name], other_in_turn[name]) for name in matrices)


def test_drawn_by_name_no_two_matrices_or_seeds_are_alike_and_the_spread_is_the_config_s() -> None:
    ours, again, other = (fresh(TINY, seed, by_name=True) for seed in (3, 3, 4))
    assert all(torch.equal(ours[name], again[name]) for name in ours)
    matrices = [name for name in ours if ours[name].ndim == 2]
    assert not any(torch.equal(ours[name], other[name]) for name in matrices)
    first, second = (ours[f"blocks.{layer}.feed_forward.down.weight"] for layer in (0, 1))
    assert not torch.equal(first, second)
    assert float(ours["embedding.weight"].std()) == pytest.approx(0.02, rel=0.1)
