"""The door: the proof it measures, what it refuses, what calibration gains."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.quantization.conftest import CONFIG, build
from waman.artifact import Artifact, open_artifact, open_input
from waman.cli.commands import describe
from waman.document import Document
from waman.errors import InputError
from waman.inference.load import load
from waman.manifest import to_json
from waman.model.masks import Document as Apart
from waman.quantization import calibrate
from waman.quantization.calibrate import gptq
from waman.quantization.certificate import prove, summarise
from waman.quantization.linear import set_exact
from waman.quantization.load import load_quantized
from waman.quantization.proof import Proven
from waman.quantization.quantize import quantize
from waman.quantization.recipe import AtMost, Gptq, Int4, Int8, Proof, QuantizeRecipe
from waman.quantization.schemes.scheme import quantize as quantize_matrix
from waman.quantization.sequences import calibrating, held_out, open_tokens
from waman.settings import Off
from waman.tokens.shards import ShardWriter, TokensInfo, write_info
from waman.tokens.tokenizer import Tokenizer
from waman.weights.huggingface import load_decoder, save_weights

SHORT = Proof(num_tokens=1500, length=32)
ANY = QuantizeRecipe(proof=SHORT, max_kl=Off())


@pytest.fixture(scope="session")
def make_tokens(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Artifact]:
    """Random documents of 40 tokens: a token follows from the one before it, up to noise."""

    def make(*, identity: str | None = None, vocab_size: int = 420, held_out: int = 60, train: int = 60) -> Artifact:
        folder = tmp_path_factory.mktemp("tokens")
        known = Tokenizer.load(tokenizer)
        write_info(folder, TokensInfo("uint16", vocab_size, 1, 2, identity or known.identity))
        (folder / "mixture.json").write_text(to_json({"sources": {"web": {"proportion": 1.0, "epochs_at": {}}}}))
        random = np.random.default_rng(0)
        for split, count in (("train", train), ("held_out", held_out)):
            with ShardWriter(folder / split, 0, dtype="uint16") as shard:
                for number in range(count):
                    ids = [1, *random.integers(3, 420, size=38).tolist(), 2]
                    document = Document(
                        id=f"{split}-{number}",
                        text="x",
                        source="web",
                        group=f"{number}",
                        url=None,
                        title=None,
                        language=None,
                        language_confidence=None,
                        licence=None,
                        date=None,
                        origin="here",
                    )
                    shard.add(document, ids)
        return Artifact(folder, "tokens", f"tokens-{identity}-{vocab_size}-{held_out}-{train}")

    return make


@pytest.fixture(scope="session")
def tokens(make_tokens: Callable[..., Artifact]) -> Artifact:
    return make_tokens()


@pytest.fixture(scope="session")
def proven(folder: Path, tokens: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Quantized with a proof."""
    return quantize(ANY, weights=open_input(folder), tokens=tokens, out=tmp_path_factory.mktemp("proven") / "out")


# The proof


def test_the_proof_is_what_both_models_say_computed_at_once(proven: Artifact, folder: Path, tokens: Artifact) -> None:
    found = Proven.of(proven.counts)
    assert found is not None
    sequences = held_out(open_tokens(tokens, folder, CONFIG), CONFIG, SHORT)
    original, quantized = load_decoder(folder), load_quantized(proven.path)
    set_exact(quantized, True)
    mask = Apart(sequences.documents[:, :-1])
    with torch.no_grad():
        before, after = (
            F.log_softmax(one(sequences.token_ids[:, :-1], mask=mask), dim=-1)[sequences.predicted].double()
            for one in (original, quantized)
        )
    wanted = sequences.token_ids[:, 1:][sequences.predicted]
    assert found.tokens == len(wanted) >= 1500
    assert found.sequences == len(sequences)
    picked = torch.arange(len(wanted))
    expected = {
        "original_perplexity": math.exp(-float(before[picked, wanted].mean())),
        "perplexity": math.exp(-float(after[picked, wanted].mean())),
        "kl": float((before.exp() * (before - after)).sum(dim=-1).mean()),
        "agreement": float((before.argmax(dim=-1) == after.argmax(dim=-1)).double().mean()),
    }
    for name, value in expected.items():
        interval = getattr(found, name)
        assert interval.value == pytest.approx(value, rel=1e-4), name
        assert interval.low <= interval.value <= interval.high
        assert interval.low < interval.high


