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


def test_z_loss_pulls_the_softmax_s_sum_to_one_and_leaves_the_loss_that_is_told() -> None:
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(11, 5, generator=generator)
    start = torch.randn(2, 6, 5, generator=generator)
    targets = torch.randint(11, (2, 6), generator=generator)
    in_loss = torch.ones(2, 6, dtype=torch.bool)

    def run(z_loss: float) -> tuple[float, torch.Tensor]:
        hidden = start.clone().requires_grad_()
        total = loss.backward(
            lambda x: x @ weight.T, hidden * 1.0, targets, in_loss, divisor=1, vocab_size=11, z_loss=z_loss
        )
        assert hidden.grad is not None
        return float(total), hidden.grad

    by_hand = start.clone().requires_grad_()
    logits = (by_hand @ weight.T).flatten(0, 1)
    penalty = logits.exp().sum(-1).log().square().sum()
    (F.cross_entropy(logits, targets.flatten(), reduction="sum") + 0.3 * penalty).backward()  # type: ignore[no-untyped-call]
    assert by_hand.grad is not None
    plain, penalised = run(0.0), run(0.3)
    torch.testing.assert_close(penalised[1], by_hand.grad, rtol=1e-4, atol=1e-5)
    assert penalised[0] == plain[0]
    assert not torch.allclose(penalised[1], plain[1], rtol=1e-2)
