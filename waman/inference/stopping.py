"""Ends a text before a stop string, and never shows the beginning of one."""

from collections.abc import Sequence


class StopGate:
    """Lets text through as it comes, except what may still turn out to be a stop string."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = tuple(stop)
        self._held = ""
        self.closed = False
        """Whether a stop string was met: nothing comes out any more."""

    def add(self, text: str) -> str:
        """What may be shown now."""
        if self.closed:
            return ""
        self._held += text
        places = [place for place in (self._held.find(one) for one in self._stop) if place >= 0]
        if places:
            self.closed = True
            return self._release(min(places))
        return self._release(len(self._held) - self._longest_beginning())

    def finish(self) -> str:
        """What was held back, now that nothing follows."""
        return "" if self.closed else self._release(len(self._held))

    def _release(self, count: int) -> str:
        shown, self._held = self._held[:count], self._held[count:]
        return shown

    def _longest_beginning(self) -> int:
        """Length of the longest end of the held text with which a stop string begins."""
        longest = max((len(one) for one in self._stop), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(one.startswith(self._held[-length:]) for one in self._stop):
                return length
        return 0
