import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.conftest import VOCAB_SIZE, write_tokenizer
from waman.artifact import Artifact, open_artifact
from waman.document import Document
from waman.errors import InputError, KindError
from waman.model.config import Attention, ModelConfig, Swiglu
from waman.model.count import flops_per_token, num_parameters
from waman.planning.runs import read_runs
from waman.tokens.shards import ShardWriter, TokensInfo, write_info
from waman.tokens.tokenizer import Tokenizer
from waman.training.pretrain import pretrain
from waman.training.recipe import AdamW, Evenly, PretrainRecipe

NUM_STEPS = 40


def model(model_dim: int) -> ModelConfig:
    return ModelConfig(
        context_length=16,
        model_dim=model_dim,
        num_layers=1,
        attention=Attention(num_heads=2, num_kv_heads=1, head_dim=8),
        feed_forward=Swiglu(hidden_dim=32),
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, Artifact]:
    """Two sizes, 40 steps of 64 tokens each, trained once for the module."""
    folder = tmp_path_factory.mktemp("runs")
    tokenizer = write_tokenizer(folder / "tokenizer")
    random = np.random.default_rng(0)
    with ShardWriter(folder / "tokens" / "train", 0, dtype="uint16") as shard:
        for place in range(60):
            ids = [1, *random.integers(3, VOCAB_SIZE, size=60).tolist(), 2]
            shard.add(Document(id=f"{place}", text="x", source="web", group="web", origin="here"), ids)
    info = TokensInfo("uint16", VOCAB_SIZE, 1, 2, Tokenizer.load(tokenizer.path).identity)
    write_info(folder / "tokens", info)
    (folder / "tokens" / "mixture.json").write_text(json.dumps({"sources": {"web": {"proportion": 1.0}}}))
    tokens = Artifact(folder / "tokens", "tokens", "tokens of the test")
    made = []
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    for model_dim in (16, 24):
        recipe = PretrainRecipe(
            model=model(model_dim),
            num_tokens=NUM_STEPS * 64,
            batch_tokens=64,
            optimizer=AdamW(learning_rate=0.01),
            checkpoints=Evenly(1),
        )
        made.append(pretrain(recipe, tokens=tokens, tokenizer=tokenizer, out=folder / f"dim-{model_dim}"))
    torch.set_num_threads(before)
    return made[0], made[1]


Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def altered(runs: tuple[Artifact, Artifact], tmp_path: Path) -> Callable[[Change], Artifact]:
    """A copy of the second run with another identity, its manifest changed."""

    def make(change: Change) -> Artifact:
        shutil.copytree(runs[1].path, tmp_path / "altered")
        place = tmp_path / "altered" / "manifest.json"
        table = json.loads(place.read_text())
        table["identity"] = "f" * 64
        change(table)
        place.write_text(json.dumps(table))
        return open_artifact(tmp_path / "altered")

    return make


def losses_of(run: Artifact) -> list[float]:
    return [json.loads(line)["loss"] for line in (run.path / "metrics.jsonl").read_text().splitlines()]


def test_a_run_is_its_parameters_tokens_operations_and_last_losses(runs: tuple[Artifact, Artifact]) -> None:
    for run, model_dim, read in zip(runs, (16, 24), read_runs(runs), strict=True):
        config = ModelConfig(**{**vars(model(model_dim)), "vocab_size": VOCAB_SIZE})
        assert read.name == f"dim-{model_dim}"
        assert read.point.parameters == num_parameters(config)
        assert read.point.tokens == NUM_STEPS * 64
        assert read.point.flops == flops_per_token(config, 16) * NUM_STEPS * 64
        assert read.point.loss == pytest.approx(np.mean(losses_of(run)[-2:]))


def test_a_curve_is_smoothed_over_a_twentieth_and_ends_at_the_runs_loss(runs: tuple[Artifact, Artifact]) -> None:
    losses = losses_of(runs[0])
    read = read_runs(runs)[0]
    assert read.curve.tokens[[0, -1]].tolist() == [2 * 64, NUM_STEPS * 64]
    assert read.curve.loss[0] == pytest.approx(np.mean(losses[:2]))
    assert read.curve.loss[-1] == pytest.approx(read.point.loss)
    assert read.curve.flops[-1] == read.point.flops
    assert all(np.diff(read.curve.tokens) > 0)


