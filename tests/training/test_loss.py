import math

import pytest
import torch
from torch.nn import functional as F

from waman.training import loss


def test_slices_give_the_loss_and_the_gradients_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    vocab_size, model_dim = 11, 5
    start = torch.randn(3, 7, model_dim, generator=generator, dtype=torch.float64)
    weight = torch.randn(vocab_size, model_dim, generator=generator, dtype=torch.float64)
    targets = torch.randint(vocab_size, (3, 7), generator=generator)
    in_loss = torch.rand(3, 7, generator=generator) < 0.6

    def gradients(slice_tokens: int | None) -> tuple[float, torch.Tensor, torch.Tensor]:
        hidden, head = start.clone().requires_grad_(), weight.clone().requires_grad_()
        if slice_tokens is None:
            total = F.cross_entropy((hidden @ head.T)[in_loss].float(), targets[in_loss], reduction="sum")
            (total / 10).backward()  # type: ignore[no-untyped-call]
        else:
            monkeypatch.setattr(loss, "LOGITS_AT_ONCE", slice_tokens * vocab_size)
            total = loss.backward(
                lambda x: x @ head.T, hidden * 1.0, targets, in_loss, divisor=10, vocab_size=vocab_size
            )
        assert hidden.grad is not None
        assert head.grad is not None
        return float(total.detach()), hidden.grad, head.grad

    expected = gradients(None)
    assert not expected[1][~in_loss].any()
    for slice_tokens in (1, 4, 100):
        for found, wanted in zip(gradients(slice_tokens), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-7)


def test_the_loss_of_bfloat16_logits_is_computed_in_float32() -> None:
    logits = torch.tensor([[100.0, 99.5, -300.0]], dtype=torch.bfloat16)
    for target, expected in ((0, math.log1p(math.exp(-0.5))), (2, 400 + math.log1p(math.exp(-0.5)))):
        found = loss.sum_loss(lambda x: x, logits, torch.tensor([target]))
        assert found.dtype == torch.float32
        assert float(found) == pytest.approx(expected, rel=1e-6)
