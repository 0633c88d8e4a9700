"""`falcon`: LayerNorm, a parallel block, queries, keys and values in one matrix, group by group.

Three layouts: one key-value head after all queries (7B); groups of queries, each with its key and value (40B, 180B); a
query, a key and a value for each head (Falcon-RW).
"""

from typing import Any

from waman.model.config import (
    Alibi,
    Attention,
    Gelu,
    LayerNorm,
    ModelConfig,
    Parallel,
    Rope,
    ScaledNormal,
    Sequential,
)
from waman.weights.families.family import Family, Names, Theirs, unlike
from waman.weights.families.keys import Keys
from waman.weights.families.rope import read_rope, write_rope
from waman.weights.families.shape import initializer_range, whole_heads

_ACTIVATIONS = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}


def _read(keys: Keys) -> ModelConfig:
    keys.unread("hidden_dropout", "attention_dropout", "n_ctx")
    keys.fixed("apply_residual_connection_post_layernorm", False)
    model_dim = keys.whole("n_embed", keys.whole("hidden_size", 4544))
    num_heads = keys.whole("n_head", keys.whole("num_attention_heads", 71))
    num_layers = keys.whole("n_layer", keys.whole("num_hidden_layers", 32))
    context_length = keys.whole("max_position_embeddings", 2048)
    grouped = keys.flag("new_decoder_architecture", False)
    multi_query, parallel = keys.flag("multi_query", True), keys.flag("parallel_attn", True)
    named = keys.whole("n_head_kv", keys.whole("num_kv_heads", num_heads))
    num_kv_heads = named if grouped else 1 if multi_query else num_heads
    if not grouped and not multi_query and named != num_heads:
        keys.problems.append(f"num_kv_heads = {named} with neither new_decoder_architecture nor multi_query, ours all")
    num_norms = keys.whole("num_ln_in_parallel_attn", 2 if grouped else 1)
    bias = keys.flag("bias", False)
    alibi = keys.flag("alibi", False)
    rope = read_rope(keys, context_length=context_length)
    approximation = keys.choice("activation", "gelu", _ACTIVATIONS)
    parts: dict[str, Any] = {
        "vocab_size": keys.whole("vocab_size", 65024),
        "context_length": context_length,
        "model_dim": model_dim,
        "num_layers": num_layers,
        "norm": LayerNorm(eps=keys.real("layer_norm_epsilon", 1e-5)),
        "feed_forward": Gelu(
            hidden_dim=keys.whole("ffn_hidden_size", 4 * model_dim), bias=bias, approximation=approximation
        ),
        "tie_embeddings": keys.flag("tie_word_embeddings", True),
        "initialization": ScaledNormal(std=keys.real("initializer_range", 0.02)),
    }
    if grouped and not parallel:
        keys.problems.append("parallel_attn = False with new_decoder_architecture, ours computes True")
    if num_norms not in (1, 2) or (num_norms == 2 and not grouped):
        keys.problems.append(f"num_ln_in_parallel_attn = {num_norms}, ours computes 1, or 2 with the new architecture")
    if model_dim % num_heads:
        keys.problems.append(f"hidden_size = {model_dim} is not a multiple of num_attention_heads = {num_heads}")
    keys.close()
    return ModelConfig(
        attention=Attention(
            num_heads=num_heads,
            num_kv_heads=num_kv_heads,
            head_dim=model_dim // num_heads,
            bias=bias,
            output_bias=bias,
        ),
        block=(Parallel(num_norms=2) if num_norms == 2 else Parallel(num_norms=1)) if parallel else Sequential(),
        position=Alibi(divided_by_head_dim=True) if alibi else rope,
        **parts,
    )


def _obstacles(config: ModelConfig) -> list[str]:
    heads, feed_forward = config.attention, config.feed_forward
    biases = {heads.bias, heads.output_bias, getattr(feed_forward, "bias", None)}
    position = isinstance(config.position, Rope) or config.position == Alibi(divided_by_head_dim=True)
    sequential = config.block == Sequential(norm="before")
    shared = heads.num_kv_heads not in (1, heads.num_heads)
    return unlike(
        norm=(isinstance(config.norm, LayerNorm) and config.norm.bias, "is not LayerNorm with a bias"),
        position=(position, "is neither rotary nor falcon's ALiBi"),
        feed_forward=(isinstance(feed_forward, Gelu), "is not GELU"),
        bias=(len(biases) == 1, "is on some matrices only"),
        block=(config.block != Sequential(norm="after"), "has its norms after"),
        heads=(not (sequential and shared), "are grouped in a sequential block"),
        window=(heads.window is None, "is not in falcon"),
    ) + whole_heads(config, filling=True)


