"""Blockwise attention against the plain formula."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from waman.errors import InputError
from waman.model import attention
from waman.model.attention import attend, attend_plainly
from waman.model.masks import Cached, Causal, Document, Mask, Panel, allowed, cut


def draw(batch: int, heads: int, kv_heads: int, query_time: int, key_time: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(batch + heads * query_time)
    shapes = [(batch, heads, query_time, 16), (batch, kv_heads, key_time, 16), (batch, kv_heads, key_time, 16)]
    queries, keys, values = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return queries.requires_grad_(), keys.requires_grad_(), values.requires_grad_()


def packed_ids(batch: int, time: int) -> Tensor:
    """Documents of 1 to 60 tokens, one row of a single document, and one whose id comes back later."""
    generator = torch.Generator().manual_seed(time)
    rows = []
    for _ in range(batch):
        lengths = torch.randint(1, 60, (time,), generator=generator)
        rows.append(torch.repeat_interleave(torch.arange(time), lengths)[:time])
    rows[0] = torch.zeros(time, dtype=torch.long)
    rows[-1] = rows[-1] % 3
    return torch.stack(rows)


def mask_named(name: str, batch: int, query_time: int, key_time: int) -> Mask:
    match name:
        case "causal":
            return Causal()
        case "document":
            return Document(packed_ids(batch, key_time))
        case _:
            return Cached(torch.arange(batch) % (key_time - query_time + 1))


@pytest.mark.parametrize("name", ["causal", "document", "cached"])
@pytest.mark.parametrize(
    ("heads", "kv_heads", "query_time", "key_time"),
    [(2, 2, 40, 40), (4, 2, 33, 33), (6, 1, 1, 17), (4, 2, 7, 50), (3, 3, 17, 33), (2, 1, 1, 1)],
)
def test_blockwise_attention_equals_the_formula_in_output_and_gradients(
    monkeypatch: pytest.MonkeyPatch, name: str, heads: int, kv_heads: int, query_time: int, key_time: int
) -> None:
    monkeypatch.setattr(attention, "PANEL_QUERIES", 16)
    monkeypatch.setattr(attention, "PANEL_BYTES", 24_000)
    inputs = draw(4, heads, kv_heads, query_time, key_time)
    mask = mask_named(name, 4, query_time, key_time)
    got, expected = attend(*inputs, mask), attend_plainly(*inputs, mask)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    upstream = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for gradient, reference in zip(
        torch.autograd.grad(got, inputs, upstream), torch.autograd.grad(expected, inputs, upstream), strict=True
    ):
        torch.testing.assert_close(gradient, reference, rtol=1e-11, atol=1e-12)


def test_the_formula_itself_equals_torch_on_a_causal_mask() -> None:
    queries, keys, values = draw(2, 4, 2, 9, 9)
    expected = torch.nn.functional.scaled_dot_product_attention(queries, keys, values, is_causal=True, enable_gqa=True)
    torch.testing.assert_close(attend_plainly(queries, keys, values, Causal()), expected)


def panels_of(mask: Mask, *, batch: int, query_time: int, key_time: int, max_pairs: int = 10**6) -> list[Panel]:
    return cut(
        mask,
        batch=batch,
        query_length=query_time,
        key_length=key_time,
        max_queries=16,
        max_pairs=max_pairs,
        dtype=torch.float32,
        device=torch.device("cpu"),
    )


def covered(panels: list[Panel], batch: int, query_time: int, key_time: int) -> tuple[Tensor, int]:
    """How often the panels allow each pair, and the number of pairs they compute."""
    seen = torch.zeros(batch, query_time, key_time, dtype=torch.long)
    computed = 0
    for panel in panels:
        block = torch.ones_like(seen[panel.rows, panel.queries, panel.keys])
        computed += block.numel()
        if panel.bias is not None:
            block[..., -panel.bias.shape[-1] :] *= panel.bias == 0
        seen[panel.rows, panel.queries, panel.keys] += block
    return seen, computed


@pytest.mark.parametrize("name", ["causal", "document", "cached"])
@pytest.mark.parametrize("max_pairs", [1, 3000, 10**6])
def test_panels_cover_every_allowed_pair_once(name: str, max_pairs: int) -> None:
    mask = mask_named(name, 5, 45, 70)
    panels = panels_of(mask, batch=5, query_time=45, key_time=70, max_pairs=max_pairs)
    seen, _ = covered(panels, 5, 45, 70)
    assert torch.equal(seen, allowed(mask, 45, 70, torch.device("cpu")).expand(5, -1, -1).long())


def test_keys_after_a_panel_are_not_computed() -> None:
    _, computed = covered(panels_of(Causal(), batch=3, query_time=64, key_time=64), 3, 64, 64)
    assert computed == 3 * 16 * (16 + 32 + 48 + 64)


def test_keys_of_earlier_documents_are_not_computed() -> None:
    ids = torch.tensor([[0] * 32 + [1] * 32, [0] * 24 + [1] * 40])
    _, computed = covered(panels_of(Document(ids), batch=2, query_time=64, key_time=64), 2, 64, 64)
    first_row = 16 * (16 + 32 + 16 + 32)
    second_row = 16 * (16 + 32 + (48 - 24) + (64 - 24))
    assert computed == first_row + second_row


def test_rows_of_one_document_share_panels() -> None:
    ids = torch.tensor([[5] * 32, [7] * 32, [9] * 32])
    panels = panels_of(Document(ids), batch=3, query_time=32, key_time=32)
    assert [(panel.rows, panel.keys) for panel in panels] == [
        (slice(0, 3), slice(0, 16)),
        (slice(0, 3), slice(0, 32)),
    ]


def test_panels_are_split_by_rows_to_stay_small() -> None:
    panels = panels_of(Causal(), batch=5, query_time=16, key_time=16, max_pairs=2 * 16 * 16)
    assert [panel.rows for panel in panels] == [slice(0, 2), slice(2, 4), slice(4, 5)]


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (Document(torch.zeros(2, 9, dtype=torch.long)), "shape (2, 9), expected (2, 8)"),
        (Document(torch.zeros(1, 8, dtype=torch.long)), "shape (1, 8), expected (2, 8)"),
        (Cached(torch.zeros(3, dtype=torch.long)), "shape (3,), expected (2,)"),
    ],
)
def test_a_mask_of_another_shape_is_refused(mask: Mask, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        attend(*draw(2, 2, 1, 8, 8), mask)
    assert expected in str(caught.value)


class LargestTensor(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers the most numbers that any operator gave back in new memory."""

    largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor):
                self.largest = max(self.largest, tensor.untyped_storage().nbytes() // tensor.element_size())
        return result


@pytest.mark.parametrize("name", ["causal", "document"])
def test_no_tensor_grows_with_the_square_of_the_context(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(attention, "PANEL_QUERIES", 16)
    monkeypatch.setattr(attention, "PANEL_BYTES", 2**17)
    largest = {}
    for time in (128, 256):
        queries, keys, values = (x.detach().requires_grad_() for x in draw(2, 2, 1, time, time))
        with LargestTensor() as watch:  # type: ignore[no-untyped-call]
            attend(queries, keys, values, mask_named(name, 2, time, time)).sum().backward()  # type: ignore[no-untyped-call]
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
