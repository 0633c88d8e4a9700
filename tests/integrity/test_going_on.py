"""Going on from a model with more tokens, from the first command to the last."""

import json
from pathlib import Path

import pytest
import torch

from tests.integrity.processes import Processes
from waman import draft
from waman.artifact import open_artifact
from waman.cli import main as command_line
from waman.dataflow import Inline
from waman.weights.huggingface import load_decoder


def test_a_model_is_extended_and_trained_on_by_the_command_line(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(draft, "Local", Inline)
    monkeypatch.chdir(tmp_path)

    def waman(*arguments: object) -> str:
        with pytest.raises(SystemExit) as ended:
            command_line.main([str(one) for one in arguments])
        shown = capsys.readouterr()
        assert ended.value.code == 0, shown.err
        return shown.out

    model, documents, mixture = (processes.whole(name) for name in ("pretrain", "refine", "mix"))
    learned = ("--documents", documents, "--mixture", mixture, "--tokens", 50)
    assert "tokens per character before" in waman("extend-tokenizer", model / "final", *learned, "--out", "extended")
    waman("tokenize", documents, mixture, "--tokenizer", "extended", "--out", "tokens")
    few = ("num_tokens=4096", "batch_tokens=512", "replay_share=0.25", "sequence_length=64", "precision.kind=float32")
    recipe = [part for one in few for part in ("--set", one)]
    waman("pretrain", "tokens", "--from", "extended", "--replay", "tokens", *recipe, "--out", "run")
    run = open_artifact("run", "run")
    assert set(run.counts["epochs"]) == {"web", "replay/web"}
    begun, extended, final = (
        load_decoder(Path(place)) for place in ("run/checkpoints/step-0", "extended", "run/final")
    )  # fmt: skip
    assert final.config.vocab_size == 450
    assert all(torch.equal(extended.state_dict()[name], tensor) for name, tensor in begun.state_dict().items())
    losses = [json.loads(line)["loss"] for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert len(losses) == 8
    assert "start: ../extended (weights, " in waman("inspect", "run")
    assert waman("generate", "run", "The", "--max-tokens", 3)
