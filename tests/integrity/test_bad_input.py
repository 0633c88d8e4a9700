"""What a user may get wrong ends, at every door, with exit 2 and a message that says what to do."""

import gzip
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from tests.integrity.doors import DOORS
from tests.integrity.processes import Processes, end, what_was_made
from tests.restricted import without_root
from waman import draft
from waman.artifact import open_artifact
from waman.cli import main as command_line
from waman.cli.verbs import VERBS, Verb, resolve
from waman.crawl import warc
from waman.dataflow import Inline
from waman.document import write_documents

Refused = Callable[..., str]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Refused:
    """Runs a command that must end with exit 2, and gives its message; units run in this process."""
    monkeypatch.setattr(draft, "Local", Inline)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> str:
        with pytest.raises(SystemExit) as ended:
            command_line.main([str(one) for one in arguments])
        shown = capsys.readouterr().err
        assert ended.value.code == 2, shown
        assert "Traceback" not in shown
        return shown

    return run


def _jsonl(count: int) -> bytes:
    rows = [{"text": f"Text number {number} of a small corpus. " * 5} for number in range(count)]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _warc() -> bytes:
    body = b"<html><body><p>" + b"A sentence of the page. " * 20 + b"</p></body></html>"
    return b"".join(
        warc.response_record(
            url=f"http://a.test/{number}", status=200, reason="OK", headers=[("Content-Type", "text/html")],
            body=body, date="2024-01-01T00:00:00Z",
        )
        for number in range(3)
    )  # fmt: skip


DAMAGED: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "empty.jsonl": (b"", ("holds no readable record", "give one that does, or leave it out")),
    "cut.jsonl.gz": (
        gzip.compress(_jsonl(20))[:-40],
        ("records (", "1 truncated", "cut.jsonl.gz:", "Expected at most 1.0%", "max_damaged_share=SHARE"),
    ),
    "cut.warc.gz": (
        _warc()[:-40],
        ("1 of 3 records (33.3%)", "1 truncated", "cut.warc.gz:", "mend the input, or allow more"),
    ),
    "bytes.jsonl": (
        _jsonl(3) + b'{"text": "\xff\xfe"}\n',
        ("1 of 4 records (25.0%)", "1 invalid_utf8", "bytes.jsonl:4", "mend the input, or allow more"),
    ),
    "words.jsonl": (
        _jsonl(3) + b"these are words\n",
        ("1 of 4 records (25.0%)", "1 not_json", "words.jsonl:4", "mend the input, or allow more"),
    ),
    "bytes.txt": (b"\xff\xfe\xfa\x00\x01" * 9, ("holds no readable record", "bytes.txt: invalid_utf8", "leave it out")),
    "picture.png": (b"\x89PNG", ("is not recognised", "expected .warc,", "rename it, or say what it holds")),
    "cut.parquet": (b"PAR1" + bytes(99), ("cut.parquet cannot be read as Parquet",)),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_archives_say_how_much_where_and_what_to_do(name: str, refused: Refused, tmp_path: Path) -> None:
    data, parts = DAMAGED[name]
    (tmp_path / name).write_bytes(data)
    shown = refused("extract", name, "--out", "out")
    assert [part for part in parts if part not in shown] == [], shown
    assert not (tmp_path / "out").exists()


def test_what_a_user_may_not_read_or_write_is_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "secret.jsonl").write_bytes(_jsonl(3))
    (tmp_path / "open.jsonl").write_bytes(_jsonl(3))
    (tmp_path / "folder" / "secret.jsonl").chmod(0)
    (tmp_path / "closed").mkdir(mode=0o500)
    reads = [sys.executable, "-m", "waman", "extract", str(tmp_path / "folder"), "--out", str(tmp_path / "out")]
    writes = [sys.executable, "-m", "waman", "extract", str(tmp_path / "open.jsonl"), "--out", f"{tmp_path}/closed/out"]
    read, written = without_root(reads), without_root(writes)
    assert (read.returncode, written.returncode) == (2, 2), read.stderr + written.stderr
    assert f"error: {tmp_path}/folder/secret.jsonl cannot be read: Permission denied" in read.stderr
    assert f"{tmp_path}/closed/out cannot be written: Permission denied; give an --out where you may" in written.stderr