def test_no_runs_are_refused() -> None:
    with pytest.raises(InputError, match="no runs to fit a law to: give the directories that `waman pretrain` made"):
        read_runs([])


def test_what_is_no_run_is_refused(runs: tuple[Artifact, Artifact]) -> None:
    with pytest.raises(KindError, match="is of kind 'weights', expected 'run'"):
        read_runs([open_artifact(runs[0].path / "final")])


def test_a_run_that_is_given_twice_is_refused(runs: tuple[Artifact, Artifact]) -> None:
    with pytest.raises(InputError, match=r"dim-16 is the same run as .*dim-16: give each run once"):
        read_runs([*runs, runs[0]])


def _other_tokens(table: dict[str, Any]) -> None:
    table["inputs"]["tokens"][0]["identity"] = "0" * 64


def _other_tokenizer(table: dict[str, Any]) -> None:
    table["inputs"]["tokenizer"][0]["identity"] = "1" * 64


def _longer_sequences(table: dict[str, Any]) -> None:
    table["recipe"]["model"]["context_length"] = 32


def _tied(table: dict[str, Any]) -> None:
    table["recipe"]["model"]["tie_embeddings"] = True


def _alibi(table: dict[str, Any]) -> None:
    table["recipe"]["model"]["position"] = {"kind": "alibi"}


def _other_schedule(table: dict[str, Any]) -> None:
    table["recipe"]["schedule"] = {"kind": "constant", "warmup_share": 0.05}


def _other_proportions(table: dict[str, Any]) -> None:
    table["recipe"]["proportions"] = {"web": 2.0}


def _from_weights(table: dict[str, Any]) -> None:
    table["inputs"]["start"] = [{"path": "../base", "kind": "weights", "identity": "2" * 64, "inputs": {}}]


def _tuned(table: dict[str, Any]) -> None:
    del table["inputs"]["tokens"]


def _read_often(table: dict[str, Any]) -> None:
    table["counts"]["epochs"] = {"web": 7.5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _other_tokens,
            "does not compare with .*dim-16: tokens: 0{16}, there tokens of the te. A law holds for one text,",
        ),
        (_other_tokenizer, "does not compare with .*: tokenizer: 1{16}, there "),
        (_longer_sequences, "does not compare with .*: tokens per sequence: 32, there 16"),
        (_tied, "does not compare with .*: tied embeddings: True, there False"),
        (_alibi, "does not compare with .*: position: Alibi, there Rope"),
        (_other_schedule, "does not compare with .*: schedule: .*constant.*, there .*cosine"),
        (_other_proportions, "does not compare with .*: proportions: {'web': 2.0}, there none"),
        (
            _from_weights,
            r"goes on from \.\./base: its tokens are not all that its loss comes from; give runs that begin",
        ),
        (_tuned, "was not made by `waman pretrain`: it has no tokens among its inputs; leave it out"),
        (_read_often, "reads a source 7.5 times; expected 4 or fewer, as a law takes every token as new"),
    ],
)
def test_a_run_that_one_law_cannot_describe_is_refused(
    runs: tuple[Artifact, Artifact], altered: Callable[[Change], Artifact], change: Change, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_runs([runs[0], altered(change)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "metrics.jsonl cannot be read: No such file or directory; bring it back, or leave the run out"),
        ("{", "metrics.jsonl is damaged, expected an object with tokens and loss on every line: "),
        ('{"step": 1, "loss": 2.0}\n', "metrics.jsonl is damaged, expected an object .*'tokens'"),
        ("", "metrics.jsonl is damaged: 0 steps, or losses or tokens out of order; leave the run out"),
        ('{"tokens": 64, "loss": NaN}\n', "metrics.jsonl is damaged: 1 steps, or losses"),
        (
            '{"tokens": 64, "loss": 3.0}\n',
            r"metrics.jsonl ends after 64 tokens, its manifest has 2\.56K: bring the file",
        ),
    ],
)
def test_metrics_that_are_missing_or_damaged_are_refused(
    altered: Callable[[Change], Artifact], content: str | None, message: str
) -> None:
    run = altered(lambda table: None)
    if content is None:
        (run.path / "metrics.jsonl").unlink()
    else:
        (run.path / "metrics.jsonl").write_text(content)
    with pytest.raises(InputError, match=message):
        read_runs([run])
