"""A family of decoders of LLaMA's parts, from a hundred million parameters to hundreds of billions, in even steps."""

import math
from collections.abc import Iterator

from waman.model.config import Attention, ModelConfig, Swiglu

_LAYERS = (*range(4, 40), *range(40, 132, 4))


def family(*, vocab_size: int = 32000, context_length: int = 2048) -> Iterator[ModelConfig]:
    """Shapes in order of size: a head of 128 for every layer up to 32 layers, as LLaMA's smaller ones, then slowly
    fewer, down to one in 1.25 (LLaMA 65B: 64 heads, 80 layers). Feed-forwards are 8/3 as wide as the stream, rounded up
    to a multiple of 256 (Touvron et al. 2023 and the released code)."""
    for num_layers in _LAYERS:
        num_heads = num_layers if num_layers <= 32 else max(32, 4 * round(num_layers / 1.25 / 4))
        model_dim = 128 * num_heads
        yield ModelConfig(
            vocab_size=vocab_size,
            context_length=context_length,
            model_dim=model_dim,
            num_layers=num_layers,
            attention=Attention(num_heads=num_heads, num_kv_heads=num_heads, head_dim=128),
            feed_forward=Swiglu(hidden_dim=256 * math.ceil(8 * model_dim / 3 / 256)),
        )
