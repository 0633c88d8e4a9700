import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus.making import make_document, make_documents
from waman.artifact import Artifact
from waman.corpus.held_out import draw, hold_out
from waman.corpus.mix import mix, num_epochs
from waman.corpus.recipe import HeldOut, MixRecipe
from waman.dataflow import Inline, Local
from waman.errors import InputError, KindError
from waman.mixture import read_proportions, read_sources, read_split
from waman.settings import Off


def run(tmp_path: Path, recipe: MixRecipe, documents: list[Artifact], name: str = "mixture") -> Artifact:
    return mix(recipe, documents=documents, out=tmp_path / name, executor=Inline())


def two_sources(tmp_path: Path) -> list[Artifact]:
    """40 groups in each of two sources: pages of 30 bytes, programs of 90."""
    pages = [make_document(f"page {i:02d} ".ljust(30, "x"), group=f"m{i}") for i in range(40)]
    programs = [make_document(f"code {i:02d} ".ljust(90, "y"), source="github", group=f"m{i}") for i in range(40)]
    return [make_documents(tmp_path / "pages", pages[:25], pages[25:]), make_documents(tmp_path / "programs", programs)]


def test_a_group_is_on_one_side_in_every_source(tmp_path: Path) -> None:
    mixture = run(tmp_path, MixRecipe(held_out=HeldOut(share=0.2)), two_sources(tmp_path))
    split = read_split(mixture.path)
    assert len(split) == 40
    assert set(split.values()) == {"train", "held_out"}
    rows = pq.read_table(mixture.path / "groups.parquet").to_pylist()
    assert [(row["group"], row["source"]) for row in rows] == sorted(
        (f"m{i}", s) for i in range(40) for s in ("github", "web")
    )
    assert {row["split"] == split[row["group"]] for row in rows} == {True}
    held_out = sum(row["bytes"] for row in rows if row["split"] == "held_out")
    assert 0.1 <= held_out / (40 * 120) <= 0.4


def test_proportions_default_to_bytes_and_epochs_to_one_pass(tmp_path: Path) -> None:
    mixture = run(tmp_path, MixRecipe(held_out=Off()), two_sources(tmp_path))
    assert read_proportions(mixture.path) == {"github": 0.75, "web": 0.25}
    assert read_sources(mixture.path)["web"]["epochs_at"] == {"4800": 1.0}
    assert set(read_split(mixture.path).values()) == {"train"}


def test_chosen_proportions_say_how_often_each_source_is_read(tmp_path: Path) -> None:
    recipe = MixRecipe(proportions={"web": 0.9, "github": 0.1}, training_bytes=(1200, 12000), held_out=Off())
    sources = read_sources(run(tmp_path, recipe, two_sources(tmp_path)).path)
    assert sources["web"]["epochs_at"] == pytest.approx({"1200": 0.9, "12000": 9.0})  # of 1200 bytes
    assert sources["github"]["epochs_at"] == pytest.approx({"1200": 1 / 30, "12000": 1 / 3})  # of 3600


def test_epochs_are_those_of_llama() -> None:
    """Touvron et al. 2023, table 1: Wikipedia is 4.5% of 1.4T tokens and read 2.45 times, so it has 25.7G tokens."""
    assert num_epochs(0.045, 1_400_000_000_000, 25_714_285_714) == pytest.approx(2.45)
    assert num_epochs(0.5, 100, 0) == 0.0


def test_sizes_count_bytes_of_both_sides(tmp_path: Path) -> None:
    korean = [make_document(f"한국어 {i}", group=f"g{i}", language="ko") for i in range(4)]
    mixture = run(tmp_path, MixRecipe(), [make_documents(tmp_path / "korean", korean)])
    web = read_sources(mixture.path)["web"]
    assert (web["documents"], web["bytes"]) == (4, 44)  # three syllables of three bytes, a space, a digit
    assert (web["train_documents"], web["held_out_documents"]) == (3, 1)
    assert (web["train_bytes"], web["held_out_bytes"]) == (33, 11)
    assert mixture.counts["held_out_groups"] == 1


