"""What FlexAttention and the varlen kernel are told, on the CPU: the same pairs as the mask allows, and few blocks."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import varlen
from torch.nn.attention.flex_attention import flex_attention

from tests.model.masks_at_random import NAMES, draw_mask
from waman.errors import InputError
from waman.model import attention, kernels
from waman.model.attention import Attend, MaskedAttention, Path, attend_plainly, choose_path
from waman.model.kernels import attend_packed, flex_mask, packed
from waman.model.masks import Cached, Causal, Document, Mask, Tree, allowed
from waman.model.trees import tree_layout

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def draw(batch: int, heads: int, kv_heads: int, query_time: int, key_time: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(batch + heads * query_time)
    shapes = [(batch, heads, query_time, 16), (batch, kv_heads, key_time, 16), (batch, kv_heads, key_time, 16)]
    queries, keys, values = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return queries.requires_grad_(), keys.requires_grad_(), values.requires_grad_()


def check(compute: Callable[..., Tensor], inputs: tuple[Tensor, Tensor, Tensor], expected: Tensor) -> None:
    """The output and all gradients, against the formula's output."""
    got = compute(*inputs)
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)
    upstream = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad(got, inputs, upstream)
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, inputs, upstream), rtol=1e-9, atol=1e-12)


# The choice


def chosen(mask: Mask, **options: Any) -> str:
    known: dict[str, Any] = {"device": CUDA, "dtype": torch.bfloat16, "query_length": 512, "key_length": 512}
    return choose_path(mask, **{**known, "head_dim": 64, **options})


LONG = {"device": CPU, "dtype": torch.float32, "query_length": 2**14, "key_length": 2**14}
DOCUMENTS, TREE = Document(torch.zeros(1, 512)), Tree(torch.full((1, 512), 512))


@pytest.mark.parametrize(
    ("mask", "options", "path"),
    [
        (Causal(), {}, "causal kernel"),
        (Causal(), {"query_length": 1}, "one query"),
        (TREE, {"query_length": 1}, "one query"),
        (Causal(), {"query_length": 256}, "flex"),
        (Causal(), {"window": 64}, "flex"),
        (Causal(), {"slopes": torch.ones(4)}, "flex"),
        (Causal(), {"dtype": torch.float64}, "panels"),
        (DOCUMENTS, {}, "varlen"),
        (DOCUMENTS, {"window": 64}, "varlen"),
        (DOCUMENTS, {"window": 64, "positions": torch.zeros(1, 512)}, "flex"),
        (DOCUMENTS, {"slopes": torch.ones(4)}, "flex"),
        (DOCUMENTS, {"dtype": torch.float32}, "flex"),
        (DOCUMENTS, {"query_length": 256}, "flex"),
        (TREE, {}, "flex"),
        (TREE, {"head_dim": 8}, "panels"),
        (Cached(torch.zeros(1)), {"query_length": 300}, "flex"),
        (Cached(torch.zeros(1)), {"query_length": 5}, "panels"),
        (Causal(), {"device": CPU}, "panels"),
        (Causal(), LONG, "causal kernel"),
        (Causal(), {**LONG, "window": 1024}, "panels"),
        (Causal(), {**LONG, "slopes": torch.ones(4)}, "panels"),
        (Causal(), {**LONG, "key_length": 2**15}, "panels"),
        (Causal(), {**LONG, "dtype": torch.bfloat16}, "panels"),
        (Causal(), {**LONG, "dtype": torch.float64}, "panels"),
        (DOCUMENTS, LONG, "panels"),
        (TREE, {"device": CPU}, "panels"),
        (TREE, {"device": CPU, "query_length": 1}, "one query"),
    ],
)
def test_each_mask_and_device_has_its_path(mask: Mask, options: dict[str, Any], path: str) -> None:
    assert chosen(mask, **options) == path


def test_the_path_chosen_is_the_one_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    prepare = MaskedAttention.prepare

    def watch(self: MaskedAttention, path: Path, queries: Tensor, keys: Tensor) -> Attend:
        taken.append(path)
        return prepare(self, path, queries, keys)

    monkeypatch.setattr(MaskedAttention, "prepare", watch)
    queries, keys, values = (x.detach().float() for x in draw(1, 2, 1, 40, 40))
    monkeypatch.setattr(attention, "CPU_KERNEL_FROM", {torch.float32: 40})
    attend = MaskedAttention(Causal())
    for _layer in range(2):
        attend(queries, keys, values)
        attend(queries[:, :, :39], keys[:, :, :39], values[:, :, :39])
    assert taken == ["causal kernel", "panels"], "each shape is prepared once"


