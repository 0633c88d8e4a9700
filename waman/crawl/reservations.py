"""What a page, its headers or its host's files reserve against machines that read it.

Meta elements and `X-Robots-Tag`; the TDM Reservation Protocol (W3C Community Group, 2024) in an element, a header or
`/.well-known/tdmrep.json`; `Content-Usage` (IETF draft aipref-attach) and `Content-Signal` in a header or robots.txt;
robots.txt for crawlers that gather training text; `ai.txt`. What any of them reserves is reserved.
"""

import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast
from urllib.parse import urlsplit

from waman.crawl.robots import MAX_BYTES, Robots, matches, parse_robots
from waman.rights import RESERVATIONS, Reservation, join_reservations

HostFile = Literal["robots.txt", "tdmrep.json", "ai.txt"]
_PLACES: dict[str, HostFile] = {
    "/robots.txt": "robots.txt",
    "/.well-known/tdmrep.json": "tdmrep.json",
    "/ai.txt": "ai.txt",
}
_CRAWLERS: dict[str, Reservation] = {
    "waman": "robots-waman",
    "CCBot": "robots-ccbot",
    "GPTBot": "robots-gptbot",
    "Google-Extended": "robots-google-extended",
}
_ALL_OF_US = frozenset({"robots", "waman", "ccbot", "gptbot", "google-extended"})
"""Names of meta elements, and of agents in X-Robots-Tag, that speak to who gathers training text."""
_WITH_VALUE = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})
_OF_MACHINES: frozenset[str] = frozenset({"noindex", "noarchive", "nosnippet", "noai", "noimageai", "noml"})
_MEANS: dict[str, Reservation] = {"none": "noindex", "nocache": "noarchive", "max-snippet:0": "nosnippet"}
_NO_TRAINING = re.compile(
    r"(?:^|[\s,;])(?:train-ai|train-genai|genai|ai-train|ai|bots|all)\s*=\s*(?:n|no)(?=$|[\s,;])", re.IGNORECASE
)
_USAGE_FIELDS = ("content-usage", "content-signal")
_META = re.compile(r"<meta\b([^<>]{1,500})>", re.IGNORECASE)
_SAID_IN_META = ("tdm-reservation", "TDM-Reservation", "ccbot", "CCBot", "gptbot", "GPTBot", "oogle-", "waman")
"""One of them stands in an element that counts, besides `robots`."""
_ATTRIBUTE = re.compile(r"""(name|content)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_HEAD_CHARACTERS = 100_000


@dataclass(frozen=True)
class HostRules:
    """A file in which a host says what machines may do with its pages."""

    host: str
    """With its port, where it is not the usual one."""
    file: HostFile
    text: str


def host_file(url: str | None) -> tuple[str, HostFile] | None:
    """The host and the kind of the file of rules at this URL; None where it is a page like others."""
    if not url or not url.endswith((".txt", ".json")):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:  # a bracket that is not closed
        return None
    file = _PLACES.get(parts.path)
    return (parts.netloc.lower(), file) if file is not None and parts.netloc else None


def reservation_of(*, headers: Mapping[str, str], page: str = "", robots: Sequence[str] = ()) -> str | None:
    """The words of a document's `reservation`, in order; None where nothing is reserved.

    `headers` have names in lower case, repeated ones joined by commas; `page` is its HTML; `robots` are the words of
    its meta elements of that name.
    """
    metas = _metas(page)
    words = _of_machines(robots) | _of_robots_tag(headers.get("x-robots-tag", ""))
    for name, content in metas:
        if name in _ALL_OF_US:
            words |= _of_machines(re.split(r"[\s,]+", content))
    if any(_NO_TRAINING.search(headers.get(field, "")) for field in _USAGE_FIELDS):
        words.add("ai-preferences")
    stated = [headers.get("tdm-reservation", ""), *(content for name, content in metas if name == "tdm-reservation")]
    if any(one.strip() == "1" for one in stated):
        words.add("tdm")
    return join_reservations(words)


def of_rules(rules: Iterable[HostRules], url: str) -> set[Reservation]:
    """What the files of a host reserve of this page."""
    words: set[Reservation] = set()
    for one in rules:
        match one.file:
            case "robots.txt":
                words.update(word for crawler, word in _CRAWLERS.items() if not _allows(one.text, crawler, url))
                words |= _of_usage_lines(one.text, url)
            case "tdmrep.json":
                words |= _of_tdmrep(one.text, url)
            case "ai.txt":
                words |= set() if _allows(one.text, "waman", url) else {"noai"}
    return words


def add_rules(reservation: str | None, rules: Iterable[HostRules], url: str) -> str | None:
    """A document's `reservation` with what the files of its host add to it."""
    known = {word for word in RESERVATIONS if word in (reservation or "").split()}
    return join_reservations(known | of_rules(rules, url))


def _metas(page: str) -> list[tuple[str, str]]:
    """Name (lower case) and content of the meta elements in the first part of a page, comments left out."""
    head = page[:_HEAD_CHARACTERS]
    told = "".join(_META.findall(head))  # few of the page's characters: several names are looked for
    if not any(name in told for name in _SAID_IN_META):
        return []
    first, *others = head.split("<!--")
    head = first + "".join(part.partition("-->")[2] for part in others)
    found = []
    for match in _META.finditer(head):
        attributes = {one[1].lower(): one[2] or one[3] or one[4] or "" for one in _ATTRIBUTE.finditer(match[1])}
        if "name" in attributes and "content" in attributes:
            found.append((attributes["name"].strip().lower(), attributes["content"]))
    return found


def _of_machines(words: Iterable[str]) -> set[Reservation]:
    found = (_MEANS.get(word, word) for word in map(str.lower, words))
    return {cast(Reservation, word) for word in found if word in _OF_MACHINES}


def _of_robots_tag(header: str) -> set[Reservation]:
    """X-Robots-Tag: directives for all, and behind `agent:` for that agent; those of other agents are passed over."""
    found: set[Reservation] = set()
    ours = True
    for part in header.lower().split(","):
        name, colon, value = (piece.strip() for piece in part.partition(":"))
        if colon and name not in _WITH_VALUE:
            ours, name, value = name in _ALL_OF_US, value, ""
        if ours:
            found |= _of_machines([f"{name}:{value}" if value else name])
    return found


def _allows(text: str, crawler: str, url: str) -> bool:
    return _robots(text, crawler).allows(url)


@functools.lru_cache(maxsize=256)
def _robots(text: str, crawler: str) -> Robots:
    return parse_robots(text[:MAX_BYTES], crawler)


def _of_usage_lines(text: str, url: str) -> set[Reservation]:
    """Content-Usage and Content-Signal lines of robots.txt, with or without the path they are for; any agent's."""
    for line in text[:MAX_BYTES].splitlines():
        field, colon, value = line.partition("#")[0].partition(":")
        if not colon or field.strip().lower() not in _USAGE_FIELDS:
            continue
        path, preferences = "/", value.strip()
        if preferences.startswith("/"):
            path, _, preferences = preferences.partition(" ")
        if _NO_TRAINING.search(preferences) and matches(path, url):
            return {"ai-preferences"}
    return set()


def _of_tdmrep(text: str, url: str) -> set[Reservation]:
    """By the first rule of tdmrep.json whose location the page's path matches; a file that is no list says nothing."""
    try:
        rules = json.loads(text)
    except (ValueError, RecursionError):
        return set()
    for rule in rules if isinstance(rules, list) else [rules]:
        location = rule.get("location") if isinstance(rule, dict) else None
        if isinstance(location, str) and matches(location if location.startswith("/") else f"/{location}", url):
            return {"tdm"} if rule.get("tdm-reservation") in (1, "1") else set()
    return set()
