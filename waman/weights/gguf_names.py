"""How llama.cpp calls what a decoder is made of: tensors and metadata of the architectures that it shares with us."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from waman.errors import InputError, RecipeError
from waman.model.config import (
    Attention,
    Gelu,
    LayerNorm,
    Learned,
    Linear,
    Llama3,
    ModelConfig,
    Ntk,
    Parallel,
    RmsNorm,
    Rope,
    Sequential,
    Swiglu,
    Unscaled,
    require_vocab_size,
)

ROPE_FACTORS = "rope_freqs.weight"


@dataclass(frozen=True)
class Piece:
    """One of llama.cpp's tensors: rows of one of ours."""

    theirs: str
    ours: str
    rows: slice
    num_heads: int | None = None
    """set where llama.cpp turns neighbours of a head together, so that the rows of each head are reordered"""


@dataclass(frozen=True)
class Architecture:
    """One of llama.cpp's."""

    name: str
    problems: Callable[[ModelConfig], list[str]]
    """why it does not compute what a config says; empty: it does"""
    metadata: Callable[[ModelConfig], dict[str, Any]]
    """the values of a config, by their keys without the architecture's name"""
    from_metadata: Callable[[Mapping[str, Any], int, bool, Any], ModelConfig]
    """the config of metadata, size of the vocabulary, whether the head is tied, and rope scaling"""
    pieces: Callable[[ModelConfig], Iterator[Piece]]


def architecture_of(config: ModelConfig) -> Architecture:
    """The first that computes what the config says. Raises RecipeError that names what each lacks."""
    lacking = {one.name: one.problems(config) for one in ARCHITECTURES}
    for one in ARCHITECTURES:
        if not lacking[one.name]:
            return one
    reasons = "; ".join(f"{name}: {', '.join(problems)}" for name, problems in lacking.items())
    raise RecipeError(f"llama.cpp has no architecture that we write for this model ({reasons})")


def architecture_named(name: str, where: str) -> Architecture:
    """By llama.cpp's name. Raises InputError for one that we do not read."""
    for one in ARCHITECTURES:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in ARCHITECTURES)
    raise InputError(f"{where}: general.architecture is {name!r}; known: {known}")


