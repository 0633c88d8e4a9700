"""`waman extract`: archives, rows, texts and sources of code become documents."""

import functools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from waman.artifact import Artifact
from waman.crawl import pieces
from waman.crawl.cutting import cut_large
from waman.crawl.hosts import reserve_by_host, write_rules
from waman.crawl.joining import THREADED, extract_threads
from waman.crawl.language import with_language
from waman.crawl.left_out import LEFT_OUT_FILE, LeftOut, read_left_out, write_left_out
from waman.crawl.pieces import Item, Piece
from waman.crawl.recipe import (
    Arxiv,
    Books,
    Datatrove,
    ExtractRecipe,
    Github,
    Namuwiki,
    Python,
    Rows,
    StackExchange,
    Text,
    UrlRules,
    Web,
    Wikipedia,
)
from waman.crawl.reservations import HostRules
from waman.crawl.sources import python, stackexchange
from waman.crawl.sources.arxiv import plan_papers, read_arxiv
from waman.crawl.sources.books import read_books
from waman.crawl.sources.code import read_code
from waman.crawl.sources.datatrove import read_datatrove
from waman.crawl.sources.github import plan_code, read_code_rows
from waman.crawl.sources.namuwiki import read_namuwiki
from waman.crawl.sources.python import group_of_distribution, group_of_module, open_distributions, open_standard_library
from waman.crawl.sources.rows import read_rows
from waman.crawl.sources.text import read_text
from waman.crawl.sources.web import read_web
from waman.crawl.sources.wikipedia import read_wikipedia
from waman.crawl.tally import DAMAGE, PLACES_SHOWN, Tally, sum_counts
from waman.crawl.url_rules import UrlJudge, read_blocked, read_lists, write_blocked
from waman.dataflow import Counts, Executor, Job, at
from waman.document import Document, Drop, without_nuls, write_documents, write_drops
from waman.draft import Draft, begin
from waman.errors import DamagedError, InputError
from waman.log import get_logger
from waman.report import write_report

__all__ = [
    "LeftOut",
    "extract",
    "group_of_distribution",
    "group_of_module",
    "open_distributions",
    "open_standard_library",
    "read_left_out",
]

VERSION = 11
_KINDS = ("crawl", "file", "files", "weights", python.STANDARD_LIBRARY, python.DISTRIBUTIONS)


def extract(
    recipe: ExtractRecipe,
    *,
    archives: Sequence[Artifact],
    blocklists: Sequence[Artifact] = (),
    out: Path,
    replace: bool = False,
    executor: Executor | None = None,
) -> Artifact:
    """Reads every record of the archives into documents: `data/NNNNN.parquet`; what it drops is in `dropped/`.

    What is left out whole, such as a distribution without a permissive licence, is listed in `left_out.json` as well;
    `report.html` shows all of it.

    An archive is a crawl, a WARC, WET, JSONL, Parquet or text file, a folder of those or of repositories, or what
    `sources.python` opens. `blocklists` name domains and URLs whose pages are left out, where `source.urls` is on.
    Raises InputError where an archive cannot be read or holds no readable record, DamagedError where more records are
    damaged than the recipe allows.
    """
    _check(archives)
    inputs = {"archives": archives, "blocklists": blocklists} if blocklists else {"archives": archives}
    rules = _url_rules(recipe, blocklists)
    draft = begin(out, kind="documents", version=VERSION, recipe=recipe, inputs=inputs, replace=replace)
    if draft.finished is not None:
        return draft.finished
    with draft:
        whole = list(pieces.unlike_names(_plan(recipe, archives)))
        if isinstance(recipe.source, THREADED):
            found = extract_threads(draft, recipe, whole, executor)
        else:
            units = pieces.pack(cut_large(draft, whole, recipe.unit_bytes, executor), recipe.unit_bytes)
            blocked = _read_blocklists(draft, rules, blocklists, executor)
            jobs = [
                Job(f"{number:05}", _Unit(recipe, number, unit, blocked), recipe.limits)
                for number, unit in enumerate(units)
            ]
            found = draft.run_units(_extract_unit, jobs, executor=executor, stage="extract")
            found = reserve_by_host(draft, found, stage="extract", executor=executor)
        counts = sum_counts(found)
        if isinstance(recipe.source, THREADED):
            counts["merged"] = counts["records"] - counts["documents"] - sum(counts["dropped"].values())
        _check_readable(archives, found)
        _check_damage(recipe, counts, found)
        _account_for(draft, pieces.left_out_of(whole))
        report = functools.partial(write_report, title=out.name, counts=counts)
        return draft.finish(counts=counts, report=report)


