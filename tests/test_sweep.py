"""What the random sweeps stand on."""

import re
from pathlib import Path

import pytest

from tests.sweep import Sweep
from tests.test_expected_skips import run_tests

_FAILS_AT_TIMES = """
def test_a(sweep):
    for draw in sweep(40):
        assert draw.random() < 0.8
"""


def test_each_round_has_a_seed_of_its_own_and_the_factor_multiplies_them() -> None:
    sweep = Sweep(0.5, first_seed=7, only=False)
    drawn = [draw.random() for draw in sweep(6)]
    assert len(set(drawn)) == 3
    assert sweep.seed == 9
    assert [draw.random() for draw in Sweep(100.0, first_seed=8, only=True)(6)] == [drawn[1]]
    assert len(list(Sweep(0.001, first_seed=0, only=False)(6))) == 1


def test_a_failed_sweep_names_the_seed_that_fails_again(tmp_path: Path) -> None:
    first = run_tests(tmp_path / "1", _FAILS_AT_TIMES)
    assert first.returncode == pytest.ExitCode.TESTS_FAILED
    found = re.search(r"failed at seed (\d+); --soak-seed=\1 runs it again", first.stdout)
    assert found is not None, first.stdout
    again = run_tests(tmp_path / "2", _FAILS_AT_TIMES, f"--soak-seed={found[1]}")
    assert again.returncode == pytest.ExitCode.TESTS_FAILED
    assert found[0] in again.stdout
