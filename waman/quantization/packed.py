"""Linear layers whose weights live in the compiled library's panels alone."""

from torch import Tensor, nn

from waman.model.decoder import Decoder
from waman.quantization.kernels import Native, Packed, is_packable
from waman.quantization.linear import Compact, QuantizedLinear
from waman.quantization.matrix import Quantized


class PackedLinear(nn.Module):
    """x times packed weights, plus a bias or none."""

    bias: Tensor | None

    def __init__(self, packed: Packed, bias: Tensor | None, library: Native) -> None:
        super().__init__()
        self.packed = packed
        self.register_buffer("bias", None if bias is None else bias.detach())
        self._library = library

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., inputs) -> (..., outputs), in the type of x."""
        return self._library.multiply(x, self.packed, self.bias).to(x.dtype)


def pack_linears(decoder: Decoder, library: Native) -> None:
    """Packs every linear layer, one at a time, in place of what it was; a tied head gets a layer of its own.

    What `can_pack` denies must not be given.
    """
    for place, module in list(_linears(decoder)):
        if not isinstance(module, PackedLinear):
            parent, _, name = place.rpartition(".")
            setattr(decoder.get_submodule(parent), name, _packed(_weight(module), module.bias, library))
    if decoder.unembedding is None:
        decoder.unembedding = _packed(decoder.embedding.weight, None, library)


def can_pack(decoder: Decoder) -> bool:
    """Whether the library has kernels for all of the decoder's linear layers."""
    tied = decoder.unembedding is None
    return all(_has_kernel(module) for _, module in _linears(decoder)) and (
        not tied or (isinstance(decoder.embedding, nn.Embedding) and is_packable(decoder.embedding.weight))
    )


def _linears(decoder: Decoder) -> list[tuple[str, nn.Linear | QuantizedLinear | PackedLinear]]:
    kinds = (nn.Linear, QuantizedLinear, PackedLinear)
    return [(place, module) for place, module in decoder.named_modules() if isinstance(module, kinds)]


def _has_kernel(module: nn.Linear | QuantizedLinear | PackedLinear) -> bool:
    if isinstance(module, PackedLinear):
        return True
    if isinstance(module, nn.Linear):
        return is_packable(module.weight)
    part = module.parts[0] if len(module.parts) == 1 else None
    if isinstance(part, Compact):
        return part.table is None and is_packable(part)
    return part is not None and is_packable(part.matrix())  # type: ignore[operator]


def _weight(module: nn.Linear | QuantizedLinear) -> Quantized | Tensor:
    """What a layer for which there is a kernel multiplies with."""
    if isinstance(module, nn.Linear):
        return module.weight.detach()
    [matrix] = module.matrices()
    assert isinstance(matrix, Quantized | Tensor)
    return matrix


def _packed(weight: Quantized | Tensor, bias: Tensor | None, library: Native) -> PackedLinear:
    packed = library.pack(weight)
    assert packed is not None, "no kernel for this layer: can_pack tells"
    return PackedLinear(packed, bias, library)
