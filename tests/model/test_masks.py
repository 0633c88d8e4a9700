"""Masks against the pairs they stand for, and their cut into panels: nothing left out, little computed in vain."""

import random

import pytest
import torch
from torch import Tensor

from tests.model.masks_at_random import NAMES, draw_mask, draw_tree
from waman.errors import InputError
from waman.model.masks import GROUP_PAIRS, Cached, Causal, Document, Mask, Panel, Tree, allowed, cut, distances
from waman.model.trees import tree_layout

CPU = torch.device("cpu")

# Node 0 of two tokens has the children 1, of one, and 3, of two; 1 has the child 2, of three.
SMALL = tree_layout([None, 0, 1, 0], [2, 1, 3, 2])


def panels_of(
    mask: Mask,
    *,
    batch: int,
    query_time: int,
    key_time: int,
    max_pairs: int = 10**6,
    max_queries: int = 16,
    window: int | None = None,
    positions: Tensor | None = None,
) -> list[Panel]:
    return cut(
        mask,
        batch=batch,
        query_length=query_time,
        key_length=key_time,
        max_queries=max_queries,
        max_pairs=max_pairs,
        dtype=torch.float32,
        device=CPU,
        window=window,
        positions=positions,
    )


def keys_of(panel: Panel) -> Tensor:
    return torch.cat([torch.arange(span.start, span.stop) for span in panel.keys])


def covered(panels: list[Panel], batch: int, query_time: int, key_time: int) -> tuple[Tensor, int]:
    """How often the panels allow each pair, and the number of pairs they compute."""
    seen = torch.zeros(batch, query_time, key_time, dtype=torch.long)
    computed = 0
    for panel in panels:
        rows = torch.arange(panel.rows.start, panel.rows.stop)
        queries = torch.arange(panel.queries.start, panel.queries.stop)
        block = torch.ones(len(rows), len(queries), panel.num_keys, dtype=torch.long)
        computed += block.numel()
        if panel.bias is not None:
            block[..., -panel.bias.shape[-1] :] *= panel.bias == 0
        seen.index_put_((rows[:, None, None], queries[:, None], keys_of(panel)), block, accumulate=True)
    return seen, computed


# Who sees whom


def test_a_tree_shows_a_token_its_own_node_and_its_ancestors() -> None:
    seen = allowed(Tree(SMALL.ends[None]), 8, 8, CPU)[0]
    expected = [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5], [0, 1, 6], [0, 1, 6, 7]]
    assert [row.nonzero()[:, 0].tolist() for row in seen] == expected


def test_documents_are_trees_of_one_node() -> None:
    ids = torch.tensor([[0, 0, 1, 1, 1, 2], [5, 5, 5, 5, 5, 5]])
    ends = torch.tensor([[2, 2, 5, 5, 5, 6], [6, 6, 6, 6, 6, 6]])
    assert torch.equal(allowed(Document(ids), 6, 6, CPU), allowed(Tree(ends), 6, 6, CPU))


def test_the_queries_of_a_tree_are_its_last_tokens() -> None:
    whole, last = (allowed(Tree(SMALL.ends[None]), queries, 8, CPU) for queries in (8, 3))
    assert torch.equal(last, whole[:, 5:])


def test_a_window_of_three_shows_a_token_and_the_two_before_it() -> None:
    seen = allowed(Causal(), 5, 5, CPU, window=3)[0]
    assert [row.nonzero()[:, 0].tolist() for row in seen] == [[0], [0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4]]


def test_a_window_is_counted_along_the_path_of_a_tree() -> None:
    seen = allowed(Tree(SMALL.ends[None]), 8, 8, CPU, window=3)[0]
    assert seen[6].nonzero()[:, 0].tolist() == [0, 1, 6], "five tokens of a sibling stand between"
    assert seen[7].nonzero()[:, 0].tolist() == [1, 6, 7]


