"""What is measured of each block of a page, as the judge of blocks sees it."""

from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from waman.crawl import block_kernels as kernels
from waman.crawl.block_words import CLASS_GROUPS, TEXT_GROUPS
from waman.crawl.blocks import HEADINGS, KINDS, Blocks

Array = NDArray[np.float32]
Integers = NDArray[np.int64]

_AROUND = ("article", "main", "nav", "footer", "header", "aside", "form", "table", "ul", "li", "figure", "blockquote",
           "section", "td", "dl", "noscript", "button")  # fmt: skip
_OWN = (("p",), ("li",), ("h1",), ("h2", "h3"), ("h4", "h5", "h6"), ("td", "th"), ("div", "section", "article", "body"),
        ("pre",), ("blockquote",), ("dt", "dd"), ("figcaption", "caption"))  # fmt: skip
_CHARACTERS = ("digits", "upper", "stops", "commas", "marks", "spaces")
_WIDE = 0.6
"""Share of a page's characters above which a container is a frame of the page: its class tells of the layout."""
_TOLD_OF_WIDE = sum(1 << CLASS_GROUPS.index(name) for name in ("comments", "content", "body"))
_COMMENTS = 1 << CLASS_GROUPS.index("comments")
_SHORT_LINE = 60


def _names() -> tuple[str, ...]:
    own = ["is_" + names[0] for names in _OWN]
    around = ["in_" + name for name in _AROUND]
    classes = [f"{where}_{name}" for where in ("around", "near") for name in CLASS_GROUPS]
    says = ["says_" + name for name in TEXT_GROUPS]
    sides = [f"{name}{side}" for name in ("length", "density", "stops") for side in ("-2", "-1", "+1", "+2")]
    good = [f"good_{side}_{width}" for width in (5, 15) for side in ("before", "after")]
    parts = ("characters", "share", "density", "good", "mean", "stops")
    levels = [f"up{level}_{part}" for level in range(kernels.LEVELS) for part in parts]
    best = ["before_best", "after_best", "best_share", "blocks_before_best", "blocks_after_best", "from_best"]
    alike = ["alike_count", "alike_share", "alike_mean", "alike_density"]
    sections = [f"sections{part}" for part in ("", "_share", "_density", "_mean")] + [
        "section_density",
        "section_length",
    ]
    return (
        "length", "density", *_CHARACTERS, "ends_sentence", "ends_colon", *own, *around, *classes, "depth",
        "boxes_beside", "comments_around", *says, "place", "place_characters", "from_start", "from_end",
        "after_heading_comments", "after_heading_related", "after_h1", "is_title", "since_heading", "times",
        "page_blocks", "page_characters", *sides, *good, *levels, *best, *alike, *sections,
    )  # fmt: skip


def _context_names() -> tuple[str, ...]:
    sides = [f"score{side}" for side in ("-3", "-2", "-1", "+1", "+2", "+3")]
    windows = [f"likely_{side}_{width}" for width in (3, 8) for side in ("before", "after")]
    levels = [f"likely_up{level}{part}" for level in range(kernels.CONTEXT_LEVELS) for part in ("", "_share")]
    runs = [
        f"{name}_{bar}"
        for bar in ("low", "high")
        for name in ("from_likely", "before_likely", "after_likely", "in_run", "from_run")
    ]
    alone = ("likely_alike", "highest", "likely_characters", "likely_share")
    sections = ("likely_section", "likely_sections", "likely_sections_share")
    return ("score", *sides, *windows, "likely_before", "likely_after", *levels, *alone, *runs, *sections)


NAMES = _names()
"""The features of a block by itself and by what is around it."""
CONTEXT_NAMES = _context_names()
"""The features that the scores of the first round give to the second, after those."""

_PLACE = {name: place for place, name in enumerate(NAMES)}


def _character_classes() -> NDArray[np.uint8]:
    table = np.zeros(0x10000, np.uint8)
    for first, last in ((0x30, 0x39), (0x660, 0x669), (0x966, 0x96F)):
        table[first : last + 1] = 1
    for code in range(0x250):
        if chr(code).isupper():
            table[code] = 2
    for number, characters in ((3, ".!?…。！？"), (4, ",;:،，、；："), (5, "|»«›‹/•·→←#@_[]{}=<>+*~"), (6, " \n\t")):
        for character in characters:
            table[ord(character)] = number
    return table


_CLASSES = _character_classes()
_KIND_BITS = np.array([1 << _AROUND.index(name) if name in _AROUND else 0 for name in KINDS], np.int64)
_BOXES = ("article", "dd", "div", "dl", "figure", "li", "section", "td", "tr", "ul")
_IS_BOX = np.array([name in _BOXES for name in KINDS])
_INNER = ("p", "li", "h1", "h2", "h3", "h4", "pre", "blockquote", "td")
_IS_INNER = np.array([name in _INNER for name in KINDS])
_OWN_OF_KIND = np.array(
    [next((number for number, names in enumerate(_OWN) if name in names), -1) for name in KINDS], np.int64
)


