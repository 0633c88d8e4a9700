"""This machine, measured: from the times of a few small trainings the times of all others.

A micro-batch takes its `Work` times the seconds that each count takes apiece. Those are fitted to measured trials: the
squares of relative errors, no time below 0, and a pull towards a processor that was measured at length, scaled to be
as fast as this one; the fewer trials say about a count, the more its share is that processor's.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from waman.costing.memory import MIXED, Mesh, TrainingMemory, layer_bytes
from waman.costing.work import Blocking, Work, micro_batch_work
from waman.model.config import LayerNorm, Learned, ModelConfig, Parallel, Sequential, require_vocab_size
from waman.model.count import num_parameters

Precision = Literal["bfloat16", "float32"]
_BYTES: Mapping[Precision, int] = {"bfloat16": 2, "float32": 4}
_LOGIT_BYTES = 16
"""The product, it in float32, its logarithms and its gradient."""
_SUMMED, _KEPT, _WORKING = 0.9, 1.4, 4.4
"""What the allocator makes of the summed gradients, of a layer's activations, and of the layer that is being worked on:
fitted, with the two below, to the peaks of 33 runs of random recipes (128 to 4,096 tokens in a micro-batch, 1 to 47
million parameters, glibc's allocator), which all then lay within 10%."""
_INPUTS = 6.0
"""The same of a layer's input, where that alone is kept: among what comes and goes it holds holes open. Fitted to 12
runs, which then lay within 11%."""
_RUN_BYTES, _COMPILED_BYTES = 42 * 2**20, 38 * 2**20
"""What a run has beside the baseline: tokenizer, shards, checkpoints; and products that are compiled for bfloat16."""
PULL = 0.1
"""Weight of a count's distance from the reference, beside that of a trial's error. Of 12 to 24 trials out of 62, any
pull from 0.1 up put 96% of the others within 15%; none at all 79 to 86%."""

REFERENCE: Mapping[Precision, Work] = {
    "bfloat16": Work(
        products=3.1e-12,
        matrices=1.6e-9,
        activations=2.0e-9,
        attention_products=1.0e-11,
        scores=5e-10,
        slopes=3.6e-9,
        head_products=5.9e-12,
        logits=1.7e-9,
        head_gradients=1.1e-9,
        weights=4.3e-10,
        layers=2.0e-3,
        panels=4.0e-4,
        fresh_bytes=2.9e-10,
        passes=1.0e-3,
    ),
    "float32": Work(
        products=9.8e-12,
        matrices=1.0e-9,
        activations=3.3e-9,
        attention_products=6.7e-12,
        scores=2.3e-9,
        slopes=2.0e-9,
        head_products=1.03e-11,
        logits=3.0e-9,
        head_gradients=1.9e-9,
        weights=4.0e-10,
        layers=5.0e-4,
        panels=1.0e-4,
        fresh_bytes=3.0e-10,
        passes=3.3e-3,
    ),
}
"""Seconds on one core of a server processor with AVX-512 and its bfloat16 products, from about 50 random trials each
(LLaMA's and GPT's parts, model_dim 96 to 1024, 64 to 2,048 tokens of context, 1,024 to 32,000 of vocabulary)."""


@dataclass(frozen=True)
class Trial:
    """A small training that is timed."""

    config: ModelConfig
    sequences: int
    """of a micro-batch"""
    context: int
    """tokens"""
    recomputation: Literal["selective", "full"] = "selective"


@dataclass(frozen=True)
class OptimizerStep:
    """What a step of a training reads, and how."""

    config: ModelConfig
    batch_sequences: int
    micro_batch_sequences: int
    context: int
    """tokens"""
    recomputation: Literal["selective", "full"] = "selective"

    @property
    def micro_batch(self) -> Trial:
        """The largest of its micro-batches."""
        sequences = min(self.micro_batch_sequences, self.batch_sequences)
        return Trial(self.config, sequences, self.context, self.recomputation)

    @property
    def num_micro_batches(self) -> int:
        """The last may be smaller."""
        return math.ceil(self.batch_sequences / self.micro_batch_sequences)


@dataclass(frozen=True)
class Update:
    """What follows a step's micro-batches, measured on one model."""

    weights: int
    tensors: int
    add_seconds: float
    """to add one micro-batch's gradients"""
    update_seconds: float
    """to clip, and to change weights and moments"""


@dataclass(frozen=True)
class Calibration:
    """How fast this machine trains, and what a process holds before there is a model."""

    precision: Precision
    lanes: int
    """micro-batches side by side, each on a thread"""
    blocking: Blocking
    seconds: Work
    """that each count takes, on one of the lanes while all are busy"""
    add_seconds_per_weight: float
    update_seconds_per_weight: float
    update_seconds_per_tensor: float
    sequence_seconds: float
    """to read a sequence"""
    baseline_bytes: int
    """of a process that has taken one tiny step"""
    matrix_flops: float
    """floating-point operations per second of a large square product on all lanes"""


def fit_seconds(
    trials: Sequence[Trial], measured: Sequence[float], *, blocking: Blocking, precision: Precision
) -> Work:
    """Seconds of each count from the measured seconds of trials."""
    import numpy as np
    from scipy.optimize import nnls

    names = [field.name for field in dataclasses.fields(Work)]
    shape = np.array(dataclasses.astuple(REFERENCE[precision]))
    counts = np.array([_counts(trial, blocking, precision) for trial in trials])
    relative = counts * shape / np.array(measured)[:, None]
    by_reference = relative.sum(axis=1)
    scale = by_reference.sum() / (by_reference**2).sum()
    pull = math.sqrt(PULL)
    rows = np.vstack([relative, pull * np.eye(len(names))])
    wanted = np.concatenate([np.ones(len(trials)), np.full(len(names), pull * scale)])
    found, _ = nnls(rows, wanted)
    return Work(**dict(zip(names, (found * shape).tolist(), strict=True)))


def _counts(trial: Trial, blocking: Blocking, precision: Precision) -> tuple[float, ...]:
    work = micro_batch_work(
        trial.config,
        sequences=trial.sequences,
        context=trial.context,
        blocking=blocking,
        bytes_per_number=_BYTES[precision],
        recomputation=trial.recomputation,
    )
    return dataclasses.astuple(work)


def micro_batch_seconds(calibration: Calibration, trial: Trial) -> float:
    """Seconds that a lane takes for a micro-batch."""
    counts = _counts(trial, calibration.blocking, calibration.precision)
    return math.fsum(count * one for count, one in zip(counts, dataclasses.astuple(calibration.seconds), strict=True))


def step_seconds(calibration: Calibration, step: OptimizerStep) -> float:
    """Seconds of an optimizer step: rounds of micro-batches on all lanes, their sum, the update."""
    number = step.num_micro_batches
    rounds = math.ceil(number / min(calibration.lanes, number))
    weights = num_parameters(step.config)
    seconds = rounds * micro_batch_seconds(calibration, step.micro_batch)
    seconds += number * weights * calibration.add_seconds_per_weight
    seconds += weights * calibration.update_seconds_per_weight
    seconds += num_tensors(step.config) * calibration.update_seconds_per_tensor
    return seconds + step.batch_sequences * calibration.sequence_seconds


def processor_seconds(calibration: Calibration, step: OptimizerStep) -> float:
    """Seconds of an optimizer step on all cores together."""
    return step_seconds(dataclasses.replace(calibration, lanes=1), step)


def num_tensors(config: ModelConfig) -> int:
    """Parameters of a decoder, each of which an update visits: tables, matrices, biases and norms."""
    heads = config.attention
    vectors = 2 if isinstance(config.norm, LayerNorm) and config.norm.bias else 1
    norms = vectors * (1 if config.block == Parallel(num_norms=1) else 2)
    last = 0 if config.block == Sequential(norm="after") else vectors
    tables = 1 + (not config.tie_embeddings) + isinstance(config.position, Learned)
    per_layer = 4 + heads.bias + heads.output_bias + 2 * config.feed_forward.bias + norms
    return tables + last + config.num_layers * per_layer


def process_memory(calibration: Calibration, step: OptimizerStep) -> TrainingMemory:
    """Bytes of a training process at its fullest, on this machine's processor.

    Weights, moments and gradients are float32. A lane that computes in bfloat16 has the weights once more, and their
    gradients; every lane has its own activations, of which gradients take the place as it goes back. From the second
    round on the sum of the gradients is there too.
    """
    config, lanes = step.config, min(calibration.lanes, step.num_micro_batches)
    weights, narrow = num_parameters(config), _BYTES[calibration.precision]
    tokens = step.micro_batch.sequences * step.context
    numbers = dataclasses.replace(MIXED, activations=narrow)
    layer = tokens * layer_bytes(config, Mesh(), step.context, "selective", numbers)
    kept = _KEPT * config.num_layers * layer
    if step.recomputation == "full":
        inputs = tokens * layer_bytes(config, Mesh(), step.context, "full", numbers)
        kept = _INPUTS * config.num_layers * inputs + _KEPT * layer
    logits = min(tokens * require_vocab_size(config), calibration.blocking.logits_at_once) * _LOGIT_BYTES
    summed = _SUMMED * 4 * weights if step.num_micro_batches > lanes else 0
    copies = 2 * narrow * weights if narrow < 4 else 0
    compiled = _COMPILED_BYTES if narrow < 4 else 0
    return TrainingMemory(
        weights=4 * weights,
        gradients=round(summed + lanes * copies),
        optimizer=8 * weights,
        activations=round(lanes * (max(kept, 4 * weights) + _WORKING * layer)),
        logits=lanes * logits,
        workspace=calibration.baseline_bytes + _RUN_BYTES + compiled,
    )
