from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from waman.document import Document, write_documents
from waman.errors import InputError
from waman.evaluation.held_out import SplitDocuments, draw


def _mixture(folder: Path, splits: dict[str, str]) -> Path:
    folder.mkdir()
    pq.write_table(pa.table({"group": list(splits), "split": list(splits.values())}), folder / "groups.parquet")
    return folder


def _documents(tmp_path: Path) -> SplitDocuments:
    files = []
    for number, groups in enumerate((("a", "b"), ("c", "a"))):
        documents = [Document(f"{number}{i}", f"text {number}{i}", "web", group) for i, group in enumerate(groups)]
        files.append(tmp_path / f"{number}.parquet")
        write_documents(files[-1], [*documents, Document(f"{number}-empty", "", "web", "a")])
    mixture = _mixture(tmp_path / "mixture", {"a": "train", "b": "held_out", "c": "held_out"})
    return SplitDocuments(tuple(files), mixture)


def test_a_split_is_that_of_the_group_and_documents_without_text_are_left_out(tmp_path: Path) -> None:
    documents = _documents(tmp_path)
    assert [document.id for document in documents.read("train")] == ["00", "11"]
    assert [document.id for document in documents.read("held_out")] == ["01", "10"]


def test_a_draw_reads_whole_documents_up_to_the_limit(tmp_path: Path) -> None:
    documents = _documents(tmp_path)
    assert len(list(documents.read_at_most("held_out", max_bytes=100, seed=0))) == 2
    assert len(list(documents.read_at_most("held_out", max_bytes=10, seed=0))) == 1
    assert list(documents.read_at_most("held_out", max_bytes=0, seed=0)) == []


def test_a_group_that_the_mixture_does_not_know_is_refused_by_name(tmp_path: Path) -> None:
    documents = _documents(tmp_path)
    other = SplitDocuments(documents.files, _mixture(tmp_path / "other", {"a": "train"}))
    with pytest.raises(
        InputError, match=r"group 'b' of document 01 is not in the mixture .*: give the documents that the mixture"
    ):
        list(other.read("train"))


def test_names_are_drawn_until_no_other_fits() -> None:
    sizes = {"a": 40, "b": 60, "c": 30, "d": 100, "e": 20, "f": 80}
    chosen = draw(sizes, max_bytes=150, seed=0)
    total = sum(sizes[name] for name in chosen)
    assert total <= 150
    assert all(total + size > 150 for name, size in sizes.items() if name not in chosen)


def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_names() -> None:
    sizes = {f"{i:02}": 20 for i in range(40)}
    backwards = dict(reversed(sizes.items()))
    assert draw(sizes, max_bytes=200, seed=1) == draw(backwards, max_bytes=200, seed=1)
    assert draw(sizes, max_bytes=200, seed=1) != draw(sizes, max_bytes=200, seed=2)


def test_where_every_size_exceeds_the_limit_one_is_drawn_all_the_same() -> None:
    assert len(draw({"a": 500, "b": 600}, max_bytes=100, seed=0)) == 1
    assert draw({"a": 500}, max_bytes=0, seed=0) == frozenset()