class Measured:
    """The features of a page's blocks, and the arrays they were made of."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.containers, self.parents, self.kinds = blocks.containers, blocks.parents, blocks.kinds
        self.starts, self.places = blocks.starts, blocks.places
        self.stops: Integers = kernels.stops_of(self.parents, self.starts, self.containers)
        self.sections: Integers = kernels.sections_of(
            self.containers, self.parents, self.kinds, self.stops, HEADINGS[0], HEADINGS[-1]
        )
        self.families: Integers = kernels.families_of(self.sections, self.containers, self.places)
        self.lengths: Integers = np.array([len(text) for text in blocks.texts], np.int64)
        self.matrix: Array = np.zeros((len(blocks.texts), len(NAMES) + len(CONTEXT_NAMES)), np.float32)
        """(blocks, features): NAMES, and CONTEXT_NAMES once `put_context` was called."""
        self._measure()

    def put_context(self, scores: NDArray[np.float64]) -> None:
        """Fills in what the scores of the first round, (blocks,), tell."""
        kernels.put_context(
            scores, self.lengths, self.containers, self.parents, self.starts, self.stops, self.places,
            self.sections, self.families, self.matrix, len(NAMES),
        )  # fmt: skip

    def _put(self, name: str, column: NDArray[np.generic]) -> None:
        self.matrix[:, _PLACE[name]] = column

    def _measure(self) -> None:
        blocks, lengths, containers = self.blocks, self.lengths, self.containers
        links = blocks.link_characters
        some = np.maximum(lengths, 1)
        density = links / some
        stops = self._measure_text(density, some)
        sums = np.concatenate(([0], np.cumsum(lengths)))
        around = kernels.inherit(
            self.parents, self.kinds, blocks.groups, self.starts, self.stops, sums, _KIND_BITS,
            _TOLD_OF_WIDE, _WIDE, _COMMENTS, _IS_BOX, self.places,
        )[containers]  # fmt: skip
        put_bits, matrix = kernels.put_bits, self.matrix
        put_bits(around[:, 0], len(_AROUND), matrix, _PLACE["in_" + _AROUND[0]])
        put_bits(around[:, 1], len(CLASS_GROUPS), matrix, _PLACE["around_" + CLASS_GROUPS[0]])
        put_bits(around[:, 2], len(CLASS_GROUPS), matrix, _PLACE["near_" + CLASS_GROUPS[0]])
        self._put("boxes_beside", np.minimum(around[:, 3], 30))
        self._put("comments_around", np.minimum(around[:, 4], 5))
        self._put("depth", blocks.depths[containers])
        words = blocks.words
        put_bits(words, len(TEXT_GROUPS), matrix, _PLACE["says_" + TEXT_GROUPS[0]])
        self._measure_places(words, sums)
        kernels.put_neighbours(lengths, density, stops, matrix, _PLACE["length-2"])
        shape = containers, self.parents, self.starts, self.stops
        kernels.put_stretches(*shape, lengths, links, stops, matrix, _PLACE["up0_characters"])
        kernels.put_best(
            containers, self.parents, self.kinds, self.starts, self.stops, lengths, links, stops, _IS_INNER,
            matrix, _PLACE["before_best"],
        )  # fmt: skip
        kernels.put_alike(self.places, containers, lengths, links, matrix, _PLACE["alike_count"])
        kernels.put_sections(self.sections, self.families, lengths, links, matrix, _PLACE["sections"])

    def _measure_text(self, density: NDArray[np.float64], some: Integers) -> Integers:
        texts = self.blocks.texts
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "replace"), np.uint32)
        bounds = np.array([0, *accumulate(map(len, texts))], np.int64)
        counts = np.zeros((len(texts), len(_CHARACTERS)), np.int64)
        kernels.count_characters(codes, _CLASSES, bounds, counts)
        matrix = self.matrix
        matrix[:, 0] = np.log1p(self.lengths)
        matrix[:, 1] = density
        matrix[:, 2 : 2 + len(_CHARACTERS)] = counts / some[:, None]
        for name in ("stops", "commas"):
            self._put(name, np.minimum(counts[:, _CHARACTERS.index(name)], 12))
        last = _CLASSES[np.minimum(codes[bounds[1:] - 1], 0xFFFF)]
        self._put("ends_sentence", last == 3)
        self._put("ends_colon", last == 4)
        own = _OWN_OF_KIND[self.kinds[self.containers]]
        known = np.flatnonzero(own >= 0)
        matrix[known, _PLACE["is_" + _OWN[0][0]] + own[known]] = 1
        stops: Integers = counts[:, _CHARACTERS.index("stops")]
        return stops

    def _measure_places(self, words: Integers, sums: Integers) -> None:
        texts, count = self.blocks.texts, len(self.lengths)
        total = max(1, int(sums[-1]))
        index = np.arange(count)
        self._put("place", index / max(1, count - 1))
        self._put("place_characters", (sums[:-1] + self.lengths / 2) / total)
        self._put("from_start", np.log1p(index))
        self._put("from_end", np.log1p(count - 1 - index))
        own = self.kinds[self.containers]
        heading = (own >= HEADINGS[0]) & (own <= HEADINGS[-1])
        called = heading & (self.lengths < _SHORT_LINE)
        for name in ("comments", "related"):
            said = (words >> TEXT_GROUPS.index(name) & 1).astype(bool) & called
            self._put("after_heading_" + name, np.minimum(np.cumsum(said), 3))
        first = np.flatnonzero(own == HEADINGS[0])
        self._put("after_h1", index >= first[0] if len(first) else np.full(count, 0.5))
        title = (self.blocks.title or "").lower()
        longest = min(300, len(title))
        self._put("is_title", np.array([3 < len(text) <= longest and text.lower() in title for text in texts]))
        since = index - np.maximum.accumulate(np.where(heading, index, -1))
        self._put("since_heading", np.minimum(since, 20))
        seen: dict[str, int] = {}
        for text in texts:
            seen[text] = seen.get(text, 0) + 1
        self._put("times", np.array([min(seen[text], 4) for text in texts]))
        self._put("page_blocks", np.full(count, np.log1p(count)))
        self._put("page_characters", np.full(count, np.log1p(total)))
