import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from waman import artifact, manifest
from waman.artifact import Artifact
from waman.dataflow import Executor, Inline, Job, Local, Outcome, UnitFunction
from waman.draft import begin
from waman.errors import InputError, KindError, LockedError, NoSpaceError, StaleError, WorkerError


@dataclass(frozen=True)
class Recipe:
    times: int = 2


def _repeat(payload: tuple[int, str], folder: Path) -> dict[str, Any]:
    times, text = payload
    if text == "bad":
        raise ValueError("this text is bad")
    if text == "full":
        raise OSError(28, "No space left on device", str(folder))
    (folder / "data").mkdir()
    (folder / "data" / f"{text}.txt").write_text(text * times)
    with (folder.parents[2].parent / "calls.log").open("a") as log:
        log.write(text + "\n")
    return {"characters": len(text) * times}


def repeat(
    recipe: Recipe, *, texts: list[str], inputs: list[Artifact], out: Path, replace: bool = False,
    executor: Executor | None = None,
) -> Artifact:  # fmt: skip
    draft = begin(out, kind="repeated", version=1, recipe=recipe, inputs={"texts": inputs}, replace=replace)
    if draft.finished is not None:
        return draft.finished
    with draft:
        jobs = [Job(text, (recipe.times, text)) for text in texts]
        counts = draft.run_units(_repeat, jobs, executor=executor or Inline())
        return draft.finish(counts={"characters": sum(one["characters"] for one in counts)})


def test_a_door_writes_whole_and_returns_at_once_when_run_again(tmp_path: Path) -> None:
    source = tmp_path / "source.txt"
    source.write_text("abc")
    inputs = [artifact.open_input(source)]
    first = repeat(Recipe(), texts=["a", "b"], inputs=inputs, out=tmp_path / "out")
    again = repeat(Recipe(), texts=["a", "b"], inputs=inputs, out=tmp_path / "out")
    assert (tmp_path / "out" / "data" / "b.txt").read_text() == "bb"
    assert again.identity == first.identity
    assert again.counts == {"characters": 4}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["README.md", "data", "manifest.json"]
    assert (tmp_path / "calls.log").read_text() == "a\nb\n"
    assert artifact.verify(again) == []
    assert again.manifest is not None
    assert again.manifest.inputs["texts"][0].path == "../source.txt"
    assert not (tmp_path / "out.partial").exists()


def test_another_recipe_is_refused_with_the_fields_that_differ_and_replace_deletes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    repeat(Recipe(), texts=["a"], inputs=[], out=out)
    with pytest.raises(StaleError, match=r"recipe.times: found 2, asked for 3"):
        repeat(Recipe(3), texts=["a"], inputs=[], out=out)
    repeat(Recipe(3), texts=["a"], inputs=[], out=out, replace=True)
    assert (out / "data" / "a.txt").read_text() == "aaa"
    assert (tmp_path / "out.replaced-1" / "data" / "a.txt").read_text() == "aa"


def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("x")
    with pytest.raises(StaleError, match="is not an artifact of waman"):
        repeat(Recipe(), texts=["a"], inputs=[], out=tmp_path / "out")


def test_finished_units_are_not_redone_after_a_failure(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(WorkerError, match="unit bad failed"):
        repeat(Recipe(), texts=["a", "bad", "c"], inputs=[], out=out)
    assert not out.exists()
    assert (tmp_path / "out.partial").is_dir()
    with pytest.raises(InputError, match="is unfinished: run its command again"):
        artifact.open_artifact(out)
    repeat(Recipe(), texts=["a", "b", "c"], inputs=[], out=out)
    assert (tmp_path / "calls.log").read_text() == "a\nc\nb\n"


def test_a_full_disk_is_said_and_keeps_finished_units(tmp_path: Path) -> None:
    with pytest.raises(NoSpaceError, match="finished work is kept"):
        repeat(Recipe(), texts=["a", "full", "c"], inputs=[], out=tmp_path / "out")
    assert (tmp_path / "out.partial" / ".units" / "units" / "a" / "unit.json").is_file()


def test_worker_processes_give_the_same_bytes_as_this_process(tmp_path: Path) -> None:
    one = repeat(Recipe(), texts=["a", "b", "c"], inputs=[], out=tmp_path / "one")
    two = repeat(Recipe(), texts=["a", "b", "c"], inputs=[], out=tmp_path / "two", executor=Local(workers=2))
    assert one.manifest is not None
    assert two.manifest is not None
    assert one.manifest.files == two.manifest.files


def test_an_error_in_a_worker_names_its_unit(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="unit bad failed") as caught:
        repeat(Recipe(), texts=["bad"], inputs=[], out=tmp_path / "out", executor=Local(workers=1))
    assert "this text is bad" in str(caught.value)
    assert caught.value.exit_code == 1


PROGRAM = """
    import sys
    from pathlib import Path
    from tests.test_artifact import Recipe, repeat
    from waman.dataflow import Local
    texts = [f"t{i:02d}" for i in range(40)]
    repeat(Recipe(2000), texts=texts, inputs=[], out=Path(sys.argv[1]), executor=Local(workers=2))
"""


def _start(out: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(PROGRAM), str(out)], stderr=subprocess.DEVNULL)


