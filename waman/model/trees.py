"""Trees of texts as one row of tokens: each text after its parent, every path read as if it stood alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from waman.errors import InputError


@dataclass(frozen=True, eq=False)
class TreeLayout:
    """Where the tokens of one or several trees stand, and what they see; add a row's offset to pack several."""

    order: list[int]
    """the nodes in preorder: a node's tokens, then those of its first child's subtree, then the next child's"""
    ends: Tensor
    """(tokens,): where the subtree of each token's node ends, for `masks.Tree`"""
    positions: Tensor
    """(tokens,): tokens before it on its path; siblings begin alike"""
    steps: Tensor
    """(2, pairs): token steps[1] follows token steps[0] on a path; the first token of a root follows none"""
    num_paths: Tensor
    """(tokens,): how many paths from a root to a leaf hold the token"""


def tree_layout(parents: Sequence[int | None], num_tokens: Sequence[int]) -> TreeLayout:
    """Lays out nodes of which parents[n] is the parent of node n, None at a root; siblings keep their order.

    num_tokens: tokens of each node. Raises InputError if a parent is no node, or a node its own ancestor.
    """
    children: dict[int | None, list[int]] = {}
    for node, parent in enumerate(parents):
        if parent is not None and not 0 <= parent < len(parents):
            raise InputError(f"tree: the parent of node {node} is {parent}; expected None or 0 to {len(parents) - 1}")
        children.setdefault(parent, []).append(node)
    order = _preorder(children)
    if len(order) < len(parents):
        lost = sorted(set(range(len(parents))) - set(order))
        raise InputError(f"tree: nodes {lost} hang on no root; expected a parent chain that ends at a node without one")
    sizes, leaves = list(num_tokens), [0] * len(parents)
    for node in reversed(order):
        leaves[node] = sum(leaves[child] for child in children.get(node, [])) or 1
        sizes[node] += sum(sizes[child] for child in children.get(node, []))
    depths: dict[int | None, int] = {None: 0}
    lasts: dict[int | None, int | None] = {None: None}
    ends: list[int] = []
    positions: list[int] = []
    steps: list[tuple[int, int]] = []
    for node in order:
        start, count, parent = len(ends), num_tokens[node], parents[node]
        ends += [start + sizes[node]] * count
        positions += range(depths[parent], depths[parent] + count)
        depths[node], last = depths[parent] + count, lasts[parent]
        for token in range(start, start + count):
            if last is not None:
                steps.append((last, token))
            last = token
        lasts[node] = last
    counts = torch.tensor([num_tokens[node] for node in order], dtype=torch.long)
    return TreeLayout(
        order=order,
        ends=torch.tensor(ends, dtype=torch.long),
        positions=torch.tensor(positions, dtype=torch.long),
        steps=torch.tensor(steps, dtype=torch.long).view(-1, 2).T,
        num_paths=torch.tensor([leaves[node] for node in order], dtype=torch.long).repeat_interleave(counts),
    )


def _preorder(children: dict[int | None, list[int]]) -> list[int]:
    order: list[int] = []
    waiting = list(reversed(children.get(None, [])))
    while waiting:
        node = waiting.pop()
        order.append(node)
        waiting.extend(reversed(children.get(node, [])))
    return order
