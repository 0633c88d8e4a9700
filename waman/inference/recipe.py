"""How tokens are chosen. Imports no library beside the standard one."""

import math
from dataclasses import dataclass, field

from waman.errors import RecipeError


@dataclass(frozen=True)
class JsonSchema:
    """The answer is a JSON text that fits a schema."""

    schema: str
    """the schema, as JSON; `{}` allows any value"""


@dataclass(frozen=True)
class Regex:
    """The whole answer matches a regular expression (the syntax of Rust's, no look-around, no back references)."""

    pattern: str
    """the expression"""


@dataclass(frozen=True)
class Grammar:
    """The answer is a sentence of a context-free grammar (Lark's notation, from the rule `start`)."""

    rules: str
    """the rules"""


Constraint = JsonSchema | Regex | Grammar


@dataclass(frozen=True)
class Bias:
    """What is added to the logit of a token before anything else."""

    token_id: int
    """the token"""
    added: float
    """below 0 makes it rarer; -100 all but forbids it"""


@dataclass(frozen=True)
class Sampling:
    """How a completion is drawn and when it ends.

    In this order: logit_bias, the penalties, the constraint, temperature, top_k, top_p, min_p.
    """

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
    top_k: int | None = None
    """Draw from this many of the likeliest tokens; absent: from all."""
    min_p: float = 0.0
    """Leave out tokens that are less likely than this share of the likeliest one's probability; 0 leaves out none."""
    repetition_penalty: float = 1.0
    """Divides positive logits of tokens of prompt and answer, multiplies negative ones (Keskar et al. 2019); 1: off."""
    presence_penalty: float = 0.0
    """Taken from the logit of every token that the answer already holds."""
    frequency_penalty: float = 0.0
    """Taken from a token's logit as often as the answer already holds it."""
    logit_bias: tuple[Bias, ...] = ()
    """Added to the logits of single tokens, by id."""
    stop_ids: tuple[int, ...] = ()
    """The completion ends at these tokens too, which are not part of it."""
    num_samples: int = 1
    """Completions of each prompt; each draws from a generator of its own."""
    logprobs: int | None = None
    """Tell the log-probability of each token of the answer, and this many of the likeliest; absent: none."""
    prompt_logprobs: int | None = None
    """The same for the prompt's tokens, from the second on."""
    constraint: Constraint | None = None
    """What form the answer has; absent: any."""

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise RecipeError(f"max_tokens: found {self.max_tokens}, expected at least 1")
        if not 0.0 <= self.temperature < math.inf:
            raise RecipeError(f"temperature: found {self.temperature}, expected 0 or more")
        if not 0.0 < self.top_p <= 1.0:
            raise RecipeError(f"top_p: found {self.top_p}, expected above 0, at most 1")
        if not 0 <= self.seed < 1 << 63:
            raise RecipeError(f"seed: found {self.seed}, expected 0 to 2^63 - 1")
        if "" in self.stop:
            raise RecipeError("stop: found an empty text, which stands everywhere; leave it out")
        if self.top_k is not None and self.top_k < 1:
            raise RecipeError(f"top_k: found {self.top_k}, expected at least 1")
        if not 0.0 <= self.min_p <= 1.0:
            raise RecipeError(f"min_p: found {self.min_p}, expected 0 to 1")
        if not 0.0 < self.repetition_penalty < math.inf:
            raise RecipeError(f"repetition_penalty: found {self.repetition_penalty}, expected above 0; 1 is none")
        for name in ("presence_penalty", "frequency_penalty"):
            if not math.isfinite(getattr(self, name)):
                raise RecipeError(f"{name}: found {getattr(self, name)}, expected a finite number")
        for bias in self.logit_bias:
            if not math.isfinite(bias.added):
                raise RecipeError(
                    f"logit_bias: found {bias.added} for token {bias.token_id}, expected a finite number; "
                    "-100 all but forbids a token"
                )
        if self.num_samples < 1:
            raise RecipeError(f"num_samples: found {self.num_samples}, expected at least 1")
        for name in ("logprobs", "prompt_logprobs"):
            wanted = getattr(self, name)
            if wanted is not None and wanted < 0:
                raise RecipeError(f"{name}: found {wanted}, expected how many alternatives to tell, 0 or more")
        if self.constraint is not None and (self.stop or self.stop_ids):
            raise RecipeError(
                "stop, stop_ids: they would end an answer before its constraint is fulfilled; leave out one of the two"
            )


@dataclass(frozen=True)
class Prompt:
    """One piece of a demonstration."""

    title: str
    """what it shows"""
    text: str
    """what the model goes on from"""
    question: str | None = None
    """what a model that chats is asked in place of it; absent: where a conversation does not fit"""


@dataclass(frozen=True)
class SampleRecipe:
    """A demonstration: prompts, and how they are answered."""

    prompts: tuple[Prompt, ...] = ()
    """one after the other"""
    sampling: Sampling = field(default_factory=Sampling)
    """how the completions are drawn"""

    def __post_init__(self) -> None:
        if not self.prompts:
            raise RecipeError("prompts: found none, expected at least one with a title and a text")