@dataclass(frozen=True)
class _Unit:
    recipe: ExtractRecipe
    number: int
    pieces: list[Piece]
    blocked: Path | None = None
    """Where the entries of blocklists are, made ready to be searched."""


# Planning


def _check(archives: Sequence[Artifact]) -> None:
    if not archives:
        raise InputError("no archives given: expected at least one crawl, file or folder")
    for index, archive in enumerate(archives):
        if archive.kind not in _KINDS:
            raise InputError(
                f"{archive.path} is of kind '{archive.kind}', expected one of {', '.join(_KINDS)}: "
                "give a crawl, archives or a folder of them"
            )
        if any(archive.identity == other.identity for other in archives[:index]):
            raise InputError(f"{archive.path} is given twice, or a copy of it is: give each archive once")


def _url_rules(recipe: ExtractRecipe, blocklists: Sequence[Artifact]) -> UrlRules | None:
    """The rules for addresses, if there are any. Raises InputError where lists are given and no rules use them."""
    rules = recipe.source.urls if isinstance(recipe.source, Web) else None
    if isinstance(rules, UrlRules):
        return rules
    if blocklists:
        raise InputError(
            f"blocklists are given, {blocklists[0].path} the first, and the recipe judges no addresses: "
            "expected --set source.kind=web --set source.urls.kind=url_rules, or no blocklists"
        )
    return None


def _read_blocklists(
    draft: Draft, rules: UrlRules | None, blocklists: Sequence[Artifact], executor: Executor | None
) -> Path | None:
    if rules is None or not blocklists:
        return None
    job = Job("00000", (tuple(blocklists), rules.categories))
    draft.run_units(_read_blocklists_unit, [job], executor=executor, stage="blocklists", scratch=True)
    return draft.unit_folders("blocklists")[0]


def _read_blocklists_unit(payload: tuple[Sequence[Artifact], Sequence[str]], folder: Path) -> Counts:
    blocked = read_lists(*payload)
    write_blocked(folder, blocked)
    return {"entries": len(blocked.keys)}


def _plan(recipe: ExtractRecipe, archives: Sequence[Artifact]) -> Iterator[Piece]:
    """The files of all inputs in order."""
    for number, archive in enumerate(archives):
        for piece in _plan_archive(recipe, archive):
            yield replace(piece, input=number)


def _plan_archive(recipe: ExtractRecipe, archive: Artifact) -> Iterator[Piece]:
    source = recipe.source
    if archive.kind in (python.STANDARD_LIBRARY, python.DISTRIBUTIONS) and not isinstance(source, Python | None):
        raise InputError(f"{archive.path} holds Python sources, expected --set source.kind=python")
    if archive.kind == python.STANDARD_LIBRARY:
        return python.plan_standard_library(archive.path, source if isinstance(source, Python) else Python())
    if archive.kind == python.DISTRIBUTIONS:
        names = archive.names if isinstance(archive, python.Distributions) else None
        return python.plan_distributions(archive.path, source if isinstance(source, Python) else Python(), names)
    if isinstance(source, Python):
        return python.plan_folder(archive.path, source)
    if isinstance(source, Github):
        return plan_code(archive, source)
    if isinstance(source, StackExchange):
        return stackexchange.plan_posts(archive, source)
    if isinstance(source, Arxiv):
        return plan_papers(archive)
    return pieces.pieces_of(archive, source)


# Reading


def _extract_unit(unit: _Unit, folder: Path) -> Counts:
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # what it says of a page, the drops say too
    tally = Tally()
    drops: list[Drop] = []
    judge = _judge(unit)
    rules: list[HostRules] = []

    def documents() -> Iterator[Document]:
        for piece in unit.pieces:
            at(None)  # going to where a piece of a large file begins may take long
            for item in _read(unit.recipe, piece, judge, rules):
                if isinstance(item, Document):
                    item = without_nuls(item)
                tally.add(piece.input, item)
                if isinstance(item, Drop):
                    drops.append(item)
                elif item is not None:
                    is_code = isinstance(unit.recipe.source, Github | Python) or piece.format == "code"
                    yield item if is_code else with_language(item)
                if item is not None:
                    at(f"what stands behind {item.origin}")

    write_documents(folder / "data" / f"{unit.number:05}.parquet", map(tally.add_document, documents()))
    write_drops(folder / "dropped" / f"{unit.number:05}.parquet", drops)
    write_rules(folder, unit.number, rules)
    return tally.counts() | {"host_rules": len(rules)}


