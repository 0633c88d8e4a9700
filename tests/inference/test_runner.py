import pytest

from waman.errors import RecipeError
from waman.inference.runner import page_bytes
from waman.model.config import Attention, ModelConfig


def test_a_page_holds_keys_and_values_of_all_layers() -> None:
    """32 tokens, 2 layers, 2 heads of 8 numbers, twice: 2048 numbers; in 8 bits and 256 scales of 4 bytes."""
    config = ModelConfig(num_layers=2, attention=Attention(num_heads=4, num_kv_heads=2, head_dim=8))
    assert [page_bytes(config, kv_bits=bits) for bits in (16, 32, 64)] == [4096, 8192, 16384]
    assert page_bytes(config, kv_bits=8) == 2048 + 256 * 4
    assert page_bytes(config, page_tokens=16, kv_bits=16) == 2048


def test_a_number_of_bits_that_a_cache_cannot_have_is_refused() -> None:
    with pytest.raises(RecipeError, match="kv_bits: found 4, expected one of 8, 16, 32, 64"):
        page_bytes(ModelConfig(), kv_bits=4)
