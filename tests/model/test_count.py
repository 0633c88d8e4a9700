import pytest
import torch

from waman.model.count import flops_per_token, kv_bytes_per_token, num_parameters
from waman.model.decoder import Decoder
from waman.model.presets import PRESETS, preset

# The released checkpoints' sizes, to the parameter.
LLAMA_PARAMETERS = {
    "llama-7b": 6_738_415_616,
    "llama-13b": 13_015_864_320,
    "llama-33b": 32_528_943_616,
    "llama-65b": 65_285_660_672,
}
LAPTOP_MILLIONS = {"laptop-1m": 1, "laptop-3m": 3, "laptop-5m": 5}


@pytest.mark.parametrize(("name", "expected"), LLAMA_PARAMETERS.items())
def test_llama_has_the_published_number_of_parameters(name: str, expected: int) -> None:
    with torch.device("meta"):
        decoder = Decoder(preset(name))
    assert sum(parameter.numel() for parameter in decoder.parameters()) == expected
    assert num_parameters(preset(name)) == expected


@pytest.mark.parametrize(("name", "millions"), LAPTOP_MILLIONS.items())
def test_laptop_shapes_have_the_size_in_their_name(name: str, millions: int) -> None:
    import dataclasses

    config = dataclasses.replace(preset(name), vocab_size=4096)
    with torch.device("meta"):
        decoder = Decoder(config)
    assert sum(parameter.numel() for parameter in decoder.parameters()) == num_parameters(config)
    assert round(num_parameters(config) / 1e6) == millions


def test_every_preset_is_counted_here() -> None:
    assert set(PRESETS) == {*LLAMA_PARAMETERS, *LAPTOP_MILLIONS}


def test_a_tied_head_counts_once() -> None:
    import dataclasses

    untied = dataclasses.replace(preset("laptop-1m"), vocab_size=100, tie_embeddings=False)
    tied = dataclasses.replace(untied, tie_embeddings=True)
    assert num_parameters(untied) - num_parameters(tied) == 100 * 128


def test_llama_7b_keeps_half_a_mebibyte_per_token() -> None:
    assert kv_bytes_per_token(preset("llama-7b"), 2) == 2**19


def test_flops_are_six_per_weight_plus_attention() -> None:
    config = preset("llama-7b")
    norms = 65 * 4096
    weights_multiplied = num_parameters(config) - 32000 * 4096 - norms
    assert flops_per_token(config, 2048) == 6 * weights_multiplied + 12 * 32 * 4096 * 2048
