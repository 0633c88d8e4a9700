from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from waman import units
from waman.artifact import Artifact
from waman.document import Document, write_documents
from waman.errors import InputError, KindError
from waman.mixture import read_proportions, read_split, split_documents, split_units
from waman.units import Rows, cut_units


def documents(folder: Path, *groups: str, name: str = "documents") -> Artifact:
    write_documents(
        folder / name / "data" / "0.parquet",
        [Document(f"{name}-{i}", f"text {i}", "web", group) for i, group in enumerate(groups)],
    )
    return Artifact(folder / name, "documents", name)


def mixture(folder: Path, splits: dict[str, str]) -> Artifact:
    (folder / "mixture").mkdir()
    table = pa.table({"group": list(splits), "split": list(splits.values())})
    pq.write_table(table, folder / "mixture" / "groups.parquet")
    (folder / "mixture" / "mixture.json").write_text('{"sources": {"web": {"proportion": 1}}}')
    return Artifact(folder / "mixture", "mixture", "m")


def test_a_document_is_on_the_side_of_its_group(tmp_path: Path) -> None:
    sides = mixture(tmp_path, {"a": "train", "b": "held_out"})
    [one, other] = split_units([documents(tmp_path, "a", "b"), documents(tmp_path, "b", name="more")], sides)
    read = [(document.id, split) for part in (one, other) for document, split in part.read()]
    assert read == [("documents-0", "train"), ("documents-1", "held_out"), ("more-0", "held_out")]
    assert read_proportions(sides.path) == {"web": 1.0}


def test_a_group_that_the_mixture_does_not_know_is_refused_by_name(tmp_path: Path) -> None:
    sides = mixture(tmp_path, {"a": "train"})
    with pytest.raises(
        InputError, match=r"group 'b' of document x is not in the mixture .*mixture: give the documents that"
    ):
        list(split_documents([Document("x", "text", "web", "b")], sides.path))


def test_a_mixture_without_its_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"groups\.parquet cannot be read as a table of group and split"):
        read_split(tmp_path)


def test_inputs_of_another_kind_are_refused(tmp_path: Path) -> None:
    some, sides = documents(tmp_path, "a"), mixture(tmp_path, {"a": "train"})
    with pytest.raises(KindError, match="is of kind 'documents', expected 'mixture'"):
        split_units([some], some)
    with pytest.raises(KindError, match="is of kind 'mixture', expected 'documents'"):
        split_units([sides], sides)


def test_units_are_cut_at_row_groups_by_size_and_cover_every_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = documents(tmp_path, *["a"] * 2500)
    assert cut_units([some]) == [Rows(some.path / "data" / "0.parquet", 0, 2500)]
    monkeypatch.setattr(units, "UNIT_BYTES", 1)
    cut = cut_units([some])
    assert [(rows.start, rows.stop) for rows in cut] == [(0, 1024), (1024, 2048), (2048, 2500)]
    assert [document.id for rows in cut for document in rows.read()] == [f"documents-{i}" for i in range(2500)]


def test_one_artifact_twice_and_none_at_all_are_refused(tmp_path: Path) -> None:
    some = documents(tmp_path, "a")
    with pytest.raises(InputError, match=r"is the same artifact as .*documents: give each only once"):
        cut_units([some, some])
    with pytest.raises(InputError, match="no document in no input: every record was dropped before"):
        cut_units([])
    with pytest.raises(InputError, match=r"no document in .*empty: every record was dropped before"):
        cut_units([documents(tmp_path, name="empty")])
