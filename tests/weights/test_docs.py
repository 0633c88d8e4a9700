"""The example in the room's page runs."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "weights.md"


def test_the_example_writes_a_directory_and_reads_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    found: dict[str, object] = {}
    exec(compile(code, str(PAGE), "exec"), found)
    assert found["again"].config == found["config"]  # type: ignore[attr-defined]
    assert (tmp_path / "weights" / "model.safetensors").is_file()
