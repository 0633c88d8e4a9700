"""A page as a row of blocks, with all that judging and writing them takes."""

import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from selectolax.lexbor import LexborHTMLParser

from waman.crawl import page_kernels as kernels
from waman.crawl.block_words import groups_of_classes, groups_of_texts
from waman.rights import LICENCE_CLASSES, licence_class

Integers = NDArray[np.int64]

MAX_NODES = 200_000
"""Nodes of a page that are looked at; the fullest of the shared pages has a fifth."""
MAX_NESTED_ELEMENTS = 4_000
"""Elements inside each other above which a page is refused: parsing takes the square of them."""
MAX_ATTRIBUTES = 10_000
"""Attributes of an element above which a page is refused, for the same reason."""
MAX_DEPTH = 200
"""Containers inside each other that are told apart; what lies deeper counts to the last of them."""
MAX_BLOCK_CHARACTERS = 1_000_000
"""Characters of a block that are kept; what follows is lost."""
MAX_LINE_CHARACTERS = 150
"""Length up to which a block is looked through for the words of page furniture."""

_SKIPPED = (
    "script style svg math noframes iframe object embed applet audio video canvas map select datalist textarea"
    " progress meter rt rp"
)
_BLOCKS = (
    "html head body address article aside blockquote button center dd details dialog dir div dl dt fieldset figcaption"
    " figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr legend li listing main menu nav noscript ol p plaintext pre"
    " section summary table caption tbody thead tfoot tr td th ul xmp"
)
BLOCKS = tuple(_BLOCKS.split())
"""Elements that begin a line: containers."""
KINDS = {name: number for number, name in enumerate(BLOCKS)}
HEADINGS = tuple(KINDS[name] for name in ("h1", "h2", "h3", "h4", "h5", "h6"))
_NAMED_BY_HEADING = frozenset((*HEADINGS, *(KINDS[name] for name in ("section", "p", "li", "pre"))))
"""Elements whose id is mostly the text of a heading, put together."""
PREFORMATTED = frozenset(KINDS[name] for name in ("pre", "listing", "plaintext", "xmp"))
"""Elements whose line ends and spaces stand as they were written."""

_VOID = "area base basefont bgsound br col embed frame hr img input keygen link meta param source track wbr"
_RAW = "style xmp iframe noembed noframes"
"""Elements whose text the parser writes as it is."""
_ACTIONS = (
    dict.fromkeys(_SKIPPED.split(), kernels.SKIP)
    | {
        "template": kernels.TEMPLATE,
        "br": kernels.BREAK,
        "a": kernels.LINK,
        "meta": kernels.META,
        "title": kernels.TITLE,
    }
    | KINDS
)
_FORMS = (
    dict.fromkeys(_VOID.split(), kernels.VOID)
    | dict.fromkeys(_RAW.split(), kernels.RAW)
    | {"script": kernels.SCRIPT, "plaintext": kernels.PLAINTEXT}
)
_CONTAINERS = kernels.Kinds(
    is_named_by_heading=np.array([kind in _NAMED_BY_HEADING for kind in KINDS.values()]),
    is_preformatted=np.array([kind in PREFORMATTED for kind in KINDS.values()]),
    begins_name=KINDS["body"] + 1,
    heading=HEADINGS[0],
)

_LICENCES = (
    (re.compile(r"creativecommons\.org/publicdomain/zero/1\.0"), "CC0-1.0"),
    (re.compile(r"creativecommons\.org/licenses/([a-z-]+)/(\d\.\d)"), "CC-{}-{}"),
)
_MAX_LICENCES = 8
_MANY_TAGS = 20_000
_LONG_TAG = 50_000
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)")
_HARMLESS = (
    "area base br col dd dt embed hr img input li link meta option optgroup p param rp rt source tbody td tfoot th"
    " thead tr track wbr a b big code em font i nobr s small strike strong tt u"
)
"""Elements that end where the next begins, and those that the parser opens again: never deep, or no matter."""
_FORMATTING = ("b", "big", "code", "em", "font", "i", "s", "small", "strike", "strong", "tt", "u")
"""Those of them that it opens again, as often as there are such whose attributes differ."""
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_NOT_NESTED = frozenset(_HARMLESS.split())


class HostilePageError(Exception):
    """A page that would take the parser minutes; `reason` is too_deep or too_many_attributes, `value` the figure."""

    def __init__(self, reason: str, value: int, limit: int) -> None:
        super().__init__(f"{reason}: {value}, expected at most {limit}")
        self.reason, self.value = reason, value


def refuse_hostile(text: str) -> None:
    """Raises HostilePageError where more elements are nested, or more attributes given, than the parser bears."""
    if text.count("<") > _MANY_TAGS:
        depth = 0
        opened = dict.fromkeys(_FORMATTING, 0)
        for match in _TAG.finditer(text):
            name = match[2].lower()
            if name not in _NOT_NESTED:
                depth = max(0, depth - 1) if match[1] else depth + 1
            elif name in opened:
                if match[1]:
                    opened[name] = max(0, opened[name] - 1)
                elif text[match.end() : match.end() + 1].isspace():
                    opened[name] += 1
            deepest = max(depth, opened.get(name, 0))
            if deepest > MAX_NESTED_ELEMENTS:
                raise HostilePageError("too_deep", deepest, MAX_NESTED_ELEMENTS)
    half = _LONG_TAG // 2
    if any(text.find(">", start, start + half) < 0 for start in range(0, len(text) - half, half)):
        for piece in text.split(">"):
            if len(piece) > _LONG_TAG and (tag := _TAG.search(piece)):
                attributes = len(_QUOTED.sub(" ", piece[tag.end() :]).replace("/", " ").split())
                if attributes > MAX_ATTRIBUTES:
                    raise HostilePageError("too_many_attributes", attributes, MAX_ATTRIBUTES)


