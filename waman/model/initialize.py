"""Fresh weights, the same for the same seed on every device."""

import torch
from torch import nn

from waman.model.decoder import Decoder

RESIDUAL_WRITERS = ("attention.output.weight", "feed_forward.down.weight")


@torch.no_grad()
def initialize(decoder: Decoder, seed: int) -> None:
    """Draws every weight anew as the config's `initialization` says; norms start at 1.

    Drawn in fp32 on the CPU, in the modules' order, and copied to where the weights are.
    """
    generator = torch.Generator().manual_seed(seed)
    std = decoder.config.initialization.std
    residual_std = std / (2 * decoder.config.num_layers) ** 0.5
    for name, parameter in decoder.named_parameters():
        if parameter.ndim == 1:
            nn.init.ones_(parameter)
            continue
        drawn = torch.empty(parameter.shape, dtype=torch.float32)
        drawn.normal_(0.0, residual_std if name.endswith(RESIDUAL_WRITERS) else std, generator=generator)
        parameter.copy_(drawn)
