"""The plain loop: the decoder reads the whole sequence for every token."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from waman.inference.generation import Request
from waman.inference.runner import Row
from waman.inference.sampling import Sampler, choose
from waman.model.decoder import Decoder

LogitsOf = Callable[[Sequence[int]], Tensor]
"""token ids -> logits after each: (time, vocab_size), float32"""


def logits_of(decoder: Decoder) -> LogitsOf:
    """By a decoder."""

    @torch.inference_mode()
    def read(token_ids: Sequence[int]) -> Tensor:
        found: Tensor = decoder(torch.tensor([list(token_ids)]))[0].float()
        return found

    return read


def plain_loop(read: LogitsOf, request: Request, *, context_length: int, number: int = 0) -> list[int]:
    """The tokens of one sample, without the one that ended it."""
    sampler = Sampler(request.sampling, number=number, prompt=request.token_ids)
    ids = list(request.token_ids)
    written: list[int] = []
    while len(written) < request.sampling.max_tokens and len(ids) < context_length:
        (token_id,) = choose(read(ids)[-1:], [sampler])
        assert token_id is not None
        if token_id in request.end_ids or token_id in request.sampling.stop_ids:
            break
        sampler.take(token_id)
        ids.append(token_id)
        written.append(token_id)
    return written


class HashRunner:
    """A runner whose logits are a hash of all tokens so far, as it finds them in its pages: what is read from a wrong,
    stale or foreign page shows at once."""

    def __init__(self, *, num_pages: int, page_tokens: int, vocab_size: int) -> None:
        self.num_pages, self.page_tokens, self.vocab_size = num_pages, page_tokens, vocab_size
        self.kept = [[-1] * page_tokens for _ in range(num_pages)]
        self.tokens_read = 0
        self.passes: list[list[int]] = []
        """of each pass the tokens of its rows"""

    def run(self, rows: Sequence[Row]) -> Tensor:
        found = []
        written: set[int] = set()
        for row in rows:
            first, last = row.cached // self.page_tokens, (row.cached + len(row.token_ids) - 1) // self.page_tokens
            own = set(row.pages[first : last + 1])
            assert not own & written, "two rows write into one page"
            written |= own
        for row in rows:
            for place, token_id in enumerate(row.token_ids, start=row.cached):
                self.kept[row.pages[place // self.page_tokens]][place % self.page_tokens] = token_id
        for row in rows:
            seen = [
                self.kept[row.pages[place // self.page_tokens]][place % self.page_tokens]
                for place in range(row.cached + len(row.token_ids))
            ]
            found += [self.logits(seen[: row.cached + place + 1], row.adapter) for place in row.wanted]
        self.tokens_read += sum(len(row.token_ids) for row in rows)
        self.passes.append([len(row.token_ids) for row in rows])
        return torch.stack(found) if found else torch.zeros(0, self.vocab_size)

    def logits(self, token_ids: Sequence[int], adapter: int | None = None) -> Tensor:
        """(vocab_size,), as drawn from the tokens' hash, which is the same in every process: that of None is not."""
        seed = hash((*token_ids, -1 if adapter is None else adapter)) & (2**62 - 1)
        return 2 * torch.randn(self.vocab_size, generator=torch.Generator().manual_seed(seed))

    def read(self, token_ids: Sequence[int], adapter: int | None = None) -> Tensor:
        """(time, vocab_size), for the plain loop: the last row alone is computed."""
        return self.logits(token_ids, adapter)[None]

    def copy_page(self, source: int, target: int) -> None:
        self.kept[target] = list(self.kept[source])

    def add_adapter(self, adapter: object) -> int:
        raise NotImplementedError