@dataclass(frozen=True)
class Blocks:
    """A page's containers (elements that begin a line) and blocks (text between two such beginnings), in its order.

    All arrays of containers are as long as each other, so is all that is told of blocks.
    """

    parents: Integers
    """Of a container: the container it lies in; -1 for the first."""
    kinds: Integers
    """Of a container: its element, a place in BLOCKS."""
    groups: Integers
    """Of a container: groups of words in its class and id, a bit each."""
    depths: Integers
    """Of a container: containers around it."""
    starts: Integers
    """Of a container: number of the first block that is not before it."""
    places: Integers
    """Of a container: a number that those share whose elements and groups, and those of all around them, are equal."""

    containers: Integers
    """Of a block: the container it lies in."""
    texts: list[str]
    """Of a block: its text, spaces put in order; as it is where preformatted."""
    link_characters: Integers
    """Of a block: characters inside links."""
    words: Integers
    """Of a block: groups of words in its text, a bit each; 0 for long ones."""

    title: str | None
    licence: str | None
    robots: tuple[str, ...]
    cut: bool
    """Whether the page had more nodes than are looked at."""


def read_blocks(text: str) -> Blocks:
    """The blocks of a page, and what it says of itself. Raises HostilePageError."""
    refuse_hostile(text)
    tree = LexborHTMLParser(text)
    licence = _licence(tree) if "creativecommons.org" in text else None
    html = tree.root.html if tree.root is not None else None
    page = np.frombuffer((html or "").encode(), np.uint8)
    elements, attributes = _tables()
    containers, events, names, said, cut = kernels.read_elements(
        page, elements, _CONTAINERS, attributes, MAX_NODES, MAX_DEPTH
    )
    starts, lines, written, *heading = kernels.write_lines(page, events, containers, _CONTAINERS, MAX_BLOCK_CHARACTERS)
    parents, kinds, depths = containers.T.copy()
    containers_of_lines, link_characters = lines.T.copy()
    groups = groups_of_classes(names)
    characters = _string(written)
    texts = [line for line in characters.split("\0") if line]
    h1 = characters[slice(*heading)].replace("\0", " ")
    title, robots = _title_and_robots(_strings(said))
    return Blocks(
        parents=parents,
        kinds=kinds,
        groups=groups,
        depths=depths,
        starts=starts,
        places=kernels.places_of(parents, kinds, groups),
        containers=containers_of_lines,
        texts=texts,
        link_characters=link_characters,
        words=groups_of_texts(written, MAX_LINE_CHARACTERS),
        title=title or h1 or None,
        licence=licence,
        robots=robots,
        cut=cut,
    )


@cache
def _tables() -> tuple[kernels.Elements, Integers]:
    """What the kernel is to know of elements, and the attributes it is to read."""
    found = sorted(
        (_number(name), _ACTIONS.get(name, kernels.INLINE), _FORMS.get(name, kernels.USUAL))
        for name in _ACTIONS | _FORMS
    )
    columns = np.array(found, np.int64).T.copy()
    return kernels.Elements(*columns), np.array([_number(name) for name in kernels.ATTRIBUTES], np.int64)


def _number(name: str) -> int:
    return kernels.number_of(np.frombuffer(name.encode(), np.uint8))


def _string(points: NDArray[np.uint32]) -> str:
    return points.tobytes().decode("utf-32")


def _strings(points: NDArray[np.uint32]) -> list[str]:
    """The strings that have a NUL behind them."""
    return _string(points).split("\0")[:-1]


def _title_and_robots(said: list[str]) -> tuple[str, tuple[str, ...]]:
    """A page's title by its elements, and the words of its meta elements `robots`."""
    title = title_elsewhere = ""
    robots: dict[str, None] = {}
    for name, prop, content in zip(said[::3], said[1::3], said[2::3], strict=True):
        if not name and not prop:
            title = title or " ".join(content.split())
        elif name.strip().lower() == "robots":
            robots.update(dict.fromkeys(_robots_words(content)))
        elif prop == "og:title":
            title_elsewhere = title_elsewhere or " ".join(content.split())
    return title_elsewhere or title, tuple(robots)


def robots_of(tree: LexborHTMLParser) -> tuple[str, ...]:
    """Words of a page's meta elements `robots`, lower case."""
    contents = tree.css("meta[name='robots' i]")
    words = [word for element in contents for word in _robots_words(element.attributes.get("content") or "")]
    return tuple(dict.fromkeys(words))


def _robots_words(content: str) -> list[str]:
    return [word for word in re.split(r"[\s,]+", content.lower()) if word]


def _licence(tree: LexborHTMLParser) -> str | None:
    """The licence that a page links; of several, which may hold for a part each, an expression, most binding first."""
    found: dict[str, None] = {}
    for element in tree.css("a[rel*='license'], link[rel*='license']"):
        target = element.attributes.get("href") or ""
        for pattern, name in _LICENCES:
            if match := pattern.search(target):
                found[name.format(*(group.upper() for group in match.groups()))] = None
    names = sorted(found, key=lambda name: -LICENCE_CLASSES.index(licence_class(name)))
    return " AND ".join(names[:_MAX_LICENCES]) or None
