"""Arms differ in what their variants say, and in nothing else; everything else is refused."""

from typing import Any

import pytest

from waman import settings
from waman.ablation.recipe import AblateRecipe, Pipeline
from waman.ablation.variants import Arm, resolve
from waman.corpus.recipe import MixRecipe
from waman.errors import RecipeError
from waman.evaluation.recipe import EvaluateRecipe
from waman.model.config import Alibi, Gelu
from waman.settings import Off
from waman.training.recipe import PretrainRecipe


def ask(*says: str, **fields: Any) -> AblateRecipe:
    return AblateRecipe(**{"variants": {"other": says}, **fields})


def arms(*says: str, **fields: Any) -> list[Arm]:
    return resolve(ask(*says, **fields))[None]


def test_a_variant_changes_what_it_says() -> None:
    base, other = arms("pretrain.model.position.kind=alibi")
    assert (base.name, other.name) == ("base", "other")
    assert base.pipeline == Pipeline()
    assert other.model.position == Alibi()
    assert set(other.differs) == {
        "pretrain.model.position.kind",
        "pretrain.model.position.divided_by_head_dim",
        "pretrain.model.position.scaling.kind",
        "pretrain.model.position.theta",
    }, "what only one of the kinds has belongs to the kind"


@pytest.mark.parametrize(
    "says",
    [
        ("refine.near_duplicates.kind=off", "refine.exact_duplicates.kind=off"),
        ("plant.kind=plant_recipe", "plant.copies=9"),
        ("train_tokenizer.vocab_size=1024",),
        ("mix.proportions={web=0.9, github=0.1}",),
        ("pretrain.optimizer.weight_decay=0.0",),
        ("pretrain.model.feed_forward.hidden_dim=384", "pretrain.model.feed_forward.kind=gelu"),
    ],
)
def test_any_field_of_any_recipe_can_be_varied(says: tuple[str, ...]) -> None:
    assert set(arms(*says)[1].differs) >= {one.partition("=")[0] for one in says if "{" not in one}


def test_a_kind_is_set_before_the_fields_it_brings_in_whatever_order_they_stand() -> None:
    other = arms("pretrain.model.feed_forward.hidden_dim=384", "pretrain.model.feed_forward.kind=gelu")[1]
    assert other.model.feed_forward == Gelu(hidden_dim=384)


def refused(recipe: AblateRecipe) -> str:
    with pytest.raises(RecipeError) as caught:
        resolve(recipe)
    return str(caught.value)


def test_a_default_that_came_along_is_named_and_what_to_write_is_said() -> None:
    message = refused(ask("pretrain.model.feed_forward.kind=gelu"))
    assert message == (
        "variant 'other' differs from 'base' in more than it says: pretrain.model.feed_forward.hidden_dim is 256 there "
        "and 768 here, which follows from what it says; add 'pretrain.model.feed_forward.hidden_dim=256' to keep it, "
        "or 'pretrain.model.feed_forward.hidden_dim=768' to say it"
    )
    base = settings.load(Pipeline, None, ["pretrain.model.feed_forward.hidden_dim=300"])
    message = refused(ask("pretrain.model.feed_forward={bias=true}", base=base))
    assert "hidden_dim is 300 there and 256 here" in message


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ((), "variant 'other' names no field; 'base' is the base as it stands, so give it at least one 'section.field"),
        (
            ("pretrain.model.positon=1",),
            "variant 'other': pretrain.model: no field 'positon'; did you mean 'position'?",
        ),
        (("tokenise.x=1",), "variant 'other': recipe: no field 'tokenise'; did you mean 'tokenize'?"),
        (("pretrain.model",), "variant 'other': override 'pretrain.model' is not of the form section.field=value"),
        (
            ("pretrain.model.position.kind=alibbi",),
            "variant 'other': pretrain.model.position.kind: found str 'alibbi', expected one of alibi,",
        ),
        (("pretrain.seed=3",), "'pretrain.seed=3' may not be varied: seeds are the ablation's own"),
        (("plant.kind=plant_recipe", "plant.seed=3"), "may not be varied: seeds are the ablation's own, the same"),
        (("pretrain.num_tokens=5",), "may not be varied: arms are matched by tokens or FLOPs; set it in base"),
        (("evaluate.seed=3",), "may not be varied: all arms are measured alike; set it in base"),
        (("mix.held_out.share=0.5",), "may not be varied: all arms are judged on the same held-out groups"),
        (
            ("pretrain.model.position.kind=rope",),
            "variant 'other' does not differ from 'base': pretrain.model.position.kind=rope is so there as well",
        ),
    ],
)
def test_a_variant_that_says_nothing_or_nothing_that_can_be_varied_is_refused(
    says: tuple[str, ...], message: str
) -> None:
    assert message in refused(ask(*says))