def _is_grouped(config: ModelConfig) -> bool:
    """Whether it takes the layout of Falcon 40B; the older ones know one norm, and one or all key-value heads."""
    shared = config.attention.num_kv_heads not in (1, config.attention.num_heads)
    return config.block == Parallel(num_norms=2) or shared


def _write(config: ModelConfig) -> dict[str, Any]:
    heads = config.attention
    assert isinstance(config.norm, LayerNorm)
    assert isinstance(config.feed_forward, Gelu)
    grouped, parallel = _is_grouped(config), isinstance(config.block, Parallel)
    table = {
        "max_position_embeddings": config.context_length,
        "hidden_size": config.model_dim,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": heads.num_heads,
        "num_kv_heads": heads.num_kv_heads,
        "ffn_hidden_size": config.feed_forward.hidden_dim,
        "activation": "gelu" if config.feed_forward.approximation == "none" else "gelu_new",
        "layer_norm_epsilon": config.norm.eps,
        "new_decoder_architecture": grouped,
        "multi_query": heads.num_kv_heads == 1,
        "parallel_attn": parallel,
        "bias": heads.bias,
        "alibi": isinstance(config.position, Alibi),
        "tie_word_embeddings": config.tie_embeddings,
        "initializer_range": initializer_range(config),
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
    }
    if isinstance(config.block, Parallel) and grouped:
        table["num_ln_in_parallel_attn"] = config.block.num_norms
    if isinstance(config.position, Rope):
        table |= write_rope(config.position, head_dim=heads.head_dim)
    return table


def _names(config: ModelConfig) -> Names:
    kinds = ("weight", "bias") if config.attention.bias else ("weight",)
    norms = _norm_names(config)
    rows = _fused_rows(config.attention)
    yield "embedding.weight", [Theirs("transformer.word_embeddings.weight")]
    for layer in range(config.num_layers):
        ours, theirs = f"blocks.{layer}", f"transformer.h.{layer}"
        for our_name, their_name in norms.items():
            for kind in ("weight", "bias"):
                yield f"{ours}.{our_name}.{kind}", [Theirs(f"{theirs}.{their_name}.{kind}")]
        for kind in kinds:
            fused = Theirs(f"{theirs}.self_attention.query_key_value.{kind}", rows)
            yield f"{ours}.attention.query_key_value.{kind}", [fused]
            yield f"{ours}.attention.output.{kind}", [Theirs(f"{theirs}.self_attention.dense.{kind}")]
            yield f"{ours}.feed_forward.up.{kind}", [Theirs(f"{theirs}.mlp.dense_h_to_4h.{kind}")]
            yield f"{ours}.feed_forward.down.{kind}", [Theirs(f"{theirs}.mlp.dense_4h_to_h.{kind}")]
    for kind in ("weight", "bias"):
        yield f"norm.{kind}", [Theirs(f"transformer.ln_f.{kind}")]
    if not config.tie_embeddings:
        yield "unembedding.weight", [Theirs("lm_head.weight")]


def _norm_names(config: ModelConfig) -> dict[str, str]:
    if config.block == Parallel(num_norms=2):
        return {"attention_norm": "ln_attn", "feed_forward_norm": "ln_mlp"}
    if config.block == Parallel(num_norms=1):
        return {"attention_norm": "input_layernorm"}
    return {"attention_norm": "input_layernorm", "feed_forward_norm": "post_attention_layernorm"}


def _fused_rows(heads: Attention) -> list[int]:
    """For each row of their matrix its row in ours: each group's queries, its key, its value."""
    group = heads.num_heads // heads.num_kv_heads
    order: list[int] = []
    for kv_head in range(heads.num_kv_heads):
        order += range(kv_head * group, (kv_head + 1) * group)
        order += [heads.num_heads + kv_head, heads.num_heads + heads.num_kv_heads + kv_head]
    return [head * heads.head_dim + row for head in order for row in range(heads.head_dim)]


FALCON = Family(
    model_type="falcon",
    architecture="FalconForCausalLM",
    read=_read,
    obstacles=_obstacles,
    write=_write,
    names=_names,
    prefix="transformer.",
    buffers=(".rotary_emb.inv_freq", ".rotary.inv_freq", ".maybe_rotary.inv_freq", ".attention.masked_bias"),
)