def test_a_model_beside_itself_diverges_by_nothing(folder: Path, tokens: Artifact) -> None:
    sequences = held_out(open_tokens(tokens, folder, CONFIG), CONFIG, replace(SHORT, num_tokens=100))
    found = prove(folder, folder, sequences, seed=0)
    assert (found.kl.value, found.agreement.value) == (0.0, 1.0)
    assert found.perplexity == found.original_perplexity


def test_intervals_are_those_of_the_bootstrap() -> None:
    random = np.random.default_rng(1)
    agreeing = random.binomial(100, 0.9, size=400)
    sums = np.stack([np.full(400, 100.0), *np.zeros((3, 400)), agreeing], axis=1)
    found = summarise(sums, seed=0).agreement
    spread = 1.96 * (0.9 * 0.1 / 40_000) ** 0.5  # of a share, by the normal approximation
    assert found.high - found.low == pytest.approx(2 * spread, rel=0.15)


def test_the_proof_is_shown(proven: Artifact) -> None:
    artifact = open_artifact(proven.path)
    assert artifact.manifest is not None
    shown = describe(artifact.manifest)
    assert "bits per weight, all bytes counted\nproof on 1," in shown
    assert "95% intervals" in shown
    assert '"kl"' in (proven.path / "README.md").read_text()
    lines = load(proven.path).about.lines()
    assert lines[1].startswith("Its weights take ")
    assert "holds the same token most likely" in lines[1]


def test_without_tokens_the_artifact_says_that_it_has_no_proof(folder: Path, tmp_path: Path) -> None:
    made = quantize(QuantizeRecipe(), weights=open_input(folder), out=tmp_path / "out")
    assert made.manifest is not None
    assert "proof none: no tokens were given to measure it on" in describe(made.manifest)
    assert load(made.path).about.lines()[1].endswith("what that changed was not measured.")


def test_the_same_again_is_done_at_once_and_gives_the_same_bytes(
    proven: Artifact, folder: Path, tokens: Artifact, tmp_path: Path
) -> None:
    again = quantize(ANY, weights=open_input(folder), tokens=tokens, out=proven.path)
    assert again.identity == proven.identity
    other = quantize(ANY, weights=open_input(folder), tokens=tokens, out=tmp_path / "other")
    assert other.manifest is not None
    assert proven.manifest is not None
    assert other.manifest.files == proven.manifest.files
    assert other.counts == proven.counts


# Refusals


def test_what_diverges_too_far_is_refused_and_nothing_is_lost(folder: Path, tokens: Artifact, tmp_path: Path) -> None:
    recipe = replace(ANY, max_kl=AtMost(1e-7))
    for name in ("out.refused", "out.refused2"):
        with pytest.raises(
            InputError, match=rf"by \S+ \(\S+ to \S+\) nats per token, at most 1e-07 .* lies in \S+{name} "
        ):
            quantize(recipe, weights=open_input(folder), tokens=tokens, out=tmp_path / "out")
        kept = open_artifact(tmp_path / name, "weights")
        assert Proven.of(kept.counts) is not None
        assert load(kept.path).decoder.config == CONFIG
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()


def test_too_few_tokens_are_told_with_what_to_do(folder: Path, tokens: Artifact, tmp_path: Path) -> None:
    message = r"2,\d+ held-out tokens to predict, expected 200,000 \(proof.num_tokens\): .* --set proof.num_tokens=2\d+"
    with pytest.raises(InputError, match=message):
        quantize(QuantizeRecipe(), weights=open_input(folder), tokens=tokens, out=tmp_path / "out")


def test_tokens_of_another_tokenizer_are_refused(
    folder: Path, make_tokens: Callable[..., Artifact], tmp_path: Path
) -> None:
    other = make_tokens(identity="f" * 64)
    with pytest.raises(InputError, match=r"made with the tokenizer ffffffffffffffff, the model's is .* tokenize again"):
        quantize(ANY, weights=open_input(folder), tokens=other, out=tmp_path / "out")
    larger = make_tokens(vocab_size=500)
    with pytest.raises(InputError, match=r"token ids up to 499, but the model knows 420: .* tokenize again"):
        quantize(ANY, weights=open_input(folder), tokens=larger, out=tmp_path / "out")


