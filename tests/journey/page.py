"""Reads a page of HTML as a browser would see it: which elements, which attributes, which text."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "link", "br", "img", "input", "hr"}


@dataclass
class Element:
    """One element's start tag."""

    tag: str
    attributes: dict[str, str]


@dataclass
class Page:
    """A page's elements in order, its text outside <style>, and tags that were not closed in order."""

    elements: list[Element] = field(default_factory=list)
    text: str = ""
    style: str = ""
    unbalanced: list[str] = field(default_factory=list)

    def find(self, tag: str, css_class: str | None = None) -> list[Element]:
        """The elements of a tag, of a class if one is given."""
        return [
            one
            for one in self.elements
            if one.tag == tag and (css_class is None or css_class in one.attributes.get("class", "").split())
        ]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.elements.append(Element(tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.page.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            self.page.style += data
        else:
            self.page.text += data


def read_page(html: str) -> Page:
    """Parses a whole page."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    reader.page.unbalanced += reader._open
    return reader.page
