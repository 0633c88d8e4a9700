"""Fresh weights, the same for the same seed on every device."""

import hashlib

import torch
from torch import Tensor, nn

from waman.model.config import FanIn, ModelConfig, Normal, ScaledNormal
from waman.model.decoder import Decoder

RESIDUAL_WRITERS = ("attention.output.weight", "feed_forward.down.weight")
LOOKED_UP = ("embedding.weight", "position.weight")


@torch.no_grad()
def initialize(decoder: Decoder, seed: int, *, by_name: bool = False) -> None:
    """Draws every matrix anew as the config's `initialization` says; norms start at 1, biases at 0.

    Drawn in fp32 on the CPU and copied to where the weights are: in the modules' order, or `by_name`, each matrix by
    the seed and its own name, so that decoders which differ in one part begin alike in all others.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in decoder.named_parameters():
        if name.endswith(".bias"):
            nn.init.zeros_(parameter)
            continue
        if parameter.ndim == 1:
            nn.init.ones_(parameter)
            continue
        if by_name:
            generator = torch.Generator().manual_seed(_seed_of(seed, name))
        drawn = torch.empty(parameter.shape, dtype=torch.float32)
        drawn.normal_(0.0, _standard_deviation(decoder.config, name, parameter), generator=generator)
        parameter.copy_(drawn)


def _seed_of(seed: int, name: str) -> int:
    digest = hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _standard_deviation(config: ModelConfig, name: str, matrix: Tensor) -> float:
    match config.initialization:
        case ScaledNormal(std=std):
            residual = std / (2 * config.num_layers) ** 0.5
            return residual if name.endswith(RESIDUAL_WRITERS) else std
        case Normal(std=std):
            return std
        case FanIn():
            # What is added to a tied embedding is drawn as small as that, or positions would drown the tokens.
            multiplied = name not in LOOKED_UP or config.tie_embeddings
            return float(matrix.shape[1] ** -0.5) if multiplied else 1.0
