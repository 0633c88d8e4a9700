"""Steps an engine until what somebody waits for has come; others' events are kept for them meanwhile."""

from collections import deque
from collections.abc import Iterator, Sequence

from waman.inference.engine import Engine, Event
from waman.inference.generation import Completion, Request


class Collector:
    """Several streams may be read by turns: their requests share passes."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._kept: dict[int, deque[Event]] = {}

    def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """The samples of each request, in order. Raises what `Engine.check` does before anything is computed."""
        for request in requests:
            self.engine.check(request)
        numbers: list[int] = []
        found: dict[int, list[Completion]] = {}
        try:
            for request in requests:
                numbers.append(self._submit(request))
                found[numbers[-1]] = []
            for number, request in zip(numbers, requests, strict=True):
                while len(found[number]) < request.sampling.num_samples:
                    completion = self._next(number).completion
                    if completion is not None:
                        found[number].append(completion)
        finally:
            for number in numbers:
                self._drop(number)
        return [sorted(found[number], key=lambda one: one.sample) for number in numbers]

    def stream(self, request: Request) -> Iterator[Event]:
        """A request's events as they come; who stops reading cancels it."""
        number = self._submit(request)
        try:
            left = request.sampling.num_samples
            while left:
                event = self._next(number)
                left -= event.completion is not None
                yield event
        finally:
            self._drop(number)

    def _submit(self, request: Request) -> int:
        number = self.engine.submit(request)
        self._kept[number] = deque()
        return number

    def _next(self, number: int) -> Event:
        while not self._kept[number]:
            for event in self.engine.step():
                if event.request in self._kept:
                    self._kept[event.request].append(event)
        return self._kept[number].popleft()

    def _drop(self, number: int) -> None:
        self.engine.cancel(number)
        self._kept.pop(number, None)
