"""Parameters, floating-point operations and cache bytes of a config, by arithmetic alone. Torch-free."""

from waman.model.config import ModelConfig, require_vocab_size


def num_parameters(config: ModelConfig) -> int:
    """Trainable numbers; a tied head counts once. Raises RecipeError without a vocab_size."""
    embedding = require_vocab_size(config) * config.model_dim
    norms = (2 * config.num_layers + 1) * config.model_dim
    tables = 1 if config.tie_embeddings else 2
    return tables * embedding + config.num_layers * _block_matrices(config) + norms


def flops_per_token(config: ModelConfig, context: int) -> int:
    """Floating-point operations to train on one token, forward and backward (Chowdhery et al. 2022, appendix B).

    6 per weight of every matrix product (the embedding is looked up, the head multiplied) and 12 per layer, head
    dimension and token of context for attention, not halved for causality. A third of it is the forward pass.
    """
    matrices = config.num_layers * _block_matrices(config) + require_vocab_size(config) * config.model_dim
    attention = config.num_layers * config.attention.num_heads * config.attention.head_dim * context
    return 6 * matrices + 12 * attention


def kv_bytes_per_token(config: ModelConfig, bytes_per_number: int = 2) -> int:
    """Bytes of keys and values that decoding keeps per token."""
    return 2 * config.num_layers * config.attention.num_kv_heads * config.attention.head_dim * bytes_per_number


def _block_matrices(config: ModelConfig) -> int:
    heads = config.attention
    attention = (2 * heads.num_heads + 2 * heads.num_kv_heads) * heads.head_dim * config.model_dim
    return attention + 3 * config.model_dim * config.feed_forward.hidden_dim
