"""What runs in the next pass.

Samples that write come first, a token each; what is left of the pass goes to pieces of prompts, the oldest first. Where
pages run out the youngest sample gives up its own and waits; later it reads its tokens anew (what is still known of
their pages is found again). The oldest therefore always goes on.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from waman.inference.pages import PageTable, page_key


@dataclass(eq=False)
class Sample:
    """A sequence of tokens that grows: the prompt, then what is written."""

    age: tuple[int, int]
    """number of the request, number of the sample: the order of who goes first"""
    token_ids: list[int]
    wanted_from: int
    """the first place whose logits are still wanted"""
    adapter: int | None = None
    cached: int = 0
    """tokens whose keys and values the pages hold"""
    pages: list[int] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    """of its full pages, as far as they have been named"""

    @property
    def left(self) -> int:
        """Tokens that are not read yet."""
        return len(self.token_ids) - self.cached


class Piece(NamedTuple):
    """Tokens of a sample that the next pass reads."""

    sample: Sample
    num_tokens: int


class Scheduler:
    """Holds the samples that run and those that wait, oldest first; no more is remembered of those that are gone."""

    def __init__(
        self,
        pages: PageTable,
        *,
        page_tokens: int,
        copy_page: Callable[[int, int], None],
        max_rows: int,
        max_pass_tokens: int,
    ) -> None:
        """copy_page: what the runner does for a sample that writes on in a page that others hold too."""
        assert max_rows < max_pass_tokens, "a pass must have room for a prompt beside those that write"
        self._pages, self._page_tokens, self._copy_page = pages, page_tokens, copy_page
        self._max_rows, self._max_pass_tokens = max_rows, max_pass_tokens
        self._running: dict[tuple[int, int], Sample] = {}
        self._waiting: OrderedDict[tuple[int, int], Sample] = OrderedDict()
        self.num_preempted = 0
        """How often a sample has given up its pages so far."""

    @property
    def num_running(self) -> int:
        """Samples that hold pages."""
        return len(self._running)

    @property
    def num_waiting(self) -> int:
        """Samples that do not."""
        return len(self._waiting)

    def add(self, sample: Sample) -> None:
        """The youngest sample so far."""
        self._waiting[sample.age] = sample

    def fork(self, sample: Sample, others: Sequence[Sample]) -> None:
        """Others go on from the sample's tokens, in the order of their age; who finds no row waits at the front."""
        room = max(0, self._max_rows - len(self._running))
        for other in others[:room]:
            other.cached, other.pages, other.keys = sample.cached, list(sample.pages), list(sample.keys)
            self._pages.hold(other.pages)
            self._running[other.age] = other
        for other in reversed(others[room:]):
            self._wait_first(other)

    def remove(self, sample: Sample) -> None:
        """Forgets a sample that is finished or cancelled; its pages are free at once."""
        self._running.pop(sample.age, None)
        self._waiting.pop(sample.age, None)
        self._give_up_pages(sample)

    def plan(self) -> list[Piece]:
        """The next pass; every piece has its pages."""
        pieces: list[Piece] = []
        oldest_first = [self._running[age] for age in sorted(self._running)]
        for sample in oldest_first:
            if sample.left == 1 and sample.age in self._running and self._make_room(sample):
                pieces.append(Piece(sample, 1))
        left = self._max_pass_tokens - len(pieces)
        reading = [sample for sample in oldest_first if sample.left > 1 and sample.age in self._running]
        while left and (reader := reading.pop(0) if reading else self._admit()) is not None:
            count = min(reader.left, left)
            pieces.append(Piece(reader, count))
            left -= count
        return pieces

    def advance(self, pieces: Sequence[Piece]) -> None:
        """The pass is done: full pages can be shared from now on."""
        for sample, count in pieces:
            full_before = sample.cached // self._page_tokens
            sample.cached += count
            full = sample.cached // self._page_tokens
            self._name_pages(sample, full)
            for place in range(full_before, full):
                self._pages.know(sample.keys[place], sample.pages[place])

    def _make_room(self, sample: Sample) -> bool:
        """A page of its own for the sample's next token, others' if need be; False where it had to give up itself."""
        place = sample.cached // self._page_tokens
        while place == len(sample.pages) or self._pages.is_shared(sample.pages[place]):
            if self._pages.num_free:
                page = self._pages.take()
                if place == len(sample.pages):
                    sample.pages.append(page)
                else:
                    self._copy_page(sample.pages[place], page)
                    self._pages.release([sample.pages[place]])
                    sample.pages[place] = page
                break
            youngest = self._running[max(self._running)]
            self._preempt(youngest)
            if youngest is sample:
                return False
        return True

    def _admit(self) -> Sample | None:
        """The first who waits, with pages for all its tokens, if there are enough; a page for each who writes is left.

        Pages that hold its beginning are shared, as long as something is left to read.
        """
        if not self._waiting or len(self._running) >= self._max_rows:
            return None
        sample = next(iter(self._waiting.values()))
        shareable = min(sample.wanted_from, len(sample.token_ids) - 1) // self._page_tokens
        self._name_pages(sample, shareable)
        shared = self._pages.find(sample.keys[:shareable])
        self._pages.hold(shared)
        wanted = -(-len(sample.token_ids) // self._page_tokens) - len(shared)
        if wanted + len(self._running) > self._pages.num_free and (self._running or wanted > self._pages.num_free):
            self._pages.release(shared)
            return None
        sample.pages = shared + [self._pages.take() for _ in range(wanted)]
        sample.cached = len(shared) * self._page_tokens
        del self._waiting[sample.age]
        self._running[sample.age] = sample
        return sample

    def _preempt(self, sample: Sample) -> None:
        self.num_preempted += 1
        del self._running[sample.age]
        self._give_up_pages(sample)
        self._wait_first(sample)

    def _wait_first(self, sample: Sample) -> None:
        """Whoever ran is older than all who wait."""
        self._waiting[sample.age] = sample
        self._waiting.move_to_end(sample.age, last=False)

    def _give_up_pages(self, sample: Sample) -> None:
        self._pages.release(sample.pages)
        sample.pages, sample.cached = [], 0

    def _name_pages(self, sample: Sample, count: int) -> None:
        """Names the sample's first pages, each once."""
        for place in range(len(sample.keys), count):
            start = place * self._page_tokens
            some = sample.token_ids[start : start + self._page_tokens]
            sample.keys.append(page_key(sample.keys[-1] if sample.keys else b"", some, adapter=sample.adapter))
