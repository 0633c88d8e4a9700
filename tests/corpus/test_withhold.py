"""Duplicates of what is held out are taken away, and nothing else."""

from pathlib import Path

import pytest

from tests.corpus.making import make_document, make_documents
from waman.corpus.mix import mix
from waman.corpus.recipe import HeldOut, MixRecipe, RefineRecipe, WithholdRecipe
from waman.corpus.refine import refine
from waman.corpus.withhold import withhold
from waman.dataflow import Inline
from waman.document import read_documents
from waman.errors import KindError
from waman.mixture import read_split
from waman.settings import Off


def test_a_document_whose_duplicate_is_held_out_is_withheld_and_no_other(tmp_path: Path) -> None:
    def text(number: int) -> str:
        return " ".join(f"word{number}x{(number * 7 + j * j) % 997}" for j in range(60))

    originals = [make_document(text(i), group=f"g{i:02d}", name=f"first {i}") for i in range(40)]
    again = [make_document(text(i), group=f"h{i:02d}", name=f"second {i}") for i in range(40)]
    documents = make_documents(tmp_path / "documents", originals, again)
    keep_all = RefineRecipe(filters={"web": ()}, recurring_lines=Off())
    refined = refine(keep_all, documents=[documents], out=tmp_path / "refined", executor=Inline())
    assert {one.group[0] for one in read_documents(refined)} == {"g"}
    recipe = MixRecipe(held_out=HeldOut(share=0.25))
    mixture = mix(recipe, documents=[refined], out=tmp_path / "mixture", executor=Inline())
    held_out = {group for group, split in read_split(mixture.path).items() if split == "held_out"}
    made = withhold(
        WithholdRecipe(),
        documents=[documents],
        refined=refined,
        mixture=mixture,
        out=tmp_path / "withheld",
        executor=Inline(),
    )
    kept = {one.group for one in read_documents(made)}
    gone = {f"h{group[1:]}" for group in held_out}
    assert held_out
    assert kept == {one.group for one in (*originals, *again)} - gone
    assert made.counts == {"documents": 80 - len(gone), "withheld": len(gone)}
    with pytest.raises(KindError):
        withhold(WithholdRecipe(), documents=[documents], refined=refined, mixture=refined, out=tmp_path / "other")
