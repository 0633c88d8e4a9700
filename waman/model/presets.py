"""Published shapes, and small ones that a laptop trains in minutes. Torch-free.

What a publication leaves out is ours, and said where it stands; what our parts cannot say is said as well.
"""

import dataclasses
import difflib
from collections.abc import Mapping
from types import MappingProxyType

from waman.errors import RecipeError
from waman.model.config import (
    Alibi,
    Attention,
    FanIn,
    Gelu,
    LayerNorm,
    Learned,
    Llama3,
    ModelConfig,
    Normal,
    Parallel,
    Relu,
    RmsNorm,
    Rope,
    ScaledNormal,
    Sequential,
    Swiglu,
)


def _llama(
    *,
    model_dim: int,
    num_heads: int,
    num_layers: int,
    hidden_dim: int,
    eps: float = 1e-5,
    num_kv_heads: int | None = None,
    vocab_size: int = 32000,
    context_length: int = 2048,
) -> ModelConfig:
    """How LLaMA's fresh weights were drawn is not published; ours as GPT-2's."""
    return ModelConfig(
        vocab_size=vocab_size,
        context_length=context_length,
        model_dim=model_dim,
        num_layers=num_layers,
        attention=Attention(
            num_heads=num_heads,
            num_kv_heads=num_heads if num_kv_heads is None else num_kv_heads,
            head_dim=model_dim // num_heads,
        ),
        feed_forward=Swiglu(hidden_dim=hidden_dim),
        norm=RmsNorm(eps=eps),
    )


def _llama_3(*, model_dim: int, num_heads: int, num_layers: int, hidden_dim: int) -> ModelConfig:
    config = _llama(
        model_dim=model_dim,
        num_heads=num_heads,
        num_kv_heads=8,
        num_layers=num_layers,
        hidden_dim=hidden_dim,
        vocab_size=128256,
        context_length=8192,
    )
    return dataclasses.replace(config, position=Rope(theta=500000.0))


def _llama_3_1(config: ModelConfig) -> ModelConfig:
    """Llama 3 with its context stretched from 8192 tokens (Grattafiori et al. 2024 and the released config)."""
    return dataclasses.replace(
        config, context_length=131072, position=Rope(theta=500000.0, scaling=Llama3(original_context_length=8192))
    )


def _falcon(*, model_dim: int, num_heads: int, num_kv_heads: int, num_layers: int, num_norms: int) -> ModelConfig:
    return ModelConfig(
        vocab_size=65024,
        context_length=2048,
        model_dim=model_dim,
        num_layers=num_layers,
        attention=Attention(num_heads=num_heads, num_kv_heads=num_kv_heads, head_dim=64),
        feed_forward=Gelu(hidden_dim=4 * model_dim),
        norm=LayerNorm(),
        block=Parallel(num_norms=1 if num_norms == 1 else 2),
        tie_embeddings=True,
        initialization=Normal(),
    )


