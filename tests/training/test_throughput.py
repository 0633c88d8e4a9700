import pytest
import torch

from waman.model.config import Attention, ModelConfig, Swiglu
from waman.training.throughput import matrix_flops_per_second, throughput


def test_speed_and_share_are_those_worked_by_hand() -> None:
    config = ModelConfig(
        vocab_size=10,
        context_length=8,
        model_dim=4,
        num_layers=1,
        attention=Attention(num_heads=1, num_kv_heads=1, head_dim=4),
        feed_forward=Swiglu(hidden_dim=3),
    )
    # per token 6 * (4*4*4 attention + 3*4*3 feed-forward + 10*4 head) + 12 * 4 * 8 = 840 + 384
    found = throughput(config, tokens=500, seconds=2.0, matrix_flops=1e6)
    assert found.tokens_per_second == 250
    assert found.flop_share == pytest.approx(250 * 1224 / 1e6)


def test_the_measured_product_counts_every_thread_and_leaves_their_number_alone() -> None:
    cpu = torch.device("cpu")
    one = matrix_flops_per_second(torch.float32, cpu, seconds=0.1)
    torch.set_num_threads(3)
    three = matrix_flops_per_second(torch.float32, cpu, seconds=0.1)
    assert torch.get_num_threads() == 3
    assert 1e8 < one < 1e13
    assert 3 * one / 20 < three < 3 * one * 20, "within what a busy machine does to a timing"
