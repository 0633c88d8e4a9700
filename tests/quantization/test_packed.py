"""Linear layers that live in panels alone."""

import pytest
import torch
from torch import nn

from tests.quantization.test_kernels import draw
from waman.model.config import Attention, ModelConfig
from waman.model.decoder import Decoder
from waman.quantization.kernels import Native
from waman.quantization.linear import QuantizedLinear
from waman.quantization.packed import PackedLinear, can_pack, pack_linears

CONFIG = ModelConfig(vocab_size=50, model_dim=64, num_layers=1, attention=Attention(4, 2, 16), tie_embeddings=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_packed_decoder_gives_nearly_the_same_logits(library: Native, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    decoder = Decoder(CONFIG).to(dtype).eval()
    token_ids = torch.randint(0, 50, (2, 9))
    with torch.inference_mode():
        expected = decoder(token_ids).float()
        assert can_pack(decoder)
        pack_linears(decoder, library)
        found = decoder(token_ids).float()
        pack_linears(decoder, library)  # nothing is left to do
    assert not any(isinstance(module, nn.Linear) for module in decoder.modules())
    assert isinstance(decoder.unembedding, PackedLinear)
    assert float((found - expected).norm() / expected.norm()) < (1e-5 if dtype == torch.float32 else 2e-2)


def test_a_quantized_layer_is_packed_and_several_matrices_in_one_are_not(library: Native) -> None:
    torch.manual_seed(0)
    decoder = Decoder(CONFIG).eval()
    attention = decoder.get_submodule("blocks.0.attention")
    four, eight = (draw(bits, (64, 64, 32), torch.float16, zeros=True, seed=bits) for bits in (4, 8))
    bias = torch.randn(64)
    layer = QuantizedLinear([four], bias)
    attention.output = layer
    assert can_pack(decoder)
    attention.output = QuantizedLinear([four, eight])
    assert not can_pack(decoder)
    attention.output = layer
    x = torch.randn(3, 64)
    expected = x @ layer.dequantize().T + bias
    pack_linears(decoder, library)
    found = attention.output(x)
    assert float((found - expected).norm() / expected.norm()) < 0.02


def test_a_type_without_a_kernel_is_told() -> None:
    assert not can_pack(Decoder(CONFIG).double())
