"""From a few measured trials to all other trainings: arithmetic on made-up machines, no clock."""

import dataclasses
import math
from typing import Literal

import pytest
import torch

from waman.costing.calibrate import (
    REFERENCE,
    Calibration,
    OptimizerStep,
    Precision,
    Trial,
    fit_seconds,
    micro_batch_seconds,
    num_tensors,
    process_memory,
    processor_seconds,
    step_seconds,
)
from waman.costing.trials import TRIALS
from waman.costing.work import Blocking, Work, micro_batch_work
from waman.model.attention import PANEL_QUERIES
from waman.model.config import Alibi, Attention, Gelu, LayerNorm, ModelConfig, Parallel, Swiglu
from waman.model.count import flops_per_token, num_parameters
from waman.model.decoder import Decoder
from waman.model.presets import PRESETS, preset
from waman.training.loss import LOGITS_AT_ONCE

BLOCKING = Blocking(panel_queries=PANEL_QUERIES, logits_at_once=LOGITS_AT_ONCE)
CONFIG = dataclasses.replace(preset("laptop-3m"), vocab_size=4096)
MACHINE = Calibration(
    precision="bfloat16",
    lanes=2,
    blocking=BLOCKING,
    seconds=REFERENCE["bfloat16"],
    add_seconds_per_weight=5e-10,
    update_seconds_per_weight=1e-9,
    update_seconds_per_tensor=1e-6,
    sequence_seconds=1e-4,
    baseline_bytes=300 * 2**20,
    matrix_flops=1e12,
)


def work(
    config: ModelConfig = CONFIG,
    *,
    sequences: int = 1,
    context: int = 256,
    bytes_per_number: int = 2,
    recomputation: Literal["selective", "full"] = "selective",
) -> Work:
    return micro_batch_work(
        config,
        sequences=sequences,
        context=context,
        blocking=BLOCKING,
        bytes_per_number=bytes_per_number,
        recomputation=recomputation,
    )


def test_the_products_are_the_models_flops() -> None:
    found = work(sequences=3)
    assert found.products + found.head_products + 12 * CONFIG.num_layers * CONFIG.model_dim * 256 * 3 * 256 == (
        3 * 256 * flops_per_token(CONFIG, 256)
    )


def test_attentions_panels_read_to_their_last_query() -> None:
    """Panels of 64 queries over 256 tokens: 64 * (64 + 128 + 192 + 256) pairs for each of 4 heads and 6 layers."""
    assert work().scores == 6 * 4 * 64 * 640
    assert work().panels == 6 * 4
    windowed = dataclasses.replace(CONFIG, attention=dataclasses.replace(CONFIG.attention, window=64))
    assert work(windowed).scores == 6 * 4 * 64 * (64 + 127 + 127 + 127)


def test_a_large_vocabulary_is_cut_into_slices_whose_gradients_add_up() -> None:
    config = dataclasses.replace(CONFIG, vocab_size=32768)
    assert work(config).head_gradients == 4 * 32768 * CONFIG.model_dim, "256 tokens, 64 at once"
    assert work(config).logits == 256 * 32768


def test_only_alibi_lowers_scores() -> None:
    assert work().slopes == 0
    sloped = dataclasses.replace(CONFIG, position=Alibi())
    assert work(sloped).slopes == work(sloped).scores


