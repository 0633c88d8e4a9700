"""Places against the published code, in the libraries that carry it."""

import math
from typing import Any

import pytest
import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.falcon.modeling_falcon import build_alibi_tensor

from waman.model.config import Alibi, Linear, Llama3, Ntk, Rope, RopeScaling, Yarn
from waman.model.position import HeadSlopes, Rotary, frequencies, rotation_scale, slopes

NAMES = {Linear: "linear", Ntk: "dynamic", Yarn: "yarn", Llama3: "llama3"}


def reference(scaling: RopeScaling, theta: float, head_dim: int) -> tuple[torch.Tensor, float]:
    """The frequencies and the scale of cos and sin that transformers computes."""
    parameters: dict[str, Any] = {"rope_type": NAMES[type(scaling)], "rope_theta": theta, "factor": scaling.factor}  # type: ignore[union-attr]
    length = 1024
    match scaling:
        case Yarn():
            parameters |= {
                "original_max_position_embeddings": scaling.original_context_length,
                "beta_fast": scaling.beta_fast,
                "beta_slow": scaling.beta_slow,
                "attention_factor": scaling.attention_factor,
                "truncate": scaling.truncate,
            }
        case Llama3():
            parameters |= {
                "original_max_position_embeddings": scaling.original_context_length,
                "low_freq_factor": scaling.low_freq_factor,
                "high_freq_factor": scaling.high_freq_factor,
            }
        case Ntk(factor=factor):
            # Of a sequence that is as many times too long, it takes theta * factor^(head_dim / (head_dim - 2)).
            parameters["factor"], length = 1.0, int(1024 * factor)
    config = LlamaConfig(
        hidden_size=2 * head_dim,
        num_attention_heads=2,
        head_dim=head_dim,
        max_position_embeddings=1024,
        rope_parameters=parameters,
    )
    found, scale = ROPE_INIT_FUNCTIONS[NAMES[type(scaling)]](config, torch.device("cpu"), seq_len=length)
    return found, scale


@pytest.mark.parametrize("head_dim", [8, 64, 128])
@pytest.mark.parametrize("theta", [10000.0, 500000.0])
@pytest.mark.parametrize(
    "scaling",
    [
        Linear(factor=4.0),
        Ntk(factor=4.0),
        Ntk(factor=1.5),
        Yarn(original_context_length=4096, factor=16.0),
        Yarn(original_context_length=2048, factor=4.0, beta_fast=16.0, beta_slow=2.0, attention_factor=1.25),
        Yarn(original_context_length=4096, factor=8.0, truncate=False),
        Yarn(original_context_length=4096, factor=1.0),
        Yarn(original_context_length=4, factor=2.0),
        Llama3(),
        Llama3(original_context_length=1024, factor=32.0, low_freq_factor=2.0, high_freq_factor=3.0),
    ],
)
def test_scaled_frequencies_are_those_of_transformers(scaling: RopeScaling, theta: float, head_dim: int) -> None:
    expected, scale = reference(scaling, theta, head_dim)
    config = Rope(theta=theta, scaling=scaling)
    torch.testing.assert_close(frequencies(config, head_dim), expected, rtol=5e-7, atol=0)
    assert rotation_scale(config) == pytest.approx(scale, rel=1e-12)


def test_tables_hold_the_scaled_angles_times_yarns_scale() -> None:
    config = Rope(scaling=Yarn(original_context_length=16, factor=4.0))
    cos, sin = Rotary(config, head_dim=8, context_length=64).rotation(slice(5, 6), torch.float32)
    angles = 5 * frequencies(config, 8)
    scale = 0.1 * math.log(4.0) + 1
    torch.testing.assert_close(cos[0, 0], torch.cat((angles.cos(), angles.cos())) * scale)
    torch.testing.assert_close(sin[0, 0], torch.cat((-angles.sin(), angles.sin())) * scale)


@pytest.mark.parametrize("num_heads", [1, 2, 3, 8, 12, 16, 20, 32, 71])
def test_slopes_are_those_of_falcon_which_rounds_them_to_bfloat16(num_heads: int) -> None:
    ones = torch.ones(1, 2, dtype=torch.long)
    expected = build_alibi_tensor(ones, num_heads, torch.float32).view(num_heads, 2)[:, 1]
    torch.testing.assert_close(torch.tensor(slopes(num_heads)), expected, rtol=2**-8, atol=0)


def test_slopes_of_eight_and_twelve_heads_are_those_of_the_paper_and_of_its_code() -> None:
    assert slopes(8) == [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]
    assert slopes(12) == [*slopes(8), 2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5]


def test_falcons_slopes_are_divided_by_the_root_of_the_head_dim() -> None:
    module = HeadSlopes(Alibi(divided_by_head_dim=True), num_heads=8, head_dim=64)
    torch.testing.assert_close(module.slopes, torch.tensor(slopes(8)) / 8)
