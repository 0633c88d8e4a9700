import dataclasses
import math
from typing import Any

import pytest
import torch

from tests.training.conftest import VOCAB_SIZE
from waman.errors import DivergedError, InputError
from waman.model.block import Block
from waman.model.config import ModelConfig
from waman.model.decoder import Decoder
from waman.model.initialize import initialize
from waman.model.precision import compute_dtype
from waman.model.recipe import Auto, Bfloat16, Float32, Precision
from waman.training.batches import Batch
from waman.training.loop import StepInfo, Trainer
from waman.training.recipe import AdamW, Constant


class OneBatch:
    """The same batch at every step."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def batch(self, step: int) -> Batch:
        return self._batch


def random_batch(rows: int = 6, *, vocab_size: int = VOCAB_SIZE) -> Batch:
    generator = torch.Generator().manual_seed(7)
    tokens = torch.randint(3, vocab_size, (rows, 17), generator=generator)
    documents = (torch.rand(rows, 16, generator=generator) < 0.1).cumsum(dim=1)
    in_loss = torch.rand(rows, 16, generator=generator) < 0.8
    return Batch(tokens[:, :-1], tokens[:, 1:], in_loss, documents)


def build(
    config: ModelConfig,
    batch: Batch,
    *,
    precision: Precision = Float32(),  # noqa: B008 (frozen)
    micro_batch_sequences: int = 8,
    optimizer: AdamW = AdamW(learning_rate=0.01, weight_decay=0.0),  # noqa: B008 (frozen)
    vocab_size: int = VOCAB_SIZE,
    recompute_layers: bool = False,
) -> Trainer:
    decoder = Decoder(dataclasses.replace(config, vocab_size=vocab_size))
    initialize(decoder, 0)
    return Trainer(
        decoder,
        OneBatch(batch),
        num_steps=1000,
        optimizer=optimizer,
        schedule=Constant(warmup_share=0.0),
        precision=precision,
        micro_batch_sequences=micro_batch_sequences,
        recompute_layers=recompute_layers,
    )


@pytest.mark.parametrize("precision", [Float32(), Bfloat16()])
def test_one_batch_is_learned_by_heart(tiny_model: ModelConfig, precision: Precision) -> None:
    trainer = build(tiny_model, random_batch(), precision=precision)
    losses = [trainer.step().loss for _ in range(200)]
    assert losses[-1] < 0.05 < 3.0 < losses[0]


def test_the_first_loss_is_that_of_a_guess_among_the_vocabulary(tiny_model: ModelConfig) -> None:
    for precision in (Float32(), Bfloat16()):
        trainer = build(tiny_model, random_batch(vocab_size=4096), precision=precision, vocab_size=4096)
        assert trainer.step().loss == pytest.approx(math.log(4096), rel=0.02)


@pytest.mark.parametrize("precision", [Float32(), Bfloat16()])
def test_layers_computed_again_give_the_same_weights_bit_for_bit(
    tiny_model: ModelConfig, precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    forward = Block.forward

    def counted(block: Block, x: torch.Tensor, **options: Any) -> torch.Tensor:
        calls.append(block)
        return forward(block, x, **options)

    def run(*, recompute_layers: bool) -> tuple[list[float], dict[str, torch.Tensor], int]:
        trainer = build(
            tiny_model, random_batch(), precision=precision, micro_batch_sequences=4, recompute_layers=recompute_layers
        )
        calls.clear()
        return [trainer.step().loss for _ in range(3)], trainer.decoder.state_dict(), len(calls)

    monkeypatch.setattr(Block, "forward", counted)
    losses, state, number = run(recompute_layers=False)
    losses_again, state_again, number_again = run(recompute_layers=True)
    assert losses_again == losses
    assert all(torch.equal(state_again[name], state[name]) for name in state)
    assert (number, number_again) == (3 * 2 * tiny_model.num_layers, 2 * 3 * 2 * tiny_model.num_layers)


def test_accumulated_micro_batches_equal_the_large_batch(tiny_model: ModelConfig) -> None:
    def run(micro_batch_sequences: int) -> tuple[list[StepInfo], dict[str, torch.Tensor]]:
        trainer = build(tiny_model, random_batch(), micro_batch_sequences=micro_batch_sequences)
        return [trainer.step() for _ in range(3)], trainer.decoder.state_dict()

    whole_infos, whole = run(6)
    for micro_batch_sequences in (1, 4):  # 4 leaves a smaller one at the end
        infos, state = run(micro_batch_sequences)
        for info, expected in zip(infos, whole_infos, strict=True):
            assert info.loss == pytest.approx(expected.loss, rel=1e-5)
            assert info.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-4)
        for name, tensor in state.items():
            torch.testing.assert_close(tensor, whole[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("precision", [Float32(), Bfloat16()])
def test_the_number_of_threads_changes_no_bit(tiny_model: ModelConfig, precision: Precision) -> None:
    def run(threads: int) -> tuple[list[tuple[float, float]], dict[str, torch.Tensor]]:
        torch.set_num_threads(threads)
        trainer = build(tiny_model, random_batch(), precision=precision, micro_batch_sequences=1)
        infos = [trainer.step() for _ in range(5)]
        assert torch.get_num_threads() == threads, "lanes leave the setting of the caller alone"
        return [(info.loss, info.gradient_norm) for info in infos], trainer.decoder.state_dict()

    losses, weights = run(1)
    for threads in (2, 4):  # 6 micro-batches: three rounds of two; one of four and one of two
        other_losses, other_weights = run(threads)
        assert other_losses == losses
        assert all(torch.equal(weights[name], tensor) for name, tensor in other_weights.items())


def test_the_loss_of_a_step_is_the_mean_over_what_counts_before_the_update(tiny_model: ModelConfig) -> None:
    batch = dataclasses.replace(random_batch(), document_ids=torch.zeros(6, 16, dtype=torch.long))
    trainer = build(tiny_model, batch, micro_batch_sequences=4)
    with torch.no_grad():
        log_probabilities = trainer.decoder(batch.token_ids).log_softmax(dim=-1)
    counted = log_probabilities.gather(2, batch.targets[..., None]).squeeze(2)[batch.in_loss]
    info = trainer.step()
    assert info.loss == pytest.approx(-float(counted.mean()), rel=1e-6)
    assert (info.step, info.num_steps, info.tokens, info.learning_rate) == (1, 1000, 96, 0.01)


def test_what_lies_outside_the_loss_or_in_another_document_changes_nothing(tiny_model: ModelConfig) -> None:
    documents = torch.tensor([[0] * 9 + [1] * 7]).repeat(6, 1)
    in_loss = documents == 1
    batch = dataclasses.replace(random_batch(), document_ids=documents, in_loss=in_loss)
    changed_ids, changed_targets = batch.token_ids.clone(), batch.targets.clone()
    changed_ids[:, :9], changed_targets[:, :9] = 5, 6
    changed = dataclasses.replace(batch, token_ids=changed_ids, targets=changed_targets)
    one, two = build(tiny_model, batch).step(), build(tiny_model, changed).step()
    assert one.loss == two.loss
    assert one.gradient_norm == pytest.approx(two.gradient_norm, rel=1e-6)


def test_a_long_gradient_is_shortened_to_the_clip_norm(tiny_model: ModelConfig) -> None:
    # Without momentum and with a large eps the update is rate * gradient / eps, so its length shows the clipping.
    optimizer = AdamW(learning_rate=1.0, beta1=0.0, beta2=0.0, eps=1e3, weight_decay=0.0, clip_norm=1e-3)
    trainer = build(tiny_model, random_batch(), optimizer=optimizer)
    before = torch.cat([parameter.detach().flatten().clone() for parameter in trainer.decoder.parameters()])
    info = trainer.step()
    after = torch.cat([parameter.detach().flatten() for parameter in trainer.decoder.parameters()])
    assert info.gradient_norm > 0.1
    assert float((after - before).double().norm()) == pytest.approx(1e-3 / 1e3, rel=0.05)


def test_in_bfloat16_weights_and_moments_stay_in_float32(tiny_model: ModelConfig) -> None:
    trainer = build(tiny_model, random_batch(), precision=Bfloat16())
    before = trainer.decoder.embedding.weight.detach().clone()
    trainer.step()
    weight = trainer.decoder.embedding.weight
    assert weight.dtype == trainer.optimizer.state[weight]["exp_avg"].dtype == torch.float32
    assert not torch.equal(weight, before)
    assert not torch.equal(weight, weight.bfloat16().float()), "the update must not be rounded to bfloat16"


def test_bfloat16_follows_float32(tiny_model: ModelConfig) -> None:
    runs = [build(tiny_model, random_batch(), precision=precision) for precision in (Float32(), Bfloat16())]
    for _ in range(30):
        exact, rounded = (trainer.step().loss for trainer in runs)
        assert rounded == pytest.approx(exact, rel=0.02)


def test_auto_takes_bfloat16_only_where_the_processor_multiplies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for capabilities, expected in (
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": False, "avx2": True}, torch.float32),
        ({}, torch.float32),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        assert compute_dtype(Auto(), cpu) == expected
        assert compute_dtype(Bfloat16(), cpu) == torch.bfloat16
        assert compute_dtype(Float32(), cpu) == torch.float32


def test_a_loss_that_is_not_finite_ends_the_run_with_advice(tiny_model: ModelConfig) -> None:
    trainer = build(tiny_model, random_batch(), optimizer=AdamW(learning_rate=1e30))
    trainer.step()
    message = r"training diverged at step \d: loss .*, gradient norm .*; lower optimizer.learning_rate = 1e\+30 or"
    with pytest.raises(DivergedError, match=message):
        trainer.step()


def test_a_batch_without_a_token_to_predict_is_refused(tiny_model: ModelConfig) -> None:
    batch = dataclasses.replace(random_batch(), in_loss=torch.zeros(6, 16, dtype=torch.bool))
    with pytest.raises(InputError, match=r"the batch of step 1 has no token to predict: give longer documents"):
        build(tiny_model, batch).step()
