"""Published shapes, and small ones that a laptop trains in minutes. Torch-free."""

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from waman.errors import RecipeError
from waman.model.config import Attention, ModelConfig, RmsNorm, Swiglu


def _llama(*, model_dim: int, num_heads: int, num_layers: int, hidden_dim: int, eps: float) -> ModelConfig:
    return ModelConfig(
        vocab_size=32000,
        context_length=2048,
        model_dim=model_dim,
        num_layers=num_layers,
        attention=Attention(num_heads=num_heads, num_kv_heads=num_heads, head_dim=model_dim // num_heads),
        feed_forward=Swiglu(hidden_dim=hidden_dim),
        norm=RmsNorm(eps=eps),
    )


def _laptop(*, model_dim: int, num_heads: int, num_kv_heads: int, num_layers: int, hidden_dim: int) -> ModelConfig:
    return ModelConfig(
        context_length=256,
        model_dim=model_dim,
        num_layers=num_layers,
        attention=Attention(num_heads=num_heads, num_kv_heads=num_kv_heads, head_dim=model_dim // num_heads),
        feed_forward=Swiglu(hidden_dim=hidden_dim),
        tie_embeddings=True,
    )


PRESETS: Mapping[str, ModelConfig] = MappingProxyType(
    {
        # Touvron et al. 2023, table 2; hidden_dim is 8/3 of model_dim rounded up to a multiple of 256 (released code)
        "llama-7b": _llama(model_dim=4096, num_heads=32, num_layers=32, hidden_dim=11008, eps=1e-6),
        "llama-13b": _llama(model_dim=5120, num_heads=40, num_layers=40, hidden_dim=13824, eps=1e-6),
        "llama-33b": _llama(model_dim=6656, num_heads=52, num_layers=60, hidden_dim=17920, eps=1e-6),
        "llama-65b": _llama(model_dim=8192, num_heads=64, num_layers=80, hidden_dim=22016, eps=1e-5),
        # named by their parameters with a vocabulary of 4096, rounded
        "laptop-1m": _laptop(model_dim=128, num_heads=4, num_kv_heads=2, num_layers=4, hidden_dim=352),
        "laptop-3m": _laptop(model_dim=192, num_heads=4, num_kv_heads=2, num_layers=6, hidden_dim=512),
        "laptop-5m": _laptop(model_dim=256, num_heads=4, num_kv_heads=2, num_layers=6, hidden_dim=704),
    }
)


def preset(name: str) -> ModelConfig:
    """The config of a published or small model. Raises RecipeError on an unknown name."""
    if name not in PRESETS:
        close = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"names: {', '.join(PRESETS)}"
        raise RecipeError(f"no model preset '{name}'; {hint}")
    return PRESETS[name]