# The paths, each against the formula


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_the_causal_kernel_equals_the_formula_and_stores_no_matrix(kv_heads: int) -> None:
    inputs = draw(2, 4, kv_heads, 300, 300)
    compute = MaskedAttention(Causal()).prepare("causal kernel", inputs[0], inputs[1])
    check(compute, inputs, attend_plainly(*inputs, Causal()))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for dtype in (torch.float32, torch.bfloat16, torch.float64):
            torch.autograd.grad(compute(*(x.to(dtype) for x in inputs)).sum(), inputs)
    names = {event.key for event in profile.key_averages()}
    assert "aten::_scaled_dot_product_flash_attention_for_cpu_backward" in names
    assert "aten::_softmax" not in names


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize(("with_slopes", "window"), [(False, None), (False, 40), (True, 40)])
@pytest.mark.parametrize("name", NAMES)
def test_flex_attention_equals_the_formula_forward_alone_as_it_has_no_backward_here(
    monkeypatch: pytest.MonkeyPatch, name: str, with_slopes: bool, window: int | None
) -> None:
    monkeypatch.setattr(kernels, "_compiled", lambda: flex_attention)
    for query_time, key_time in [(150, 150), (130, 260)]:
        mask = draw_mask(name, 3, query_time, key_time, seed=query_time)
        slopes = torch.tensor([0.5, 0.3, 0.1, 0.0], dtype=torch.float64) if with_slopes else None
        queries, keys, values = (x.detach() for x in draw(3, 4, 2, query_time, key_time))
        compute = MaskedAttention(mask, window=window, slopes=slopes).prepare("flex", queries, keys)
        expected = attend_plainly(queries, keys, values, mask, window=window, slopes=slopes)
        torch.testing.assert_close(compute(queries, keys, values), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("window", [None, 9, 150])
@pytest.mark.parametrize("name", NAMES)
def test_blocks_and_pairs_are_those_that_the_mask_allows(name: str, window: int | None) -> None:
    """A block that nobody sees is left out, one that is listed as whole is seen whole, one pair at a time the rest."""
    for query_time, key_time in [(300, 300), (200, 640), (20, 300)]:
        mask = draw_mask(name, 3, query_time, key_time, seed=key_time)
        blocks = flex_mask(
            mask, batch=3, query_length=query_time, key_length=key_time, device=CPU, window=window
        ).blocks
        expected = allowed(mask, query_time, key_time, CPU, window=window).expand(3, -1, -1)
        rows, queries, keys = torch.meshgrid(*(torch.arange(n) for n in expected.shape), indexing="ij")
        rows = rows % blocks.shape[0]
        assert torch.equal(blocks.mask_mod(rows, rows, queries, keys), expected)
        assert blocks.full_kv_num_blocks is not None
        assert blocks.full_kv_indices is not None
        listed = _seen_by_blocks(blocks.kv_num_blocks, blocks.kv_indices, query_time, key_time)
        whole = _seen_by_blocks(blocks.full_kv_num_blocks, blocks.full_kv_indices, query_time, key_time)
        assert not (listed & whole).any()
        assert ((listed & expected) | whole).equal(expected), "nothing left out, and whole blocks seen whole"


def _seen_by_blocks(numbers: Tensor, indices: Tensor, query_time: int, key_time: int) -> Tensor:
    """The pairs within the listed blocks: (batch or 1, query_time, key_time)."""
    chosen = torch.zeros(indices.shape, dtype=torch.bool)
    first = torch.arange(indices.shape[-1]) < numbers[..., None]
    chosen.scatter_(-1, indices.long(), first)
    pairs = chosen[:, 0].repeat_interleave(128, dim=1).repeat_interleave(128, dim=2)
    return pairs[:, :query_time, :key_time]


def test_blocks_between_a_trees_branches_are_left_out() -> None:
    layout = tree_layout([None, *[0] * 6], [128, *[256] * 6])
    mask = Tree(layout.ends[None])
    blocks = flex_mask(mask, batch=1, query_length=1664, key_length=1664, device=CPU).blocks
    assert blocks.full_kv_num_blocks is not None
    # Of each branch the first block sees the root and itself, the second both and itself.
    assert blocks.kv_num_blocks.flatten().tolist() == [1] * 13
    assert blocks.full_kv_num_blocks.flatten().tolist() == [0] + [1, 2] * 6


def test_a_flex_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"Tree holds numbers of shape \(1, 512\), expected \(2, 512\)"):
        flex_mask(TREE, batch=2, query_length=512, key_length=512, device=CPU)


