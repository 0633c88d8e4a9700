"""One scorer against others on the same questions: paired differences with their uncertainty."""

from collections.abc import Mapping, Sequence

from waman.evaluation.metrics import Figure, Floats, mean, ratio


def accuracies(credits: Mapping[str, Floats], clusters: Sequence[str], *, seed: int) -> dict[str, Figure]:
    """The accuracy of every scorer; `credits` holds (questions,) each, in the order of `clusters`."""
    return {name: mean(values, clusters, seed=seed) for name, values in credits.items()}


def differences(
    credits: Mapping[str, Floats], clusters: Sequence[str], *, subject: str, seed: int
) -> dict[str, Figure]:
    """Accuracy of `subject` minus that of every other scorer, paired by question."""
    return {
        name: mean(credits[subject] - values, clusters, seed=seed)
        for name, values in credits.items()
        if name != subject
    }


def ratio_differences(
    totals: Mapping[str, Floats], weights: Floats, clusters: Sequence[str], *, subject: str, seed: int
) -> dict[str, Figure]:
    """`subject`'s total / weight minus every other's, paired by record (bits and bytes of a document, say)."""
    return {
        name: ratio(totals[subject] - values, weights, clusters, seed=seed)
        for name, values in totals.items()
        if name != subject
    }


def best(figures: Mapping[str, Figure]) -> str:
    """The name of the highest figure, the first by name among equals; `figures` must not be empty."""
    return max(sorted(figures), key=lambda name: figures[name].value)
