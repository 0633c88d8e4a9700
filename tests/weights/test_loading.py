"""Loading takes no memory beside the model itself: sampled in fresh processes."""

import time
from pathlib import Path

import pytest
import torch

from benchmarks.loading import Sampler, anonymous_bytes, measure_in_child, write_random
from waman.model.config import Attention, Gelu, LayerNorm, Learned, ModelConfig, Parallel, Swiglu

WIDE: dict[str, ModelConfig] = {
    "llama": ModelConfig(
        vocab_size=32000,
        model_dim=1024,
        num_layers=16,
        attention=Attention(num_heads=16, num_kv_heads=16, head_dim=64),
        feed_forward=Swiglu(hidden_dim=2816),
    ),
    "gpt2": ModelConfig(
        vocab_size=50257,
        model_dim=1024,
        num_layers=16,
        attention=Attention(num_heads=16, num_kv_heads=16, head_dim=64, bias=True, output_bias=True),
        feed_forward=Gelu(hidden_dim=4096, bias=True, approximation="tanh"),
        norm=LayerNorm(),
        position=Learned(),
        tie_embeddings=True,
    ),
    "falcon": ModelConfig(
        vocab_size=65024,
        model_dim=1024,
        num_layers=16,
        attention=Attention(num_heads=16, num_kv_heads=4, head_dim=64),
        feed_forward=Gelu(hidden_dim=4096),
        norm=LayerNorm(),
        block=Parallel(num_norms=2),
        tie_embeddings=True,
    ),
}
MIB = 2**20


def test_memory_that_is_soon_given_back_is_seen() -> None:
    before = anonymous_bytes()
    with Sampler(anonymous_bytes) as sampler:
        passing = torch.ones(64 * MIB)  # fp32: 256 MiB
        time.sleep(0.1)
        del passing
    assert sampler.most - before > 200 * MIB
    assert anonymous_bytes() - before < 100 * MIB


@pytest.mark.slow
@pytest.mark.parametrize("name", WIDE)
def test_loading_takes_less_than_a_tenth_more_than_what_stays(tmp_path: Path, name: str) -> None:
    """About 250 million parameters in bf16, in shards: as they are, and widened."""
    write_random(WIDE[name], tmp_path, max_shard_bytes=2 * 10**8)
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    for dtype, least in (("bfloat16", 4e8), ("float32", 8e8)):
        taken = measure_in_child(tmp_path, dtype=dtype)
        assert taken.loaded > least
        assert taken.ratio < 1.1, taken
        assert taken.after > 0.95 * taken.loaded, "the model is in memory, so the samples mean something"
