"""Runs that go on from another model: `waman pretrain --from DIR`."""

import dataclasses
import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.conftest import BOS, EOS, VOCAB_SIZE, MakeTokens, write_tokenizer
from tests.training.test_loop import OneBatch, random_batch
from tests.training.test_pretrain import StopError, what_was_computed
from waman import settings
from waman.artifact import Artifact, open_artifact, open_input, verify
from waman.document import Document
from waman.errors import InputError, RecipeError
from waman.model.config import ModelConfig
from waman.model.decoder import Decoder
from waman.model.initialize import initialize
from waman.model.recipe import Float32
from waman.tokens.extension import Extension, extend
from waman.tokens.shards import ShardWriter, TokensInfo, write_info
from waman.tokens.tokenizer import Tokenizer
from waman.training.checkpoint import restore_moments_of, save_state
from waman.training.loop import StepInfo, Trainer
from waman.training.pretrain import pretrain
from waman.training.recipe import AdamW, Constant, EverySteps, PretrainRecipe
from waman.weights import safetensors
from waman.weights.configuration import to_table
from waman.weights.huggingface import load_decoder, save_weights

STEPS = 10
Call = Callable[..., Artifact]


@pytest.fixture
def tokens(make_tokens: MakeTokens) -> Artifact:
    """Two sources of a few hundred tokens."""
    return make_tokens({"web": [5, 90, 33, 120], "github": [200, 60, 4]})


@pytest.fixture
def first(tiny_model: ModelConfig, tokens: Artifact, tokenizer: Artifact, tmp_path: Path) -> Path:
    """A run of 8 steps with checkpoints after 4 and 8."""
    recipe = PretrainRecipe(
        model=tiny_model, num_tokens=8 * 64, batch_tokens=64, precision=Float32(), checkpoints=EverySteps(4),
        optimizer=AdamW(learning_rate=0.01),
    )  # fmt: skip
    return pretrain(recipe, tokens=tokens, tokenizer=tokenizer, out=tmp_path / "first").path


@pytest.fixture
def recipe() -> PretrainRecipe:
    """10 steps of 4 sequences; it names no model."""
    return PretrainRecipe(
        num_tokens=STEPS * 64, batch_tokens=64, precision=Float32(), checkpoints=EverySteps(3),
        optimizer=AdamW(learning_rate=0.01),
    )  # fmt: skip


def write_tokens(folder: Path, lengths: Mapping[str, int], tokenizer: Path) -> Artifact:
    """Shards of one document per source, made with a tokenizer."""
    opened = Tokenizer.load(tokenizer)
    for number, (source, length) in enumerate(lengths.items()):
        with ShardWriter(folder / "train", number, dtype="uint16") as shard:
            inner = (np.arange(length - 2) * 7) % (opened.vocab_size - 3) + 3
            document = Document(id=source, text="x", source=source, group=source, origin="here")
            shard.add(document, [BOS, *inner.tolist(), EOS])
    write_info(folder, TokensInfo("uint16", opened.vocab_size, BOS, EOS, opened.identity))
    (folder / "mixture.json").write_text(json.dumps({"sources": {source: {"proportion": 1} for source in lengths}}))
    return Artifact(folder, "tokens", folder.name)


def extended_tokenizer(old: Path, folder: Path) -> Artifact:
    """The tokenizer with one more token, which joins two of its letters."""
    shutil.copytree(old, folder)
    table = json.loads((old / "tokenizer.json").read_text())
    left, right = sorted(table["model"]["vocab"])[-2:]
    table = extend(table, Extension((), (left + right,), ((left, right),)))
    (folder / "tokenizer.json").write_text(json.dumps(table))
    return open_input(folder)


