"""Linear layers whose weights live in the compiled library's panels alone."""

import torch
from torch import Tensor, nn

from waman.model.decoder import Decoder
from waman.quantization.kernels import Native, Packed


class PackedLinear(nn.Module):
    """x times packed weights, plus a bias or none."""

    def __init__(self, packed: Packed, bias: Tensor | None, library: Native) -> None:
        super().__init__()
        self.packed = packed
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)
        self._library = library

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., inputs) -> (..., outputs), in the type of x."""
        return self._library.multiply(x, self.packed, self.bias).to(x.dtype)


def pack_linears(decoder: Decoder, library: Native) -> None:
    """Replaces every plain linear layer of bfloat16 or float32, one at a time; a tied head becomes one of its own."""
    for block in decoder.blocks:
        for module in list(block.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(module, name, _packed(child.weight, child.bias, library))
    if decoder.unembedding is None:
        decoder.unembedding = _packed(decoder.embedding.weight, None, library)
    elif isinstance(decoder.unembedding, nn.Linear):
        decoder.unembedding = _packed(decoder.unembedding.weight, decoder.unembedding.bias, library)


def can_pack(decoder: Decoder) -> bool:
    """Whether the library has kernels for all of the decoder's linear layers."""
    linears = [child for child in decoder.modules() if isinstance(child, nn.Linear)]
    weights = [*(one.weight for one in linears), decoder.embedding.weight]
    return all(one.dtype in (torch.bfloat16, torch.float32) for one in weights)


def _packed(weight: Tensor, bias: Tensor | None, library: Native) -> PackedLinear:
    packed = library.pack(weight.detach())
    assert packed is not None, f"no kernel for {weight.dtype}"
    return PackedLinear(packed, bias, library)