def test_an_output_inside_a_file_is_refused(refused: Refused, processes: Processes, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    shown = refused("mix", processes.whole("refine"), "--out", "file/out")
    assert "file/out cannot be written: Not a directory; give an --out where you may write" in shown


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_misspelt_field_of_a_recipe_file_is_named_with_the_field_meant(
    verb: Verb, refused: Refused, tmp_path: Path
) -> None:
    meant = fields(resolve(verb.recipe))
    if not meant:
        (tmp_path / "wrong.toml").write_text("anything = 1\n")
        assert "no field 'anything'" in refused(verb.name, "--recipe", "wrong.toml", "--out", "out")
        return
    (tmp_path / "wrong.toml").write_text(f"{meant[0].name}x = 1\n")
    shown = refused(verb.name, "--recipe", "wrong.toml", "--out", "out")
    assert f"recipe: no field '{meant[0].name}x'; did you mean '{meant[0].name}'?" in shown


def test_a_recipe_that_is_not_toml_is_refused(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text("held_out = [\n")
    assert "recipe wrong.toml is not valid TOML" in refused("mix", "--recipe", "wrong.toml", "--out", "out")
    (tmp_path / "wrong.toml").write_bytes(b"\xff\xfe")
    assert "recipe wrong.toml is not valid TOML" in refused("mix", "--recipe", "wrong.toml", "--out", "out")


# Empty and too small


@pytest.fixture
def nothing(processes: Processes, tmp_path: Path) -> Path:
    """Documents of which none was left."""
    folder = Path(shutil.copytree(processes.whole("refine"), tmp_path / "nothing"))
    for path in (folder / "data").iterdir():
        write_documents(path, [])
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"identity": "none were left"}))
    return folder


@pytest.mark.parametrize(
    ("verb", "inputs", "part"),
    [
        ("refine", (), "no document in"),
        ("mix", (), "no document in"),
        ("train-tokenizer", ("mix",), "no document in"),
        ("tokenize", ("mix", "train-tokenizer"), "no document in"),
        ("compose", ("mix",), "no document in"),
        ("extend-tokenizer", ("pretrain/final",), "no document in"),
        ("evaluate", ("mix", "pretrain/final"), "no held-out document has a text"),
    ],
)
def test_an_empty_corpus_is_refused_by_every_door(
    verb: str, inputs: tuple[str, ...], part: str, refused: Refused, processes: Processes, nothing: Path
) -> None:
    given = [
        processes.whole(place.partition("/")[0]) / Path(place).relative_to(Path(place).parts[0]) for place in inputs
    ]
    ordered = [nothing, *given]
    if verb in ("evaluate", "extend-tokenizer"):
        ordered = [given[-1], nothing, *given[:-1]]
    shown = refused(verb, *ordered, "--out", "out")
    assert part in shown
    assert not Path("out").exists()


def test_a_corpus_smaller_than_a_sequence_is_refused_with_both_figures(refused: Refused, processes: Processes) -> None:
    inputs = [processes.whole("tokenize"), processes.whole("train-tokenizer")]
    tokens = sum(one["tokens"] for one in open_artifact(inputs[0]).counts["train"].values())
    long = ["--set", "model.context_length=1000000", "--set", "batch_tokens=1000000"]
    small = ["--set", "model.model_dim=16", "--set", "model.num_layers=1"]
    shown = refused("pretrain", *inputs, *long, *small, "--out", "out")
    assert f"the corpus has {tokens} tokens to train on, one sequence needs 1000001" in shown
    assert "give it more text or shorten model.context_length" in shown


# What does not belong together


