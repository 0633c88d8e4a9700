"""The arithmetic of the inference benchmark, against values worked out by hand."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.budget import (
    Quality,
    agreement,
    bits_per_weight,
    bytes_per_token,
    divergence,
    matrix_bytes,
    matrix_elements,
    share_of_bandwidth,
)
from benchmarks.inference import told
from benchmarks.random_llama import CONFIGS
from waman.model.config import Attention, ModelConfig, Swiglu

TINY = ModelConfig(
    vocab_size=10,
    model_dim=8,
    num_layers=3,
    attention=Attention(num_heads=4, num_kv_heads=2, head_dim=2),
    feed_forward=Swiglu(hidden_dim=6),
)
# 8 x (8 + 4 + 4) queries, keys and values; 8 x 8 output; 3 x 8 x 6 feed-forward
TINY_BLOCKS = 3 * (128 + 64 + 144)


def test_elements_are_those_of_the_matrices() -> None:
    assert matrix_elements(TINY) == {"blocks": TINY_BLOCKS, "head": 80, "embedding": 80}
    assert sum(matrix_elements(CONFIGS["1.1b"]).values()) == 1_099_956_224  # TinyLlama's 1.1 billion, norms apart


def test_bits_are_over_embedding_and_head_too() -> None:
    assert bits_per_weight((TINY_BLOCKS + 160) * 2, TINY) == 16.0
    scales = (TINY_BLOCKS + 160) // 32 * 2
    assert bits_per_weight((TINY_BLOCKS + 160) // 2 + scales, TINY) == pytest.approx(4.5, abs=0.02)


def test_bytes_of_matrices_are_the_same_from_both_formats_and_hold_scales_but_no_vectors(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    matrix, norm = torch.ones(4, 64, dtype=torch.bfloat16), torch.ones(64)
    scales = torch.ones(4, 2, dtype=torch.float16)
    save_file({"a.weight": matrix, "a.weight_scale": scales, "norm": norm}, tmp_path / "model.safetensors")
    assert matrix_bytes(tmp_path) == 4 * 64 * 2 + 4 * 2 * 2
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    quantized = gguf.quants.quantize(matrix.float().numpy(), gguf.GGMLQuantizationType.Q4_0)
    writer.add_tensor("a.weight", quantized, raw_dtype=gguf.GGMLQuantizationType.Q4_0)
    writer.add_tensor("norm", norm.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert matrix_bytes(tmp_path / "model.gguf") == 4 * 64 * 4.5 / 8


def test_a_token_reads_every_matrix_but_the_embedding_once() -> None:
    assert bytes_per_token(TINY, 4.0) == (TINY_BLOCKS + 80) / 2
    assert bytes_per_token(CONFIGS["1.1b"], 4.5) == (1_099_956_224 - 32_000 * 2048) * 4.5 / 8


def test_a_share_of_the_bandwidth_is_bytes_read_over_bytes_that_can_be() -> None:
    assert share_of_bandwidth(500e6, 40.0, 40e9) == pytest.approx(0.5)


def test_speed_counts_at_equal_or_fewer_bits_and_equal_or_less_divergence() -> None:
    peer = Quality(4.5, 0.02)
    assert peer.counts_beside(peer)
    assert Quality(4.25, 0.0199).counts_beside(peer)
    assert not Quality(4.5001, 0.001).counts_beside(peer)
    assert not Quality(4.0, 0.0201).counts_beside(peer)


def test_divergence_is_the_mean_over_tokens_in_nats() -> None:
    halves = torch.log(torch.tensor([[0.5, 0.5], [0.5, 0.5]]))
    other = torch.log(torch.tensor([[0.5, 0.5], [0.9, 0.1]]))
    expected = (0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)) / 2
    assert divergence(halves, other) == pytest.approx(expected, rel=1e-6)
    assert divergence(halves, halves + 3.0) == pytest.approx(0.0, abs=1e-12)
    many = torch.randn(150, 7, generator=torch.Generator().manual_seed(0))
    whole = torch.log_softmax(many.double(), dim=-1)
    shifted = torch.log_softmax(many.double().roll(1, dims=1), dim=-1)
    assert divergence(many, many.roll(1, dims=1)) == pytest.approx(float((whole.exp() * (whole - shifted)).sum() / 150))


def test_agreement_is_the_share_of_equal_likeliest_tokens() -> None:
    assert agreement(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([[0.0, 2.0], [0.0, 2.0]])) == 0.5


def test_few_pairs_are_told_without_an_interval() -> None:
    assert told([2.0, 4.0, 9.0], [1.0, 2.0, 3.0]) == "2.00x of 3 pairs, too few for an interval"
    assert told([2.0] * 7, [1.0] * 7) == "2.00x [2.00, 2.00] of 7 pairs"
