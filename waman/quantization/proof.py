"""What was measured of a quantized model beside its original. Loads no torch: `inspect` shows it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from waman.errors import ArtifactError

NO_PROOF = "none: no tokens were given to measure it on"


@dataclass(frozen=True)
class Interval:
    """A figure, and where it lies with 95% confidence."""

    value: float
    low: float
    high: float

    def shown(self, form: str) -> str:
        """The figure with its interval, in a format of `str.format`."""
        return f"{form.format(self.value)} ({form.format(self.low)} to {form.format(self.high)})"


@dataclass(frozen=True)
class Proven:
    """Original and quantized model on the same held-out tokens; intervals by bootstrap over sequences."""

    tokens: int
    """predicted"""
    sequences: int
    original_perplexity: Interval
    perplexity: Interval
    kl: Interval
    """mean divergence of the quantized from the original, nats per token"""
    agreement: Interval
    """share of tokens for which both hold the same one most likely"""

    def to_table(self) -> dict[str, Any]:
        """As plain data, for a manifest."""
        return asdict(self)

    @classmethod
    def of(cls, counts: Mapping[str, Any]) -> "Proven | None":
        """What a manifest's counts say; None where there is no proof. Raises ArtifactError where it is damaged."""
        table = counts.get("proof")
        if not isinstance(table, Mapping):
            return None
        try:
            figures = {name: Interval(**one) for name, one in table.items() if isinstance(one, Mapping)}
            return cls(tokens=int(table["tokens"]), sequences=int(table["sequences"]), **figures)
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"the proof in the manifest is damaged: {error!r}; quantize the original again"
            ) from error


def told(counts: Mapping[str, Any]) -> list[str]:
    """What a manifest's counts say of a quantization, a line each; nothing where there was none."""
    if "bits_per_weight" not in counts:
        return []
    lines = [f"{counts['bits_per_weight']:.2f} bits per weight, all bytes counted"]
    proven = Proven.of(counts)
    if proven is None:
        return [*lines, f"proof {NO_PROOF}"]
    return [
        *lines,
        f"proof on {proven.tokens:,} held-out tokens in {proven.sequences:,} sequences, 95% intervals:",
        f"  perplexity {proven.perplexity.shown('{:.3f}')}",
        f"  the original's {proven.original_perplexity.shown('{:.3f}')}",
        f"  divergence from the original {proven.kl.shown('{:.5f}')} nats per token",
        f"  the same most likely token for {proven.agreement.shown('{:.2%}')}",
    ]


def in_a_line(counts: Mapping[str, Any]) -> str | None:
    """The same for a chat's beginning; None where there was no quantization."""
    if "bits_per_weight" not in counts:
        return None
    proven = Proven.of(counts)
    bits = f"Its weights take {counts['bits_per_weight']:.2g} bits each"
    if proven is None:
        return f"{bits}; what that changed was not measured."
    return (
        f"{bits}; beside the original it holds the same token most likely {proven.agreement.value:.1%} of the time "
        f"(perplexity {proven.perplexity.value:.2f}, before {proven.original_perplexity.value:.2f}; "
        f"{proven.tokens:,} held-out tokens)."
    )
