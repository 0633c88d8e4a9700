"""Micro-batches side by side on a processor's threads, which then need not wait for each other at every operation.

Every lane is a copy of the decoder that shares the weights and has gradients of its own. These are added in the order
of the micro-batches, so that the sum does not depend on how many lanes there are.
"""

import copy
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from waman.model.config import require_vocab_size
from waman.model.decoder import Decoder
from waman.model.masks import Document
from waman.model.threads import one_thread
from waman.training import loss
from waman.training.batches import Batch

Gradients = list[Tensor | None]


class Lanes:
    """As many lanes as there are threads to run them, or micro-batches to share out."""

    def __init__(
        self, decoder: Decoder, *, num_micro_batches: int, z_loss: float = 0.0, recompute_layers: bool = False
    ) -> None:
        self._decoder = decoder
        self.device = next(decoder.parameters()).device
        threads = torch.get_num_threads()
        self.num_lanes = min(threads, num_micro_batches) if self.device.type == "cpu" else 1
        copies = [_sharing_weights(decoder) for _ in range(self.num_lanes)]
        for one in copies if recompute_layers else ():
            _recompute_layers(one)
        self._lanes = [_Lane(one, z_loss) for one in copies]
        self._executor = _start_threads(self.num_lanes, threads_each=threads // self.num_lanes)

    def accumulate(self, parts: Sequence[Batch], *, divisor: float, dtype: torch.dtype) -> Tensor:
        """Adds the gradient of `loss sum / divisor`, computed in `dtype`, to the decoder's; gives the sum, float64."""
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for start in range(0, len(parts), self.num_lanes):
            done = self._run(parts[start : start + self.num_lanes], divisor, dtype)
            with one_thread():
                for part_total, gradients in done:
                    total += part_total
                    _add(self._decoder, gradients)
            del done, gradients  # they would be held throughout the next round
        return total

    @property
    def busy_seconds(self) -> list[float]:
        """Processor seconds that each lane's own thread took for its latest micro-batch."""
        return [lane.busy_seconds for lane in self._lanes]

    def _run(self, parts: Sequence[Batch], divisor: float, dtype: torch.dtype) -> list[tuple[Tensor, Gradients]]:
        if self._executor is None:
            return [self._lanes[0].run(part, divisor, dtype) for part in parts]
        running: list[Future[tuple[Tensor, Gradients]]] = [
            self._executor.submit(lane.run, part, divisor, dtype)
            for lane, part in zip(self._lanes, parts, strict=False)  # the last round may be shorter
        ]
        return [one.result() for one in running]


class _Lane(nn.Module):
    """Forward and backward of a micro-batch as one module call, so that weights can be swapped for both."""

    def __init__(self, decoder: Decoder, z_loss: float) -> None:
        super().__init__()
        self.decoder = decoder
        self.z_loss = z_loss
        self.vocab_size = require_vocab_size(decoder.config)
        self.busy_seconds = 0.0

    def run(self, part: Batch, divisor: float, dtype: torch.dtype) -> tuple[Tensor, Gradients]:
        """The loss sum of a micro-batch and its gradients, float32, in the order of the parameters."""
        started = time.thread_time()
        weights: dict[str, Tensor] = dict(self.named_parameters())
        if dtype != torch.float32:
            # Cast as a part of the graph: gradients arrive in float32.
            weights = {name: weight.to(dtype) for name, weight in weights.items()}
        total: Tensor = functional_call(self, weights, (part, divisor))
        gradients = [parameter.grad for parameter in self.parameters()]
        self.zero_grad(set_to_none=True)
        self.busy_seconds = time.thread_time() - started
        return total, gradients

    def forward(self, part: Batch, divisor: float) -> Tensor:
        hidden = self.decoder.hidden(part.token_ids, mask=Document(part.document_ids))
        return loss.backward(
            self.decoder.head,
            hidden,
            part.targets,
            part.in_loss,
            divisor=divisor,
            vocab_size=self.vocab_size,
            z_loss=self.z_loss,
        )


def _sharing_weights(decoder: Decoder) -> Decoder:
    return copy.deepcopy(decoder, {id(weight): nn.Parameter(weight.detach()) for weight in decoder.parameters()})


def _recompute_layers(decoder: Decoder) -> None:
    """Keeps of each block only its input: the backward pass computes the rest again, as Chen et al. 2016."""
    for block in decoder.blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False, preserve_rng_state=False)


def _start_threads(number: int, *, threads_each: int) -> ThreadPoolExecutor | None:
    """Threads that each compute with `threads_each`; None where the calling thread does it alone."""
    if number == 1:
        return None
    all_threads, ready = torch.get_num_threads(), threading.Barrier(number + 1)

    def begin() -> None:
        torch.get_num_threads()  # a thread's first use of PyTorch takes the process's setting: it must come before ours
        torch.set_num_threads(threads_each)  # of this thread, and of threads that begin later
        ready.wait()

    executor = ThreadPoolExecutor(number, thread_name_prefix="lane", initializer=begin)
    for _ in range(number):
        executor.submit(int)
    ready.wait()
    torch.set_num_threads(all_threads)
    return executor


def _add(decoder: Decoder, gradients: Gradients) -> None:
    for parameter, gradient in zip(decoder.parameters(), gradients, strict=True):
        if gradient is None:
            continue
        parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
