"""Writes completions token by token, for a batch of requests at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from waman.inference.cache import Cache
from waman.inference.recipe import Sampling
from waman.inference.sampling import Sampler
from waman.inference.stopping import StopGate
from waman.model.decoder import Decoder
from waman.tokens.tokenizer import Tokenizer

BATCH_TOKENS = 8192
"""Tokens, read and to be written, of the requests that are worked on together."""


@dataclass(frozen=True)
class Request:
    """A prompt that fits the model, and what is wanted of its completion."""

    token_ids: Sequence[int]
    sampling: Sampling
    end_ids: frozenset[int]
    """Tokens that end the completion and are not part of it."""
    begins_text: bool
    """Whether the completion is a text of its own (a chat answer), not the rest of the prompt's."""


class _Completion:
    """The state of one request."""

    def __init__(self, request: Request, tokenizer: Tokenizer, *, room: int) -> None:
        self._left = min(request.sampling.max_tokens, room)
        self._end_ids = request.end_ids
        self._sampler = Sampler(request.sampling)
        self._text = tokenizer.continuation(begins_text=request.begins_text)
        self._gate = StopGate(request.sampling.stop)
        self.token_id = 0
        """The last token chosen."""
        self.done = False

    def take(self, logits: Tensor) -> str:
        """Chooses a token from (vocab_size,) logits; the text that may be shown now."""
        self.token_id = self._sampler.choose(logits)
        self._left -= 1
        if self.token_id in self._end_ids:
            self.done = True
            return self._gate.finish()
        shown = self._gate.add(self._text.add(self.token_id))
        self.done = self._gate.closed or not self._left
        return shown + self._gate.finish() if self.done else shown


def complete(decoder: Decoder, tokenizer: Tokenizer, requests: Sequence[Request]) -> list[str]:
    """The completion of every request, in order; requests of like length share a batch."""
    found = [""] * len(requests)
    order = sorted(range(len(requests)), key=lambda index: len(requests[index].token_ids))
    for batch in _batches(order, requests, decoder.config.context_length):
        for row, text in stream(decoder, tokenizer, [requests[index] for index in batch]):
            found[batch[row]] += text
    return found


@torch.inference_mode()
def stream(decoder: Decoder, tokenizer: Tokenizer, requests: Sequence[Request]) -> Iterator[tuple[int, str]]:
    """Pieces of text as they come, each with its request's number; whole characters, and no part of a stop string."""
    rooms = [decoder.config.context_length - len(request.token_ids) for request in requests]
    completions = [_Completion(one, tokenizer, room=room) for one, room in zip(requests, rooms, strict=True)]
    cache = Cache(decoder, rows=len(requests), capacity=max(len(request.token_ids) for request in requests) + 1)
    logits = read_prompts(decoder, cache, [request.token_ids for request in requests])
    alive = list(range(len(requests)))
    while True:
        for row, index in enumerate(alive):
            shown = completions[index].take(logits[row])
            if shown:
                yield index, shown
        staying = [row for row, index in enumerate(alive) if not completions[index].done]
        if not staying:
            return
        if len(staying) < len(alive):
            cache.choose(staying)
            alive = [alive[row] for row in staying]
        token_ids = torch.tensor([[completions[index].token_id] for index in alive], device=logits.device)
        logits = decoder(token_ids, cache=cache)[:, -1]


def read_prompts(decoder: Decoder, cache: Cache, prompts: Sequence[Sequence[int]]) -> Tensor:
    """Fills an empty cache with prompts -> the logits after each: (rows, vocab_size)."""
    return decoder.head(read_contexts(decoder, cache, prompts))


def read_contexts(decoder: Decoder, cache: Cache, contexts: Sequence[Sequence[int]]) -> Tensor:
    """Fills an empty cache -> the hidden state at the last token of each context: (rows, model_dim)."""
    lengths = [len(context) for context in contexts]
    device = decoder.embedding.weight.device
    hidden = decoder.hidden(pad(contexts, device), cache=cache)
    cache.shorten(lengths)
    return hidden[torch.arange(len(lengths), device=device), torch.tensor(lengths, device=device) - 1]


def pad(rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """(rows, longest): token ids, 0 behind the shorter ones, where a causal model does not look."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=device)


def _batches(order: Sequence[int], requests: Sequence[Request], context_length: int) -> Iterator[list[int]]:
    """Cuts requests, shortest prompt first, so that a batch stays within BATCH_TOKENS."""
    batch: list[int] = []
    for index in order:
        request = requests[index]
        tokens = min(len(request.token_ids) + request.sampling.max_tokens, context_length)
        if batch and tokens * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
