"""`llama` and `mistral`: RMSNorm, rotary positions, a gated feed-forward; mistral adds a sliding window."""

from typing import Any

from waman.model.config import Attention, ModelConfig, RmsNorm, Rope, ScaledNormal, Sequential, Swiglu
from waman.weights.families.family import Family, Names, Theirs, unlike
from waman.weights.families.keys import Keys
from waman.weights.families.rope import read_rope, write_rope
from waman.weights.families.shape import initializer_range, whole_heads

EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"
_KV_HEADS = "num_key_value_heads"


def _read_llama(keys: Keys) -> ModelConfig:
    bias, mlp_bias = keys.flag("attention_bias", False), keys.flag("mlp_bias", False)
    num_kv_heads, context_length = keys.whole_or_none(_KV_HEADS), keys.whole("max_position_embeddings", 2048)
    return _read(
        keys, bias=bias, mlp_bias=mlp_bias, window=None, num_kv_heads=num_kv_heads, context_length=context_length
    )


def _read_mistral(keys: Keys) -> ModelConfig:
    # Absent as transformers takes it; null is no window, and as many key-value heads as query heads.
    window = keys.whole_or_none("sliding_window", absent=4096)
    num_kv_heads = keys.whole_or_none(_KV_HEADS, absent=8)
    context_length = keys.whole("max_position_embeddings", 131072)
    return _read(
        keys, bias=False, mlp_bias=False, window=window, num_kv_heads=num_kv_heads, context_length=context_length
    )


def _read(
    keys: Keys, *, bias: bool, mlp_bias: bool, window: int | None, num_kv_heads: int | None, context_length: int
) -> ModelConfig:
    keys.fixed("hidden_act", "silu", "swish")
    keys.fixed("attention_dropout", 0, None)
    model_dim, num_heads = keys.whole("hidden_size"), keys.whole("num_attention_heads")
    attention = {
        "num_heads": num_heads,
        "num_kv_heads": num_heads if num_kv_heads is None else num_kv_heads,
        "head_dim": keys.whole("head_dim", max(model_dim // num_heads, 1)),
    }
    parts: dict[str, Any] = {
        "vocab_size": keys.whole("vocab_size"),
        "context_length": context_length,
        "model_dim": model_dim,
        "num_layers": keys.whole("num_hidden_layers"),
        "norm": RmsNorm(eps=keys.real("rms_norm_eps", 1e-6)),
        "feed_forward": Swiglu(hidden_dim=keys.whole("intermediate_size"), bias=mlp_bias),
        "position": read_rope(keys, context_length=context_length),
        "tie_embeddings": keys.flag("tie_word_embeddings", False),
        "initialization": ScaledNormal(std=keys.real("initializer_range", 0.02)),
    }
    keys.close()
    return ModelConfig(attention=Attention(**attention, window=window, bias=bias, output_bias=bias), **parts)


def _obstacles(config: ModelConfig) -> list[str]:
    return unlike(
        norm=(isinstance(config.norm, RmsNorm), "is not RMSNorm"),
        position=(isinstance(config.position, Rope), "is not rotary"),
        feed_forward=(isinstance(config.feed_forward, Swiglu), "is not SwiGLU"),
        block=(config.block == Sequential(norm="before"), "is not sequential with the norm before"),
        attention=(config.attention.bias == config.attention.output_bias, "has a bias on one side only"),
    ) + whole_heads(config)


def _llama_obstacles(config: ModelConfig) -> list[str]:
    return _obstacles(config) + unlike(window=(config.attention.window is None, "is not in llama"))


def _mistral_obstacles(config: ModelConfig) -> list[str]:
    biases = config.attention.bias or (isinstance(config.feed_forward, Swiglu) and config.feed_forward.bias)
    return _obstacles(config) + unlike(bias=(not biases, "is not in mistral"))


def _write(config: ModelConfig) -> dict[str, Any]:
    heads = config.attention
    assert isinstance(config.position, Rope)
    assert isinstance(config.norm, RmsNorm)
    return {
        "max_position_embeddings": config.context_length,
        "hidden_size": config.model_dim,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": heads.num_heads,
        "num_key_value_heads": heads.num_kv_heads,
        "head_dim": heads.head_dim,
        "intermediate_size": config.feed_forward.hidden_dim,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm.eps,
        **write_rope(config.position, head_dim=heads.head_dim),
        "tie_word_embeddings": config.tie_embeddings,
        "initializer_range": initializer_range(config),
        "attention_dropout": 0.0,
    }


def _write_llama(config: ModelConfig) -> dict[str, Any]:
    assert isinstance(config.feed_forward, Swiglu)
    return {**_write(config), "attention_bias": config.attention.bias, "mlp_bias": config.feed_forward.bias}


def _write_mistral(config: ModelConfig) -> dict[str, Any]:
    return {**_write(config), "sliding_window": config.attention.window}


def _names(config: ModelConfig) -> Names:
    heads, feed_forward = config.attention, config.feed_forward
    assert isinstance(feed_forward, Swiglu)
    queries, keys, hidden = (
        heads.num_heads * heads.head_dim,
        heads.num_kv_heads * heads.head_dim,
        feed_forward.hidden_dim,
    )
    kinds = {"attention": ["weight", "bias"] if heads.bias else ["weight"]}
    kinds["feed_forward"] = ["weight", "bias"] if feed_forward.bias else ["weight"]
    yield "embedding.weight", [Theirs(EMBEDDING)]
    for layer in range(config.num_layers):
        ours, theirs = f"blocks.{layer}", f"model.layers.{layer}"
        yield f"{ours}.attention_norm.weight", [Theirs(f"{theirs}.input_layernorm.weight")]
        for kind in kinds["attention"]:
            yield (
                f"{ours}.attention.query_key_value.{kind}",
                [
                    Theirs(f"{theirs}.self_attn.q_proj.{kind}", queries),
                    Theirs(f"{theirs}.self_attn.k_proj.{kind}", keys),
                    Theirs(f"{theirs}.self_attn.v_proj.{kind}", keys),
                ],
            )
            yield f"{ours}.attention.output.{kind}", [Theirs(f"{theirs}.self_attn.o_proj.{kind}")]
        yield f"{ours}.feed_forward_norm.weight", [Theirs(f"{theirs}.post_attention_layernorm.weight")]
        for kind in kinds["feed_forward"]:
            yield (
                f"{ours}.feed_forward.gate_up.{kind}",
                [Theirs(f"{theirs}.mlp.gate_proj.{kind}", hidden), Theirs(f"{theirs}.mlp.up_proj.{kind}", hidden)],
            )
            yield f"{ours}.feed_forward.down.{kind}", [Theirs(f"{theirs}.mlp.down_proj.{kind}")]
    yield "norm.weight", [Theirs("model.norm.weight")]
    if not config.tie_embeddings:
        yield "unembedding.weight", [Theirs(HEAD)]


LLAMA = Family(
    model_type="llama",
    architecture="LlamaForCausalLM",
    read=_read_llama,
    obstacles=_llama_obstacles,
    write=_write_llama,
    names=_names,
    prefix="model.",
    buffers=(".rotary_emb.inv_freq",),
)
MISTRAL = Family(
    model_type="mistral",
    architecture="MistralForCausalLM",
    read=_read_mistral,
    obstacles=_mistral_obstacles,
    write=_write_mistral,
    names=_names,
    prefix="model.",
    buffers=(".rotary_emb.inv_freq",),
)
