import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from waman.artifact import open_artifact, open_input, verify
from waman.corpus.recipe import HeldOut, MixRecipe
from waman.dataflow import Inline
from waman.journey.demo import demo
from waman.journey.recipe import DemoRecipe
from waman.settings import load

TINY = {
    "own.extract.unit_bytes": "100_000",
    "own.refine.filters.text": "[]",
    "tokenizer.vocab_size": "600",
    "pretrain.num_tokens": "8192",
    "pretrain.batch_tokens": "1024",
    "pretrain.checkpoints.number": "2",
    "evaluate_checkpoints.cloze.num_questions": "20",
    "evaluate.cloze.num_questions": "20",
    "evaluate.bits.max_bytes": "5_000",
    "evaluate.instructions.num_questions": "20",
    "evaluate_tuned.instructions.num_questions": "20",
    "tune.num_tokens": "2048",
    "quantize.proof.num_tokens": "5_000",
}


def _write_corpus(path: Path) -> None:
    """The documentation of a few dozen standard modules, a row for each class or function, grouped by module."""
    program = """
import importlib, inspect, json, sys
names = "argparse ast asyncio bisect calendar cgi cmd code collections configparser csv datetime decimal difflib dis \
doctest email enum fractions ftplib functools gettext glob gzip heapq html http imaplib inspect io ipaddress itertools \
json logging lzma mailbox math mimetypes optparse os pathlib pdb pickle platform pprint profile queue random re sched \
shelve shlex shutil smtplib socket sqlite3 ssl statistics string struct subprocess tarfile tempfile textwrap threading \
timeit tokenize trace traceback types typing unittest urllib.parse uuid warnings wave weakref xml.dom zipfile".split()
for name in names:
    module = importlib.import_module(name)
    for key, value in sorted(vars(module).items()):
        text = inspect.getdoc(value) if inspect.isclass(value) or inspect.isfunction(value) else None
        if text and len(text) > 200:
            print(json.dumps({"text": text, "group": name, "title": f"{name}.{key}", "licence": "PSF-2.0"}))
"""
    made = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True)
    path.write_text(made.stdout)


def _command(out: Path, corpus: Path) -> list[str]:
    settings = [part for name, value in TINY.items() for part in ("--set", f"{name}={value}")]
    return [sys.executable, "-m", "waman", "demo", "--corpus", str(corpus), "--out", str(out), *settings]


@pytest.mark.slow
def test_the_demo_goes_from_one_s_own_text_to_a_report_and_resumes_after_a_kill(tmp_path: Path) -> None:
    corpus, out = tmp_path / "rows.jsonl", tmp_path / "demo"
    _write_corpus(corpus)
    process = subprocess.Popen(_command(out, corpus), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not (tmp_path / "demo.partial" / "tokens" / "manifest.json").exists():
        assert process.poll() is None, "the demo ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = os.stat(tmp_path / "demo.partial" / "tokens" / "manifest.json").st_mtime_ns
    ran = subprocess.run(_command(out, corpus), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert os.stat(out / "tokens" / "manifest.json").st_mtime_ns == kept, "a finished stage was made again"
    made = open_artifact(out, "demo")
    assert verify(made) == []
    report = (out / "report.html").read_text()
    assert "<script" not in report
    for name in ("documents", "corpus", "mixture", "tokenizer", "tokens", "base", "instructions", "tuned", "quantized"):
        assert verify(open_artifact(out / name)) == []
        assert name in report
    assert f"waman chat {out / 'quantized'}" in ran.stderr
    assert "bits per weight, all bytes counted" in report
    lineage = json.dumps((out / "tuned" / "final" / "manifest.json").read_text())
    assert "rows.jsonl" in lineage, "the weights are not traceable to their documents"
    assert subprocess.run(_command(out, corpus), capture_output=True).returncode == 0


def test_it_can_end_with_the_tokens(tmp_path: Path) -> None:
    words = "the falcon flies over the high valley and the llama looks up at it for a while"
    rows = [
        {"text": f"{words[n % 30 :]} {n} {words[: n % 41]}", "group": str(n % 9), "licence": "CC0-1.0"}
        for n in range(90)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = load(DemoRecipe, None, ["until=tokens", "tokenizer.vocab_size=300", "own.refine.filters.text=[]"])
    recipe = replace(recipe, own=replace(recipe.own, mix=MixRecipe(held_out=HeldOut(share=0.2))))
    made = demo(recipe, out=tmp_path / "out", corpus=[open_input(tmp_path / "rows.jsonl")], executor=Inline())
    assert set(made.counts) == {"documents", "corpus", "mixture", "tokenizer", "tokens"}
    report = (made.path / "report.html").read_text()
    assert "From your files to tokens" in report
    assert f"waman pretrain {tmp_path / 'out' / 'tokens'}" in report
    assert verify(made) == []
