"""Timed trainings: that they run and count; how long they take is the machine's affair."""

import dataclasses

import pytest
import torch

from waman.costing.calibrate import Trial
from waman.model.config import ModelConfig
from waman.model.count import num_parameters
from waman.model.decoder import Decoder
from waman.training.trial import time_micro_batch, time_sequence, time_update


@pytest.fixture
def trial(tiny_model: ModelConfig) -> Trial:
    return Trial(dataclasses.replace(tiny_model, vocab_size=64), sequences=2, context=16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_micro_batch_takes_processor_time(trial: Trial, dtype: torch.dtype) -> None:
    assert 0 < time_micro_batch(trial, dtype, lanes=2, repeats=1) < 10


def test_an_update_counts_the_models_weights_and_tensors(trial: Trial) -> None:
    found = time_update(trial, repeats=1)
    assert found.weights == num_parameters(trial.config)
    assert found.tensors == len(list(Decoder(trial.config).parameters()))
    assert found.add_seconds > 0
    assert found.update_seconds > 0


def test_a_sequence_is_read_from_shards() -> None:
    assert 0 < time_sequence(128, repeats=2) < 1
