"""Files of source code become documents, as far as LLaMA's rules keep them."""

import io
import re
import tokenize
from collections.abc import Iterator

from waman.crawl.pieces import Item, Piece
from waman.crawl.recipe import CodeRules
from waman.document import EXCERPT_CHARACTERS, Document, Drop, document_id

_COMMENT_HEAD = re.compile(
    r"""
    \A(?P<keep>(?:\#![^\n]*\n)?(?:\#[^\n]*coding[:=][^\n]*\n)?)  # the interpreter's line, the encoding's line
    \s*
    (?P<head>
        /\*.*?\*/[^\S\n]*\n                                      # one block comment
      | (?:[^\S\n]*(?:\#|//|--|;|%)[^\n]*\n)+                    # a run of line comments
      | <!--.*?-->[^\S\n]*\n
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_ABOUT_RIGHTS = re.compile(r"copyright|licen[cs]ed?\b|all rights reserved|SPDX", re.IGNORECASE)


def read_code(piece: Piece, rules: CodeRules, *, name: str, max_bytes: int) -> Iterator[Item]:
    """The document of a file of source code, or the rule that drops it and the figure."""
    if piece.left_out is not None:
        yield _drop(name, piece, piece.left_out.reason, text=str(piece.left_out))
        return
    if piece.size > max_bytes:
        yield _drop(name, piece, "too_large", value=piece.size)
        return
    data = piece.path.read_bytes()
    try:
        text = _decode(data, piece.path.suffix)
    except (UnicodeDecodeError, SyntaxError, LookupError) as error:
        yield _drop(name, piece, "invalid_utf8", value=getattr(error, "start", None))
        return
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if rules.strip_headers:
        text = strip_header(text)
    verdict = judge(text, rules)
    if verdict is not None:
        yield _drop(name, piece, verdict[0], value=verdict[1], text=text)
        return
    yield Document(
        id=document_id(name, piece.name),
        text=text,
        source=name,
        group=piece.group or piece.name,
        title=piece.title,
        licence=piece.licence,
        origin=piece.name,
    )


def judge(text: str, rules: CodeRules) -> tuple[str, float] | None:
    """The rule that drops a file, and the figure; None for a file that is kept."""
    if not text.strip():
        return "empty", 0.0
    lines = text.splitlines()
    longest = max(map(len, lines))
    if longest > rules.max_line_characters:
        return "long_line", float(longest)
    mean = sum(map(len, lines)) / len(lines)
    if mean > rules.max_mean_line_characters:
        return "long_lines", mean
    share = sum(map(str.isalnum, text)) / len(text)
    if share < rules.min_alphanumeric_share:
        return "few_letters_and_digits", share
    return None


def strip_header(text: str) -> str:
    """A file without the comment at its head that states copyright and licence; other comments stay."""
    match = _COMMENT_HEAD.match(text)
    if match is None or not _ABOUT_RIGHTS.search(match["head"]):
        return text
    return match["keep"] + text[match.end() :].lstrip("\n")


def _decode(data: bytes, suffix: str) -> str:
    if suffix != ".py":
        return data.decode("utf-8-sig")
    codec, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    return data.decode(codec)


def _drop(name: str, piece: Piece, reason: str, *, value: float | None = None, text: str = "") -> Drop:
    value = float(value) if value is not None else None
    origin = piece.name
    return Drop(document_id(name, origin), name, origin, "extract", reason, value, text=text[:EXCERPT_CHARACTERS])