def test_large_tensors_are_new_memory_each_time() -> None:
    assert work().fresh_bytes == 0
    config = dataclasses.replace(CONFIG, vocab_size=50000, model_dim=192)  # 38 MB in float32, 19 in bfloat16
    slices = math.ceil(256 / (LOGITS_AT_ONCE // 50000))
    assert work(config).fresh_bytes == (slices + 1) * 4 * 50000 * 192
    assert work(config, bytes_per_number=4).fresh_bytes == (slices + 1) * 4 * 50000 * 192


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_a_machine_twice_as_fast_is_found_from_its_trials(precision: Precision) -> None:
    reference = REFERENCE[precision]
    truth = Work(*(each / 2 for each in dataclasses.astuple(reference)))
    machine = dataclasses.replace(MACHINE, precision=precision, seconds=truth)
    measured = [micro_batch_seconds(machine, trial) for trial in TRIALS]
    found = fit_seconds(TRIALS, measured, blocking=BLOCKING, precision=precision)
    assert dataclasses.astuple(found) == pytest.approx(dataclasses.astuple(truth), rel=1e-6)


def test_a_machine_of_another_build_is_foretold_within_a_tenth() -> None:
    """Products three times as fast, all else as the reference; noise of 5% on every trial."""
    truth = dataclasses.replace(REFERENCE["bfloat16"], products=1e-12, head_products=2e-12)
    machine = dataclasses.replace(MACHINE, seconds=truth)
    noise = [1 + 0.05 * (-1) ** number for number in range(len(TRIALS))]
    measured = [micro_batch_seconds(machine, trial) * off for trial, off in zip(TRIALS, noise, strict=True)]
    found = dataclasses.replace(MACHINE, seconds=fit_seconds(TRIALS, measured, blocking=BLOCKING, precision="bfloat16"))
    for name in ("laptop-1m", "laptop-5m", "gpt2-124m"):
        config = dataclasses.replace(PRESETS[name], vocab_size=8192)
        trial = Trial(config, 2, 256)
        assert micro_batch_seconds(found, trial) == pytest.approx(micro_batch_seconds(machine, trial), rel=0.1)


def test_a_step_is_rounds_of_micro_batches_their_sum_and_the_update() -> None:
    one = micro_batch_seconds(MACHINE, Trial(CONFIG, 4, 256))
    weights = num_parameters(CONFIG)
    beside = weights * 1e-9 + num_tensors(CONFIG) * 1e-6
    step = OptimizerStep(CONFIG, batch_sequences=20, micro_batch_sequences=4, context=256)
    found = step_seconds(MACHINE, step)
    assert found == pytest.approx(3 * one + 5 * weights * 5e-10 + beside + 20e-4), "five in three rounds of two"
    assert processor_seconds(MACHINE, step) - found == pytest.approx(2 * one)


def test_layers_computed_again_are_a_forward_pass_more_of_the_blocks_alone() -> None:
    once = dataclasses.asdict(work(sequences=2))
    again = dataclasses.asdict(work(sequences=2, recomputation="full"))
    grown = {name: again[name] / once[name] for name in once if once[name]}
    third = dict.fromkeys(("products", "matrices", "activations", "scores", "layers", "panels"), 4 / 3)
    others = dict.fromkeys(("head_products", "logits", "head_gradients", "weights", "passes"), 1.0)
    assert grown == pytest.approx(third | others | {"attention_products": 18 / 14})


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        dataclasses.replace(CONFIG, tie_embeddings=False, norm=LayerNorm(), block=Parallel(num_norms=1)),
        dataclasses.replace(preset("gpt2-124m"), num_layers=2, vocab_size=100),
        ModelConfig(vocab_size=64, attention=Attention(bias=True), feed_forward=Gelu(bias=True)),
    ],
)
def test_tensors_are_counted_as_the_decoder_has_them(config: ModelConfig) -> None:
    with torch.device("meta"):
        tensors = len(list(Decoder(config).parameters()))
    assert num_tensors(config) == tensors


def test_memory_holds_the_state_once_and_activations_for_every_lane() -> None:
    step = OptimizerStep(CONFIG, batch_sequences=16, micro_batch_sequences=4, context=256)
    found = process_memory(MACHINE, step)
    weights = num_parameters(CONFIG)
    assert (found.weights, found.optimizer) == (4 * weights, 8 * weights)
    one_lane = process_memory(dataclasses.replace(MACHINE, lanes=1), step)
    assert found.activations == 2 * one_lane.activations
    assert found.workspace == one_lane.workspace > MACHINE.baseline_bytes
    one_round = process_memory(MACHINE, dataclasses.replace(step, micro_batch_sequences=8))
    assert one_round.gradients < found.gradients, "two micro-batches are one round: no sum that waits"
    wide = process_memory(dataclasses.replace(MACHINE, precision="float32"), step)
    assert wide.activations > found.activations
    inputs = process_memory(MACHINE, dataclasses.replace(step, recomputation="full"))
    assert inputs.activations < 0.8 * found.activations
    assert dataclasses.replace(inputs, activations=found.activations) == found


def test_every_trial_is_small_and_no_published_shape() -> None:
    for trial in TRIALS:
        tokens = trial.sequences * trial.context
        assert tokens * flops_per_token(trial.config, trial.context) < 6e10
        assert trial.config not in PRESETS.values()
    assert any(isinstance(trial.config.feed_forward, Swiglu) for trial in TRIALS)
