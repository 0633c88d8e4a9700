"""Which runner computes a decoder's passes."""

import torch
from torch import nn

from waman.inference.native_runner import NativeRunner, can_run
from waman.inference.runner import PAGE_TOKENS, Runner
from waman.inference.torch_runner import TorchRunner
from waman.model.decoder import Decoder
from waman.quantization.kernels import Native, native


def usual_kv_bits(decoder: Decoder) -> int:
    """Bits of a number in the dtype that a decoder computes in; 16 where the compiled library computes."""
    if _library(decoder, kv_bits=16) is not None:
        return 16
    return next(decoder.blocks.parameters()).dtype.itemsize * 8


def build_runner(
    decoder: Decoder,
    *,
    num_pages: int,
    page_tokens: int = PAGE_TOKENS,
    kv_bits: int | None = None,
    deterministic: bool = False,
) -> Runner:
    """The fastest runner for a decoder. kv_bits: absent, `usual_kv_bits`.

    The compiled library's, which is deterministic anyway, takes the weights over: the decoder goes on with them packed.
    """
    kv_bits = usual_kv_bits(decoder) if kv_bits is None else kv_bits
    library = _library(decoder, kv_bits=kv_bits) if page_tokens == PAGE_TOKENS else None
    if library is not None:
        return NativeRunner(decoder, library, num_pages=num_pages, kv_bits=kv_bits)
    return TorchRunner(
        decoder, num_pages=num_pages, page_tokens=page_tokens, kv_bits=kv_bits, deterministic=deterministic
    )


def _library(decoder: Decoder, *, kv_bits: int) -> Native | None:
    """The compiled library, where it is there for weights in bfloat16 or fewer bits and knows the decoder's parts."""
    plain = [module.weight for module in decoder.modules() if isinstance(module, nn.Linear)]
    if any(weight.dtype != torch.bfloat16 for weight in plain):
        return None
    return native() if can_run(decoder, kv_bits=kv_bits) else None