@pytest.mark.parametrize("name", ["causal", "document", "tree", "mixed", "cached"])
def test_the_distance_is_the_number_of_tokens_seen_in_between(name: str) -> None:
    mask = draw_mask(name, 4, 30, 50, seed=3)
    seen = allowed(mask, 30, 50, CPU)
    later = seen.flip(2).cumsum(dim=2).flip(2) - 1
    assert torch.equal(distances(mask, 30, 50, CPU).expand_as(seen)[seen], later[seen])


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (Document(torch.zeros(2, 9, dtype=torch.long)), "Document holds numbers of shape (2, 9), expected (2, 8)"),
        (Document(torch.zeros(1, 8, dtype=torch.long)), "Document holds numbers of shape (1, 8), expected (2, 8)"),
        (Tree(torch.full((2, 9), 9)), "Tree holds numbers of shape (2, 9), expected (2, 8)"),
        (Tree(torch.tensor([[8] * 8, [8, 8, 2, 8, 8, 8, 8, 8]])), "span of token 2 of row 1 at 2; expected 3 or more"),
        (Cached(torch.zeros(3, dtype=torch.long)), "Cached holds numbers of shape (3,), expected (2,)"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(mask: Mask, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        panels_of(mask, batch=2, query_time=8, key_time=8)
    assert expected in str(caught.value)


def test_positions_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match=r"positions holds numbers of shape \(2, 7\), expected \(2, 8\)"):
        panels_of(Causal(), batch=2, query_time=8, key_time=8, window=2, positions=torch.zeros(2, 7, dtype=torch.long))


# Layout of trees


def test_a_tree_is_laid_out_in_preorder() -> None:
    assert SMALL.order == [0, 1, 2, 3]
    assert SMALL.ends.tolist() == [8, 8, 6, 6, 6, 6, 8, 8]
    assert SMALL.positions.tolist() == [0, 1, 2, 3, 4, 5, 2, 3]
    assert SMALL.steps.T.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [1, 6], [6, 7]]
    assert SMALL.num_paths.tolist() == [2, 2, 1, 1, 1, 1, 1, 1]


def test_nodes_may_come_in_any_order_with_several_roots_and_without_tokens() -> None:
    layout = tree_layout([2, None, None, 0, 2], [1, 2, 1, 1, 2])
    assert layout.order == [1, 2, 0, 3, 4]
    assert layout.ends.tolist() == [2, 2, 7, 5, 5, 7, 7]
    assert layout.positions.tolist() == [0, 1, 0, 1, 2, 1, 2]
    empty = tree_layout([None, 0, 1, 1], [1, 0, 1, 1])
    assert empty.steps.T.tolist() == [[0, 1], [0, 2]]
    assert empty.positions.tolist() == [0, 1, 1]


def test_a_parent_that_is_no_node_and_a_ring_are_refused() -> None:
    with pytest.raises(InputError, match="the parent of node 1 is 2; expected None or 0 to 1"):
        tree_layout([None, 2], [1, 1])
    with pytest.raises(InputError, match=r"nodes \[1, 2\] hang on no root"):
        tree_layout([None, 2, 1], [1, 1, 1])


# Panels


@pytest.mark.parametrize("window", [None, 1, 7, 30])
@pytest.mark.parametrize("max_pairs", [1, 3000, 10**6])
@pytest.mark.parametrize("name", NAMES)
def test_panels_cover_every_allowed_pair_once(name: str, max_pairs: int, window: int | None) -> None:
    for seed, (query_time, key_time) in enumerate([(45, 70), (64, 64), (3, 20)]):
        mask = draw_mask(name, 5, query_time, key_time, seed=seed)
        panels = panels_of(mask, batch=5, query_time=query_time, key_time=key_time, max_pairs=max_pairs, window=window)
        seen, _ = covered(panels, 5, query_time, key_time)
        expected = allowed(mask, query_time, key_time, CPU, window=window)
        assert torch.equal(seen, expected.expand(5, -1, -1).long())


@pytest.mark.parametrize("name", NAMES)
def test_a_window_may_be_counted_in_any_positions(name: str) -> None:
    mask = draw_mask(name, 4, 33, 60, seed=8)
    positions = torch.randint(0, 40, (4, 60), generator=torch.Generator().manual_seed(0))
    panels = panels_of(mask, batch=4, query_time=33, key_time=60, window=9, positions=positions)
    expected = allowed(mask, 33, 60, CPU, window=9, positions=positions)
    # A query that is far behind its own key's position sees itself nonetheless: its distance is 0.
    assert torch.equal(covered(panels, 4, 33, 60)[0], expected.long())


def test_keys_after_a_panel_are_not_computed() -> None:
    _, computed = covered(panels_of(Causal(), batch=3, query_time=64, key_time=64), 3, 64, 64)
    assert computed == 3 * 16 * (16 + 32 + 48 + 64)


