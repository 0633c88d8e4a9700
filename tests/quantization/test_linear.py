"""Products: by operators and by dequantizing, against the formula in float64."""

import pytest
import torch
from torch import Tensor

from waman.quantization.linear import FEW_ROWS, QuantizedEmbedding, QuantizedLinear, set_deterministic, set_exact
from waman.quantization.matrix import Matrix, pack_nibbles, unpack_nibbles
from waman.quantization.operators import product
from waman.quantization.recipe import Int4, Int8, Nf4, Scheme
from waman.quantization.schemes.scheme import quantize

SCHEMES = [Int4(), Int4(64), Int4(128, zeros=True), Int8(), Int8(None), Nf4()]


pytestmark = pytest.mark.usefixtures("no_kernels")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def made(scheme: Scheme, outputs: int = 40, inputs: int = 256, seed: int = 0) -> Matrix:
    found = quantize(random(outputs, inputs, seed=seed), scheme, "a")
    assert found is not None
    return found


def formula(x: Tensor, matrix: Matrix, bias: Tensor | None = None) -> Tensor:
    found = x.double() @ matrix.dequantize(torch.float64).T
    return found if bias is None else found + bias.double()


def distance(found: Tensor, expected: Tensor) -> float:
    return float((found.double() - expected).norm() / expected.norm())


def test_nibbles_come_back_and_the_first_lies_low() -> None:
    integers = torch.tensor([[-8, 7, 0, -1]], dtype=torch.int8)
    packed = pack_nibbles(integers)
    assert packed.tolist() == [[0xF0, 0x78]]
    assert unpack_nibbles(packed).equal(integers)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("rows", [1, 3, FEW_ROWS, FEW_ROWS + 1])
def test_a_product_is_that_of_the_dequantized_matrix(scheme: Scheme, rows: int) -> None:
    matrix, bias, x = made(scheme), random(40, seed=1), random(rows, 256, seed=2)
    found = QuantizedLinear([matrix], bias)(x)
    assert found.dtype == torch.float32
    assert found.shape == (rows, 40)
    # bfloat16 has 8 bits; operators round x, the scales and the result
    assert distance(found, formula(x, matrix, bias)) < (1e-6 if rows > FEW_ROWS else 6e-3)


@pytest.mark.parametrize("scheme", [Int4(), Int4(32, zeros=True), Int8(), Int8(None)])
@pytest.mark.parametrize("outputs", [1, 16, 17])
def test_operators_take_any_number_of_outputs(scheme: Scheme, outputs: int) -> None:
    matrix, x = made(scheme, outputs), random(2, 256, seed=2).bfloat16()
    multiply = product(matrix)
    assert multiply is not None
    assert distance(multiply(x), formula(x, matrix)) < 6e-3


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("scheme", "inputs"), [*((scheme, 256) for scheme in SCHEMES), (Int4(), 96), (Int8(None), 160)]
)
@pytest.mark.parametrize("rows", [1, 3, FEW_ROWS])
def test_products_on_cuda_are_those_of_the_dequantized_matrix(scheme: Scheme, inputs: int, rows: int) -> None:
    matrix, bias, x = made(scheme, 41, inputs), random(41, seed=1), random(rows, inputs, seed=2)
    layer = QuantizedLinear([matrix], bias)
    layer(x)  # what is packed for the CPU does not stay
    found = layer.cuda()(x.cuda().bfloat16())
    assert distance(found.cpu(), formula(x.bfloat16(), matrix, bias)) < 8e-3


def test_rows_of_several_schemes_and_kept_ones_are_one_layer() -> None:
    parts = [made(Int4()), made(Int4(), seed=5), made(Int8()), random(8, 256, seed=3)]
    layer, x = QuantizedLinear(parts), random(60, 256, seed=4)
    assert (len(layer.parts), layer.out_features) == (3, 128)
    expected = torch.cat([*(formula(x, one) for one in parts[:3]), x.double() @ parts[3].double().T], dim=1)  # type: ignore[arg-type,union-attr]
    assert distance(layer(x), expected) < 1e-6
    assert distance(layer(x[:5]), expected[:5]) < 1e-6  # a kept part has no operator


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_where_it_is_asked_for_a_row_alone_and_in_any_batch_gives_the_same_bits(
    scheme: Scheme, dtype: torch.dtype
) -> None:
    layer = QuantizedLinear([made(scheme)], random(40, seed=1))
    set_deterministic(layer, True)
    row = random(1, 256, seed=2).to(dtype)
    alone = layer(row)
    for rows in (2, 7, 31, 32, 33, 64, 101):
        for place in {0, rows // 2, rows - 1}:
            batch = random(rows, 256, seed=rows).to(dtype)
            batch[place] = row
            assert layer(batch)[place].equal(alone[0])


def test_an_exact_layer_multiplies_few_rows_with_the_dequantized_matrix_too() -> None:
    matrix, x = made(Int4()), random(2, 256, seed=2)
    layer = QuantizedLinear([matrix])
    set_exact(layer, True)
    assert distance(layer(x), formula(x, matrix)) < 1e-6


def test_a_layer_moved_to_another_type_keeps_its_scales() -> None:
    layer = QuantizedLinear([made(Int4())])
    before = layer.dequantize()
    assert layer.to(torch.bfloat16).dequantize().equal(before)


def test_vectors_of_tokens_are_rows_of_the_dequantized_matrix() -> None:
    matrix = made(Int8())
    token_ids = torch.tensor([[3, 3], [0, 39]])
    found = QuantizedEmbedding(matrix, torch.bfloat16)(token_ids)
    assert found.dtype == torch.bfloat16
    assert found.equal(matrix.dequantize(torch.bfloat16)[token_ids])