def test_two_variants_that_are_one_are_refused() -> None:
    recipe = AblateRecipe(
        variants={
            "one": ("pretrain.z_loss=0.1",),
            "two": ("pretrain.z_loss=1e-1", "pretrain.model.tie_embeddings=true"),
        }
    )
    assert "variant 'two' does not differ from 'one': pretrain.z_loss=1e-1; pretrain.model.tie_" in refused(recipe)


def test_without_variants_there_is_nothing_to_compare() -> None:
    assert "variants: none given, expected at least one to compare with the base" in refused(AblateRecipe())


# Matching


def test_arms_matched_by_flops_spend_alike_and_say_how_many_tokens_that_is() -> None:
    says = ("pretrain.model.attention.num_kv_heads=1", "pretrain.model.feed_forward.hidden_dim=64")
    base, other = arms(*says, matched="flops")
    assert other.flops == pytest.approx(base.flops, rel=2048 / 1_000_000)
    assert other.pipeline.pretrain.num_tokens > 1.2 * base.pipeline.pretrain.num_tokens
    assert other.differs["pretrain.num_tokens"] == (1_000_000, other.pipeline.pretrain.num_tokens)
    base, other = arms(*says)
    assert other.pipeline.pretrain.num_tokens == base.pipeline.pretrain.num_tokens
    assert other.flops < base.flops


def test_parameters_that_should_be_equal_are_held_to_it() -> None:
    says = ("pretrain.model.feed_forward.kind=gelu", "pretrain.model.feed_forward.hidden_dim=256")
    message = refused(ask(*says, max_parameter_difference=0.01))
    assert "variant 'other' has 455,328 parameters and 'base' 529,056: 13.9% apart, expected at most 1.0%" in message
    equal = arms(says[0], "pretrain.model.feed_forward.hidden_dim=384", max_parameter_difference=0.0)
    assert equal[0].num_parameters == equal[1].num_parameters


def test_fewer_kv_heads_keep_fewer_bytes() -> None:
    base, other = arms("pretrain.model.attention.num_kv_heads=1")
    assert base.kv_bytes == 4 * other.kv_bytes == 2 * 3 * 4 * 24 * 2


# Sizes


def test_every_size_asks_the_same_question() -> None:
    sizes = {"small": ("pretrain.model.num_layers=2",), "large": ("pretrain.model.num_layers=4",)}
    found = resolve(ask("pretrain.model.position.kind=alibi", sizes=sizes))
    assert list(found) == ["small", "large"]
    assert [arm.model.num_layers for arms in found.values() for arm in arms] == [2, 2, 4, 4]
    assert [arm.size for arm in found["large"]] == ["large", "large"]


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("refine.seed=1", "size 'small': 'refine.seed=1' is no field of pretrain; a size changes the model alone"),
        ("pretrain.model.nothing=1", "size 'small': pretrain.model: no field 'nothing'"),
        (
            "pretrain.model.feed_forward.hidden_dim=64",
            "size 'small' and variant 'other' both set pretrain.model.feed_forward.hidden_dim",
        ),
    ],
)
def test_a_size_that_is_none_or_that_a_variant_would_undo_is_refused(size: str, message: str) -> None:
    recipe = ask("pretrain.model.feed_forward.hidden_dim=128", sizes={"small": (size,)})
    assert message in refused(recipe)


# The recipe itself


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"variants": {"a b": ("x=1",)}}, "variants: 'a b' is no name for an arm or a size"),
        ({"variants": {"base": ("x=1",)}}, "variants: 'base' is the reference, the base as it stands"),
        ({"seeds": 1}, "seeds: found 1, expected at least 2: one tells nothing of the next"),
        ({"smallest_difference": 0.0}, "smallest_difference: found 0.0, expected more than 0"),
        ({"max_parameter_difference": -1.0}, "max_parameter_difference: found -1.0, expected 0 or more"),
        ({"metric": "cloze"}, "metric: 'cloze' needs base.evaluate.cloze, which is off"),
        ({"longer_contexts": (1,)}, "longer_contexts: found 1, expected at least 2 tokens"),
        (
            {"base": Pipeline(mix=MixRecipe(held_out=Off()))},
            "base.mix.held_out: off, so that there is nothing to judge",
        ),
        ({"base": Pipeline(pretrain=PretrainRecipe())}, "base.pretrain.model: absent; an ablation trains fresh models"),
        (
            {
                "base": Pipeline(evaluate=EvaluateRecipe(bits=Off())),
                "metric": "cloze",
                "longer_contexts": (256,),
            },
            "longer_contexts: bits per byte are measured there, but base.evaluate.bits is off",
        ),
    ],
)
def test_a_question_that_cannot_be_judged_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        AblateRecipe(**fields)
    assert message in str(caught.value)


def test_the_whole_question_survives_toml() -> None:
    recipe = ask("plant.kind=plant_recipe", sizes={"s": ("pretrain.model.num_layers=2",)}, longer_contexts=(256,))
    assert settings.parse(AblateRecipe, settings.to_table(recipe)) == recipe
