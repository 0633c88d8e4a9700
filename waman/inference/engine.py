"""Serves many requests at once: what is asked for goes in, pieces of answers come out, step by step.

One thread at a time may use an engine.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from waman.errors import PromptError, RecipeError
from waman.inference.constrain import Constrainer, Matcher
from waman.inference.generation import Completion, Request, Writer
from waman.inference.pages import PageTable
from waman.inference.runner import Row, Runner
from waman.inference.sampling import TokenLogs, choose, log_probabilities
from waman.inference.scheduler import Piece, Sample, Scheduler
from waman.model.threads import one_thread
from waman.tokens.tokenizer import Tokenizer


@dataclass(frozen=True)
class Limits:
    """How much an engine does at once."""

    context_length: int
    """tokens of a prompt and its answer together"""
    vocab_size: int
    """of the model's logits"""
    page_bytes: int
    """of one page, for messages"""
    max_rows: int = 64
    """samples that run at once"""
    max_pass_tokens: int = 256
    """tokens of a pass: bounds how long a running stream waits while a long prompt is read"""

    def __post_init__(self) -> None:
        if not 1 <= self.max_rows < self.max_pass_tokens:
            raise RecipeError(
                f"max_rows = {self.max_rows}, max_pass_tokens = {self.max_pass_tokens}: expected at least 1 row, and "
                "more tokens than rows, so that prompts are read beside those that write"
            )


@dataclass(frozen=True)
class Event:
    """What a step brought for one sample of a request."""

    request: int
    sample: int
    text: str
    """what may be shown now: whole characters, and nothing that may become part of a stop string"""
    completion: Completion | None
    """all of it, with the last event"""


@dataclass(eq=False)
class _Job:
    """A request that is worked on."""

    request: Request
    matcher: Matcher | None
    samples: dict[int, tuple[Sample, Writer]]
    """by number, those that are not finished"""
    prompt_logs: list[TokenLogs]
    forked: bool = False
    """whether all samples have begun"""