def test_a_killed_door_resumes_to_the_same_bytes_without_redoing_units(tmp_path: Path) -> None:
    texts = [f"t{i:02d}" for i in range(40)]
    whole = repeat(Recipe(2000), texts=texts, inputs=[], out=tmp_path / "elsewhere" / "whole")
    out = tmp_path / "out"
    process = _start(out)
    while not list((tmp_path / "out.partial").glob(".units/units/*/unit.json")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {path.parent.name for path in (tmp_path / "out.partial").glob(".units/units/*/unit.json")}
    assert done
    assert not out.exists()
    (tmp_path / "calls.log").unlink()
    resumed = repeat(Recipe(2000), texts=texts, inputs=[], out=out)
    assert resumed.manifest is not None
    assert whole.manifest is not None
    assert resumed.manifest.files == whole.manifest.files
    assert done.isdisjoint((tmp_path / "calls.log").read_text().split())


class _Killed(BaseException):
    pass


@dataclass
class _KilledInTheMiddle:
    """Notes where the units were to be written, and ends as a kill does: nothing is tidied up."""

    folders: list[Path] = field(default_factory=list)

    def run(self, function: UnitFunction, jobs: Sequence[tuple[Job, Path]]) -> Iterator[Outcome]:
        self.folders += [folder for _, folder in jobs]
        raise _Killed


def test_a_worker_that_outlives_its_killed_run_does_not_write_into_the_next_one(tmp_path: Path) -> None:
    killed = _KilledInTheMiddle()
    for _ in range(2):
        with pytest.raises(_Killed):
            repeat(Recipe(), texts=["a"], inputs=[], out=tmp_path / "out", executor=killed)
    first, second = killed.folders
    assert first != second
    assert not first.exists()
    (first / "data").mkdir(parents=True)
    (first / "data" / "a.txt").write_text("of the run before")
    (first / "unit.json").write_text("{}")
    made = repeat(Recipe(), texts=["a"], inputs=[], out=tmp_path / "out")
    assert (made.path / "data" / "a.txt").read_text() == "aa"
    assert artifact.verify(made) == []
    assert not (made.path / ".units").exists()


def test_a_second_process_on_one_output_is_refused_naming_the_holder(tmp_path: Path) -> None:
    draft = begin(tmp_path / "out", kind="repeated", version=1, recipe=Recipe(), inputs={"texts": []})
    with pytest.raises(LockedError, match=f"is being written by process {os.getpid()}"), draft:
        repeat(Recipe(), texts=["a"], inputs=[], out=tmp_path / "out")


def test_a_kill_between_the_manifest_and_the_last_rename_is_mended(tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = repeat(Recipe(), texts=["a"], inputs=[], out=out)
    os.replace(out, tmp_path / "out.partial")
    (tmp_path / "calls.log").unlink()
    assert repeat(Recipe(), texts=["a"], inputs=[], out=out).identity == made.identity
    assert not (tmp_path / "calls.log").exists()


def test_a_file_that_a_kill_cut_short_is_no_part_of_the_artifact(tmp_path: Path) -> None:
    whole = repeat(Recipe(), texts=["a"], inputs=[], out=tmp_path / "whole")
    with pytest.raises(WorkerError):
        repeat(Recipe(), texts=["a", "bad"], inputs=[], out=tmp_path / "out")
    (tmp_path / "out.partial" / "elapsed.json.partial").write_text('{"sec')
    resumed = repeat(Recipe(), texts=["a"], inputs=[], out=tmp_path / "out")
    assert resumed.manifest is not None
    assert whole.manifest is not None
    assert resumed.manifest.files == whole.manifest.files
    assert not (tmp_path / "out" / "elapsed.json.partial").exists()


def test_a_mended_recipe_goes_on_where_nothing_was_whole_yet(tmp_path: Path) -> None:
    with pytest.raises(WorkerError):
        repeat(Recipe(), texts=["bad"], inputs=[], out=tmp_path / "out")
    made = repeat(Recipe(3), texts=["a"], inputs=[], out=tmp_path / "out")
    assert (made.path / "data" / "a.txt").read_text() == "aaa"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["calls.log", "out"]
    assert repeat(Recipe(3), texts=["a"], inputs=[], out=tmp_path / "out").identity == made.identity


def test_finished_units_of_another_recipe_are_kept_unless_they_are_to_be_replaced(tmp_path: Path) -> None:
    with pytest.raises(WorkerError):
        repeat(Recipe(), texts=["a", "bad"], inputs=[], out=tmp_path / "out")
    with pytest.raises(StaleError) as caught:
        repeat(Recipe(3), texts=["a"], inputs=[], out=tmp_path / "out")
    assert str(caught.value) == (
        f"{tmp_path}/out.partial is unfinished work of a run that differs:\n"
        "  recipe.times: found 2, asked for 3\n"
        "Run it as it was to go on with it, give another --out, or --replace to rename the old one and begin anew."
    )
    made = repeat(Recipe(3), texts=["a"], inputs=[], out=tmp_path / "out", replace=True)
    assert (made.path / "data" / "a.txt").read_text() == "aaa"
    assert list((tmp_path / "out.partial.replaced-1").glob(".units/units/a/unit.json"))


def test_a_directory_that_gets_its_name_while_another_process_waits_for_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "samestat", lambda one, other: False)
    with pytest.raises(LockedError, match="was finished by another process just now: run the command again to use it"):
        repeat(Recipe(), texts=["a"], inputs=[], out=tmp_path / "out")


def test_a_run_that_has_nothing_whole_yet_is_not_taken_over_while_it_lives(tmp_path: Path) -> None:
    draft = begin(tmp_path / "out", kind="repeated", version=1, recipe=Recipe(), inputs={"texts": []})
    with pytest.raises(LockedError, match="is being written by process"), draft:
        repeat(Recipe(3), texts=["a"], inputs=[], out=tmp_path / "out")


def test_verify_names_what_changed(tmp_path: Path) -> None:
    made = repeat(Recipe(), texts=["a", "b"], inputs=[], out=tmp_path / "out")
    (made.path / "data" / "a.txt").write_text("other")
    (made.path / "data" / "b.txt").unlink()
    (made.path / "data" / "c.txt").write_text("new")
    problems = artifact.verify(artifact.open_artifact(made.path))
    assert problems == ["data/b.txt: missing", "data/c.txt: not in the manifest", "data/a.txt: changed"]


def test_inputs_of_another_kind_or_absent_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = repeat(Recipe(), texts=["a"], inputs=[], out=tmp_path / "out")
    with pytest.raises(KindError) as caught:
        artifact.open_artifact(made.path, ("tokens", "run"))
    assert str(caught.value) == (
        f"{made.path} is of kind 'repeated', expected 'tokens' (`waman tokenize` makes it) or "
        "'run' (`waman pretrain` and `waman tune` make it): give one of that kind"
    )
    with pytest.raises(InputError, match="absent does not exist: check the path"):
        artifact.open_input(tmp_path / "absent")
    with pytest.raises(InputError, match=r"has no manifest.json; give a directory that waman made"):
        artifact.open_artifact(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: False)
        with pytest.raises(InputError, match="may not be read: permission denied; ask its owner, or give another"):
            artifact.open_input(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"pipe is neither a file nor a directory: .*write it to a file"):
        artifact.open_input(tmp_path / "pipe")


def test_a_manifest_or_table_that_cannot_be_opened_is_an_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(InputError, match=r"manifest.json cannot be read: Is a directory; check who may read it"):
        manifest.read_manifest(tmp_path)
    with pytest.raises(InputError, match=r"absent.json cannot be read: No such file .*; make its directory again"):
        manifest.read_table(tmp_path / "absent.json")


def test_raw_inputs_are_known_by_their_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    folder.mkdir()
    (folder / "a.txt").write_text("1")
    before = artifact.open_input(folder)
    assert before.kind == "files"
    (folder / "a.txt").write_text("2")
    assert artifact.open_input(folder).identity != before.identity
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    assert artifact.open_input(folder).kind == "weights"
