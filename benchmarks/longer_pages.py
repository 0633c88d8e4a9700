"""Pages made longer, to learn from: a manual's last section is as small a share of it as a news page's footer is."""

import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from waman.crawl.blocks import Blocks

NUM_COPIES = (2, 3, 4, 6)
MAX_ADDED_BLOCKS = 4000


def copies_of(url: str) -> int:
    """How often a page's text is put in again: of NUM_COPIES, drawn by its URL."""
    return NUM_COPIES[zlib.crc32(url.encode()) % len(NUM_COPIES)]


def lengthen(blocks: Blocks, likely: Sequence[int], copies: int) -> tuple[Blocks, NDArray[np.int64]] | None:
    """A page with its stretch of text put in several times before itself, and the new blocks' old numbers (-1: copies).

    The stretch: what the nearest container around all of the likely blocks holds from the first of them to the last.
    None where they do not lie apart in one.
    """
    chains = [_chain(blocks, blocks.containers[block]) for block in likely]
    shared = 0
    while chains and all(len(one) > shared and one[shared] == chains[0][shared] for one in chains):
        shared += 1
    inner = [one[shared] for one in chains if len(one) > shared]
    if len(inner) < 2 or inner[0] == inner[-1]:
        return None
    parents, starts, containers = blocks.parents, blocks.starts, blocks.containers
    first, stop = inner[0], inner[-1] + 1
    while stop < len(parents) and parents[stop] >= inner[-1]:
        stop += 1
    inside = np.flatnonzero((containers >= first) & (containers < stop))
    begin, end = int(inside[0]), int(inside[-1]) + 1
    copies = max(1, min(copies, MAX_ADDED_BLOCKS // (end - begin)))
    old_containers, copy_of_container = _repeat(len(parents), first, stop, copies)
    old_blocks, copy_of_block = _repeat(len(containers), begin, end, copies)
    parents, starts, containers = parents[old_containers], starts[old_containers], containers[old_blocks]
    parents += np.where(parents >= first, copy_of_container * (stop - first), 0)
    starts += copy_of_container * (end - begin)
    containers += np.where(containers >= first, copy_of_block * (stop - first), 0)
    texts = [
        # another first letter, since a text that stands on a page twice is mostly none of its own
        chr(ord("a") + copy) + blocks.texts[old][1:] if begin <= old < end and copy < copies else blocks.texts[old]
        for old, copy in zip(old_blocks, copy_of_block, strict=True)
    ]
    longer = replace(
        blocks, parents=parents, starts=starts, containers=containers, texts=texts,
        kinds=blocks.kinds[old_containers], groups=blocks.groups[old_containers],
        depths=blocks.depths[old_containers], places=blocks.places[old_containers],
        link_characters=blocks.link_characters[old_blocks], words=blocks.words[old_blocks],
    )  # fmt: skip
    is_copy = (old_blocks >= begin) & (old_blocks < end) & (copy_of_block < copies)
    return longer, np.where(is_copy, -1, old_blocks)


def _chain(blocks: Blocks, container: int) -> list[int]:
    """The containers around one, outermost first, and itself."""
    chain: list[int] = []
    while container >= 0:
        chain.append(container)
        container = int(blocks.parents[container])
    return chain[::-1]


def _repeat(count: int, first: int, stop: int, copies: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers 0 to count with a stretch put in before itself, and which copy each is of: `copies` from the last one."""
    size = stop - first
    numbers = np.concatenate([np.arange(first), np.tile(np.arange(first, stop), copies), np.arange(first, count)])
    copy = np.concatenate([np.zeros(first), np.repeat(np.arange(copies), size), np.full(count - first, copies)])
    return numbers.astype(np.int64), copy.astype(np.int64)
