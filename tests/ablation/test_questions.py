"""The papers' questions that are shipped: each can be asked, and says how."""

import pytest

from waman import settings
from waman.ablation.foresight import all_roads
from waman.ablation.recipe import AblateRecipe
from waman.ablation.variants import resolve

SHIPPED = sorted(path.stem for path in settings.RECIPES_FOLDER.glob("ablate-*.toml"))
ASKED = {
    *("positions", "heads", "feed-forward", "block", "biases", "norm", "z-loss", "weight-decay", "digits"),
    *("duplicates", "code-share", "language-share", "vocabulary"),
}


def test_every_question_of_the_papers_is_shipped() -> None:
    assert {name.removeprefix("ablate-") for name in SHIPPED} == ASKED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_question_can_be_asked_with_arms_that_differ_in_what_they_say(name: str) -> None:
    recipe = settings.load(AblateRecipe, name)
    [arms] = resolve(recipe).values()
    assert [arm.name for arm in arms] == [recipe.reference, *recipe.variants]
    assert recipe.question.endswith("?")
    assert recipe.finding.text
    assert recipe.finding.source
    assert recipe.seeds == 5
    assert len(all_roads(recipe, {None: arms})) == 5 * len(arms)
    head = (settings.RECIPES_FOLDER / f"{name}.toml").read_text().splitlines()
    assert head[0].startswith(f"# waman ablate --recipe {name} ")
    assert any("minutes" in line for line in head)


def test_the_feed_forwards_have_as_many_parameters_and_the_heads_keep_what_they_should() -> None:
    gated, plain = resolve(settings.load(AblateRecipe, "ablate-feed-forward"))[None]
    assert gated.num_parameters == plain.num_parameters
    heads = resolve(settings.load(AblateRecipe, "ablate-heads"))[None]
    assert [arm.kv_bytes // heads[-1].kv_bytes for arm in heads] == [4, 2, 1]


def test_vocabularies_are_matched_by_what_they_cost() -> None:
    arms = resolve(settings.load(AblateRecipe, "ablate-vocabulary"))[None]
    assert max(arm.flops for arm in arms) < 1.01 * min(arm.flops for arm in arms)
    assert len({arm.pipeline.pretrain.num_tokens for arm in arms}) == 3
