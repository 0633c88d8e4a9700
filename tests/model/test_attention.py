"""Attention by every path against the plain formula."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tests.model.masks_at_random import NAMES, draw_mask
from waman.errors import InputError
from waman.model import attention
from waman.model.attention import attend, attend_plainly
from waman.model.masks import Causal, Document, Mask


def draw(batch: int, heads: int, kv_heads: int, query_time: int, key_time: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(batch + heads * query_time)
    shapes = [(batch, heads, query_time, 16), (batch, kv_heads, key_time, 16), (batch, kv_heads, key_time, 16)]
    queries, keys, values = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return queries.requires_grad_(), keys.requires_grad_(), values.requires_grad_()


def draw_slopes(heads: int) -> Tensor:
    return torch.rand(heads, dtype=torch.float64, generator=torch.Generator().manual_seed(heads))


def check(inputs: tuple[Tensor, Tensor, Tensor], mask: Mask, **options: Any) -> None:
    """The output and all gradients, against the formula."""
    got, expected = attend(*inputs, mask, **options), attend_plainly(*inputs, mask, **options)
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)
    upstream = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for gradient, reference in zip(
        torch.autograd.grad(got, inputs, upstream), torch.autograd.grad(expected, inputs, upstream), strict=True
    ):
        torch.testing.assert_close(gradient, reference, rtol=1e-10, atol=1e-12)


@pytest.fixture
def small_panels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "PANEL_QUERIES", 16)
    monkeypatch.setattr(attention, "PANEL_BYTES", 24_000)


SHAPES = [(2, 2, 40, 40), (4, 2, 33, 33), (6, 1, 1, 17), (4, 2, 7, 50), (3, 3, 17, 33), (2, 1, 1, 1), (2, 1, 70, 70)]


@pytest.mark.usefixtures("small_panels")
@pytest.mark.parametrize("window", [None, 1, 10])
@pytest.mark.parametrize("with_slopes", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_attention_equals_the_formula_in_output_and_gradients(name: str, with_slopes: bool, window: int | None) -> None:
    for seed, (heads, kv_heads, query_time, key_time) in enumerate(SHAPES):
        mask = draw_mask(name, 4, query_time, key_time, seed=seed)
        slopes = draw_slopes(heads) if with_slopes else None
        check(draw(4, heads, kv_heads, query_time, key_time), mask, slopes=slopes, window=window)


@pytest.mark.usefixtures("small_panels")
@pytest.mark.parametrize("name", NAMES)
def test_windows_and_distances_may_be_counted_in_any_positions(name: str) -> None:
    for query_time, key_time in [(33, 33), (20, 40), (1, 12)]:
        mask = draw_mask(name, 3, query_time, key_time, seed=5)
        for rows in (1, 3):
            positions = torch.randint(0, 30, (rows, key_time), generator=torch.Generator().manual_seed(2))
            options = {"positions": positions, "slopes": draw_slopes(4), "window": 8}
            check(draw(3, 4, 2, query_time, key_time), mask, **options)


def test_the_formula_itself_equals_torch_on_a_causal_mask() -> None:
    queries, keys, values = draw(2, 4, 2, 9, 9)
    expected = torch.nn.functional.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=True)
    torch.testing.assert_close(attend_plainly(queries, keys, values, Causal()), expected)


def test_a_mask_of_another_shape_is_refused_for_one_query_too() -> None:
    with pytest.raises(InputError, match=r"shape \(1, 8\), expected \(2, 8\)"):
        attend(*draw(2, 2, 1, 1, 8), Document(torch.zeros(1, 8, dtype=torch.long)))


class LargestTensor(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers the most numbers that any operator gave back in new memory."""

    largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor):
                self.largest = max(self.largest, tensor.untyped_storage().nbytes() // tensor.element_size())
        return result


@pytest.mark.parametrize("with_slopes", [False, True])
@pytest.mark.parametrize("name", ["causal", "document", "tree", "mixed"])
def test_no_tensor_grows_with_the_square_of_the_context(
    monkeypatch: pytest.MonkeyPatch, name: str, with_slopes: bool
) -> None:
    monkeypatch.setattr(attention, "PANEL_QUERIES", 16)
    monkeypatch.setattr(attention, "PANEL_BYTES", 2**17)
    largest = {}
    for time in (128, 256):
        queries, keys, values = (x.detach().requires_grad_() for x in draw(2, 2, 1, time, time))
        mask, slopes = draw_mask(name, 2, time, time), draw_slopes(2) if with_slopes else None
        with LargestTensor() as watch:  # type: ignore[no-untyped-call]
            attend(queries, keys, values, mask, slopes=slopes).sum().backward()  # type: ignore[no-untyped-call]
        largest[time] = watch.largest
        assert 0 < watch.largest <= 2 * 2 * 16 * time, "one panel of queries, or the inputs, which are as large here"
    assert largest[256] <= 2 * largest[128]


def test_only_the_inputs_and_the_output_are_kept_for_the_backward_pass() -> None:
    queries, keys, values = draw(2, 4, 2, 40, 40)
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        attended = attend(queries, keys, values, Causal())
    assert sorted(kept) == sorted(x.data_ptr() for x in (queries, keys, values, attended))


def test_bfloat16_stays_near_the_formula() -> None:
    queries, keys, values = (x.detach().float() for x in draw(2, 4, 2, 64, 64))
    expected = attend_plainly(queries, keys, values, Causal())
    got = attend(queries.bfloat16(), keys.bfloat16(), values.bfloat16(), Causal())
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), expected, rtol=0.02, atol=0.03)


def test_bfloat16_keeps_the_distances_of_near_keys_far_from_the_start() -> None:
    queries, keys, values = (x.detach().float() for x in draw(1, 4, 2, 700, 700))
    slopes = torch.tensor([0.5, 0.17, 0.04, 0.004])
    expected = attend_plainly(queries, keys, values, Causal(), slopes=slopes)
    got = attend(queries.bfloat16(), keys.bfloat16(), values.bfloat16(), Causal(), slopes=slopes)
    torch.testing.assert_close(got.float(), expected, rtol=0.02, atol=0.04)
