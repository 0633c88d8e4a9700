"""Random shapes and masks through blockwise attention."""

import random

import pytest
import torch
from torch import Tensor

from tests.sweep import Sweep
from waman.model import attention
from waman.model.attention import attend, attend_plainly
from waman.model.masks import Cached, Causal, Document, Mask


@pytest.mark.soak
def test_random_shapes_and_masks_give_what_the_formula_gives(monkeypatch: pytest.MonkeyPatch, sweep: Sweep) -> None:
    for draw in sweep(3000):
        monkeypatch.setattr(attention, "PANEL_QUERIES", draw.choice((1, 2, 7, 16, 64)))
        monkeypatch.setattr(attention, "PANEL_BYTES", draw.choice((1, 1000, 30_000, 2**21)))
        batch, kv_heads, group, head_dim = (draw.randint(1, most) for most in (5, 3, 4, 20))
        key_time = draw.randint(1, draw.choice((4, 40, 150)))
        query_time = draw.choice((key_time, 1, draw.randint(1, key_time)))
        generator = torch.Generator().manual_seed(draw.getrandbits(32))
        shapes = [(batch, kv_heads * group, query_time), *[(batch, kv_heads, key_time)] * 2]
        inputs = [
            torch.randn((*shape, head_dim), generator=generator, dtype=torch.float64).requires_grad_()
            for shape in shapes
        ]
        mask = _draw_mask(draw, batch, query_time, key_time)
        queries, keys, values = inputs
        got, expected = attend(queries, keys, values, mask), attend_plainly(queries, keys, values, mask)
        torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)
        upstream = torch.randn(expected.shape, dtype=torch.float64, generator=generator)
        gradients = zip(
            torch.autograd.grad(got, inputs, upstream), torch.autograd.grad(expected, inputs, upstream), strict=True
        )
        for gradient, reference in gradients:
            torch.testing.assert_close(gradient, reference, rtol=1e-10, atol=1e-12)


def _draw_mask(draw: random.Random, batch: int, query_time: int, key_time: int) -> Mask:
    match draw.randrange(3):
        case 0:
            return Causal()
        case 1:
            return Document(torch.stack([_draw_documents(draw, key_time) for _ in range(batch)]))
        case _:
            return Cached(torch.tensor([draw.randint(0, key_time - query_time) for _ in range(batch)]))


def _draw_documents(draw: random.Random, time: int) -> Tensor:
    """Documents end to end; in some rows an earlier one goes on after others."""
    longest, numbers = draw.choice((1, 5, 60, 1000)), draw.choice((2, 3, 10_000))
    ids: list[int] = []
    document = 0
    while len(ids) < time:
        ids += [document % numbers] * draw.randint(1, longest)
        document += 1
    return torch.tensor(ids[:time])