def test_it_begins_with_the_weights_config_and_tokenizer_of_the_start(
    recipe: PretrainRecipe, first: Path, tokens: Artifact, tmp_path: Path
) -> None:
    steps: list[StepInfo] = []
    run = pretrain(
        recipe, tokens=tokens, start=open_input(first / "final"), out=tmp_path / "run", after_step=steps.append
    )
    assert verify(run) == []
    before, begun, after = (
        load_decoder(place).state_dict()
        for place in (first / "final", run.path / "checkpoints" / "step-0", run.path / "final")
    )
    assert all(torch.equal(before[name], begun[name]) for name in before)
    assert not torch.equal(before["embedding.weight"], after["embedding.weight"])
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        assert (run.path / "final" / name).read_bytes() == (first / "final" / name).read_bytes()
    # the schedule starts anew: 5% of 10 steps is half a step, so the first one is at the peak
    assert [info.step for info in steps] == list(range(1, STEPS + 1))
    assert steps[0].learning_rate == 0.01 and math.isclose(steps[-1].learning_rate, 0.001)  # noqa: PT018
    assert run.manifest is not None
    weights = open_artifact(run.path / "final", "weights").manifest
    assert weights is not None
    for manifest in (run.manifest, weights):
        (record,) = manifest.inputs["start"]
        assert record.identity == open_artifact(first / "final").identity
        assert record.inputs["tokens"][0].identity == tokens.identity


@pytest.mark.parametrize("optimizer_state", ["fresh", "restored"])
def test_a_continued_run_stopped_anywhere_goes_on_to_the_same_bytes(
    recipe: PretrainRecipe, first: Path, tokens: Artifact, tmp_path: Path, optimizer_state: Any
) -> None:
    recipe = dataclasses.replace(recipe, optimizer_state=optimizer_state, replay_share=0.25)
    replay = write_tokens(tmp_path / "old", {"web": 150}, first / "final")
    inputs: dict[str, Any] = {
        "tokens": tokens, "start": open_input(first / "checkpoints" / "step-8"), "replay": replay
    }  # fmt: skip
    pretrain(recipe, **inputs, out=tmp_path / "unbroken")
    for stop in (1, 5, STEPS):

        def after_step(info: StepInfo, stop: int = stop) -> None:
            if info.step == stop:
                raise StopError

        out = tmp_path / f"stopped{stop}"
        with pytest.raises(StopError):
            pretrain(recipe, **inputs, out=out, after_step=after_step)
        pretrain(recipe, **inputs, out=out)
        assert what_was_computed(out) == what_was_computed(tmp_path / "unbroken")


def test_restored_moments_are_those_of_the_start_and_fresh_ones_are_none(
    recipe: PretrainRecipe, first: Path, tokens: Artifact, tmp_path: Path
) -> None:
    def state(optimizer_state: Any) -> tuple[dict[str, torch.Tensor], int]:
        changed = dataclasses.replace(recipe, optimizer_state=optimizer_state)
        start = open_input(first / "checkpoints" / "step-4")
        run = pretrain(changed, tokens=tokens, start=start, out=tmp_path / optimizer_state)
        folder = run.path / "checkpoints" / "step-0" / "training_state"
        steps = json.loads((folder / "state.json").read_text())["optimizer_steps"]
        return dict(safetensors.read(folder / "moments.safetensors")), steps

    kept = dict(safetensors.read(first / "checkpoints" / "step-4" / "training_state" / "moments.safetensors"))
    restored, steps = state("restored")
    assert steps == 4
    assert restored.keys() == kept.keys()
    assert all(torch.equal(restored[name], kept[name]) for name in kept)
    assert state("fresh") == ({}, 0)


def test_with_restored_moments_the_next_step_is_that_of_the_unbroken_run(
    tiny_model: ModelConfig, tmp_path: Path
) -> None:
    """The same batch at every step and a constant learning rate: six steps are three, and three from there."""

    def trainer(decoder: Decoder) -> Trainer:
        return Trainer(
            decoder, OneBatch(random_batch()), num_steps=6, optimizer=AdamW(learning_rate=0.01),
            schedule=Constant(warmup_share=0.0), precision=Float32(), micro_batch_sequences=8,
        )  # fmt: skip

    decoder = Decoder(dataclasses.replace(tiny_model, vocab_size=VOCAB_SIZE))
    initialize(decoder, 0)
    unbroken = trainer(decoder)
    for _ in range(3):
        unbroken.step()
    save_weights(decoder, decoder.config, None, tmp_path / "middle", torch.float32)
    save_state(unbroken, tmp_path / "middle")
    again = trainer(load_decoder(tmp_path / "middle"))
    restore_moments_of(again, tmp_path / "middle")
    for _ in range(3):
        unbroken.step()
        again.step()
    assert again.steps_done == again.earlier_steps == 3
    expected = unbroken.decoder.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.decoder.state_dict().items())


