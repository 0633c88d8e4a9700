"""Schemes: their grids, their errors, what they refuse."""

import gguf
import pytest
import torch
from torch import Tensor

from waman.errors import InputError, RecipeError
from waman.quantization.matrix import Matrix, Quantized
from waman.quantization.recipe import Int4, Int8, Keep, Nf4, Scheme
from waman.quantization.schemes import int4, int8, nf4
from waman.quantization.schemes.scheme import quantize

NORMAL = torch.randn((64, 512), generator=torch.Generator().manual_seed(0)) * 0.02
SCHEMES = [Int4(), Int4(64), Int4(128), Int4(32, zeros=True), Int8(), Int8(128), Int8(None), Nf4(), Nf4(False)]


def made(weight: Tensor, scheme: Scheme) -> Matrix:
    found = quantize(weight, scheme, "layer")
    assert found is not None
    return found


def error(weight: Tensor, matrix: Matrix) -> float:
    return float((matrix.dequantize() - weight).square().sum())


def test_weights_on_a_grid_come_back_as_they_were() -> None:
    integers = torch.randint(-8, 8, (16, 64), generator=torch.Generator().manual_seed(0))
    integers[:, ::32] = -8
    assert made(integers * 0.25, Int4()).dequantize().equal(integers * 0.25)
    shifted = integers + 8.0
    shifted[:, 1::32] = 15
    assert made(shifted, Int4(zeros=True)).dequantize().equal(shifted)
    assert made(integers * 0.5, Int8()).dequantize().sub(integers * 0.5).abs().max() < 0.5 * 8 / 127


def test_nf4_of_its_own_values_is_exact_and_its_second_table_has_256_different_values() -> None:
    block = torch.tensor(nf4.TABLE).repeat(4)[None] * 3
    assert made(block, Nf4(double_quantization=False)).dequantize().equal(block)
    table = nf4.dynamic_table()
    assert len(set(table.tolist())) == 256
    assert (0 in table, 1 in table) == (True, True)


@pytest.mark.parametrize(("scheme", "theirs"), [(Int4(), "Q4_0"), (Int8(), "Q8_0")])
def test_at_as_many_bits_the_error_is_less_than_llama_cpp_s(scheme: Scheme, theirs: str) -> None:
    kind = gguf.GGMLQuantizationType[theirs]
    packed = gguf.quants.quantize(NORMAL.numpy(), kind)
    rival = torch.from_numpy(gguf.quants.dequantize(packed, kind))
    matrix = made(NORMAL, scheme)
    assert isinstance(matrix, Quantized)
    assert matrix.scales.dtype == torch.float16
    assert error(NORMAL, matrix) < float((rival - NORMAL).square().sum())


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_error_is_at_most_that_of_the_plain_scale(scheme: Scheme) -> None:
    group = {Int4: 1, Int8: 1, Nf4: 1}[type(scheme)]
    matrix = made(NORMAL, scheme)
    width = matrix.group * group
    grouped = NORMAL.view(-1, width)
    largest = grouped.abs().amax(dim=1, keepdim=True)
    if isinstance(scheme, Nf4):
        values = torch.tensor(nf4.TABLE)
        plain = values[(grouped[:, :, None] / largest[:, :, None] - values).abs().argmin(dim=2)] * largest
    else:
        highest = 7 if isinstance(scheme, Int4) else 127
        plain = (grouped / (largest / highest)).round() * largest / highest
    # scales are rounded to float16, or the absmax to 8 bits
    assert error(NORMAL, matrix) <= float((plain - grouped).square().sum()) * 1.001


def test_zero_points_follow_weights_to_one_side() -> None:
    weight = NORMAL.abs() + 0.01
    assert error(weight, made(weight, Int4(zeros=True))) < 0.5 * error(weight, made(weight, Int4()))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_extreme_and_empty_weights_are_taken(scheme: Scheme) -> None:
    for factor in (1e-30, 1e-9, 1e9, 1e30):
        weight = NORMAL[:4] * factor
        found = made(weight, scheme).dequantize().double()
        assert (found - weight).norm() < 0.12 * weight.double().norm()
    weight = NORMAL[:4].clone()
    weight[1:3] = 0
    found = made(weight, scheme).dequantize()
    assert found[1:3].abs().max() < 1e-4


def test_bits_per_weight_count_scales_and_zero_points() -> None:
    assert int4.bits_per_weight(Int4()) == 4.5
    assert int4.bits_per_weight(Int4(128, zeros=True)) == 4 + 20 / 128
    assert int8.bits_per_weight(Int8(), 4096) == 8.5
    assert int8.bits_per_weight(Int8(None), 4096) == 8 + 16 / 4096
    assert nf4.bits_per_weight(Nf4(False)) == 4.5
    assert nf4.bits_per_weight(Nf4()) == 4 + (8 + 1 / 8) / 64


def test_what_is_kept_is_not_touched() -> None:
    assert quantize(torch.full((2, 3), torch.nan), Keep(), "layer") is None


@pytest.mark.parametrize("scheme", [Int8(), Int4(), Nf4()])
def test_weights_that_are_not_finite_are_told(scheme: Scheme) -> None:
    weight = NORMAL.clone()
    weight[3, 5], weight[4, 4] = torch.nan, torch.inf
    with pytest.raises(InputError, match=r"layer: 2 of 32768 weights are NaN or infinite; expected finite ones"):
        quantize(weight, scheme, "layer")


def test_inputs_that_cannot_be_cut_into_groups_are_told_with_what_can() -> None:
    with pytest.raises(
        RecipeError, match=r"layer: 192 inputs cannot be cut into groups of 128; take groups of 32 or 64"
    ):
        quantize(NORMAL[:, :192], Int4(128), "layer")
    with pytest.raises(RecipeError, match=r"layer: 20 inputs .* of 32; take int8 with one scale an output, or keep it"):
        quantize(NORMAL[:, :20], Int8(), "layer")
