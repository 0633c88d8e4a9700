"""`compose`: what becomes a row, and that nothing held out is trained on."""

from collections import Counter
from pathlib import Path

import pytest

from tests.instruction.conftest import HELD_OUT, prose_documents, python_documents
from tests.tokens import material
from waman.artifact import Artifact, verify
from waman.dataflow import Inline, Local
from waman.document import Document, document_id, read_drops
from waman.errors import InputError, KindError, RecipeError
from waman.instruction.compose import compose, first_of_each_task
from waman.instruction.families import family_of
from waman.instruction.recipe import ComposeRecipe
from waman.instruction.rows import Row, read_rows
from waman.settings import parse


def rows(instructions: Artifact, split: str) -> list[Row]:
    return list(read_rows(instructions.path / split))


def test_training_groups_are_trained_on_and_held_out_groups_tested(instructions: Artifact) -> None:
    train, test = rows(instructions, "train"), rows(instructions, "test")
    assert {row.group for row in train} == {"group-0", "group-1", "group-2", "group-3"}
    assert {row.group for row in test} == set(HELD_OUT)
    assert {row.split for row in train} == {"train"}
    assert {row.split for row in test} == {"test"}


def test_held_out_clusters_are_tested_and_not_trained_on(instructions: Artifact) -> None:
    assert {row.cluster for row in rows(instructions, "train")} == {"syntax", "completion", "order"}
    assert {row.cluster for row in rows(instructions, "test")} == {
        "syntax", "completion", "order", "describe", "place",
    }  # fmt: skip


def test_the_answer_is_the_option_that_is_the_target_and_turned_rows_have_none(instructions: Artifact) -> None:
    turned = 0
    for row in rows(instructions, "train") + rows(instructions, "test"):
        if row.options is None:
            assert row.answer is None
            assert row.split == "train"
            turned += 1
        else:
            assert row.answer is not None
            assert row.options[row.answer] == row.target
    assert turned > 0


def test_a_row_carries_the_source_and_the_licence_of_its_document(instructions: Artifact) -> None:
    ids = {document.id: document for document in python_documents()}
    for row in rows(instructions, "train"):
        assert (row.source, row.group) == (ids[row.document].source, ids[row.document].group)
        assert row.licence == "PSF-2.0"


def test_counts_are_those_of_the_files_and_the_files_those_of_the_manifest(instructions: Artifact) -> None:
    for split in ("train", "test"):
        assert instructions.counts[split] == Counter(row.task for row in rows(instructions, split))
    dropped = Counter(drop.reason for drop in read_drops(instructions))
    assert instructions.counts["dropped"] == dropped
    assert dropped["in_training"] > 0  # the groups' sources differ in a few words only
    assert verify(instructions) == []


def test_no_test_question_stands_in_training(instructions: Artifact) -> None:
    trained = {row.content for row in rows(instructions, "train")}
    tested = {row.content for row in rows(instructions, "test")}
    assert tested
    assert not trained & tested


def test_workers_and_cut_of_the_files_change_no_byte(
    instructions: Artifact, documents: Artifact, mixture: Artifact, tmp_path: Path
) -> None:
    again = compose(
        ComposeRecipe(), documents=[documents], mixture=mixture, out=tmp_path / "again", executor=Local(workers=2)
    )
    assert again.manifest is not None
    assert instructions.manifest is not None
    assert again.manifest.files == instructions.manifest.files


def test_another_seed_asks_otherwise(documents: Artifact, mixture: Artifact, tmp_path: Path) -> None:
    def composed(seed: int) -> list[Row]:
        recipe = ComposeRecipe(seed=seed, tasks=("repair_line",))
        out = tmp_path / f"seed-{seed}"
        return rows(compose(recipe, documents=[documents], mixture=mixture, out=out, executor=Inline()), "train")

    assert [row.prompt for row in composed(0)] != [row.prompt for row in composed(1)]


def test_python_comes_before_prose_unless_the_recipe_says_otherwise(
    instructions: Artifact, documents: Artifact, mixture: Artifact, tmp_path: Path
) -> None:
    assert {family_of(row.task) for row in rows(instructions, "train")} == {"python"}
    recipe = ComposeRecipe(family="passages")
    made = compose(recipe, documents=[documents], mixture=mixture, out=tmp_path / "prose", executor=Inline())
    for split in ("train", "test"):
        assert {family_of(row.task) for row in rows(made, split)} == {"passages"}
    assert "continuation" not in {row.cluster for row in rows(made, "train")}


def test_prose_is_asked_about_where_there_are_no_sources(mixture: Artifact, tmp_path: Path) -> None:
    prose = material.write_artifact(tmp_path / "documents", [prose_documents()])
    made = compose(ComposeRecipe(), documents=[prose], mixture=mixture, out=tmp_path / "out", executor=Inline())
    assert {row.cluster for row in rows(made, "train")} == {"word_order", "missing_words"}
    assert {row.cluster for row in rows(made, "test")} == {"word_order", "missing_words", "continuation"}