def test_the_table_is_the_same_whatever_the_number_of_workers(tmp_path: Path) -> None:
    documents = two_sources(tmp_path)
    one = run(tmp_path, MixRecipe(), documents)
    two = mix(MixRecipe(), documents=documents, out=tmp_path / "two", executor=Local(workers=2))
    assert one.manifest is not None
    assert two.manifest is not None
    assert one.manifest.files == two.manifest.files
    assert sorted(one.manifest.files) == ["groups.parquet", "mixture.json"]
    assert list(json.loads((one.path / "mixture.json").read_text())) == ["sources"]


@pytest.mark.parametrize(
    ("proportions", "message"),
    [
        ({"wev": 0.5, "github": 0.5}, "no document of source 'wev'; sources: github, web; did you mean 'web'"),
        ({"web": 1.0}, "none for source github; give 0 to leave a source out"),
    ],
)
def test_proportions_that_do_not_fit_the_sources_are_refused(
    tmp_path: Path, proportions: dict[str, float], message: str
) -> None:
    documents = two_sources(tmp_path)
    with pytest.raises(InputError, match=message):
        run(tmp_path, MixRecipe(proportions=proportions), documents)
    run(tmp_path, MixRecipe(), documents)  # nothing of the other recipe is in the way


def test_a_source_without_text_that_is_to_be_read_is_refused(tmp_path: Path) -> None:
    full = [make_document("Some text.", group=f"g{i}", name=str(i)) for i in range(4)]
    blank = [make_document("", source="github", group=f"b{i}", name=str(i)) for i in range(4)]
    with pytest.raises(InputError, match="proportions: source github has no text to train on; give it 0"):
        run(
            tmp_path, MixRecipe(proportions={"web": 0.5, "github": 0.5}), [make_documents(tmp_path / "in", full, blank)]
        )


def test_nothing_to_mix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no document in .*empty: every record was dropped before"):
        run(tmp_path, MixRecipe(), [make_documents(tmp_path / "empty", [])])
    blank = [make_document("", group=f"g{i}", name=str(i)) for i in range(3)]
    with pytest.raises(InputError, match="hold no text to train on"):
        run(tmp_path, MixRecipe(), [make_documents(tmp_path / "blank", blank)])


def test_one_group_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    documents = [make_documents(tmp_path / "in", [make_document("one"), make_document("two")])]
    with pytest.raises(InputError, match="cannot hold out"):
        run(tmp_path, MixRecipe(), documents)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]
    assert set(read_split(run(tmp_path, MixRecipe(held_out=Off()), documents).path).values()) == {"train"}


def test_one_artifact_given_twice_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    documents = two_sources(tmp_path)
    mixture = run(tmp_path, MixRecipe(), documents)
    with pytest.raises(InputError, match="is the same artifact as"):
        run(tmp_path, MixRecipe(), [documents[0], documents[0]], name="twice")
    with pytest.raises(KindError, match="is of kind 'mixture', expected 'documents'"):
        run(tmp_path, MixRecipe(), [mixture], name="other")


# Which groups


def test_a_single_group_cannot_be_held_out_and_is_told_what_to_do() -> None:
    with pytest.raises(InputError, match=r"of one group \('a\.test'\).*held_out.kind = 'off'"):
        hold_out({"a.test": {"web": 10}}, HeldOut())


def test_sources_of_one_group_each_cannot_be_held_out() -> None:
    with pytest.raises(InputError, match="each group is the only one of a source"):
        hold_out({"a": {"web": 10}, "b": {"books": 10}}, HeldOut())


def test_two_groups_give_one_held_out_group() -> None:
    assert len(hold_out({"a": {"web": 10}, "b": {"web": 30}}, HeldOut())) == 1


def test_of_large_groups_the_smallest_is_held_out() -> None:
    assert hold_out({"a": {"web": 50}, "b": {"web": 30}, "c": {"web": 90}}, HeldOut()) == {"b"}


def test_many_small_groups_are_held_out_by_their_draw_alone() -> None:
    sizes = {f"g{i}": {"web": 10} for i in range(2000)}
    chosen = hold_out(sizes, HeldOut(share=0.05))
    assert chosen == {group for group in sizes if draw(group, 0) < 0.05}
    assert chosen != hold_out(sizes, HeldOut(share=0.05, seed=1))


