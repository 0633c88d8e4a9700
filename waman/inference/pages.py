"""Who holds which page of the cache. What a released page holds stays known until the page is needed for another."""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence

_KEY_BYTES = 16


class PageTable:
    """Counts the holders of each page. Free pages are taken in this order: unknown ones, then the longest unused."""

    def __init__(self, num_pages: int) -> None:
        self._holders = [0] * num_pages
        self._free: OrderedDict[int, None] = OrderedDict.fromkeys(range(num_pages))
        self._known: dict[bytes, int] = {}
        self._keys: dict[int, bytes] = {}

    @property
    def num_free(self) -> int:
        """Pages that nobody holds."""
        return len(self._free)

    def take(self) -> int:
        """A free page, for one holder. There must be one."""
        page, _ = self._free.popitem(last=False)
        key = self._keys.pop(page, None)
        if key is not None:
            del self._known[key]
        self._holders[page] = 1
        return page

    def hold(self, pages: Iterable[int]) -> None:
        """One holder more for each."""
        for page in pages:
            if not self._holders[page]:
                del self._free[page]
            self._holders[page] += 1

    def release(self, pages: Sequence[int]) -> None:
        """One holder less for each page of a sequence, the last first: longer prefixes are forgotten before shorter."""
        for page in reversed(pages):
            self._holders[page] -= 1
            assert self._holders[page] >= 0, "released more often than held"
            if not self._holders[page]:
                self._free[page] = None
                self._free.move_to_end(page, last=page in self._keys)

    def is_shared(self, page: int) -> bool:
        """Whether several hold it, so that none of them may write into it."""
        return self._holders[page] > 1

    def know(self, key: bytes, page: int) -> None:
        """The page is full and holds the end of the prefix with this key; the first page that does is remembered."""
        if key not in self._known and page not in self._keys:
            self._known[key] = page
            self._keys[page] = key

    def find(self, keys: Iterable[bytes]) -> list[int]:
        """Pages of the longest known prefix; they are not held yet."""
        found = []
        for key in keys:
            page = self._known.get(key)
            if page is None:
                break
            found.append(page)
        return found


def page_key(before: bytes, token_ids: Sequence[int], *, adapter: int | None) -> bytes:
    """Names a full page by its tokens and all before it, of which `before` is the last page's key (b'': none)."""
    digest = hashlib.blake2b(before, digest_size=_KEY_BYTES, person=b"" if adapter is None else b"%d" % adapter)
    digest.update(array("q", token_ids).tobytes())
    return digest.digest()
