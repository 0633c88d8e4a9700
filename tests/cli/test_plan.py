"""`waman plan` as a person types it."""

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from waman.cli.commands import parse_count
from waman.cli.main import main
from waman.errors import InputError


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
