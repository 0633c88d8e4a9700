"""The parts with a backward pass of their own, against numerical gradients and against the formula."""

import dataclasses
from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from waman.model.config import FeedForward, Geglu, Gelu, LayerNorm, Relu, RmsNorm, Rope, SquaredRelu, Swiglu
from waman.model.feed_forward import build_feed_forward
from waman.model.norm import MeanVarianceNorm, RootMeanSquareNorm
from waman.model.position import Rotary, split_and_turn


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def test_the_norms_gradients_are_the_numerical_ones() -> None:
    norm = RootMeanSquareNorm(RmsNorm(eps=1e-3), 6).double()

    def apply(x: Tensor, weight: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(norm, {"weight": weight}, (x,))
        return result

    assert gradcheck(apply, (draw(2, 3, 6).requires_grad_(), draw(6).requires_grad_()))


@pytest.mark.parametrize("bias", [False, True])
def test_the_layer_norm_is_its_formula_with_numerical_gradients(bias: bool) -> None:
    norm = MeanVarianceNorm(LayerNorm(eps=1e-3, bias=bias), 6).double()
    for parameter in norm.parameters():
        parameter.data = draw(7)[:6] + len(parameter)
    x = draw(2, 3, 6).requires_grad_()
    apart = x - x.mean(dim=-1, keepdim=True)
    expected = apart / (apart.square().mean(dim=-1, keepdim=True) + 1e-3).sqrt() * norm.weight
    expected = expected if norm.bias is None else expected + norm.bias
    torch.testing.assert_close(norm(x), expected)
    assert gradcheck(norm, (x,))


def test_the_layer_norm_of_bfloat16_is_computed_in_fp32() -> None:
    norm = MeanVarianceNorm(LayerNorm(eps=1e-6), 64).bfloat16()
    x = torch.randn(8, 64, generator=torch.Generator().manual_seed(0)).bfloat16() * 100
    wide = x.double()
    expected = (wide - wide.mean(dim=-1, keepdim=True)) / (wide.var(dim=-1, keepdim=True, correction=0) + 1e-6).sqrt()
    torch.testing.assert_close(norm(x).double(), expected, rtol=2**-8, atol=1e-6)


def test_the_layer_norm_keeps_its_input_and_two_numbers_per_row() -> None:
    norm, x = MeanVarianceNorm(LayerNorm(), 64), torch.randn(8, 64, requires_grad=True)
    kept: list[torch.Size] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.shape)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        norm(x)
    assert sorted(kept) == sorted([(8, 64), (8, 1), (8, 1), (64,), (64,)])


def normal_distribution(x: Tensor) -> Tensor:
    return (1 + torch.erf(x / 2**0.5)) / 2


def tanh_formula(x: Tensor) -> Tensor:
    """Hendrycks and Gimpel 2016, section 2."""
    return (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3))) / 2


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("config", "activation"),
    [
        (Swiglu(hidden_dim=5), lambda x: x / (1 + torch.exp(-x))),
        (Geglu(hidden_dim=5), lambda x: x * normal_distribution(x)),
        (Geglu(hidden_dim=5, approximation="tanh"), lambda x: x * tanh_formula(x)),
        (Gelu(hidden_dim=5), lambda x: x * normal_distribution(x)),
        (Gelu(hidden_dim=5, approximation="tanh"), lambda x: x * tanh_formula(x)),
        (Relu(hidden_dim=5), lambda x: x * (x > 0)),
        (SquaredRelu(hidden_dim=5), lambda x: x * x * (x > 0)),
    ],
)
def test_every_feed_forward_is_its_formula_with_numerical_gradients(
    config: FeedForward, activation: Callable[[Tensor], Tensor], bias: bool
) -> None:
    part = build_feed_forward(dataclasses.replace(config, bias=bias), 4).double()
    weights = dict(part.named_parameters())
    for seed, (name, weight) in enumerate(weights.items()):
        weight.data = draw(*weight.shape) + (seed if name.endswith("bias") else 0)
    x = draw(2, 3, 4).requires_grad_()
    inner = weights["gate_up.weight" if "gate_up.weight" in weights else "up.weight"]
    wide = x @ inner.T + (weights[inner_bias] if (inner_bias := _bias_of(weights)) else 0)
    inside = activation(wide[..., :5]) * (wide[..., 5:] if len(inner) == 10 else 1)
    expected = inside @ weights["down.weight"].T + (weights["down.bias"] if bias else 0)
    torch.testing.assert_close(part(x), expected)
    assert gradcheck(part, (x,))
    assert bias == ("down.bias" in weights) == (_bias_of(weights) is not None)


def _bias_of(weights: Mapping[str, Tensor]) -> str | None:
    return next((name for name in weights if name in ("gate_up.bias", "up.bias")), None)


def test_rotation_multiplies_each_pair_of_halves_by_a_unit_complex_number() -> None:
    rotary = Rotary(Rope(theta=100.0), head_dim=6, context_length=9)
    heads = draw(2, 9, 4, 6).float()
    queries, keys, values = split_and_turn(
        heads, rotary.rotation(slice(0, 9), torch.float32), num_heads=2, num_kv_heads=1
    )
    angles = torch.arange(9)[:, None] / 100.0 ** (torch.arange(0, 6, 2) / 6)
    turn = torch.polar(torch.ones_like(angles), angles)[:, None]
    expected = torch.view_as_real(torch.complex(heads[..., :3], heads[..., 3:]) * turn)
    expected = torch.cat((expected[..., 0], expected[..., 1]), dim=-1).transpose(1, 2)
    torch.testing.assert_close(queries, expected[:, :2])
    torch.testing.assert_close(keys, expected[:, 2:3])
    assert torch.equal(values, heads.transpose(1, 2)[:, 3:])


def test_the_rotations_gradients_are_the_numerical_ones() -> None:
    rotary = Rotary(Rope(), head_dim=4, context_length=9)
    rotation = rotary.rotation(torch.tensor([[3, 4, 8], [0, 1, 2]]), torch.float64)

    def apply(heads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return split_and_turn(heads, rotation, num_heads=2, num_kv_heads=1)

    assert gradcheck(apply, (draw(2, 3, 4, 4).requires_grad_(),))
