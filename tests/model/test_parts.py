"""The parts with a backward pass of their own, against numerical gradients and against the formula."""

import torch
from torch import Tensor
from torch.autograd import gradcheck

from waman.model.config import RmsNorm, Rope, Swiglu
from waman.model.feed_forward import GatedFeedForward
from waman.model.norm import RootMeanSquareNorm
from waman.model.position import Rotary, split_and_turn


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def test_the_norms_gradients_are_the_numerical_ones() -> None:
    norm = RootMeanSquareNorm(RmsNorm(eps=1e-3), 6).double()

    def apply(x: Tensor, weight: Tensor) -> Tensor:
        result: Tensor = torch.func.functional_call(norm, {"weight": weight}, (x,))
        return result

    assert gradcheck(apply, (draw(2, 3, 6).requires_grad_(), draw(6).requires_grad_()))


def test_the_feed_forward_is_its_formula_with_numerical_gradients() -> None:
    part = GatedFeedForward(Swiglu(hidden_dim=5), 4).double()
    x = draw(2, 3, 4).requires_grad_()
    gate, up = part.gate_up.weight[:5], part.gate_up.weight[5:]
    expected = (torch.nn.functional.silu(x @ gate.T) * (x @ up.T)) @ part.down.weight.T
    torch.testing.assert_close(part(x), expected)
    assert gradcheck(part, (x,))


def test_rotation_multiplies_each_pair_of_halves_by_a_unit_complex_number() -> None:
    rotary = Rotary(Rope(theta=100.0), head_dim=6, context_length=9)
    heads = draw(2, 9, 4, 6).float()
    queries, keys, values = split_and_turn(heads, rotary(slice(0, 9), torch.float32), num_heads=2, num_kv_heads=1)
    angles = torch.arange(9)[:, None] / 100.0 ** (torch.arange(0, 6, 2) / 6)
    turn = torch.polar(torch.ones_like(angles), angles)[:, None]
    expected = torch.view_as_real(torch.complex(heads[..., :3], heads[..., 3:]) * turn)
    expected = torch.cat((expected[..., 0], expected[..., 1]), dim=-1).transpose(1, 2)
    torch.testing.assert_close(queries, expected[:, :2])
    torch.testing.assert_close(keys, expected[:, 2:3])
    assert torch.equal(values, heads.transpose(1, 2)[:, 3:])


def test_the_rotations_gradients_are_the_numerical_ones() -> None:
    rotary = Rotary(Rope(), head_dim=4, context_length=9)
    rotation = rotary(torch.tensor([[3, 4, 8], [0, 1, 2]]), torch.float64)

    def apply(heads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return split_and_turn(heads, rotation, num_heads=2, num_kv_heads=1)

    assert gradcheck(apply, (draw(2, 3, 4, 4).requires_grad_(),))