def test_caps_hold_for_each_task_and_document(documents: Artifact, mixture: Artifact, tmp_path: Path) -> None:
    recipe = ComposeRecipe(max_per_document=3, max_train=10, max_test=2)
    made = compose(recipe, documents=[documents], mixture=mixture, out=tmp_path / "out", executor=Inline())
    assert set(made.counts["train"].values()) == {10}
    assert max(made.counts["test"].values()) == 2
    per_document = Counter((row.task, row.document) for row in rows(made, "train"))
    assert max(per_document.values()) == 3


def test_a_row_that_is_too_long_is_dropped_with_its_length(
    documents: Artifact, mixture: Artifact, tmp_path: Path
) -> None:
    recipe = ComposeRecipe(max_characters=90)
    made = compose(recipe, documents=[documents], mixture=mixture, out=tmp_path / "out", executor=Inline())
    dropped = [drop for drop in read_drops(made) if drop.reason == "too_long"]
    assert dropped
    assert all(drop.stage == "compose" and drop.value is not None and drop.value > 90 for drop in dropped)
    for row in rows(made, "train"):
        assert len(row.prompt) + max(map(len, row.options or [row.target])) <= 90


def test_the_cap_takes_rows_by_their_ids() -> None:
    def row(task: str, name: str) -> Row:
        return Row(name, task, "c", "t", "en", "p", "a", ("a",), 0, name, "d", "s", "g", "train", None)

    given = [row("b", "3"), row("a", "2"), row("b", "1"), row("b", "2")]
    assert [(one.task, one.id) for one in first_of_each_task(given, 2)] == [("a", "2"), ("b", "1"), ("b", "2")]


def test_an_unknown_task_or_cluster_is_refused_with_the_nearest(
    documents: Artifact, mixture: Artifact, tmp_path: Path
) -> None:
    def attempt(recipe: ComposeRecipe) -> None:
        compose(recipe, documents=[documents], mixture=mixture, out=tmp_path / "out", executor=Inline())

    with pytest.raises(RecipeError, match="tasks: no 'line_parse'; did you mean 'line_parses'"):
        attempt(ComposeRecipe(tasks=("line_parse",)))
    with pytest.raises(RecipeError, match="held_out_clusters: no 'xyzzy'; there are completion, continuation"):
        attempt(ComposeRecipe(held_out_clusters=("xyzzy",)))


def test_documents_that_nothing_can_be_asked_about_are_refused(mixture: Artifact, tmp_path: Path) -> None:
    empty = Document(document_id("web", "x"), "Too short.", "web", "group-0", origin="x")
    documents = material.write_artifact(tmp_path / "documents", [[empty]])
    with pytest.raises(InputError, match="no question could be made from the training groups"):
        compose(ComposeRecipe(), documents=[documents], mixture=mixture, out=tmp_path / "out", executor=Inline())


def test_an_input_of_another_kind_is_refused(mixture: Artifact, tmp_path: Path) -> None:
    with pytest.raises(KindError, match="is of kind 'mixture', expected 'documents'"):
        compose(ComposeRecipe(), documents=[mixture], mixture=mixture, out=tmp_path / "out", executor=Inline())


def test_a_training_task_without_test_rows_is_told(
    mixture: Artifact, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    only_training = [document for document in python_documents() if document.group not in HELD_OUT]
    documents = material.write_artifact(tmp_path / "documents", [only_training])
    recipe = ComposeRecipe(tasks=("line_parses",))
    with caplog.at_level("WARNING", logger="waman"):
        compose(recipe, documents=[documents], mixture=mixture, out=tmp_path / "out", executor=Inline())
    assert "task 'line_parses' has rows to train on, but the held-out groups give none to test on" in caplog.text


@pytest.mark.parametrize("name", ["max_per_document", "max_train", "max_test", "max_characters"])
def test_a_cap_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match=f"{name} = 0; expected at least 1"):
        parse(ComposeRecipe, {name: 0})


def test_a_share_above_one_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"turned_share = 1\.5; expected 0 to 1"):
        ComposeRecipe(turned_share=1.5)


def test_a_damaged_file_and_one_of_another_kind_are_named(tmp_path: Path) -> None:
    (tmp_path / "00000.parquet").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"00000\.parquet cannot be read as Parquet"):
        list(read_rows(tmp_path))
    material.write_artifact(tmp_path / "documents", [python_documents()])
    with pytest.raises(InputError, match=r"is not a file of instructions: no column task, cluster, template"):
        list(read_rows(tmp_path / "documents" / "data"))
