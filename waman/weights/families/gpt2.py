"""`gpt2`: LayerNorm, learned positions, a plain feed-forward, biases everywhere; matrices transposed."""

from typing import Any

from waman.model.config import Attention, Gelu, LayerNorm, Learned, ModelConfig, Relu, ScaledNormal, Sequential
from waman.weights.families.family import Family, Names, Theirs, unlike
from waman.weights.families.keys import Keys
from waman.weights.families.shape import initializer_range, whole_heads

_ACTIVATIONS = {
    "gelu_new": ("gelu", "tanh"),
    "gelu_pytorch_tanh": ("gelu", "tanh"),
    "gelu_fast": ("gelu", "tanh"),
    "gelu": ("gelu", "none"),
    "relu": ("relu", "none"),
}


def _read(keys: Keys) -> ModelConfig:
    keys.fixed("scale_attn_weights", True)
    keys.fixed("scale_attn_by_inverse_layer_idx", False)
    # In fp32 and float64 the same; below, the softmax's inputs alone are wider.
    keys.fixed("reorder_and_upcast_attn", False, True)
    keys.unread("n_ctx", "resid_pdrop", "embd_pdrop", "attn_pdrop", "gradient_checkpointing")
    keys.unread(*(f"summary_{name}" for name in _SUMMARY))
    model_dim, num_heads = keys.whole("n_embd", 768), keys.whole("n_head", 12)
    activation, approximation = keys.choice("activation_function", "gelu_new", _ACTIVATIONS)
    hidden_dim = keys.whole("n_inner", 4 * model_dim)
    parts: dict[str, Any] = {
        "vocab_size": keys.whole("vocab_size", 50257),
        "context_length": keys.whole("n_positions", 1024),
        "model_dim": model_dim,
        "num_layers": keys.whole("n_layer", 12),
        "norm": LayerNorm(eps=keys.real("layer_norm_epsilon", 1e-5)),
        "tie_embeddings": keys.flag("tie_word_embeddings", True),
        "initialization": ScaledNormal(std=keys.real("initializer_range", 0.02)),
    }
    if model_dim % num_heads:
        keys.problems.append(f"n_embd = {model_dim} is not a multiple of n_head = {num_heads}")
    keys.close()
    gelu = Gelu(hidden_dim=hidden_dim, bias=True, approximation=approximation)
    return ModelConfig(
        attention=Attention(
            num_heads=num_heads, num_kv_heads=num_heads, head_dim=model_dim // num_heads, bias=True, output_bias=True
        ),
        feed_forward=gelu if activation == "gelu" else Relu(hidden_dim=hidden_dim, bias=True),
        position=Learned(),
        **parts,
    )


_SUMMARY = ("type", "use_proj", "activation", "proj_to_labels", "first_dropout")


def _obstacles(config: ModelConfig) -> list[str]:
    heads, feed_forward = config.attention, config.feed_forward
    return unlike(
        norm=(isinstance(config.norm, LayerNorm) and config.norm.bias, "is not LayerNorm with a bias"),
        position=(isinstance(config.position, Learned), "is not learned"),
        feed_forward=(isinstance(feed_forward, Gelu | Relu) and feed_forward.bias, "is not GELU or ReLU with a bias"),
        block=(config.block == Sequential(norm="before"), "is not sequential with the norm before"),
        bias=(heads.bias and heads.output_bias, "is missing in attention"),
        heads=(heads.num_heads == heads.num_kv_heads, "share keys and values"),
        window=(heads.window is None, "is not in gpt2"),
    ) + whole_heads(config, filling=True)


def _write(config: ModelConfig) -> dict[str, Any]:
    assert isinstance(config.norm, LayerNorm)
    match config.feed_forward:
        case Gelu(approximation="tanh"):
            activation = "gelu_new"
        case Gelu():
            activation = "gelu"
        case _:
            activation = "relu"
    return {
        "n_positions": config.context_length,
        "n_embd": config.model_dim,
        "n_layer": config.num_layers,
        "n_head": config.attention.num_heads,
        "n_inner": config.feed_forward.hidden_dim,
        "activation_function": activation,
        "layer_norm_epsilon": config.norm.eps,
        "initializer_range": initializer_range(config),
        "tie_word_embeddings": config.tie_embeddings,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
    }


def _names(config: ModelConfig) -> Names:
    yield "embedding.weight", [Theirs("transformer.wte.weight")]
    yield "position.weight", [Theirs("transformer.wpe.weight")]
    for layer in range(config.num_layers):
        ours, theirs = f"blocks.{layer}", f"transformer.h.{layer}"
        for kind in ("weight", "bias"):
            transposed = kind == "weight"
            yield f"{ours}.attention_norm.{kind}", [Theirs(f"{theirs}.ln_1.{kind}")]
            yield f"{ours}.feed_forward_norm.{kind}", [Theirs(f"{theirs}.ln_2.{kind}")]
            for our_name, their_name in _MATRICES.items():
                yield f"{ours}.{our_name}.{kind}", [Theirs(f"{theirs}.{their_name}.{kind}", transposed=transposed)]
    for kind in ("weight", "bias"):
        yield f"norm.{kind}", [Theirs(f"transformer.ln_f.{kind}")]
    if not config.tie_embeddings:
        yield "unembedding.weight", [Theirs("lm_head.weight")]


_MATRICES = {
    "attention.query_key_value": "attn.c_attn",
    "attention.output": "attn.c_proj",
    "feed_forward.up": "mlp.c_fc",
    "feed_forward.down": "mlp.c_proj",
}
GPT2 = Family(
    model_type="gpt2",
    architecture="GPT2LMHeadModel",
    read=_read,
    obstacles=_obstacles,
    write=_write,
    names=_names,
    prefix="transformer.",
    buffers=(".attn.bias", ".attn.masked_bias"),
)
