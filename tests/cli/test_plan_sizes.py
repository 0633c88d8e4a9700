"""`waman plan`, asked which model to train."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from waman.cli.main import main


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err


def test_a_loss_and_tokens_to_serve(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    drawing = tmp_path / "curve.svg"
    options = ["--loss", "2.002", "--served", "1T", "--json", "--svg", str(drawing)]
    code, out, _ = run(["plan", *options], capsys)
    found = json.loads(out)
    assert code == 0
    assert found["parameters"] == pytest.approx(11.3e9, rel=0.01)
    assert found["served_tokens"] == 1e12
    assert drawing.read_text().startswith("<svg")


def test_money_in_another_currency(capsys: pytest.CaptureFixture[str]) -> None:
    options = [
        "--budget",
        "3e8",
        "--gpu",
        "a100-80gb",
        "--currency",
        "KRW",
        "--exchange-rate",
        "1400",
        "--served",
        "1e11",
    ]
    code, out, _ = run(["plan", *options], capsys)
    assert code == 0
    assert "300,000,000 KRW" in out


def test_few_tokens_and_a_share_of_a_second_language(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--unique-tokens", "5B", "--flops", "1e21", "--second-language", "0.1", "--transfer", "0.3"]
    code, out, _ = run(["plan", *options, "--json"], capsys)
    found = json.loads(out)
    assert code == 0
    assert found["epochs"] == pytest.approx(16.1, rel=0.01)
    assert [(one["share"], one["transfer"]) for one in found["second_language"]] == [(0.1, 0.3)]


def test_a_field_may_be_set(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(["plan", "--loss", "2.1", "--set", "law=besiroglu"], capsys)
    assert code == 0
    assert "besiroglu: L = 1.817" in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--loss", "1.6"], "1.6 - 1.69 = -0.09"),
        (["--loss", "2", "--flops", "1e22"], "but a loss of 2 takes at least"),
        (["llama-7b", "--loss", "2"], "TARGET: of no use where the question is what to train and serve"),
        (["--unique-tokens", "5B", "--gpu", "h100"], "--gpu: of no use where the question is what few tokens allow"),
        (["--runs", "absent"], "absent does not exist"),
        (
            ["--law", "besiroglu"],
            "--law belongs to a question of size: give --loss, --served, --flops, --unique-tokens",
        ),
        (["--unique-tokens", "5B", "--svg", "x.svg"], "--svg: there is a curve only of what to train and serve"),
        (["--served", "many"], "'many' is no number of tokens"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, error = run(["plan", *options], capsys)
    assert code == 2
    assert out == ""
    assert message in error


def test_no_question_of_size_loads_torch() -> None:
    program = (
        "import sys; from waman.planning.choose import choose; from waman.planning.recipe import ServingRecipe; "
        "choose(ServingRecipe(loss=2.1)); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
