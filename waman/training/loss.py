"""Next-token cross-entropy and its gradient, a slice of the tokens at a time: a batch's logits never exist at once."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

LOGITS_AT_ONCE = 2**21
"""Numbers; 8 MiB in float32, so that a slice stays in a processor's cache (512 tokens of a vocabulary of 4096)."""


def sum_loss(head: Callable[[Tensor], Tensor], hidden: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy in nats, summed, in float32: hidden (tokens, model_dim), targets (tokens,) -> ()."""
    return F.cross_entropy(head(hidden).float(), targets, reduction="sum")


def backward(
    head: Callable[[Tensor], Tensor],
    hidden: Tensor,
    targets: Tensor,
    in_loss: Tensor,
    *,
    divisor: float,
    vocab_size: int,
    z_loss: float = 0.0,
) -> Tensor:
    """Adds the gradient of `loss sum / divisor` to every parameter behind `head` and `hidden`; gives the sum, float64.

    hidden: (batch, time, model_dim); targets, in_loss: (batch, time). Positions outside the loss never reach the head.
    With a `z_loss` the gradient is that of the loss plus z_loss * log(Z)^2, Z the softmax's sum (Chowdhery et al. 2022,
    section 5); the sum that is given stays the cross-entropy's.
    """
    flat = hidden.flatten(0, 1)
    leaf = flat.detach()
    chosen = in_loss.flatten().nonzero().squeeze(1)
    targets = targets.flatten()
    gradient = torch.zeros_like(leaf)
    total = torch.zeros((), dtype=torch.float64, device=hidden.device)
    for positions in _slices(chosen, max(LOGITS_AT_ONCE // vocab_size, 1)):
        part = leaf[positions].requires_grad_()
        loss, penalty = _parts(head, part, targets[positions], z_loss)
        ((loss + penalty) / divisor).backward()  # type: ignore[no-untyped-call]
        assert part.grad is not None
        gradient[positions] = part.grad
        total += loss.detach()
    flat.backward(gradient)  # type: ignore[no-untyped-call]
    return total


def _parts(
    head: Callable[[Tensor], Tensor], hidden: Tensor, targets: Tensor, z_loss: float
) -> tuple[Tensor, Tensor | float]:
    """The cross-entropy and the penalty on the softmax's sum, each summed over the tokens."""
    if z_loss == 0:
        return sum_loss(head, hidden, targets), 0.0
    logits = head(hidden).float()
    return F.cross_entropy(logits, targets, reduction="sum"), z_loss * logits.logsumexp(-1).square().sum()


def _slices(positions: Tensor, size: int) -> Iterator[Tensor]:
    for start in range(0, len(positions), size):
        yield positions[start : start + size]
