"""`waman plan` as a person types it."""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.costing.test_calibrate import MACHINE
from tests.training.conftest import VOCAB_SIZE, write_tokenizer
from waman import settings
from waman.artifact import open_artifact
from waman.cli.commands import parse_count
from waman.cli.main import main
from waman.document import Document
from waman.draft import begin
from waman.errors import InputError
from waman.planning import machine
from waman.tokens.recipe import TokenizeRecipe, TokenizerRecipe
from waman.tokens.shards import ShardWriter, TokensInfo, write_info
from waman.tokens.tokenizer import Tokenizer
from waman.training.recipe import PretrainRecipe


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["plan", *arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_plan_as_json_has_the_keys_that_programs_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        _run("llama-65b", "--tokens", "1.4T", "--gpu", "a100-80gb", "--gpus", "2048", "--mfu", "0.495", "--json") == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert {"days", "gpu_hours", "mwh", "tonnes_co2", "cost", "memory_bytes_per_gpu"} <= found.keys()
    assert 20 < found["days"] < 22
    assert found["memory_bytes_per_gpu"] == sum(found["memory"].values())


def test_a_plan_for_people_names_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    price = ("--currency", "KRW", "--exchange-rate", "1300")
    assert _run("llama-7b", "--tokens", "1T", "--gpu", "a100-80gb", *price) == 0
    shown = capsys.readouterr().out
    for part in ("weights", "gradients", "optimizer", "activations", "logits", "workspace", "tokens/s", "MWh", "KRW"):
        assert part in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["llama-65b", "--gpu", "v1"], "error: no GPU 'v1' in the table; names: rtx-4090, a100-40gb, a100-80gb, h100"),
        (["llama-65", "--gpu", "h100"], "error: no model preset 'llama-65'; did you mean 'llama-65b'?"),
        (["llama-65b", "--gpu", "h100", "--gpus", "8"], "error: the model fits on no mesh of 8 x h100"),
        (["llama-7b", "--gpu", "h100", "--currency", "KRW"], "give --price in KRW, or --exchange-rate"),
        (["llama-7b", "--gpu", "h100", "--budget", "5"], "and the budget is 5: "),
        (["llama-7b", "--gpu", "h100", "--tokens", "many"], "error: 'many' is no number of tokens"),
        (
            ["llama-7b", "--gpu", "h100", "--set", "recompute=full"],
            "no field 'recompute'; did you mean 'recomputation'",
        ),
    ],
)
def test_what_the_user_can_mend_is_one_message(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(*arguments) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(("text", "number"), [("1.4T", 1.4e12), ("300b", 3e11), ("5K", 5000), ("3e9", 3e9), ("7", 7)])
def test_tokens_are_counted_with_letters(text: str, number: float) -> None:
    assert parse_count(text) == number


@pytest.mark.parametrize("text", ["", "T", "1.4X", "inf", "infT", "nan"])
def test_what_is_no_number_of_tokens_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"'{text}' is no number of tokens; expected such as 1.4T"):
        parse_count(text)


def test_a_presets_plan_loads_no_torch() -> None:
    program = (
        "import sys\nfrom waman.cli.main import main\n"
        "try:\n    main(['plan', 'llama-7b', '--gpu', 'h100'])\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.fixture
def pretraining(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments of a tiny run, and a machine that need not be measured."""
    monkeypatch.setattr(machine, "measure_machine", lambda precision: MACHINE)
    plain = write_tokenizer(tmp_path / "plain")
    with begin(tmp_path / "tokenizer", kind="tokenizer", version=1, recipe=TokenizerRecipe(), inputs={}) as draft:
        shutil.copytree(plain.path, draft.path, dirs_exist_ok=True)
        tokenizer = draft.finish(counts={})
    inputs = {"tokenizer": tokenizer}
    with begin(tmp_path / "tokens", kind="tokens", version=1, recipe=TokenizeRecipe(), inputs=inputs) as draft:
        with ShardWriter(draft.path / "train", 0, dtype="uint16") as shard:
            shard.add(Document("a", "x", "web", "a"), [1, *range(3, 60), 2])
        write_info(draft.path, TokensInfo("uint16", VOCAB_SIZE, 1, 2, Tokenizer.load(tokenizer.path).identity))
        (draft.path / "mixture.json").write_text(json.dumps({"sources": {"web": {"proportion": 1.0}}}))
        draft.finish(counts={})
    fields = ["model.context_length=16", "model.model_dim=16", "model.num_layers=1", "num_tokens=128"]
    fields += ["model.attention={num_heads=2, num_kv_heads=1, head_dim=8}", "batch_tokens=32"]
    fields += ["model.feed_forward.hidden_dim=16", "checkpoints.number=1", "precision.kind=float32"]
    sets = [argument for field in fields for argument in ("--set", field)]
    return ["pretrain", str(tmp_path / "tokens"), str(tokenizer.path), *sets, "--out", str(tmp_path / "run")]


def _run_main(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0


def test_a_dry_run_of_pretraining_prints_what_it_takes(
    pretraining: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    _run_main([*pretraining, "--dry-run"])
    shown = capsys.readouterr().out
    assert settings.parse(PretrainRecipe, tomllib.loads(shown)).num_tokens == 128
    for name in ("tokens_per_second", "seconds", "peak_memory_bytes"):
        assert f"# planned {name} = " in shown


def test_a_long_run_is_set_against_its_plan_and_a_short_one_is_not(
    pretraining: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _run_main(pretraining)
    assert "planned" not in open_artifact(tmp_path / "run").counts
    assert capsys.readouterr().out == f"{tmp_path / 'run'}\n"
    monkeypatch.setattr(machine, "MEASURING_SECONDS", 0)
    for _ in range(2):  # made, and found finished
        _run_main([*pretraining[:-1], str(tmp_path / "long")])
        counts = open_artifact(tmp_path / "long").counts
        expected = (
            f"{counts['planned']['tokens_per_second']:,} tokens/s planned, {counts['tokens_per_second']:,} reached"
        )
        assert expected in capsys.readouterr().out