# Varlen


def test_documents_are_counted_across_rows() -> None:
    documents = packed(Document(torch.tensor([[0, 0, 1, 1, 1, 2], [2, 2, 2, 2, 2, 2], [7, 3, 3, 1, 1, 1]])))
    assert documents is not None
    assert documents.starts.tolist() == [0, 2, 5, 6, 12, 13, 15, 18]
    assert documents.starts.dtype == torch.int32
    assert documents.longest == 6


def test_documents_that_come_back_are_no_matter_for_varlen() -> None:
    mask = Document(torch.tensor([[0, 0, 1, 0]]))
    assert packed(mask) is None
    inputs = draw(1, 2, 1, 4, 4)
    compute = MaskedAttention(mask).prepare("varlen", inputs[0], inputs[1])
    assert compute.func is kernels.attend_flexibly  # type: ignore[attr-defined]


@pytest.mark.parametrize("window", [None, 5])
def test_the_varlen_kernel_is_told_the_documents(monkeypatch: pytest.MonkeyPatch, window: int | None) -> None:
    """In place of the kernel, a loop over the sequences that it is told of."""

    def by_loop(
        q: Tensor, k: Tensor, v: Tensor, cu_q: Tensor, cu_k: Tensor, max_q: int, max_k: int, **options: Any
    ) -> Tensor:
        before, behind = options["window_size"]
        assert behind == 0
        parts = []
        for start, stop in zip(cu_q.tolist(), cu_q[1:].tolist(), strict=False):
            assert stop - start <= max_q == max_k
            one, two, three = (x[start:stop].transpose(0, 1)[None] for x in (q, k, v))
            reach = None if before < 0 else before + 1
            parts.append(attend_plainly(one, two, three, Causal(), window=reach)[0].transpose(0, 1))
        return torch.cat(parts)

    monkeypatch.setattr(varlen, "varlen_attn", by_loop)
    mask = draw_mask("document", 3, 70, 70, seed=1)
    inputs = draw(3, 4, 2, 70, 70)
    compute = MaskedAttention(mask, window=window).prepare("varlen", inputs[0], inputs[1])
    assert compute.func is attend_packed  # type: ignore[attr-defined]
    check(compute, inputs, attend_plainly(*inputs, mask, window=window))


# On the device itself


@pytest.mark.gpu
@pytest.mark.parametrize("window", [None, 100])
@pytest.mark.parametrize("with_slopes", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_every_path_on_cuda_stays_near_the_formula(name: str, with_slopes: bool, window: int | None) -> None:
    for dtype, tolerance in ((torch.float32, 2e-3), (torch.bfloat16, 3e-2)):
        for query_time, key_time in [(300, 300), (130, 300), (1, 300)]:
            mask = _moved(draw_mask(name, 3, query_time, key_time))
            slopes = torch.tensor([0.5, 0.3, 0.1, 0.0], device=CUDA) if with_slopes else None
            q, k, v = (x.detach().to(CUDA, torch.float32) for x in draw(3, 4, 2, query_time, key_time))
            expected = attend_plainly(q, k, v, mask, window=window, slopes=slopes)
            found = MaskedAttention(mask, window=window, slopes=slopes)(q.to(dtype), k.to(dtype), v.to(dtype))
            torch.testing.assert_close(found.float(), expected, rtol=tolerance, atol=tolerance)


def _moved(mask: Mask) -> Mask:
    match mask:
        case Document(document_ids=ids):
            return Document(ids.to(CUDA))
        case Tree(ends=ends):
            return Tree(ends.to(CUDA))
        case Cached(starts=starts):
            return Cached(starts.to(CUDA))
        case _:
            return mask
