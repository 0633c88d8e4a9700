"""Masks drawn at random, trees and packed documents among them."""

import random

import torch
from torch import Tensor

from waman.model.masks import Cached, Causal, Document, Mask, Tree
from waman.model.trees import TreeLayout, tree_layout

NAMES = ["causal", "document", "returning", "tree", "mixed", "cached"]


def draw_mask(name: str, batch: int, query_time: int, key_time: int, *, seed: int = 0) -> Mask:
    """A mask of that kind; "mixed" has rows of packed documents, rows of trees, and rows of both."""
    draw = random.Random(seed)
    match name:
        case "causal":
            return Causal()
        case "document":
            return Document(torch.stack([_ids(draw, key_time) for _ in range(batch)]))
        case "returning":
            return Document(torch.stack([_ids(draw, key_time) % 3 for _ in range(batch)]))
        case "tree":
            return Tree(torch.stack([_forest(draw, key_time, trees=True) for _ in range(batch)]))
        case "mixed":
            rows = [_forest(draw, key_time, trees=row % 3 > 0, documents=row % 3 < 2) for row in range(batch)]
            rows[0] = torch.full((key_time,), key_time)
            return Tree(torch.stack(rows))
        case _:
            return Cached(torch.tensor([draw.randint(0, key_time - query_time) for _ in range(batch)]))


def draw_tree(draw: random.Random, num_nodes: int, *, longest: int) -> TreeLayout:
    """A tree whose nodes hold 1 to `longest` tokens, each hung on any of the earlier."""
    parents = [None] + [draw.randrange(node) for node in range(1, num_nodes)]
    return tree_layout(parents, [draw.randint(1, longest) for _ in range(num_nodes)])


def _ids(draw: random.Random, time: int) -> Tensor:
    """Documents of 1 to 60 tokens; sometimes one that fills the row."""
    if draw.random() < 0.2:
        return torch.zeros(time, dtype=torch.long)
    lengths = torch.tensor([draw.randint(1, 60) for _ in range(time)])
    return torch.repeat_interleave(torch.arange(time), lengths)[:time]


def _forest(draw: random.Random, time: int, *, trees: bool, documents: bool = False) -> Tensor:
    """The ends of trees and documents one after the other, cut off at the end of the row."""
    parts, length = [], 0
    while length < time:
        single = documents and (not trees or draw.random() < 0.5)
        ends = draw_tree(draw, 1 if single else draw.randint(2, 9), longest=20).ends
        parts.append(ends + length)
        length += len(ends)
    return torch.cat(parts)[:time]
