"""Planted duplicates: how many, of what, and that refining finds them."""

from pathlib import Path

import pytest

from tests.corpus.making import make_document, make_documents
from waman.artifact import Artifact
from waman.corpus.plant import plant
from waman.corpus.recipe import PlantRecipe, RefineRecipe
from waman.corpus.refine import refine
from waman.dataflow import Inline
from waman.document import read_documents
from waman.errors import RecipeError
from waman.settings import Off


def originals(tmp_path: Path, number: int = 200) -> Artifact:
    documents = [
        make_document(" ".join(f"word{i}x{(i * 7 + j * j) % 997}" for j in range(80)), group=f"g{i % 20}")
        for i in range(number)
    ]
    return make_documents(tmp_path / "originals", documents)


def run(tmp_path: Path, recipe: PlantRecipe, name: str = "planted") -> Artifact:
    return plant(recipe, documents=[originals(tmp_path)], out=tmp_path / name, executor=Inline())


def test_the_share_that_is_drawn_is_there_as_often_as_asked_beside_all_others(tmp_path: Path) -> None:
    made = run(tmp_path, PlantRecipe(share=0.2, copies=3))
    documents = list(read_documents(made))
    copies = [one for one in documents if ", planted " in one.origin]
    assert len(documents) == 200 + len(copies) == made.counts["documents"]
    assert made.counts["planted"] == len(copies)
    assert 3 * 20 <= len(copies) <= 3 * 60
    assert len({one.id for one in documents}) == len(documents)
    by_text = {one.text: one for one in documents if ", planted " not in one.origin}
    assert all(by_text[one.text].group == one.group for one in copies)


def test_refining_drops_exact_and_nearly_exact_copies_and_nothing_else(tmp_path: Path) -> None:
    for number, changed_words in enumerate((0.0, 0.01)):
        recipe = PlantRecipe(share=0.2, copies=2, changed_words=changed_words)
        planted = run(tmp_path / str(number), recipe)
        keep_all = RefineRecipe(filters={"web": ()}, recurring_lines=Off())
        refined = refine(keep_all, documents=[planted], out=tmp_path / f"refined{number}", executor=Inline())
        kept = list(read_documents(refined))
        assert len([one for one in kept if ", planted " not in one.origin]) == 200
        assert len(kept) - 200 <= 0.1 * planted.counts["planted"]


def test_changed_words_stay_words_of_the_document(tmp_path: Path) -> None:
    made = run(tmp_path, PlantRecipe(share=0.5, copies=1, changed_words=0.1))
    documents = list(read_documents(made))
    known = {one.group: set[str]() for one in documents}
    for one in documents:
        if ", planted " not in one.origin:
            known[one.group] |= set(one.text.split())
    copies = [one for one in documents if ", planted " in one.origin]
    texts = {one.text for one in documents if ", planted " not in one.origin}
    assert copies
    assert not any(one.text in texts for one in copies)
    assert all(set(one.text.split()) <= known[one.group] for one in copies)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"share": 0.0}, "share: found 0.0, expected above 0, at most 1"),
        ({"copies": 0}, "copies: found 0, expected at least 1"),
        ({"changed_words": 1.0}, "changed_words: found 1.0, expected from 0 to below 1"),
        ({"seed": -1}, "seed: found -1, expected from 0 to"),
    ],
)
def test_what_cannot_be_planted_is_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        PlantRecipe(**fields)  # type: ignore[arg-type]
