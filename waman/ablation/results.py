"""An ablation's outcomes as plain data: what the artifact keeps, `--json` prints and the page shows."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scipy import stats

from waman.ablation.metric import METRICS, Metric
from waman.ablation.outcomes import Outcome, compare, to_plain, values
from waman.ablation.recipe import AblateRecipe
from waman.ablation.variants import Arm
from waman.ablation.verdict import Design, Verdict, further, judge
from waman.ablation.words import confidence, sentence, summary
from waman.artifact import Artifact
from waman.manifest import read_table

RESULTS = "verdict.json"
Data = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """One arm against the reference, in figures and in a sentence."""

    verdict: Verdict
    sentence: str
    parts: Data
    """The parts of the variance."""


def design_of(recipe: AblateRecipe) -> Design:
    """What the recipe settles of the statistics; every variant at every size is a comparison."""
    num_comparisons = len(recipe.variants) * max(1, len(recipe.sizes))
    return Design(recipe.seeds, recipe.early_stop, num_comparisons, recipe.smallest_difference)


def comparisons(
    recipe: AblateRecipe, arms: Sequence[Arm], outcomes: Sequence[Outcome], *, length: int | None = None
) -> list[Comparison]:
    """Every variant of one size against the reference, after the seeds there are."""
    metric, design = METRICS[recipe.metric if length is None else "bits_per_byte"], design_of(recipe)
    by_arm = {arm.name: [one for one in outcomes if one.arm == arm.name] for arm in arms}
    reference = by_arm[arms[0].name]
    found = []
    for arm in arms[1:]:
        own = by_arm[arm.name]
        estimated = compare(own, reference, metric, length=length)
        if estimated is None:
            continue
        diverged = [sum(one.diverged is not None for one in some) for some in (own, reference)]
        verdict = judge(
            estimated,
            design,
            arm=arm.name,
            reference=arms[0].name,
            lower_is_better=metric.lower_is_better,
            num_diverged=diverged[0],
            reference_diverged=diverged[1],
        )
        more = None if verdict.decided else further(estimated, design, may_be_equal=not any(diverged))
        seconds = (sum(one.seconds for one in own) + sum(one.seconds for one in reference)) / max(len(own), 1)
        said = sentence(verdict, design, metric, more=more, seconds_per_seed=seconds)
        found.append(Comparison(verdict, said, to_plain(estimated)))
    return found


def tell(
    recipe: AblateRecipe,
    identity: str,
    arms: Mapping[str | None, Sequence[Arm]],
    outcomes: Mapping[str | None, Sequence[Outcome]],
    seconds: Mapping[str, float],
    *,
    earlier: Data | None = None,
) -> Data:
    """All results. `seconds`: what every step took, by the name of its folder; `earlier`: what had been seen before."""
    metric = METRICS[recipe.metric]
    sizes = [_tell_size(recipe, size, some, outcomes[size]) for size, some in arms.items()]
    shared = {name: took for name, took in seconds.items() if not name.startswith(("runs/", "scores/"))}
    said = [f"{one['size']}: {one['sentence']}" if one["size"] else str(one["sentence"]) for one in sizes]
    return {
        "question": recipe.question,
        "finding": {"text": recipe.finding.text, "source": recipe.finding.source},
        "registered": identity,
        "metric": metric.name,
        "unit": metric.unit,
        "smallest_difference": recipe.smallest_difference,
        "confidence": confidence(design_of(recipe)),
        "sentence": " ".join(said),
        "seeds": recipe.seeds,
        "looks": list(design_of(recipe).looks),
        "sizes": sizes,
        "order_kept": _tell_order(arms, outcomes, metric),
        "seconds": {"shared": shared, "in_all": sum(seconds.values())},
        "earlier": earlier,
    }


def tell_earlier(earlier: Artifact, taken_over: Sequence[str]) -> Data:
    """An ablation that was seen before this one was asked. `taken_over`: names of the steps that are its own."""
    told = read_results(earlier)
    runs = sum(name.startswith("runs/") for name in taken_over)
    return {"identity": earlier.identity, "seeds": told["seeds"], "sentence": told["sentence"], "runs": runs}


def _tell_size(recipe: AblateRecipe, size: str | None, arms: Sequence[Arm], outcomes: Sequence[Outcome]) -> Data:
    metric = METRICS[recipe.metric]
    found = comparisons(recipe, arms, outcomes)
    return {
        "size": size,
        "seeds_run": len({one.seed for one in outcomes}),
        "sentence": summary([one.sentence for one in found]),
        "arms": [_tell_arm(arm, [one for one in outcomes if one.arm == arm.name], metric) for arm in arms],
        "comparisons": [_tell_comparison(one) for one in found],
        "longer": {
            str(length): {
                "values": {
                    arm.name: values([one for one in outcomes if one.arm == arm.name], metric, length=length)
                    for arm in arms
                },
                "comparisons": [_tell_comparison(one) for one in comparisons(recipe, arms, outcomes, length=length)],
            }
            for length in recipe.longer_contexts
        },
    }


def _tell_arm(arm: Arm, outcomes: Sequence[Outcome], metric: Metric) -> Data:
    by_seed = values(outcomes, metric)
    known = [value for value in by_seed if value is not None]
    return {
        "arm": arm.name,
        "says": list(arm.says),
        "differs": {field: [there, here] for field, (there, here) in arm.differs.items()},
        "parameters": arm.num_parameters,
        "tokens": arm.pipeline.pretrain.num_tokens,
        "flops": arm.flops,
        "cache_bytes_per_token": arm.kv_bytes,
        "mean": sum(known) / len(known) if known else None,
        "by_seed": by_seed,
        "diverged": {str(one.seed): one.diverged for one in outcomes if one.diverged is not None},
        "seconds": [round(one.seconds, 3) for one in outcomes],
    }


def _tell_comparison(one: Comparison) -> Data:
    verdict = one.verdict
    return {
        "arm": verdict.arm,
        "reference": verdict.reference,
        "decision": verdict.decision,
        "sentence": one.sentence,
        "difference": verdict.difference,
        "interval": _ends(verdict.interval),
        "interval_level": verdict.confidence,
        "equivalence_interval": _ends(verdict.equivalence),
        "num_seeds": verdict.num_seeds,
        **{name: value if math.isfinite(value) else None for name, value in one.parts.items()},
    }


def _ends(interval: tuple[float, float]) -> list[float] | None:
    return list(interval) if all(map(math.isfinite, interval)) else None


def _tell_order(
    arms: Mapping[str | None, Sequence[Arm]], outcomes: Mapping[str | None, Sequence[Outcome]], metric: Metric
) -> list[Data]:
    """Kendall's tau of the arms' means from each size to the next: 1 where all pairs stand in the same order."""
    means: dict[str | None, list[float]] = {}
    for size, some in arms.items():
        by_arm = [values([one for one in outcomes[size] if one.arm == arm.name], metric) for arm in some]
        means[size] = [sum(value or 0.0 for value in row) / max(len(row), 1) for row in by_arm]
    taus = [(a, b, float(stats.kendalltau(means[a], means[b]).statistic)) for a, b in itertools.pairwise(means)]
    return [{"from": a, "to": b, "tau": tau if math.isfinite(tau) else None} for a, b, tau in taus]


def order(found: Mapping[str, Any]) -> str:
    """Whether the arms stand in the same order at the next size, in words."""
    if found["tau"] is None:
        return f"from {found['from']} to {found['to']}: no order, the arms are alike"
    same = ", the same order" if found["tau"] == 1 else ""
    return f"from {found['from']} to {found['to']}: Kendall's tau {found['tau']:.2f}{same}"


def read_results(ablation: Artifact) -> Data:
    """What the door wrote. Raises InputError where it is missing or damaged."""
    return dict(read_table(ablation.path / RESULTS))


def render(data: Mapping[str, Any]) -> str:
    """The verdict for the eye, with a line for every arm."""
    lines = [str(data["question"]), ""] if data["question"] else []
    for size in data["sizes"]:
        lines += [f"{size['size']}:"] if size["size"] else []
        for arm in size["arms"]:
            mean = "" if arm["mean"] is None else f"{arm['mean']:.4f} {data['metric']}"
            diverged = f", {len(arm['diverged'])} diverged" if arm["diverged"] else ""
            lines.append(f"  {arm['arm']:<20} {mean}, {len(arm['by_seed'])} seeds{diverged}")
        lines += [f"  {one['sentence']}" for one in size["comparisons"]]
        for length, part in size["longer"].items():
            lines += [f"  at {length} tokens: {one['sentence']}" for one in part["comparisons"]]
    lines += [f"{order(one)}" for one in data["order_kept"]]
    lines.append(f"({data['confidence']}; smallest difference of interest {data['smallest_difference']:g})")
    if data["earlier"] is not None:
        lines.append(f"({words_of_earlier(data['earlier'])})")
    return "\n".join(lines) + "\n"


def words_of_earlier(earlier: Mapping[str, Any]) -> str:
    """That this is a second look, in words."""
    return (
        f"asked again: {earlier['runs']} runs are those of an ablation of {earlier['seeds']} seeds, which said: "
        f"{earlier['sentence'].rstrip('.')}. Chances of error are those of this look alone"
    )