def rope_factors(scaling: Llama3, theta: float, head_dim: int) -> list[float]:
    """By how much each pair's wavelength grows, as `rope_freqs.weight` holds it."""
    low = scaling.original_context_length / scaling.low_freq_factor
    high = scaling.original_context_length / scaling.high_freq_factor
    factors = []
    for pair in range(head_dim // 2):
        wavelength = 2 * math.pi * theta ** (2 * pair / head_dim)
        if wavelength < high:
            factors.append(1.0)
        elif wavelength > low:
            factors.append(scaling.factor)
        else:
            smooth = (scaling.original_context_length / wavelength - scaling.low_freq_factor) / (
                scaling.high_freq_factor - scaling.low_freq_factor
            )
            factors.append(1 / ((1 - smooth) / scaling.factor + smooth))
    return factors


def rope_scaling(metadata: Mapping[str, Any], factors: list[float] | None, *, theta: float, head_dim: int) -> Any:
    """The scaling that metadata and `rope_freqs.weight` describe. Raises InputError for one that we do not compute."""
    kind = metadata.get("rope.scaling.type", "none")
    if kind == "linear" and factors is None:
        return Linear(factor=float(metadata["rope.scaling.factor"]))
    if kind != "none":
        raise InputError(f"rope.scaling.type is {kind!r}; ours reads 'none' and 'linear'")
    if factors is None:
        return Unscaled()
    for factor in (8.0, 32.0):  # Llama 3.1 and 3.2: the file holds what follows from the numbers, not the numbers
        scaling = Llama3(factor=factor)
        expected = rope_factors(scaling, theta, head_dim)
        if len(expected) == len(factors) and all(
            math.isclose(a, b, rel_tol=1e-5) for a, b in zip(expected, factors, strict=True)
        ):
            return scaling
    raise InputError(f"{ROPE_FACTORS} holds neither Llama 3.1's factors nor Llama 3.2's")


def _rows(config: ModelConfig) -> tuple[int, int]:
    heads = config.attention
    return heads.num_heads * heads.head_dim, heads.num_kv_heads * heads.head_dim


def _shared_metadata(config: ModelConfig) -> dict[str, Any]:
    heads = config.attention
    return {
        "vocab_size": require_vocab_size(config),
        "context_length": config.context_length,
        "embedding_length": config.model_dim,
        "block_count": config.num_layers,
        "feed_forward_length": config.feed_forward.hidden_dim,
        "attention.head_count": heads.num_heads,
        "attention.head_count_kv": heads.num_kv_heads,
    }


def _rope_metadata(config: ModelConfig) -> dict[str, Any]:
    position, head_dim = config.position, config.attention.head_dim
    assert isinstance(position, Rope)
    theta = position.theta
    if isinstance(position.scaling, Ntk):
        theta *= position.scaling.factor ** (head_dim / (head_dim - 2))
    table: dict[str, Any] = {"rope.freq_base": float(theta), "rope.dimension_count": head_dim}
    if isinstance(position.scaling, Linear):
        table |= {"rope.scaling.type": "linear", "rope.scaling.factor": float(position.scaling.factor)}
    return table


def _blocks(config: ModelConfig, names: Mapping[str, str], *, bias: bool) -> Iterator[Piece]:
    """Pieces of every block that are whole tensors of ours."""
    whole = slice(None)
    for layer in range(config.num_layers):
        for theirs, ours in names.items():
            for kind in ("weight", "bias") if bias or "norm" in theirs else ("weight",):
                yield Piece(f"blk.{layer}.{theirs}.{kind}", f"blocks.{layer}.{ours}.{kind}", whole)


def _ends(config: ModelConfig, *, bias: bool) -> Iterator[Piece]:
    whole = slice(None)
    yield Piece("token_embd.weight", "embedding.weight", whole)
    for kind in ("weight", "bias") if bias else ("weight",):
        yield Piece(f"output_norm.{kind}", f"norm.{kind}", whole)
    if not config.tie_embeddings:
        yield Piece("output.weight", "unembedding.weight", whole)


# llama: LLaMA, and Mistral as far as its window does not show


def _llama_problems(config: ModelConfig) -> list[str]:
    problems, heads = [], config.attention
    if not isinstance(config.norm, RmsNorm):
        problems.append("the norm is no RmsNorm")
    if not isinstance(config.feed_forward, Swiglu) or config.feed_forward.bias:
        problems.append("the feed-forward part is no Swiglu without bias")
    if config.block != Sequential():
        problems.append("the block is not Sequential with norms before")
    if heads.bias or heads.output_bias:
        problems.append("attention has biases")
    if heads.window is not None and heads.window < config.context_length:
        problems.append(f"it has no window, and {heads.window} is below the context length of {config.context_length}")
    position = config.position
    if not isinstance(position, Rope):
        problems.append("positions are not Rope")
    elif not isinstance(position.scaling, Unscaled | Linear | Ntk | Llama3):
        problems.append(f"we do not write {type(position.scaling).__name__} scaling")
    return problems


def _llama_metadata(config: ModelConfig) -> dict[str, Any]:
    return {
        **_shared_metadata(config),
        **_rope_metadata(config),
        "attention.key_length": config.attention.head_dim,
        "attention.value_length": config.attention.head_dim,
        "attention.layer_norm_rms_epsilon": config.norm.eps,
    }


def _shape(table: Mapping[str, Any], vocab_size: int, *, tied: bool) -> ModelConfig:
    dim, num_heads = table["embedding_length"], table["attention.head_count"]
    head_dim = table.get("attention.key_length", dim // num_heads)
    if table.get("attention.value_length", head_dim) != head_dim:
        raise InputError("attention.value_length differs from attention.key_length; ours are alike")
    if table.get("rope.dimension_count", head_dim) != head_dim:
        raise InputError(f"rope.dimension_count is not the width of a head, {head_dim}; ours turns the whole head")
    return ModelConfig(
        vocab_size=vocab_size,
        context_length=table["context_length"],
        model_dim=dim,
        num_layers=table["block_count"],
        attention=Attention(
            num_heads=num_heads, num_kv_heads=table.get("attention.head_count_kv", num_heads), head_dim=head_dim
        ),
        feed_forward=Swiglu(hidden_dim=table["feed_forward_length"]),
        tie_embeddings=tied,
    )


def _theta(table: Mapping[str, Any]) -> float:
    return float(table.get("rope.freq_base", 10000.0))


def _llama_config(table: Mapping[str, Any], vocab_size: int, tied: bool, scaling: Any) -> ModelConfig:
    position = Rope(theta=_theta(table), scaling=scaling)
    norm = RmsNorm(eps=table["attention.layer_norm_rms_epsilon"])
    return replace(_shape(table, vocab_size, tied=tied), norm=norm, position=position)


def _llama_pieces(config: ModelConfig) -> Iterator[Piece]:
    queries, keys = _rows(config)
    hidden, heads = config.feed_forward.hidden_dim, config.attention
    yield from _ends(config, bias=False)
    for layer in range(config.num_layers):
        ours, theirs = f"blocks.{layer}", f"blk.{layer}"
        fused, gate_up = f"{ours}.attention.query_key_value.weight", f"{ours}.feed_forward.gate_up.weight"
        yield Piece(f"{theirs}.attn_q.weight", fused, slice(0, queries), heads.num_heads)
        yield Piece(f"{theirs}.attn_k.weight", fused, slice(queries, queries + keys), heads.num_kv_heads)
        yield Piece(f"{theirs}.attn_v.weight", fused, slice(queries + keys, queries + 2 * keys))
        yield Piece(f"{theirs}.ffn_gate.weight", gate_up, slice(0, hidden))
        yield Piece(f"{theirs}.ffn_up.weight", gate_up, slice(hidden, 2 * hidden))
        for name, our_name in (
            ("attn_output", "attention.output"),
            ("ffn_down", "feed_forward.down"),
            ("attn_norm", "attention_norm"),
            ("ffn_norm", "feed_forward_norm"),
        ):
            yield Piece(f"{theirs}.{name}.weight", f"{ours}.{our_name}.weight", slice(None))


# gpt2


def _gpt2_problems(config: ModelConfig) -> list[str]:
    problems, heads, forward = [], config.attention, config.feed_forward
    if not isinstance(config.norm, LayerNorm) or not config.norm.bias:
        problems.append("the norm is no LayerNorm with bias")
    if not isinstance(forward, Gelu) or not forward.bias or forward.approximation != "tanh":
        problems.append("the feed-forward part is no Gelu with bias by the tanh formula")
    if config.block != Sequential():
        problems.append("the block is not Sequential with norms before")
    if not isinstance(config.position, Learned):
        problems.append("positions are not Learned")
    if not heads.bias or not heads.output_bias:
        problems.append("attention lacks biases")
    if heads.window is not None:
        problems.append("it has no window")
    if heads.num_kv_heads != heads.num_heads or heads.num_heads * heads.head_dim != config.model_dim:
        problems.append("heads share keys, or are not as wide as the model together")
    return problems


def _layer_norm_metadata(config: ModelConfig) -> dict[str, Any]:
    return {**_shared_metadata(config), "attention.layer_norm_epsilon": config.norm.eps}


def _gpt2_config(table: Mapping[str, Any], vocab_size: int, tied: bool, scaling: Any) -> ModelConfig:
    shape = _shape(table, vocab_size, tied=tied)
    return replace(
        shape,
        norm=LayerNorm(eps=table["attention.layer_norm_epsilon"]),
        position=Learned(),
        attention=replace(shape.attention, bias=True, output_bias=True),
        feed_forward=Gelu(hidden_dim=shape.feed_forward.hidden_dim, bias=True, approximation="tanh"),
    )


def _gpt2_pieces(config: ModelConfig) -> Iterator[Piece]:
    yield from _ends(config, bias=True)
    yield Piece("position_embd.weight", "position.weight", slice(None))
    names = {
        "attn_norm": "attention_norm",
        "attn_qkv": "attention.query_key_value",
        "attn_output": "attention.output",
        "ffn_norm": "feed_forward_norm",
        "ffn_up": "feed_forward.up",
        "ffn_down": "feed_forward.down",
    }
    yield from _blocks(config, names, bias=True)


# falcon: 7B, 40B and 180B; llama.cpp computes its gelu by the tanh formula


def _falcon_problems(config: ModelConfig) -> list[str]:
    problems, heads, forward = [], config.attention, config.feed_forward
    if not isinstance(config.norm, LayerNorm) or not config.norm.bias:
        problems.append("the norm is no LayerNorm with bias")
    if not isinstance(forward, Gelu) or forward.bias:
        problems.append("the feed-forward part is no Gelu without bias")
    if not isinstance(config.block, Parallel):
        problems.append("the block is not Parallel")
    if not isinstance(config.position, Rope) or config.position.scaling != Unscaled():
        problems.append("positions are not Rope without scaling")
    if heads.bias or heads.output_bias or heads.window is not None:
        problems.append("attention has a bias or a window")
    if heads.num_heads * heads.head_dim != config.model_dim:
        problems.append("heads are not as wide as the model together")
    return problems


def _falcon_metadata(config: ModelConfig) -> dict[str, Any]:
    return {**_layer_norm_metadata(config), **_rope_metadata(config)}


def _falcon_config(table: Mapping[str, Any], vocab_size: int, tied: bool, scaling: Any) -> ModelConfig:
    shape = _shape(table, vocab_size, tied=tied)
    return replace(
        shape,
        norm=LayerNorm(eps=table["attention.layer_norm_epsilon"]),
        position=Rope(theta=_theta(table), scaling=scaling),
        block=Parallel(2 if table.get("two_norms") else 1),
        feed_forward=Gelu(hidden_dim=shape.feed_forward.hidden_dim),
    )


def _falcon_pieces(config: ModelConfig) -> Iterator[Piece]:
    assert isinstance(config.block, Parallel)
    yield from _ends(config, bias=True)
    names = {
        "attn_qkv": "attention.query_key_value",
        "attn_output": "attention.output",
        "ffn_up": "feed_forward.up",
        "ffn_down": "feed_forward.down",
    }
    one = {"attn_norm": "attention_norm"}
    two = {"attn_norm_2": "attention_norm", "attn_norm": "feed_forward_norm"}
    yield from _blocks(config, names | (one if config.block.num_norms == 1 else two), bias=False)


ARCHITECTURES = (
    Architecture("llama", _llama_problems, _llama_metadata, _llama_config, _llama_pieces),
    Architecture("gpt2", _gpt2_problems, _layer_norm_metadata, _gpt2_config, _gpt2_pieces),
    Architecture("falcon", _falcon_problems, _falcon_metadata, _falcon_config, _falcon_pieces),
)
