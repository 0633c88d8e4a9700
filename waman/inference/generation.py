"""One answer: what is asked for, what it grows to, when and why it ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from waman.inference.constrain import Matcher
from waman.inference.recipe import Sampling
from waman.inference.sampling import Sampler, TokenLogs
from waman.inference.stopping import StopGate
from waman.tokens.tokenizer import Continuation

Finish = Literal["end", "stop", "length", "failed"]
"""At an end token, or where the constraint allows nothing more; at a stop string or stop id; at max_tokens or where
the context is full; where the constraint cannot be fulfilled."""


NO_TOKEN = "no token could be chosen: the constraint allows none, or the model's logits are not finite"


@dataclass(frozen=True)
class Request:
    """A prompt that fits the model, and what is wanted of its completion."""

    token_ids: Sequence[int]
    sampling: Sampling
    end_ids: frozenset[int]
    """Tokens that end the completion and are not part of it."""
    begins_text: bool
    """Whether the completion is a text of its own (a chat answer), not the rest of the prompt's."""
    adapter: int | None = None
    """What the runner gave for a LoRA adapter; absent: the plain weights."""
    name: str = "the prompt"
    """How an error speaks of it."""


@dataclass(frozen=True)
class Completion:
    """What was written after a prompt."""

    text: str
    token_ids: tuple[int, ...]
    """As they were drawn, without the token that ended it; a stop string may lie within the last ones."""
    finish: Finish
    sample: int = 0
    """Number among those of its prompt."""
    logprobs: tuple[TokenLogs, ...] | None = None
    """Of token_ids, where they were asked for."""
    prompt_logprobs: tuple[TokenLogs, ...] | None = None
    """Of the prompt's tokens from the second on, where they were asked for."""
    problem: str = ""
    """Why it failed."""

    @property
    def is_whole(self) -> bool:
        """Whether the model, a stop or the constraint ended it: not where it was cut off or failed."""
        return self.finish in ("end", "stop")


class Writer:
    """An answer that grows."""

    def __init__(
        self,
        request: Request,
        text: Continuation,
        *,
        room: int,
        number: int = 0,
        matcher: Matcher | None = None,
    ) -> None:
        """text: the decoder of its tokens; room: tokens that the context has left for it."""
        sampling = request.sampling
        self.number = number
        self.sampler = Sampler(sampling, number=number, prompt=request.token_ids)
        self.finish: Finish | None = None
        self.problem = ""
        self._left = min(sampling.max_tokens, room)
        self._end_ids = request.end_ids
        self._stop_ids = frozenset(sampling.stop_ids)
        self._text = text
        self._gate = StopGate(sampling.stop)
        self._matcher = matcher
        self._token_ids: list[int] = []
        self._shown: list[str] = []
        self._logs: list[TokenLogs] | None = None if sampling.logprobs is None else []

    def allowed(self) -> Tensor | None:
        """(vocab_size,), bool: what its constraint lets through now; None where it has none."""
        return None if self._matcher is None else self._matcher.allowed()

    def take(self, token_id: int | None, logs: TokenLogs | None) -> str:
        """Goes on by a token, None where none could be chosen; the text that may be shown now.

        `finish` says whether it is the last.
        """
        shown = self._fail(NO_TOKEN) if token_id is None else self._take(token_id, logs)
        if shown:
            self._shown.append(shown)
        return shown

    def completion(self, prompt_logprobs: tuple[TokenLogs, ...] | None) -> Completion:
        """What was written, once it is finished."""
        assert self.finish is not None
        return Completion(
            text="".join(self._shown),
            token_ids=tuple(self._token_ids),
            finish=self.finish,
            sample=self.number,
            logprobs=None if self._logs is None else tuple(self._logs),
            prompt_logprobs=prompt_logprobs,
            problem=self.problem,
        )

    def _take(self, token_id: int, logs: TokenLogs | None) -> str:
        if token_id in self._end_ids or token_id in self._stop_ids:
            if self._matcher is not None and not self._matcher.may_end:
                return self._fail(f"token {token_id} would end an answer that is not whole")
            self.finish = "end" if token_id in self._end_ids else "stop"
            return self._gate.finish()
        if self._matcher is not None and not self._matcher.take(token_id):
            return self._fail(self._matcher.problem)
        self.sampler.take(token_id)
        self._token_ids.append(token_id)
        if self._logs is not None and logs is not None:
            self._logs.append(logs)
        self._left -= 1
        shown = self._gate.add(self._text.add(token_id))
        if self._gate.closed:
            self.finish = "stop"
        elif self._matcher is not None and self._matcher.must_end:
            if self._matcher.may_end:
                self.finish = "end"
            else:
                return shown + self._fail(self._matcher.problem)
        elif not self._left:
            self.finish = "length"
        return shown + self._gate.finish() if self.finish else shown

    def _fail(self, problem: str) -> str:
        self.finish, self.problem = "failed", problem
        return self._gate.finish()