def test_calibration_needs_tokens_and_enough_of_them(folder: Path, tokens: Artifact, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"gptq calibrates on the train split of tokens: give --tokens DIR, or gptq off"
    ):
        quantize(QuantizeRecipe(gptq=Gptq()), weights=open_input(folder), out=tmp_path / "out")
    shards = open_tokens(tokens, folder, CONFIG)
    with pytest.raises(InputError, match=r"18 sequences of 128 tokens in the train split, expected 19 \(gptq.num_seq"):
        calibrating(shards, CONFIG, Gptq(num_sequences=19))


# Calibration


def correlated(rows: int, inputs: int) -> torch.Tensor:
    """Activations that lie near few directions, as those of trained models do."""
    random = torch.Generator().manual_seed(3)
    directions = torch.randn(inputs // 8, inputs, generator=random)
    noise = 0.1 * torch.randn(rows, inputs, generator=random)
    return torch.randn(rows, inputs // 8, generator=random) @ directions + noise


@pytest.mark.parametrize("scheme", [Int4(), Int4(64, zeros=True), Int4(128), Int8(None)])
def test_on_correlated_activations_products_are_nearer_than_rounding_makes_them(scheme: Int4 | Int8) -> None:
    weight, x = torch.randn(48, 256, generator=torch.Generator().manual_seed(0)), correlated(1000, 256)
    rounded = quantize_matrix(weight, scheme, "a")
    assert rounded is not None
    chosen = gptq(weight, x.T @ x, scheme, damping=0.01)
    fresh = correlated(1200, 256)[1000:]

    def error(matrix: torch.Tensor) -> float:
        return float((fresh @ (matrix - weight).T).norm())

    assert error(chosen.dequantize()) < 0.5 * error(rounded.dequantize())


def test_on_activations_that_do_not_correlate_it_is_rounding() -> None:
    weight = torch.randn(16, 64, generator=torch.Generator().manual_seed(0))
    rounded = quantize_matrix(weight, Int4(), "a")
    assert rounded is not None
    assert gptq(weight, torch.eye(64), Int4(), damping=0.01).dequantize().equal(rounded.dequantize())


def test_inputs_that_are_always_zero_are_left_out() -> None:
    x = correlated(500, 64)
    x[:, 5] = 0
    found = gptq(torch.randn(8, 64), x.T @ x, Int4(), damping=0.01)
    assert found.integers[:, 5].eq(0).all()


def test_moments_without_an_inverse_are_told() -> None:
    moments = -torch.ones(64, 64)
    with pytest.raises(InputError, match=r"second moments of 64 inputs have no inverse, .* give more sequences"):
        gptq(torch.randn(8, 64), moments, Int4(), damping=1e-9)


def test_calibrated_layers_diverge_less_and_an_interrupted_calibration_goes_on(
    tokenizer: Path, make_tokens: Callable[..., Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights whose activations lie near few directions: an embedding of low rank."""
    decoder = build(CONFIG, noise=0.05)
    with torch.no_grad():
        random = torch.Generator().manual_seed(7)
        decoder.embedding.weight.copy_(torch.randn(420, 6, generator=random) @ torch.randn(6, 64, generator=random))
    save_weights(decoder, CONFIG, tokenizer, tmp_path / "source", torch.float32)
    source, tokens = open_input(tmp_path / "source"), make_tokens(train=200)
    plain = Proven.of(quantize(ANY, weights=source, tokens=tokens, out=tmp_path / "plain").counts)
    recipe = replace(ANY, gptq=Gptq(num_sequences=100, length=64))
    calls = []
    chosen = gptq

    def dying(*arguments: object, **options: object) -> object:
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return chosen(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(calibrate, "gptq", dying)
    with pytest.raises(KeyboardInterrupt):
        quantize(recipe, weights=source, tokens=tokens, out=tmp_path / "calibrated")
    made = quantize(recipe, weights=source, tokens=tokens, out=tmp_path / "calibrated")
    assert len(calls) == 7 + 1 + 7  # seven matrices a block; the first block was kept
    calibrated = Proven.of(made.counts)
    assert calibrated is not None
    assert plain is not None
    assert calibrated.kl.high < plain.kl.low
    assert json.loads((made.path / "config.json").read_text())["quantization_config"]["format"] == "pack-quantized"