def _judge(unit: _Unit) -> UrlJudge | None:
    web = unit.recipe.source
    if not isinstance(web, Web) or not isinstance(web.urls, UrlRules):
        return None
    return UrlJudge(web.urls, None if unit.blocked is None else read_blocked(unit.blocked))


def _read(recipe: ExtractRecipe, piece: Piece, judge: UrlJudge | None, rules: list[HostRules]) -> Iterator[Item]:
    group, max_bytes = recipe.group, recipe.max_record_bytes
    if piece.format in ("code", "left_out"):
        usual = "text" if piece.left_out is not None and piece.left_out.reason in pieces.UNREAD else "github"
        return read_code(piece, name=recipe.name or usual, max_bytes=max_bytes)
    match pieces.source_of(piece, recipe.source):
        case Web() as web:
            name = recipe.name or "web"
            return read_web(piece, web, name=name, group=group, max_bytes=max_bytes, judge=judge, rules=rules)
        case Rows() as rows:
            return read_rows(piece, rows, name=recipe.name or "text", group=group, max_bytes=max_bytes)
        case Text():
            return read_text(piece, name=recipe.name or "text", max_bytes=max_bytes)
        case Wikipedia() as wikipedia:
            return read_wikipedia(piece, wikipedia, name=recipe.name or "wikipedia", group=group, max_bytes=max_bytes)
        case Arxiv() as arxiv:
            return read_arxiv(piece, arxiv, name=recipe.name or "arxiv", group=group, max_bytes=max_bytes)
        case Books() as books:
            return read_books(piece, books, name=recipe.name or "books", group=group, max_bytes=max_bytes)
        case Namuwiki() as namuwiki:
            return read_namuwiki(piece, namuwiki, name=recipe.name or "namuwiki", group=group, max_bytes=max_bytes)
        case Datatrove():
            return read_datatrove(piece, name=recipe.name, group=group, max_bytes=max_bytes)
        case Github() as github:
            return read_code_rows(piece, github, name=recipe.name or "github", group=group, max_bytes=max_bytes)
        case source:
            raise AssertionError(f"{piece.format} is not read by {source}")


# Reporting


def _check_readable(archives: Sequence[Artifact], found: Sequence[Counts]) -> None:
    for number, archive in enumerate(archives):
        seen = [(c["records"].get(str(number), 0), c["damaged"].get(str(number), 0)) for c in found]
        if all(records == damaged for records, damaged in seen):
            places = [place for counts in found for place in counts["places"] if counts["records"].get(str(number))]
            shown = f": {'; '.join(places[:PLACES_SHOWN])}" if places else ""
            raise InputError(f"{archive.path} holds no readable record{shown}; give one that does, or leave it out")


def _account_for(draft: Draft, left_out: Sequence[LeftOut]) -> None:
    """Lists what was left out whole; what the recipe names and is not there is worth a line in the log."""
    absent = [one.name for one in left_out if one.reason == "not_installed"]
    if absent:
        get_logger().warning("not installed, so not read: %s", ", ".join(absent))
    unread = [one.name for one in left_out if one.reason in pieces.UNREAD]
    if unread:
        shown = ", ".join(unread[:PLACES_SHOWN]) + (" and others" if len(unread) > PLACES_SHOWN else "")
        get_logger().warning("%d files are not read, %s lists them: %s", len(unread), LEFT_OUT_FILE, shown)
    write_left_out(draft.path, left_out)


def _check_damage(recipe: ExtractRecipe, counts: dict[str, Any], found: Sequence[Counts]) -> None:
    """Tells of the damage, in the log or, where it is more than the recipe allows, by raising DamagedError."""
    if not counts["damaged"]:
        return
    share = counts["damaged"] / counts["records"]
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts["dropped"].items() if reason in DAMAGE)
    places = "; ".join([place for unit in found for place in unit["places"]][:PLACES_SHOWN])
    told = f"{counts['damaged']} of {counts['records']} records ({share:.1%}) are damaged ({reasons}), such as {places}"
    if share > recipe.max_damaged_share:
        raise DamagedError(
            f"{told}\nExpected at most {recipe.max_damaged_share:.1%}: mend the input, or allow more with "
            "--set max_damaged_share=SHARE --replace"
        )
    get_logger().warning(told)