class Engine:
    """Requests join and leave between passes. It remembers nothing of those that are gone."""

    def __init__(self, runner: Runner, tokenizer: Tokenizer, limits: Limits) -> None:
        self._runner, self._tokenizer, self._limits = runner, tokenizer, limits
        self._constrainer = Constrainer(tokenizer, vocab_size=limits.vocab_size)
        self.pages = PageTable(runner.num_pages)
        self.scheduler = Scheduler(
            self.pages,
            page_tokens=runner.page_tokens,
            copy_page=runner.copy_page,
            max_rows=limits.max_rows,
            max_pass_tokens=limits.max_pass_tokens,
        )
        self._jobs: dict[int, _Job] = {}
        self._next = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to do."""
        return not self._jobs

    def check(self, request: Request) -> Matcher | None:
        """Raises what `submit` would; gives the matcher of the request's constraint."""
        sampling, given = request.sampling, len(request.token_ids)
        limits = self._limits
        if given >= limits.context_length:
            raise PromptError(
                f"{request.name} has {given} tokens, the model sees {limits.context_length} at once and needs room "
                f"for an answer: shorten it to at most {limits.context_length - 1}"
            )
        # The last token that is written is never read.
        tokens = given + min(sampling.max_tokens, limits.context_length - given) - 1
        needed, size = -(-tokens // self._runner.page_tokens), limits.page_bytes
        if needed > self._runner.num_pages:
            longest = self._runner.num_pages * self._runner.page_tokens
            raise PromptError(
                f"{request.name} has {given} tokens and wants up to {tokens + 1 - given} more: {needed} pages of "
                f"{self._runner.page_tokens} tokens, {needed * size:,} bytes; the cache has {self._runner.num_pages}, "
                f"{self._runner.num_pages * size:,} bytes: keep both together within {longest + 1} tokens, "
                "or give the cache more (cache_bytes)"
            )
        ids = [*sampling.stop_ids, *(bias.token_id for bias in sampling.logit_bias)]
        unknown = [one for one in ids if not 0 <= one < limits.vocab_size]
        if unknown:
            raise RecipeError(
                f"stop_ids, logit_bias: found token {unknown[0]}, the model has 0 to {limits.vocab_size - 1}"
            )
        if sampling.constraint is None:
            return None
        return self._constrainer.compile(sampling.constraint, end_ids=request.end_ids)

    def submit(self, request: Request) -> int:
        """Takes a request; its number. Raises PromptError where it can never fit, RecipeError for its options."""
        matcher = self.check(request)
        number, self._next = self._next, self._next + 1
        asked = request.sampling.prompt_logprobs is not None
        sample = Sample(
            age=(number, 0),
            token_ids=list(request.token_ids),
            wanted_from=0 if asked else len(request.token_ids) - 1,
            adapter=request.adapter,
        )
        job = _Job(request, matcher, {}, [])
        job.samples[0] = sample, self._writer(job, 0)
        self._jobs[number] = job
        self.scheduler.add(sample)
        return number

    def cancel(self, number: int) -> None:
        """Drops a request at once, with all it holds; one that is gone already is gone."""
        job = self._jobs.pop(number, None)
        if job is not None:
            for sample, _ in job.samples.values():
                self.scheduler.remove(sample)

    def step(self) -> list[Event]:
        """Computes one pass; what it brought, oldest request first."""
        pieces = sorted(self.scheduler.plan(), key=lambda piece: piece.sample.age)
        if not pieces:
            return []
        rows = [_row(piece) for piece in pieces]
        logits = self._runner.run(rows)
        self.scheduler.advance(pieces)
        with one_thread():
            return self._take_in(pieces, rows, logits)

    def _take_in(self, pieces: Sequence[Piece], rows: Sequence[Row], logits: Tensor) -> list[Event]:
        """Keeps what a pass tells of prompts, and draws the next tokens."""
        drawing: list[tuple[_Job, Writer, Sample, int]] = []
        start = 0
        for (sample, _), row in zip(pieces, rows, strict=True):
            stop = start + len(row.wanted)
            job = self._jobs[sample.age[0]]
            if not sample.left:
                drawing += [(job, writer, one, stop - 1) for one, writer in self._drawers(job, sample)]
            self._tell_prompt(job, sample, row, logits[start:stop])
            start = stop
        return self._draw(drawing, logits)

    def _draw(self, drawing: Sequence[tuple[_Job, Writer, Sample, int]], logits: Tensor) -> list[Event]:
        """A token for each sample, from its row of the logits."""
        if not drawing:
            return []
        places = [place for *_, place in drawing]
        if places != list(range(len(logits))):
            logits = logits[places]
        masks = [writer.allowed() for _, writer, _, _ in drawing]
        token_ids = choose(logits, [writer.sampler for _, writer, _, _ in drawing], masks)
        logs = self._logs(drawing, logits, token_ids)
        events = []
        for (job, writer, sample, _), token_id, log in zip(drawing, token_ids, logs, strict=True):
            text = writer.take(token_id, log)
            completion = None
            if token_id is not None and writer.finish is None:
                sample.token_ids.append(token_id)
                sample.wanted_from = len(sample.token_ids) - 1
            else:
                asked = job.request.sampling.prompt_logprobs is not None
                completion = writer.completion(tuple(job.prompt_logs) if asked else None)
                self._finish(job, sample)
            if text or completion is not None:
                events.append(Event(sample.age[0], writer.number, text, completion))
        return events

    def _drawers(self, job: _Job, sample: Sample) -> list[tuple[Sample, Writer]]:
        """The sample itself; at the end of a prompt all samples of its request, which fork from it."""
        others = []
        if not job.forked:
            job.forked = True
            for number in range(1, job.request.sampling.num_samples):
                age = (sample.age[0], number)
                other = Sample(age, list(sample.token_ids), sample.wanted_from, sample.adapter)
                job.samples[number] = other, self._writer(job, number)
                others.append(job.samples[number])
            self.scheduler.fork(sample, [other for other, _ in others])
        return [job.samples[sample.age[1]], *others]

    def _finish(self, job: _Job, sample: Sample) -> None:
        self.scheduler.remove(sample)
        del job.samples[sample.age[1]]
        if not job.samples:
            del self._jobs[sample.age[0]]

    def _writer(self, job: _Job, number: int) -> Writer:
        request, matcher = job.request, job.matcher
        # A constrained text is shown to the byte as its constraint allows it.
        text = self._tokenizer.continuation(begins_text=request.begins_text and matcher is None)
        room = self._limits.context_length - len(request.token_ids)
        forked = None if matcher is None else matcher.fork()
        return Writer(request, text, room=room, number=number, matcher=forked)

    def _tell_prompt(self, job: _Job, sample: Sample, row: Row, logits: Tensor) -> None:
        """Keeps what the prompt's tokens are worth, each once."""
        top = job.request.sampling.prompt_logprobs
        prompt = job.request.token_ids
        first = row.cached + row.wanted[0] if row.wanted else len(prompt)
        count = min(len(row.wanted), len(prompt) - 1 - first)
        if top is not None and count > 0:
            job.prompt_logs += log_probabilities(logits[:count], prompt[first + 1 : first + 1 + count], top=top)
            sample.wanted_from = first + count

    def _logs(
        self, drawing: Sequence[tuple[_Job, Writer, Sample, int]], logits: Tensor, token_ids: Sequence[int | None]
    ) -> list[TokenLogs | None]:
        found: list[TokenLogs | None] = [None] * len(drawing)
        asked = [job.request.sampling.logprobs for job, *_ in drawing]
        asking = {
            place: (token_id, top)
            for place, (token_id, top) in enumerate(zip(token_ids, asked, strict=True))
            if token_id is not None and top is not None
        }
        if asking:
            chosen, tops = zip(*asking.values(), strict=True)
            logs = log_probabilities(logits[list(asking)], chosen, top=max(tops))
            for place, top, one in zip(asking, tops, logs, strict=True):
                found[place] = TokenLogs(one.token_id, one.log_probability, one.top[:top])
        return found


def _row(piece: Piece) -> Row:
    sample, count = piece
    stop = sample.cached + count
    wanted = range(max(0, sample.wanted_from - sample.cached), count)
    return Row(sample.token_ids[sample.cached : stop], sample.cached, sample.pages, wanted, sample.adapter)
