import json
import logging
import resource
from pathlib import Path

import pytest

from waman import log
from waman.log import MetricsFile


def test_metrics_are_lines_of_json_and_a_resumed_run_has_each_step_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with MetricsFile(path) as metrics:
        for step in range(1, 6):
            metrics.write({"step": step, "loss": 1 / step})
    path.write_text(path.read_text() + '{"step": 6, "lo')
    with MetricsFile(path, keep_until=3) as metrics:
        metrics.write({"step": 4, "loss": 0.5})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3, 4]


def test_progress_on_a_pipe_is_plain_lines(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(log, "PLAIN_INTERVAL_SECONDS", 0.0)
    with caplog.at_level(logging.INFO, logger="waman"), log.progress(4, "reading") as shown:
        shown.advance(2, note="half")
    assert "reading: 2 of 4" in caplog.text
    assert "half" in caplog.text


def test_a_line_that_does_not_fit_on_the_disk_waits_for_the_next(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    with MetricsFile(path) as metrics:
        metrics.write({"step": 1})
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 3, unlimited[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                metrics.write({"step": 2})
            with pytest.raises(OSError, match="File too large"):
                metrics.sync()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        assert path.read_text() == '{"step": 1}\n', "only whole lines stay"
        metrics.write({"step": 3})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]
