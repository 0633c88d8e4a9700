"""What the demo begins with."""

import sysconfig
from pathlib import Path

import pytest

from waman import settings
from waman.crawl.extract import extract, open_distributions, read_left_out
from waman.crawl.recipe import Python
from waman.dataflow import Inline
from waman.document import read_documents
from waman.errors import RecipeError
from waman.journey.gather import python_of_this_machine
from waman.journey.recipe import DemoRecipe


def test_a_report_without_answers_is_refused() -> None:
    with pytest.raises(RecipeError, match="num_answers: found 0, expected at least 1"):
        DemoRecipe(num_answers=0)


def test_all_distributions_are_read_or_accounted_for() -> None:
    assert [one.kind for one in python_of_this_machine()] == ["stdlib", "distributions"]
    assert python_of_this_machine()[1].identity == open_distributions().identity


def test_without_distributions_the_standard_library_is_read_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {"purelib": str(tmp_path / "nothing"), "stdlib": sysconfig.get_path("stdlib")}
    monkeypatch.setattr(sysconfig, "get_path", places.__getitem__)
    assert [one.kind for one in python_of_this_machine()] == ["stdlib"]


def test_where_those_that_the_recipe_names_are_not_installed_each_is_listed(tmp_path: Path) -> None:
    source = DemoRecipe().python.extract_github.source
    assert isinstance(source, Python)
    assert source.distributions
    (tmp_path / "site" / "other-1.0.dist-info").mkdir(parents=True)
    (tmp_path / "site" / "other-1.0.dist-info" / "METADATA").write_text("Name: other\nVersion: 1.0\nLicense: MIT\n")
    archives = [open_distributions(folder=tmp_path / "site")]
    made = extract(DemoRecipe().python.extract_github, archives=archives, out=tmp_path / "out", executor=Inline())
    assert list(read_documents(made)) == []
    reasons = {one.name: one.reason for one in read_left_out(made)}
    assert reasons == {"other": "recipe"} | dict.fromkeys(source.distributions, "not_installed")


@pytest.mark.parametrize("name", sorted(path.stem for path in settings.RECIPES_FOLDER.glob("demo*.toml")))
def test_a_shipped_recipe_changes_what_its_verb_would_do(name: str) -> None:
    assert settings.load(DemoRecipe, name) != DemoRecipe()
