"""The corpus that every machine with Python can make: documentation as web pages, and permissive sources."""

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from waman.artifact import Artifact
from waman.crawl.recipe import ExtractRecipe, FetchRecipe
from waman.journey.recipe import HOST
from waman.log import get_logger


class Traveller(Protocol):
    """Goes through doors, each into a folder of one place."""

    folder: Path

    def take(self, name: str, door: Callable[..., Artifact], recipe: object, **inputs: object) -> Artifact:
        """Goes through one door into the folder `name`."""

    def take_units(self, name: str, door: Callable[..., Artifact], recipe: object, **inputs: object) -> Artifact:
        """Goes through a door whose units an executor runs."""


class Chosen(Protocol):
    """What is gathered, and how."""

    @property
    def documented(self) -> tuple[str, ...]:
        """Installed distributions whose documentation is read, beside the standard library's."""

    @property
    def fetch(self) -> FetchRecipe:
        """Fetching the pages."""

    @property
    def extract_web(self) -> ExtractRecipe:
        """Pages to text."""

    @property
    def extract_github(self) -> ExtractRecipe:
        """Sources to text."""


def gather(chosen: Chosen, traveller: Traveller) -> list[Artifact]:
    """Documentation fetched as web pages, and sources with permissive licences."""
    from waman.crawl.extract import extract

    crawl = _fetch_pages(chosen, traveller)
    web = traveller.take_units("documents-web", extract, chosen.extract_web, archives=[crawl])
    sources = python_of_this_machine()
    return [web, traveller.take_units("documents-github", extract, chosen.extract_github, archives=sources)]


def python_of_this_machine() -> list[Artifact]:
    """The standard library and, where there are any, all installed distributions: each is read or has its reason."""
    from waman.crawl.extract import open_distributions, open_standard_library

    installed = open_distributions()
    return [open_standard_library(), *([installed] if installed.names else [])]


def _fetch_pages(chosen: Chosen, traveller: Traveller) -> Artifact:
    from waman.crawl.fetch import fetch
    from waman.journey.pages import render_pages, serve_pages, standard_groups

    name = "crawl"
    if (traveller.folder / name).exists():
        return traveller.take(name, fetch, chosen.fetch)
    with tempfile.TemporaryDirectory(prefix="waman-pages-") as place:
        site = Path(place) / "site"
        site.mkdir()
        get_logger().info("rendering pages ...")
        rendered = render_pages(site, groups=[*standard_groups(), *chosen.documented])
        get_logger().info("%d pages, %d modules without one", len(rendered.pages), len(rendered.skipped))
        with serve_pages(site) as address:
            return traveller.take(name, functools.partial(fetch, connect={HOST: address}), chosen.fetch)
