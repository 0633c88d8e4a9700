"""The figures that arms are judged by."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A figure, how it is written, and what a model that knows nothing gets."""

    name: str
    unit: str
    lower_is_better: bool
    knows_nothing: float
    """What a diverged seed counts as."""
    scale: float = 1.0
    """Of the figure to the number that is written."""
    decimals: int = 4

    def show(self, value: float) -> str:
        """The number alone."""
        return f"{self.scale * value:.{self.decimals}f}".replace("-", "−")

    def show_signed(self, value: float) -> str:
        """The number with its sign."""
        return f"{self.scale * value:+.{self.decimals}f}".replace("-", "−")

    def show_interval(self, interval: tuple[float, float]) -> str:
        """Two numbers in brackets."""
        return f"[{self.show(interval[0])}, {self.show(interval[1])}]"


METRICS: Mapping[str, Metric] = {
    "bits_per_byte": Metric("bits per byte", "bits per byte", lower_is_better=True, knows_nothing=8.0),
    "cloze": Metric(
        "cloze accuracy", "points of cloze accuracy", lower_is_better=False, knows_nothing=0.25, scale=100, decimals=2
    ),
}
"""By the name that a recipe gives them. A byte that is guessed costs 8 bits; one option of four is right in 1/4."""