def test_keys_of_earlier_documents_are_not_computed() -> None:
    ids = torch.tensor([[0] * 32 + [1] * 32, [0] * 24 + [1] * 40])
    _, computed = covered(panels_of(Document(ids), batch=2, query_time=64, key_time=64), 2, 64, 64)
    first_row = 16 * (16 + 32 + 16 + 32)
    second_row = 16 * (16 + 32 + (48 - 24) + (64 - 24))
    assert computed == first_row + second_row


def test_keys_behind_the_window_are_not_computed() -> None:
    panels = panels_of(Causal(), batch=1, query_time=64, key_time=64, window=10)
    assert covered(panels, 1, 64, 64)[1] == 16 * 16 + 3 * 16 * (16 + 9)
    assert all(panel.num_keys <= 25 for panel in panels)


@pytest.mark.parametrize("num_branches", [2, 5, 20])
def test_keys_of_sibling_branches_are_not_computed(num_branches: int) -> None:
    """Each branch of 64 reads the root's 40 tokens and itself, whatever stands in between."""
    layout = tree_layout([None, *[0] * num_branches], [40, *[64] * num_branches])
    time = len(layout.ends)
    mask = Tree(layout.ends[None])
    panels = panels_of(mask, batch=1, query_time=time, key_time=time)
    wanted = int(allowed(mask, time, time, CPU).sum())
    _, computed = covered(panels, 1, time, time)
    assert wanted <= computed <= 1.4 * wanted
    assert max(panel.num_keys for panel in panels) <= 40 + 64 + 16
    assert max(len(panel.keys) for panel in panels) == 2, "the root's keys, a gap, the branch's"


def test_trees_and_documents_compute_little_more_than_they_allow() -> None:
    """At random, with panels of 16 and nodes of about 60 tokens."""
    draw = random.Random(0)
    trees = [draw_tree(draw, 30, longest=120).ends for _ in range(6)]
    time = min(len(ends) for ends in trees)
    mask = Tree(torch.stack([ends[:time] for ends in trees]))
    _, computed = covered(panels_of(mask, batch=6, query_time=time, key_time=time), 6, time, time)
    wanted = int(allowed(mask, time, time, CPU).sum())
    assert time > 1000
    assert wanted < 0.3 * 6 * time * time / 2, "else there is little to save"
    assert computed < 1.1 * wanted


def test_rows_of_one_document_share_panels() -> None:
    ids = torch.tensor([[5] * 32, [7] * 32, [9] * 32])
    panels = panels_of(Document(ids), batch=3, query_time=32, key_time=32)
    assert [(panel.rows, panel.keys) for panel in panels] == [
        (slice(0, 3), (slice(0, 16),)),
        (slice(0, 3), (slice(0, 32),)),
    ]


def test_rows_of_a_cache_share_panels_while_their_lengths_are_near() -> None:
    near = panels_of(Cached(torch.tensor([40, 44, 30])), batch=3, query_time=32, key_time=80)
    assert [panel.rows for panel in near] == 2 * [slice(0, 3)]
    far = panels_of(Cached(torch.tensor([40, 44, 600])), batch=3, query_time=32, key_time=640)
    assert [panel.rows for panel in far] == 2 * [slice(0, 2), slice(2, 3)]


def test_panels_are_split_by_rows_to_stay_small() -> None:
    panels = panels_of(Causal(), batch=5, query_time=16, key_time=16, max_pairs=2 * 16 * 16)
    assert [panel.rows for panel in panels] == [slice(0, 2), slice(2, 4), slice(4, 5)]


@pytest.mark.parametrize("window", [None, 50])
@pytest.mark.parametrize("name", ["causal", "document", "tree", "mixed", "cached"])
def test_what_the_panels_keep_grows_with_the_context_not_its_square(name: str, window: int | None) -> None:
    for time in (256, 1024):
        query_time = time // 2 if name == "cached" else time
        mask = draw_mask(name, 3, query_time, time, seed=1)
        panels = panels_of(mask, batch=3, query_time=query_time, key_time=time, window=window)
        kept = {id(panel.bias): panel.bias.numel() for panel in panels if panel.bias is not None}
        # A document that ends within a panel costs its length there; rows of a cache, GROUP_PAIRS.
        assert sum(kept.values()) <= 3 * time * (5 * 16 + (GROUP_PAIRS / 16 if name == "cached" else 0))
