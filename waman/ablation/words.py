"""Verdicts in sentences."""

from collections.abc import Sequence

from waman.ablation.metric import Metric
from waman.ablation.verdict import MAX_MORE_SEEDS, Design, Further, Verdict


def sentence(verdict: Verdict, design: Design, metric: Metric, *, more: Further | None, seconds_per_seed: float) -> str:
    """One comparison; `more` is what an undecided one would take, at so many seconds for a seed of all arms."""
    arm, reference = verdict.arm, verdict.reference
    match verdict.decision:
        case "better":
            said = f"{arm} is better than {reference} by {_size(verdict, metric)}"
        case "worse":
            said = f"{reference} is better than {arm} by {_size(verdict, metric)}"
        case "no_difference":
            said = (
                f"no difference larger than {metric.show(design.smallest_difference)} {metric.unit} between {arm} and "
                f"{reference} ({_signed(verdict, metric)})"
            )
        case "undecided":
            said = (
                f"undecided between {arm} and {reference} ({_signed(verdict, metric)}): "
                f"{what_it_takes(verdict, more, seconds_per_seed=seconds_per_seed)}"
            )
    return said + _diverged(verdict, metric)


def summary(sentences: Sequence[str]) -> str:
    """Several comparisons as one sentence."""
    return "; ".join(sentences) + "."


def what_it_takes(verdict: Verdict, more: Further | None, *, seconds_per_seed: float) -> str:
    """What would probably decide an undecided comparison."""
    if verdict.num_seeds < 2:
        return "one seed tells nothing of the next; take two or more"
    if more is None:
        return f"more than {MAX_MORE_SEEDS} further seeds would not decide it"
    seeds = "1 more seed" if more.more_seeds == 1 else f"{more.more_seeds} more seeds"
    needed = more.more_seeds * seconds_per_seed / 3600
    hours = f"{needed:.1f} hours" if needed >= 0.1 else "less than 0.1 hours"
    if more.more_documents == 1:
        return f"{seeds}, {hours}"
    return f"{seeds}, {hours}, on {more.more_documents} times the held-out documents"


def confidence(design: Design) -> str:
    """What the intervals of an ablation mean."""
    looks, comparisons = len(design.looks), design.num_comparisons
    over = [f"{looks} looks"] * (looks > 1) + [f"{comparisons} comparisons"] * (comparisons > 1)
    return "95% intervals" + (f", together over {' and '.join(over)}" if over else "")


def _size(verdict: Verdict, metric: Metric) -> str:
    """The size of the difference, its interval turned to the same side."""
    low, high = verdict.interval
    if verdict.difference < 0:
        low, high = -high, -low
    return f"{metric.show(abs(verdict.difference))} {metric.unit} {metric.show_interval((low, high))}"


def _signed(verdict: Verdict, metric: Metric) -> str:
    if verdict.num_seeds < 2:
        return metric.show_signed(verdict.difference)
    return f"{metric.show_signed(verdict.difference)} {metric.show_interval(verdict.interval)}"


def _diverged(verdict: Verdict, metric: Metric) -> str:
    found = [(verdict.arm, verdict.num_diverged), (verdict.reference, verdict.reference_diverged)]
    said = [f"{number} of {verdict.num_seeds} seeds of {name}" for name, number in found if number]
    if not said:
        return ""
    return f"; diverged: {', '.join(said)}, each counted as {metric.show(metric.knows_nothing)} {metric.unit}"
