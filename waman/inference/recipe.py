"""How tokens are chosen. Imports no library beside the standard one."""

from dataclasses import dataclass

from waman.errors import RecipeError


@dataclass(frozen=True)
class Sampling:
    """How a completion is drawn and when it ends."""

    max_tokens: int = 64
    """Tokens to write at most; the context length may end it earlier."""
    temperature: float = 0.0
    """Divides the logits; 0 always takes the most likely token."""
    top_p: float = 1.0
    """Draw from the likeliest tokens until those before hold more than this probability; 1 draws from all."""
    seed: int = 0
    """The same seed gives the same text, alone or in a batch."""
    stop: tuple[str, ...] = ()
    """The completion ends before the first of these texts."""

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise RecipeError(f"max_tokens: found {self.max_tokens}, expected at least 1")
        if not 0.0 <= self.temperature < float("inf"):
            raise RecipeError(f"temperature: found {self.temperature}, expected 0 or more")
        if not 0.0 < self.top_p <= 1.0:
            raise RecipeError(f"top_p: found {self.top_p}, expected above 0, at most 1")
        if not 0 <= self.seed < 1 << 63:
            raise RecipeError(f"seed: found {self.seed}, expected 0 to 2^63 - 1")
        if "" in self.stop:
            raise RecipeError("stop: found an empty text, which stands everywhere; leave it out")
