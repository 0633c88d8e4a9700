"""What `waman ablate --dry-run` says before anything runs: the arms, what they share, what it may cost."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from waman.ablation.recipe import AblateRecipe
from waman.ablation.results import design_of
from waman.ablation.roads import GIVEN, Road, Step, given, judge_of, once, road_of
from waman.ablation.variants import Arm, resolve
from waman.ablation.words import confidence


def foresee(recipe: AblateRecipe) -> list[str]:
    """Lines of text. Raises RecipeError where the arms are refused."""
    arms = resolve(recipe)
    roads = all_roads(recipe, arms)
    return [*_arms(arms), "", *_shared(roads), "", *_cost(recipe, arms), "", *_statistics(recipe)]


def all_roads(recipe: AblateRecipe, arms: Mapping[str | None, Sequence[Arm]]) -> list[Road]:
    """The road of every arm with every seed, from documents that need not be there yet."""
    documents = [given("documents")]
    judge = judge_of(recipe.base, documents)
    return [
        road_of(arm, seed, judge=judge, documents=documents, longer_contexts=recipe.longer_contexts)
        for seed in range(recipe.seeds)
        for some in arms.values()
        for arm in some
    ]


def _arms(arms: Mapping[str | None, Sequence[Arm]]) -> Iterator[str]:
    for size, some in arms.items():
        yield f"arms at size {size}" if size is not None else "arms"
        for arm in some:
            yield (
                f"  {arm.name}: {arm.num_parameters:,} parameters, {arm.pipeline.pretrain.num_tokens:,} tokens, "
                f"{arm.flops:.2e} FLOPs, {arm.kv_bytes:,} bytes of cache per token"
            )
            yield from (f"    {says}" for says in arm.says)


def _shared(roads: Sequence[Road]) -> Iterator[str]:
    """Every step before training, and for how many arms it is made."""
    users: Counter[str] = Counter()
    names = {(road.arm.size, road.arm.name): road for road in roads if road.seed == 0}
    for road in names.values():
        users.update(step.key for step in road.steps)
    anew = any(step.door == "plant" for road in names.values() for step in road.steps)
    yield "made once each" + (", but what comes after planting: with every seed" if anew else "")
    for step in once(step for road in names.values() for step in road.steps):
        if step.door not in (GIVEN, "pretrain", "evaluate"):
            yield f"  {step.name}: {_users(step, users, len(names))}"
    runs = once(road.run for road in roads)
    yield f"  {len(runs)} runs, each scored{_times(roads)}"


def _users(step: Step, users: Counter[str], number: int) -> str:
    count = users[step.key]
    if count == number:
        return "for all arms"
    return f"for {count} of {number} arms" if count else "to judge by"


def _times(roads: Sequence[Road]) -> str:
    lengths = sorted({length for road in roads for length in road.longer})
    return f", also at {', '.join(map(str, lengths))} tokens" if lengths else ""


def _cost(recipe: AblateRecipe, arms: Mapping[str | None, Sequence[Arm]]) -> Iterator[str]:
    flops = sum(arm.flops for some in arms.values() for arm in some)
    yield f"cost: {recipe.seeds * flops:.2e} FLOPs of training if all {recipe.seeds} seeds are run"
    yield f"  {recipe.seeds * _hours(arms):.2f} hours of training on this machine; scoring and data come on top"


def _hours(arms: Mapping[str | None, Sequence[Arm]]) -> float:
    """One seed of every arm, by the cost plan of this machine, which is measured once for each precision."""
    from waman.planning.plan import machine_for, plan
    from waman.planning.recipe import PlanRecipe

    recipes = [replace(arm.pipeline.pretrain, model=arm.model) for some in arms.values() for arm in some]
    machines = {one.precision: machine_for(one) for one in {each.precision: each for each in recipes}.values()}
    return sum(plan(PlanRecipe(), target=one, machine=machines[one.precision]).gpu_hours for one in recipes)


def _statistics(recipe: AblateRecipe) -> Iterator[str]:
    design = design_of(recipe)
    yield f"{confidence(design)}; smallest difference of interest {recipe.smallest_difference:g}"
    yield f"looks after {', '.join(map(str, design.looks))} seeds"