def test_a_share_of_the_sequences_is_read_from_the_replay(
    recipe: PretrainRecipe, first: Path, tokens: Artifact, tmp_path: Path
) -> None:
    replay = write_tokens(tmp_path / "old", {"web": 162, "books": 162}, first / "final")
    some = dataclasses.replace(recipe, replay_share=0.3)
    inputs: dict[str, Any] = {"tokens": tokens, "start": open_input(first / "final"), "replay": replay}
    run = pretrain(some, **inputs, out=tmp_path / "run")
    # 40 sequences: 28 new ones of two sources alike (16 and 15 windows), 12 of the replay's two (10 windows each)
    expected = {"github": 14 / 16, "web": 14 / 15, "replay/books": 0.6, "replay/web": 0.6}
    assert run.counts["epochs"] == pytest.approx(expected)
    usual = pretrain(recipe, **inputs, out=tmp_path / "usual")
    assert usual.counts["epochs"] == pytest.approx(
        {"github": 18 / 16, "web": 18 / 15, "replay/books": 0.2, "replay/web": 0.2}
    )


def test_sequences_may_be_shorter_than_the_model_s_context(
    recipe: PretrainRecipe, first: Path, tokens: Artifact, tmp_path: Path
) -> None:
    short = dataclasses.replace(recipe, sequence_length=8)
    run = pretrain(short, tokens=tokens, start=open_input(first / "final"), out=tmp_path / "run")
    assert load_decoder(run.path / "final").config.context_length == 16
    assert run.counts["tokens"] == STEPS * 64
    assert run.counts["epochs"] == {"github": 40 / (264 // 8), "web": 40 / (248 // 8)}


def test_a_tokenizer_that_extends_the_start_s_adds_its_rows(
    recipe: PretrainRecipe, first: Path, tmp_path: Path
) -> None:
    larger = extended_tokenizer(first / "final", tmp_path / "larger")
    tokens = write_tokens(tmp_path / "new", {"web": 300}, larger.path)
    start = open_input(first / "final")
    run = pretrain(recipe, tokens=tokens, tokenizer=larger, start=start, out=tmp_path / "run")
    before = load_decoder(start.path).state_dict()["embedding.weight"]
    begun = load_decoder(run.path / "checkpoints" / "step-0").state_dict()["embedding.weight"]
    assert torch.equal(begun[:VOCAB_SIZE], before)
    torch.testing.assert_close(begun[VOCAB_SIZE:], before[VOCAB_SIZE - 2 :].mean(dim=0, keepdim=True))
    assert (run.path / "final" / "tokenizer.json").read_bytes() == (larger.path / "tokenizer.json").read_bytes()


def test_what_transformers_saved_is_gone_on_from(
    recipe: PretrainRecipe, tiny_model: ModelConfig, tokens: Artifact, tokenizer: Artifact, tmp_path: Path
) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    table = to_table(dataclasses.replace(tiny_model, vocab_size=VOCAB_SIZE + 6), torch.float32)
    theirs = LlamaForCausalLM(LlamaConfig(**{k: v for k, v in table.items() if k not in ("torch_dtype", "rope_theta")}))
    theirs.bfloat16().save_pretrained(tmp_path / "theirs")
    shutil.copytree(tokenizer.path, tmp_path / "theirs", dirs_exist_ok=True)
    run = pretrain(recipe, tokens=tokens, start=open_input(tmp_path / "theirs"), out=tmp_path / "run")
    begun = load_decoder(run.path / "checkpoints" / "step-0")
    assert begun.config.vocab_size == VOCAB_SIZE + 6
    assert torch.equal(begun.state_dict()["embedding.weight"], theirs.model.embed_tokens.weight.float())


def test_what_does_not_fit_the_start_is_refused(
    recipe: PretrainRecipe, tiny_model: ModelConfig, first: Path, tokens: Artifact, tokenizer: Artifact, tmp_path: Path
) -> None:
    start = open_input(first / "final")

    def attempt(*changes: str, **inputs: Artifact | None) -> str:
        changed = settings.parse(PretrainRecipe, settings.apply_overrides(settings.to_table(recipe), changes))
        given: dict[str, Any] = {"tokens": tokens, "start": start, **inputs}
        with pytest.raises((InputError, RecipeError)) as caught:
            pretrain(changed, **given, out=tmp_path / "run", replace=True)
        return str(caught.value)

    shown = attempt("model.num_layers=3", "model.model_dim=24", "model.context_length=64")
    assert f"the recipe's model is not that of {start.path}: " in shown
    assert "model.context_length = 64, there 16" in shown
    assert "model.num_layers = 3, there 2" in shown
    assert "model_dim" not in shown
    assert "Leave model out to go on from it" in shown
    assert "sequence_length = 32; expected at most the model's context_length, 16" in attempt("sequence_length=32")
    assert "is not a multiple of model.context_length = 16" in attempt("batch_tokens=40")

    shown = attempt("optimizer_state=restored")
    assert f"{start.path} has no training_state to restore the optimizer from: give a checkpoint of a run" in shown
    assert "there is no --from DIR to restore it from" in attempt(
        "optimizer_state=restored", start=None, tokenizer=tokenizer
    )
    assert "no tokenizer: give --tokenizer DIR, or --from DIR" in attempt(start=None)
    assert "replay_share = 0.2, but there is no --replay DIR" in attempt("replay_share=0.2")

    other = write_tokenizer(tmp_path / "other", VOCAB_SIZE + 1)
    foreign = write_tokens(tmp_path / "foreign", {"web": 300}, other.path)
    shown = attempt(tokens=foreign)
    assert f"that of {start.path} is" in shown
    assert f"their ids mean other tokens. Tokenize the documents with --tokenizer {start.path}" in shown
    assert "their ids mean other tokens. Tokenize the documents to replay with the" in attempt(replay=foreign)
    odd = json.loads((other.path / "tokenizer.json").read_text())
    odd["model"]["vocab"] |= {"一": 4, chr(0x4E04): 65}
    (other.path / "tokenizer.json").write_text(json.dumps(odd))
    foreign = write_tokens(tmp_path / "odd", {"web": 300}, other.path)
    shown = attempt(tokens=foreign, tokenizer=open_input(other.path))
    assert f"{other.path} is not the tokenizer of {start.path}, and it does not extend the other tokenizer:" in shown
    larger = extended_tokenizer(first / "final", tmp_path / "larger")
    grown = write_tokens(tmp_path / "grown", {"web": 300}, larger.path)
    shown = attempt("optimizer_state=restored", tokens=grown, tokenizer=larger)
    assert 'has no moments for; set optimizer_state = "fresh"' in shown


def test_a_damaged_training_state_of_the_start_is_named(
    recipe: PretrainRecipe, first: Path, tokens: Artifact, tmp_path: Path
) -> None:
    start = Path(shutil.copytree(first / "checkpoints" / "step-8", tmp_path / "start"))
    (start / "training_state" / "state.json").write_text("{")
    restored = dataclasses.replace(recipe, optimizer_state="restored")
    with pytest.raises(InputError, match=r"training_state is damaged .*; set optimizer_state = \"fresh\""):
        pretrain(restored, tokens=tokens, start=open_input(start), out=tmp_path / "run")


def test_a_model_equal_to_the_start_s_may_be_named(
    recipe: PretrainRecipe, tiny_model: ModelConfig, first: Path, tokens: Artifact, tmp_path: Path
) -> None:
    named = dataclasses.replace(recipe, model=tiny_model)
    run = pretrain(named, tokens=tokens, start=open_input(first / "final"), out=tmp_path / "run")
    assert run.counts["steps"] == STEPS
    wide = dataclasses.replace(recipe, model=dataclasses.replace(tiny_model, vocab_size=99))
    with pytest.raises(RecipeError, match=r"model.vocab_size = 99, there 64"):
        pretrain(wide, tokens=tokens, start=open_input(first / "final"), out=tmp_path / "wide")
