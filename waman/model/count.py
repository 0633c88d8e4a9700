"""Parameters, floating-point operations and cache bytes of a config, by arithmetic alone. Torch-free."""

from waman.model.config import (
    Geglu,
    LayerNorm,
    Learned,
    ModelConfig,
    Parallel,
    Sequential,
    Swiglu,
    require_vocab_size,
)


def num_parameters(config: ModelConfig) -> int:
    """Trainable numbers; a tied head counts once. Raises RecipeError without a vocab_size."""
    tables = 1 if config.tie_embeddings else 2
    numbers = tables * require_vocab_size(config) * config.model_dim
    numbers += config.num_layers * (_block_matrices(config) + _block_vectors(config)) + _norms(config)
    if isinstance(config.position, Learned):
        numbers += config.context_length * config.model_dim
    return numbers


def flops_per_token(config: ModelConfig, context: int) -> int:
    """Floating-point operations to train on one token, forward and backward (Chowdhery et al. 2022, appendix B).

    6 per weight of every matrix product (the embedding is looked up, the head multiplied) and 12 per layer, head
    dimension and token of context, at most the window, for attention, not halved for causality. A third of it is the
    forward pass. Biases, norms and activations are left out.
    """
    matrices = config.num_layers * _block_matrices(config) + require_vocab_size(config) * config.model_dim
    heads = config.attention
    seen = context if heads.window is None else min(context, heads.window)
    return 6 * matrices + 12 * config.num_layers * heads.num_heads * heads.head_dim * seen


def kv_bytes_per_token(config: ModelConfig, bytes_per_number: int = 2) -> int:
    """Bytes of keys and values that decoding keeps per token, of the window where there is one."""
    return 2 * config.num_layers * config.attention.num_kv_heads * config.attention.head_dim * bytes_per_number


def _block_matrices(config: ModelConfig) -> int:
    heads = config.attention
    attention = (2 * heads.num_heads + 2 * heads.num_kv_heads) * heads.head_dim * config.model_dim
    return attention + (_num_inner(config) + 1) * config.model_dim * config.feed_forward.hidden_dim


def _block_vectors(config: ModelConfig) -> int:
    heads, feed_forward = config.attention, config.feed_forward
    numbers = 0
    if heads.bias:
        numbers += (heads.num_heads + 2 * heads.num_kv_heads) * heads.head_dim
    if heads.output_bias:
        numbers += config.model_dim
    if feed_forward.bias:
        numbers += _num_inner(config) * feed_forward.hidden_dim + config.model_dim
    return numbers


def _num_inner(config: ModelConfig) -> int:
    """Projections into the feed-forward part: gate and up, or up alone."""
    return 2 if isinstance(config.feed_forward, Swiglu | Geglu) else 1


def _norms(config: ModelConfig) -> int:
    per_block = 1 if config.block == Parallel(num_norms=1) else 2
    final = 0 if config.block == Sequential(norm="after") else 1
    vectors = 2 if isinstance(config.norm, LayerNorm) and config.norm.bias else 1
    return (config.num_layers * per_block + final) * vectors * config.model_dim