def test_documents_that_are_added_move_no_group() -> None:
    before = {f"g{i}": {"web": 10} for i in range(1000)}
    after = {group: {"web": 10 + len(group), "books": 5} for group in before} | {
        f"n{i}": {"web": 8} for i in range(500)
    }
    assert hold_out(before, HeldOut()) == hold_out(after, HeldOut()) & before.keys()


def test_a_group_larger_than_the_share_stays_in_training() -> None:
    sizes = {f"g{i}": {"web": 10} for i in range(400)}
    giant = min((f"giant{i}" for i in range(100)), key=lambda group: draw(group, 0))
    assert draw(giant, 0) < 0.05
    assert giant not in hold_out({**sizes, giant: {"web": 1000}}, HeldOut())


def test_every_source_has_something_on_both_sides() -> None:
    sizes = {f"g{i}": {"web": 1000} for i in range(100)} | {f"b{i}": {"books": 10} for i in range(3)}
    chosen = hold_out(sizes, HeldOut(min_groups=2))
    assert len(chosen & {"b0", "b1", "b2"}) == 2
    assert len(chosen - {"b0", "b1", "b2"}) >= 2


@given(
    st.dictionaries(
        st.text("abcdef", min_size=1, max_size=4),
        st.dictionaries(st.sampled_from(["web", "books", "github"]), st.integers(1, 1000), min_size=1),
        min_size=2,
        max_size=60,
    ),
    st.sampled_from([0.02, 0.05, 0.3]),
)
def test_whatever_the_groups_every_source_is_trained_on(sizes: dict[str, dict[str, int]], share: float) -> None:
    try:
        chosen = hold_out(sizes, HeldOut(share=share))
    except InputError:
        only = [[group for group in sizes if source in sizes[group]] for source in ("web", "books", "github")]
        assert {group for groups in only if len(groups) == 1 for group in groups} == set(sizes)
        return
    assert chosen
    for source in {source for by_source in sizes.values() for source in by_source}:
        assert any(source in sizes[group] for group in sizes.keys() - chosen)
    assert chosen == hold_out(dict(reversed(sizes.items())), HeldOut(share=share))


def test_the_split_of_another_mixture_is_taken_over_whatever_the_recipe_says(tmp_path: Path) -> None:
    documents = two_sources(tmp_path)
    first = run(tmp_path, MixRecipe(held_out=HeldOut(share=0.2)), documents)
    held_out = {group for group, split in read_split(first.path).items() if split == "held_out"}
    fewer = [make_document(f"page {i:02d}", group=f"m{i}") for i in range(10, 45)]
    other = make_documents(tmp_path / "fewer", fewer)
    recipe = MixRecipe(held_out=HeldOut(share=0.5, seed=7), proportions={"web": 1.0})
    second = mix(recipe, documents=[other], like=first, out=tmp_path / "second", executor=Inline())
    split = read_split(second.path)
    assert {group for group in split if split[group] == "held_out"} == held_out & split.keys()
    assert split["m44"] == "train", "a group that the other mixture does not know is trained on"
    assert second.manifest is not None
    assert [one.identity for one in second.manifest.inputs["like"]] == [first.identity]
    with pytest.raises(KindError, match="is of kind 'documents', expected 'mixture'"):
        mix(recipe, documents=[other], like=other, out=tmp_path / "third", executor=Inline())


def test_the_proportions_of_another_mixture_are_taken_over_where_the_recipe_has_none(tmp_path: Path) -> None:
    pages, programs = two_sources(tmp_path)
    first = run(tmp_path, MixRecipe(held_out=HeldOut(share=0.2)), [pages, programs])
    more = make_documents(
        tmp_path / "more", [make_document(f"another page {i}", group=f"m{i % 40}") for i in range(400)]
    )
    for recipe, expected in (
        (MixRecipe(), read_proportions(first.path)),
        (MixRecipe(proportions={"web": 0.5, "github": 0.5}), {"web": 0.5, "github": 0.5}),
    ):
        out = tmp_path / f"second-{len(recipe.proportions)}"
        second = mix(recipe, documents=[pages, more, programs], like=first, out=out, executor=Inline())
        assert read_proportions(second.path) == expected
    with pytest.raises(InputError, match="proportions: no document of source 'github'"):
        mix(MixRecipe(), documents=[pages], like=first, out=tmp_path / "third", executor=Inline())
