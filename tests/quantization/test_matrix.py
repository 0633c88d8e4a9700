"""Quantized matrices: what they mean, worked by hand."""

import torch

from waman.quantization.matrix import Quantized, Table4, join_rows

INTEGERS = torch.tensor([[-8, 7, 1, 0], [2, -3, 4, 5]], dtype=torch.int8)


def test_integers_times_the_scale_of_their_group() -> None:
    scales = torch.tensor([[0.5, 2.0], [1.0, 0.25]], dtype=torch.float16)
    found = Quantized(4, 2, INTEGERS, scales).dequantize()
    assert found.tolist() == [[-4.0, 3.5, 2.0, 0.0], [2.0, -3.0, 1.0, 1.25]]


def test_zeros_are_taken_off_before_the_scale() -> None:
    scales, zeros = torch.tensor([[0.5], [1.0]]), torch.tensor([[-8], [3]], dtype=torch.int8)
    found = Quantized(4, 4, INTEGERS, scales, zeros).dequantize()
    assert found.tolist() == [[0.0, 7.5, 4.5, 4.0], [-1.0, -6.0, 1.0, 2.0]]


def test_codes_of_a_table() -> None:
    matrix = Table4(2, torch.tensor([[0, 15, 7, 7]], dtype=torch.uint8), torch.tensor([[2.0, 3.0]]), torch.arange(16.0))
    assert matrix.dequantize().tolist() == [[0.0, 30.0, 21.0, 21.0]]
    assert matrix.rows(0, 1).shape == (1, 4)


def test_rows_put_together_and_taken_apart_are_the_same_matrix() -> None:
    scales, zeros = torch.tensor([[0.5], [1.0]]), torch.tensor([[-8], [3]], dtype=torch.int8)
    whole = Quantized(4, 4, INTEGERS, scales, zeros)
    again = join_rows([whole.rows(0, 1), whole.rows(1, 2)])
    assert again.shape == (2, 4)
    assert again.dequantize().equal(whole.dequantize())