def test_a_tokenizer_from_another_model_is_refused(refused: Refused, processes: Processes, tmp_path: Path) -> None:
    shutil.copytree(processes.whole("train-tokenizer"), tmp_path / "other")
    path = tmp_path / "other" / "tokenizer.json"
    path.write_text(path.read_text() + "\n")
    shown = refused("pretrain", processes.whole("tokenize"), "other", "--out", "out")
    assert "the token shards: made with tokenizer" in shown
    assert "the one given is" in shown
    assert "give the tokenizer it was made with, or tokenize again" in shown
    model = Path(shutil.copytree(processes.whole("pretrain") / "final", tmp_path / "model"))
    extended = processes.whole("extend-tokenizer")
    shown = refused("pretrain", processes.whole("tokenize"), "--from", extended, "--out", "other-model")
    assert f"that of {extended} is" in shown
    assert f"their ids mean other tokens. Tokenize the documents with --tokenizer {extended}" in shown
    table = json.loads(path.read_text())
    table["model"]["vocab"] |= {"one piece more": len(table["model"]["vocab"])}
    (model / "tokenizer.json").write_text(json.dumps(table))
    shown = refused("generate", model, "hello")
    assert "the tokenizer has 401 tokens, the model 400: it is the tokenizer of another model; put the files" in shown


def test_a_model_that_is_none_and_damaged_ones_are_told_apart(
    refused: Refused, processes: Processes, tmp_path: Path
) -> None:
    assert "holds no tokenizer: expected tokenizer.json" in refused("generate", processes.whole("refine"), "hello")
    assert "does not exist" in refused("chat", "nowhere")
    model = Path(shutil.copytree(processes.whole("pretrain") / "final", tmp_path / "model"))
    os.truncate(model / "model.safetensors", 1000)
    assert "cut short or not in safetensors format" in refused("generate", model, "hello")
    (model / "tokenizer_config.json").write_text("{")
    shown = refused("generate", model, "hello")
    assert "tokenizer_config.json is damaged, expected JSON" in shown
    assert "make its directory again" in shown


def test_a_prompt_longer_than_the_context_is_refused_with_both_figures(refused: Refused, processes: Processes) -> None:
    shown = refused("generate", processes.whole("pretrain"), "word " * 500)
    assert "the prompt has" in shown
    assert "the model sees 128 at once and needs room for an answer: shorten it to at most 127" in shown


def test_damaged_files_of_an_artifact_are_named(refused: Refused, processes: Processes, tmp_path: Path) -> None:
    documents = Path(shutil.copytree(processes.whole("refine"), tmp_path / "documents"))
    (documents / "data" / "00000.parquet").write_bytes(b"PAR1")
    assert "documents/data/00000.parquet cannot be read as Parquet" in refused("mix", documents, "--out", "out")
    (documents / "manifest.json").write_text("{")
    assert "manifest.json is damaged or of another version" in refused("mix", documents, "--out", "out")
    tokens = Path(shutil.copytree(processes.whole("tokenize"), tmp_path / "tokens"))
    (tokens / "mixture.json").write_text("[]")
    tokenizer = processes.whole("train-tokenizer")
    shown = refused("pretrain", tokens, tokenizer, "--out", "out")
    assert "mixture.json is damaged: found a list, expected a table; make its directory again" in shown
    (tokens / "tokens.json").write_text("{")
    shown = refused("pretrain", tokens, tokenizer, "--out", "out")
    assert "tokens.json is damaged, expected JSON" in shown


def test_a_second_process_on_one_output_is_told_of_the_first(
    refused: Refused, processes: Processes, tmp_path: Path
) -> None:
    archives = processes.whole("fetch")
    recipe = [part for one in DOORS["extract"].settings for part in ("--set", one)]
    first = processes.start("extract", tmp_path / "out", workers=False)
    lock = tmp_path / "out.partial" / "lock"
    while first.is_alive() and not (lock.exists() and lock.stat().st_size):
        time.sleep(0.001)
    os.kill(first.pid, signal.SIGSTOP)
    try:
        shown = refused("extract", archives, *recipe, "--out", "out")
    finally:
        os.kill(first.pid, signal.SIGCONT)
    assert f"out.partial is being written by process {first.pid} on " in shown
    assert "wait for it, or give another --out" in shown
    end(first, "extract", code=0)
    assert what_was_made(tmp_path / "out", "extract") == what_was_made(processes.whole("extract"), "extract")
