"""The main text of a page: its blocks, judged one by one, and those that are kept written as lines."""

from collections.abc import Sequence

import numpy as np

from waman.crawl import block_kernels as kernels
from waman.crawl.block_features import Integers, Measured
from waman.crawl.block_judge import Scores, shipped
from waman.crawl.blocks import BLOCKS, HEADINGS, PREFORMATTED, Blocks

_THRESHOLD = 0.0
"""Log odds from which a block is kept."""
_HEADING_THRESHOLD = -2.0
"""The same for a heading that what is kept follows."""
_TITLE_THRESHOLD = -4.5
"""The same for one of the first order."""
_PROSE_THRESHOLD = -1.5
"""The same for a paragraph, item or quote behind what is kept, headings between: texts end in such."""
_PROSE_CHARACTERS = 40
_PROSE_LINKS = 0.3
"""Share of links from which it is not taken for prose."""
_FEWEST_CHARACTERS = 100
"""Where less than this is kept, what is likeliest on the page stands in."""
_NEARLY = 1.5
"""How far below the likeliest block the others may then lie."""
_CELLS = frozenset(BLOCKS.index(name) for name in ("td", "th"))
_LEVELS = 8
"""Containers around a block that are looked at for the row or the item it is in."""
_PROSE = np.isin(BLOCKS, ("p", "li", "blockquote"))
_SENTENCE_ENDS = (*".!?…。！？", *"\"'”’»)")
_TABLE, _ROW, _ITEM = (BLOCKS.index(name) for name in ("table", "tr", "li"))


def main_text(blocks: Blocks, *, include_tables: bool) -> str:
    """The main text; empty where there is none."""
    if not blocks.texts:
        return ""
    scores = shipped().score(Measured(blocks))
    return write(blocks, choose(blocks, scores), include_tables=include_tables)


def choose(blocks: Blocks, scores: Scores) -> list[int]:
    """The blocks that are kept, by their log odds."""
    threshold = _THRESHOLD
    lengths = np.array([len(text) for text in blocks.texts])
    if lengths[scores > threshold].sum() < _FEWEST_CHARACTERS:
        threshold = min(threshold, float(scores.max()) - _NEARLY)
    kept: list[int] = []
    followed = False
    kinds = blocks.kinds[blocks.containers]
    behind = _prose_behind(blocks, scores, lengths, kinds, threshold)
    for number, score, kind in zip(range(len(scores))[::-1], scores[::-1].tolist(), kinds[::-1].tolist(), strict=True):
        bar = threshold + _PROSE_THRESHOLD if number in behind else threshold
        if followed and kind in HEADINGS:
            bar = min(bar, _TITLE_THRESHOLD if kind == HEADINGS[0] else _HEADING_THRESHOLD)
        followed = score > bar
        if followed:
            kept.append(number)
    return kept[::-1]


def _prose_behind(blocks: Blocks, scores: Scores, lengths: Integers, kinds: Integers, threshold: float) -> set[int]:
    """Blocks of prose just below the threshold that stand behind one above it, or behind such prose."""
    near = (scores <= threshold) & (scores > threshold + _PROSE_THRESHOLD) & _PROSE[kinds]
    near &= (lengths >= _PROSE_CHARACTERS) & (blocks.link_characters < _PROSE_LINKS * lengths)
    found: set[int] = set()
    for number in np.flatnonzero(near).tolist():
        before = number - 1
        while before >= 0 and kinds[before] in HEADINGS and scores[before] <= threshold:
            before -= 1
        is_behind = before >= 0 and (scores[before] > threshold or before in found)
        if is_behind and blocks.texts[number].endswith(_SENTENCE_ENDS):
            found.add(number)
    return found


def write(blocks: Blocks, kept: Sequence[int], *, include_tables: bool) -> str:
    """The kept blocks as lines: a mark before the items of lists, the cells of a row in one line."""
    lines: list[str] = []
    row = item = -1
    containers = blocks.containers[kept]
    kinds = blocks.kinds[containers].tolist()
    rows, items = (
        kernels.enclosing(blocks.parents, blocks.kinds, containers, kind, _TABLE, _LEVELS).tolist()
        for kind in (_ROW, _ITEM)
    )
    for number, kind, table_row, list_item in zip(kept, kinds, rows, items, strict=True):
        text = blocks.texts[number]
        if table_row >= 0:
            if not include_tables:
                continue
            if table_row == row and kind in _CELLS:
                lines[-1] = f"{lines[-1]} | {text}"
                continue
            row = table_row
        else:
            row = -1
        if list_item >= 0 and list_item != item and kind not in PREFORMATTED:
            text = f"- {text}"
        item = list_item
        lines.append(text)
    return "\n".join(lines)
