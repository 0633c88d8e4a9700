"""Source code: LLaMA's rules for GitHub (Touvron et al. 2023, section 2.1).

The paper names the rules and no figures: those of lines are from Chen et al. 2021 ("Codex", section 3.1), the share of
alphanumeric characters is that of the CodeParrot data set.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from waman.corpus.filters.rule import Reason

if TYPE_CHECKING:
    from waman.corpus.text import Text

_LEGAL = re.compile(
    r"copyright|\(c\)\s*\d{4}|licen[cs]e|spdx-|all rights reserved|redistribution and use|warrant(y|ies)\b"
    r"|permission is (hereby )?granted|permission to use|notice may not be removed",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"\s*(#|//|--|;|%)")
_COMMENT_SIGNS = "#/-;% \t"
_PREAMBLE = re.compile(r"#!|#.*coding[:=]")
_BLOCK_COMMENT = re.compile(r"\s*(/\*.*?\*/|<!--.*?-->)[ \t]*\n?", re.DOTALL)


@dataclass(frozen=True)
class LineLength:
    """Drops files with long lines: data and minified code."""

    max_mean: float = 100.0
    """Largest mean of characters a line."""
    max_longest: int = 1000
    """Most characters of a line."""

    def judge(self, text: "Text") -> Reason | None:
        """long_mean_line, longest_line or None."""
        lengths = [len(line) for line in text.text.rstrip("\n").split("\n")]
        mean = sum(lengths) / len(lengths)
        if mean > self.max_mean:
            return Reason("long_mean_line", mean)
        return Reason("longest_line", max(lengths)) if max(lengths) > self.max_longest else None


@dataclass(frozen=True)
class AlphanumericCharacters:
    """Drops files of symbols: tables and drawings."""

    min_share: float = 0.25
    """Smallest share of characters that are letters or digits."""

    def judge(self, text: "Text") -> Reason | None:
        """few_alphanumeric_characters or None."""
        share = sum(map(str.isalnum, text.text)) / max(1, len(text.text))
        return Reason("few_alphanumeric_characters", share) if share < self.min_share else None


@dataclass(frozen=True)
class LicenceHeader:
    """Removes the comment about copyright and licence at the head of a file."""

    max_lines: int = 120
    """How far down the head may reach."""

    def correct(self, text: "Text") -> str:
        """The text without the head's comment paragraphs from the first legal one to the last."""
        block = _BLOCK_COMMENT.match(text.text)
        if block is not None:
            return text.text[block.end() :].lstrip("\n") if _LEGAL.search(block.group()) else text.text
        lines = text.text.split("\n")
        first = next((i for i, line in enumerate(lines[:2]) if not _PREAMBLE.match(line)), 2)
        last = first
        while last < min(len(lines), self.max_lines) and (_COMMENT.match(lines[last]) or not lines[last].strip()):
            last += 1
        legal = _legal_span(lines[first:last])
        if legal is None:
            return text.text
        begin, end = first + legal[0], first + legal[1]
        while end < len(lines) and not lines[end].strip(_COMMENT_SIGNS):
            end += 1
        return "\n".join(lines[:begin] + lines[end:])


def _legal_span(head: list[str]) -> tuple[int, int] | None:
    """The lines [begin, end) from the first paragraph that speaks of law to the last one; blank comments part them."""
    begins: list[int] = []
    spans: list[tuple[int, int]] = []
    for index, line in enumerate([*head, ""]):
        if line.strip(_COMMENT_SIGNS):
            begins.append(index)
        elif begins:
            spans.append((begins[0], index))
            begins = []
    legal = [
        span for span in spans if _LEGAL.search(" ".join(line.strip(_COMMENT_SIGNS) for line in head[slice(*span)]))
    ]
    return (legal[0][0], legal[-1][1]) if legal else None
