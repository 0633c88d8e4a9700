"""What arms share and what each has of its own, before anything is made."""

from collections.abc import Sequence
from typing import Any

from tests.ablation.conftest import question
from waman.ablation.foresight import all_roads, foresee
from waman.ablation.recipe import AblateRecipe
from waman.ablation.roads import Road, once
from waman.ablation.variants import resolve
from waman.evaluation.recipe import BitsPerByte


def roads(*says: str, **fields: Any) -> dict[tuple[str, int], Road]:
    recipe = question(*says, **fields)
    return {(road.arm.name, road.seed): road for road in all_roads(recipe, resolve(recipe))}


def doors(some: Sequence[Road]) -> list[str]:
    return sorted(step.door for step in once(step for road in some for step in road.steps))


SHARED = ["given", "mix", "refine", "tokenize", "train_tokenizer"]


def test_models_that_differ_share_everything_before_them() -> None:
    found = roads("pretrain.model.position.kind=alibi", seeds=2)
    assert doors(list(found.values())) == sorted([*SHARED, *["pretrain", "evaluate"] * 4])


def test_the_same_seed_is_the_same_in_every_arm_and_no_two_seeds_are() -> None:
    found = roads("pretrain.model.position.kind=alibi", base=("pretrain.seed=7",))
    assert [found[arm, seed].run.recipe.seed for arm in ("base", "other") for seed in range(3)] == [7, 8, 9] * 2
    assert all(road.run.recipe.fresh_weights == "by_name" for road in found.values())


def test_other_documents_are_judged_on_the_base_s_with_the_base_s_tokenizer() -> None:
    found = roads("refine.near_duplicates.kind=off", seeds=2)
    assert doors(list(found.values())) == sorted(
        [*SHARED, "withhold", "refine", "mix", "tokenize", *["pretrain", "evaluate"] * 4]
    )
    base, other = found["base", 0], found["other", 0]
    [tokens], [base_tokens] = other.run.inputs["tokens"], base.run.inputs["tokens"]
    assert tokens.key != base_tokens.key
    assert tokens.inputs["tokenizer"] == base_tokens.inputs["tokenizer"]
    assert tokens.inputs["mixture"][0].inputs["like"] == base_tokens.inputs["mixture"]
    for name in ("documents", "mixture"):
        assert other.scores.inputs[name] == base.scores.inputs[name]


def test_what_is_planted_is_never_judged_on() -> None:
    found = roads("refine.near_duplicates.kind=off", base=("plant.kind=plant_recipe",), seeds=2)
    for road in found.values():
        judged = road.scores.inputs["documents"][0]
        assert not {"plant", "withhold"} & {step.door for step in judged.with_all_before()}
        assert "plant" in {step.door for step in road.run.with_all_before()}
    everything = once(step for road in found.values() for step in road.steps)
    planted = [step.recipe.seed for step in everything if step.door == "plant"]
    assert sorted(planted) == [0, 1], "drawn anew with every seed, and the same in every arm"


def test_another_tokenizer_is_learned_from_the_same_documents() -> None:
    found = roads("train_tokenizer.split_digits=false", seeds=2)
    assert doors(list(found.values())) == sorted(
        [*SHARED, "train_tokenizer", "tokenize", *["pretrain", "evaluate"] * 4]
    )


def test_longer_contexts_are_scored_where_positions_allow_it() -> None:
    found = roads("pretrain.model.position.kind=learned", longer_contexts=(16, 32))
    at = found["base", 0].longer[32]
    assert at is not None
    assert isinstance(at.recipe.bits, BitsPerByte)
    assert at.recipe.bits.context_length == 32
    assert found["other", 0].longer[32] is None
    assert found["other", 0].longer[16] is not None


def test_the_foresight_names_arms_shares_and_looks() -> None:
    says = ("pretrain.model.feed_forward.kind=gelu", "pretrain.model.feed_forward.hidden_dim=36")
    lines = "\n".join(foresee(question(*says, "refine.seed=3", seeds=5)))
    for expected in (
        "base: 7,344 parameters, 4,096 tokens, 1.92e+08 FLOPs, 64 bytes of cache per token",
        "    pretrain.model.feed_forward.hidden_dim=36",
        "for all arms",
        "for 1 of 2 arms",
        "10 runs, each scored",
        "cost: ",
        "95% intervals, together over 3 looks; smallest difference of interest 0.01",
        "looks after 3, 4, 5 seeds",
    ):
        assert expected in lines, expected


def test_sizes_are_registered_as_further_comparisons() -> None:
    sizes = {"small": ("pretrain.model.num_layers=1",), "large": ("pretrain.model.num_layers=2",)}
    recipe: AblateRecipe = question("pretrain.z_loss=0.001", sizes=sizes, seeds=2)
    assert "together over 2 comparisons" in "\n".join(foresee(recipe))
    assert {road.run.name for road in all_roads(recipe, resolve(recipe))} == {
        f"runs/{size}/{arm}/seed-{seed}" for size in sizes for arm in ("base", "other") for seed in range(2)
    }
