"""The step: gradient accumulation, clipping, AdamW. It knows neither where batches come from nor where states go."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from waman.errors import DivergedError, InputError
from waman.model.decoder import Decoder
from waman.model.precision import compute_dtype
from waman.model.recipe import Precision
from waman.model.threads import one_thread
from waman.training.batches import Batch, BatchSource
from waman.training.optimizer import build_optimizer, set_learning_rate
from waman.training.parallel import Lanes
from waman.training.recipe import AdamW, Schedule
from waman.training.schedule import learning_rate


@dataclass(frozen=True)
class StepInfo:
    """What one optimizer step tells."""

    step: int
    """steps done, this one included"""
    num_steps: int
    """steps of the whole run"""
    loss: float
    """mean over the predicted tokens of the batch before the update, nats"""
    learning_rate: float
    gradient_norm: float
    """L2, before clipping"""
    tokens: int
    """tokens read since the run began, this step included"""
    step_tokens: int
    """tokens read in this step"""
    seconds: float
    """time that this step took, reading its batch included"""

    @property
    def tokens_per_second(self) -> float:
        """The speed of this step."""
        return self.step_tokens / self.seconds


AfterStep = Callable[[StepInfo], None]


class Trainer:
    """A decoder, its optimizer and how far they have come."""

    def __init__(
        self,
        decoder: Decoder,
        batches: BatchSource,
        *,
        num_steps: int,
        optimizer: AdamW,
        schedule: Schedule,
        precision: Precision,
        micro_batch_sequences: int,
        z_loss: float = 0.0,
        recompute_layers: bool = False,
    ) -> None:
        """The decoder's weights are float32 and stay where they are."""
        self.decoder = decoder.train()
        self.optimizer = build_optimizer(decoder, optimizer)
        self.device = next(decoder.parameters()).device
        self.dtype = compute_dtype(precision, self.device)
        self.num_steps = num_steps
        self.steps_done = 0
        self.tokens_read = 0
        self.earlier_steps = 0
        """Optimizer steps in other runs that the moments remember."""
        self._batches, self._recipe, self._schedule = batches, optimizer, schedule
        self._micro_batch, self._z_loss, self._recompute = micro_batch_sequences, z_loss, recompute_layers
        self._lanes: Lanes | None = None

    def step(self) -> StepInfo:
        """Takes one step. Raises DivergedError if the loss or the gradient is no longer finite."""
        started = time.perf_counter()
        batch = self._batches.batch(self.steps_done)
        mean_loss = self._accumulate_gradient(batch)
        rate = learning_rate(
            self._schedule, peak=self._recipe.learning_rate, step=self.steps_done, num_steps=self.num_steps
        )
        with one_thread():
            norm = nn.utils.clip_grad_norm_(self.decoder.parameters(), self._recipe.clip_norm, foreach=True)
            gradient_norm = float(norm)
            self._require_finite(mean_loss, gradient_norm)
            set_learning_rate(self.optimizer, rate)
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps_done += 1
        tokens = batch.token_ids.numel()
        self.tokens_read += tokens
        seconds = time.perf_counter() - started
        return StepInfo(
            self.steps_done, self.num_steps, mean_loss, rate, gradient_norm, self.tokens_read, tokens, seconds
        )

    def _accumulate_gradient(self, batch: Batch) -> float:
        """Leaves the gradient of the batch's mean loss in the parameters, whatever the size of the micro-batches."""
        num_predicted = int(batch.in_loss.sum())
        if num_predicted == 0:
            raise InputError(f"the batch of step {self.steps_done + 1} has no token to predict: give longer documents")
        parts = list(_cut(batch, self._micro_batch, self.device))
        if self._lanes is None:
            self._lanes = Lanes(
                self.decoder, num_micro_batches=len(parts), z_loss=self._z_loss, recompute_layers=self._recompute
            )
        return float(self._lanes.accumulate(parts, divisor=num_predicted, dtype=self.dtype)) / num_predicted

    def _require_finite(self, mean_loss: float, gradient_norm: float) -> None:
        if not (abs(mean_loss) < float("inf") and gradient_norm < float("inf")):
            raise DivergedError(
                f"training diverged at step {self.steps_done + 1}: loss {mean_loss}, gradient norm {gradient_norm}; "
                f"lower optimizer.learning_rate = {self._recipe.learning_rate} or lengthen schedule.warmup_share"
            )


def _cut(batch: Batch, size: int, device: torch.device) -> Iterator[Batch]:
    for start in range(0, len(batch.token_ids), size):
        rows = slice(start, start + size)
        yield Batch(
            batch.token_ids[rows].to(device),
            batch.targets[rows].to(device),
            batch.in_loss[rows].to(device),
            batch.document_ids[rows].to(device),
        )