def _falcon_rw(*, vocab_size: int, model_dim: int, num_layers: int) -> ModelConfig:
    heads = Attention(num_heads=model_dim // 64, num_kv_heads=model_dim // 64, head_dim=64, bias=True, output_bias=True)
    return ModelConfig(
        vocab_size=vocab_size,
        context_length=2048,
        model_dim=model_dim,
        num_layers=num_layers,
        attention=heads,
        feed_forward=Gelu(hidden_dim=4 * model_dim, bias=True),
        norm=LayerNorm(),
        position=Alibi(divided_by_head_dim=True),
        tie_embeddings=True,
        initialization=Normal(),
    )


def _gpt_2(
    *, model_dim: int, num_heads: int, num_layers: int, context_length: int = 1024, vocab_size: int = 50257
) -> ModelConfig:
    heads = Attention(
        num_heads=num_heads, num_kv_heads=num_heads, head_dim=model_dim // num_heads, bias=True, output_bias=True
    )
    return ModelConfig(
        vocab_size=vocab_size,
        context_length=context_length,
        model_dim=model_dim,
        num_layers=num_layers,
        attention=heads,
        feed_forward=Gelu(hidden_dim=4 * model_dim, bias=True, approximation="tanh"),
        norm=LayerNorm(),
        position=Learned(),
        tie_embeddings=True,
    )


def _gpt_3(*, model_dim: int, num_heads: int, num_layers: int) -> ModelConfig:
    """Every second layer of GPT-3 sees a band only, of a width that is not published; here all see everything."""
    return _gpt_2(model_dim=model_dim, num_heads=num_heads, num_layers=num_layers, context_length=2048)


def _gopher(*, model_dim: int, num_heads: int) -> ModelConfig:
    """GPT-2 with RMSNorm and Transformer-XL's relative positions (Rae et al. 2021, section 3.1).

    Relative positions we cannot express: rotary ones stand in for them, which have no weights, where theirs have
    model_dim * num_heads * head_dim a layer. They are a twelfth of what is counted in the name.
    """
    config = _gpt_2(model_dim=model_dim, num_heads=num_heads, num_layers=80, context_length=2048, vocab_size=32000)
    return dataclasses.replace(config, norm=RmsNorm(), position=Rope())


def _palm(*, model_dim: int, num_heads: int, num_layers: int) -> ModelConfig:
    """The norm's eps is not published. PaLM scales the logits and draws its embedding wider: see `FanIn`."""
    return ModelConfig(
        vocab_size=256000,
        context_length=2048,
        model_dim=model_dim,
        num_layers=num_layers,
        attention=Attention(num_heads=num_heads, num_kv_heads=1, head_dim=256),
        feed_forward=Swiglu(hidden_dim=4 * model_dim),
        norm=LayerNorm(eps=1e-6, bias=False),
        block=Parallel(num_norms=1),
        tie_embeddings=True,
        initialization=FanIn(),
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


_LLAMA_3_8B = _llama_3(model_dim=4096, num_heads=32, num_layers=32, hidden_dim=14336)
_LLAMA_3_70B = _llama_3(model_dim=8192, num_heads=64, num_layers=80, hidden_dim=28672)
_LLAMA_3_405B = _llama_3(model_dim=16384, num_heads=128, num_layers=126, hidden_dim=53248)
_MISTRAL = _llama(model_dim=4096, num_heads=32, num_kv_heads=8, num_layers=32, hidden_dim=14336, context_length=8192)
_GPT_3_175B = _gpt_3(model_dim=12288, num_heads=96, num_layers=96)

PRESETS: Mapping[str, ModelConfig] = MappingProxyType(
    {
        # Touvron et al. 2023a, table 2; hidden_dim is 8/3 of model_dim rounded up to a multiple of 256 (released code)
        "llama-7b": _llama(model_dim=4096, num_heads=32, num_layers=32, hidden_dim=11008, eps=1e-6),
        "llama-13b": _llama(model_dim=5120, num_heads=40, num_layers=40, hidden_dim=13824, eps=1e-6),
        "llama-33b": _llama(model_dim=6656, num_heads=52, num_layers=60, hidden_dim=17920, eps=1e-6),
        "llama-65b": _llama(model_dim=8192, num_heads=64, num_layers=80, hidden_dim=22016, eps=1e-5),
        # Touvron et al. 2023b, table 1, and the released configs
        "llama2-7b": _llama(model_dim=4096, num_heads=32, num_layers=32, hidden_dim=11008, context_length=4096),
        "llama2-13b": _llama(model_dim=5120, num_heads=40, num_layers=40, hidden_dim=13824, context_length=4096),
        "llama2-70b": _llama(
            model_dim=8192, num_heads=64, num_kv_heads=8, num_layers=80, hidden_dim=28672, context_length=4096
        ),
        # Grattafiori et al. 2024, table 3; the first release had a context of 8192
        "llama3-8b": _LLAMA_3_8B,
        "llama3-70b": _LLAMA_3_70B,
        "llama3.1-8b": _llama_3_1(_LLAMA_3_8B),
        "llama3.1-70b": _llama_3_1(_LLAMA_3_70B),
        "llama3.1-405b": _llama_3_1(_LLAMA_3_405B),
        # Jiang et al. 2023, table 1
        "mistral-7b": dataclasses.replace(_MISTRAL, attention=dataclasses.replace(_MISTRAL.attention, window=4096)),
        # Almazrouei et al. 2023 and the released configs; 7B has one norm a block, the others one for each part
        "falcon-7b": _falcon(model_dim=4544, num_heads=71, num_kv_heads=1, num_layers=32, num_norms=1),
        "falcon-40b": _falcon(model_dim=8192, num_heads=128, num_kv_heads=8, num_layers=60, num_norms=2),
        "falcon-180b": _falcon(model_dim=14848, num_heads=232, num_kv_heads=8, num_layers=80, num_norms=2),
        # Penedo et al. 2023 and the released configs
        "falcon-rw-1b": _falcon_rw(vocab_size=50304, model_dim=2048, num_layers=24),
        "falcon-rw-7b": _falcon_rw(vocab_size=65024, model_dim=4096, num_layers=36),
        # Radford et al. 2018, section 4.1; 40,000 merges and, as released, 478 characters
        "gpt1-117m": dataclasses.replace(
            _gpt_2(model_dim=768, num_heads=12, num_layers=12, context_length=512, vocab_size=40478),
            block=Sequential(norm="after"),
            initialization=Normal(),
        ),
        # Radford et al. 2019, table 2, and the released configs; the table's own counts are of other models
        "gpt2-124m": _gpt_2(model_dim=768, num_heads=12, num_layers=12),
        "gpt2-355m": _gpt_2(model_dim=1024, num_heads=16, num_layers=24),
        "gpt2-774m": _gpt_2(model_dim=1280, num_heads=20, num_layers=36),
        "gpt2-1.5b": _gpt_2(model_dim=1600, num_heads=25, num_layers=48),
        # Brown et al. 2020, table 2.1. Two cells there contradict the counts of its table D.1, which we follow: 1.3B
        # has 24 heads of 128, which are wider than its model_dim of 2048 (16 fit), and 13B a model_dim of 5140, which
        # 40 heads of 128 do not fill (5120)
        "gpt3-125m": _gpt_3(model_dim=768, num_heads=12, num_layers=12),
        "gpt3-350m": _gpt_3(model_dim=1024, num_heads=16, num_layers=24),
        "gpt3-760m": _gpt_3(model_dim=1536, num_heads=16, num_layers=24),
        "gpt3-1.3b": _gpt_3(model_dim=2048, num_heads=16, num_layers=24),
        "gpt3-2.7b": _gpt_3(model_dim=2560, num_heads=32, num_layers=32),
        "gpt3-6.7b": _gpt_3(model_dim=4096, num_heads=32, num_layers=32),
        "gpt3-13b": _gpt_3(model_dim=5120, num_heads=40, num_layers=40),
        "gpt3-175b": _GPT_3_175B,
        # Zhang et al. 2022, table 1 and section 2.2: GPT-3's shape, dense, with ReLU; its released vocabulary
        "opt-175b": dataclasses.replace(
            _GPT_3_175B,
            vocab_size=50272,
            feed_forward=Relu(hidden_dim=4 * 12288, bias=True),
            initialization=ScaledNormal(std=0.006),
        ),
        # Rae et al. 2021, table 1; Hoffmann et al. 2022, table 4
        "gopher-280b": _gopher(model_dim=16384, num_heads=128),
        "chinchilla-70b": _gopher(model_dim=8192, num_heads=64),
        # Chowdhery et al. 2022, table 1 and section 2
        "palm-8b": _palm(model_dim=4096, num_heads=16, num_layers=32),
        "palm-62b": _palm(model_dim=8192, num_heads=32, num_layers=64),
        "palm-540b": _palm(model_dim=18432, num_heads=48, num_layers=118),
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
