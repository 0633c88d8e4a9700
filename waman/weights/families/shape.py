"""What several families ask of a config."""

from waman.model.config import FanIn, ModelConfig
from waman.weights.families.family import unlike


def whole_heads(config: ModelConfig, *, filling: bool = False) -> list[str]:
    """transformers demands that the heads divide the width, and older families that they fill it."""
    heads = config.attention
    if filling:
        fills = heads.num_heads * heads.head_dim == config.model_dim
        return unlike(head_dim=(fills, f"= {heads.head_dim} times {heads.num_heads} heads is not model_dim"))
    divides = config.model_dim % heads.num_heads == 0
    return unlike(model_dim=(divides, f"= {config.model_dim} is not a multiple of num_heads = {heads.num_heads}"))


def initializer_range(config: ModelConfig) -> float:
    """What transformers would draw fresh weights with; it knows no variance by fan-in."""
    return 0.02 if isinstance(config.initialization, FanIn) else config.initialization.std
