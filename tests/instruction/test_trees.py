"""Conversation trees: read, rendered, and in one pass equal to all their paths apart."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from waman.errors import InputError, PromptError
from waman.instruction.trees import Comment, RenderedTree, read_trees, render_tree
from waman.model.config import Alibi, Attention, ModelConfig, Rope, Swiglu
from waman.model.decoder import Decoder
from waman.model.initialize import initialize
from waman.model.masks import Tree
from waman.tokens.chat import Turn, render_turns
from waman.tokens.tokenizer import Tokenizer

Gradients = list[Tensor]


def user(text: str, *replies: Comment) -> Comment:
    return Comment(Turn("user", text), replies)


def assistant(text: str, *replies: Comment) -> Comment:
    return Comment(Turn("assistant", text), replies)


SMALL = user(
    "Is it raining?",
    assistant("Yes.", user("Much?", assistant("No."), assistant("It pours.")), user("Thanks.")),
    assistant("I cannot see it."),
)


# Reading and rendering


def test_openassistant_trees_are_read(tmp_path: Path) -> None:
    table = {"prompt": {"text": "a", "role": "prompter", "replies": [{"text": "b", "role": "assistant"}]}}
    (tmp_path / "trees.jsonl").write_text(json.dumps(table) + "\n", encoding="utf-8")
    assert list(read_trees(tmp_path / "trees.jsonl")) == [user("a", assistant("b"))]


@pytest.mark.parametrize(
    "line", ['{"prompt": {"text": "a"}}', '{"prompt": {"text": 1, "role": "prompter"}}', "[]", '{"prompt": "a"}', "{"]
)
def test_a_line_that_is_no_tree_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "trees.jsonl").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 1: no conversation tree"):
        list(read_trees(tmp_path / "trees.jsonl"))


def paths_of(tree: RenderedTree) -> list[list[int]]:
    """The places of the tokens of each path from the root to a leaf, in preorder."""
    ends = tree.layout.ends.tolist()
    leaves = [last for last in range(len(ends)) if last + 1 == ends[last]]
    return [[token for token in range(last + 1) if ends[token] > last] for last in leaves]


def test_every_path_of_a_rendered_tree_is_its_conversation(tokenizer: Tokenizer) -> None:
    tree = render_tree(SMALL, tokenizer)
    conversations = [render_turns(tokenizer, turns) for turns in SMALL.paths()]
    assert len(conversations) == 4
    for path, (token_ids, is_answer) in zip(paths_of(tree), conversations, strict=True):
        assert [tree.token_ids[token] for token in path] == token_ids
        assert [tree.is_answer[token] for token in path] == is_answer
        assert tree.layout.positions[path].tolist() == list(range(len(path)))


def test_sides_that_do_not_take_turns_are_refused(tokenizer: Tokenizer) -> None:
    for tree in (assistant("I begin."), user("One", user("two")), user("One", assistant("two", assistant("three")))):
        with pytest.raises(PromptError, match="expected user, assistant, user"):
            render_tree(tree, tokenizer)


# One pass over the tree and a pass over each path


def decoder_for(vocab_size: int, *, window: int | None = None, alibi: bool = False) -> Decoder:
    config = ModelConfig(
        vocab_size=vocab_size,
        context_length=8192,
        model_dim=16,
        num_layers=2,
        attention=Attention(num_heads=4, num_kv_heads=2, head_dim=4, window=window),
        feed_forward=Swiglu(hidden_dim=24),
        position=Alibi() if alibi else Rope(),
    )
    decoder = Decoder(config).double()
    initialize(decoder, seed=0)
    with torch.no_grad():
        for index, parameter in enumerate(decoder.parameters()):
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index)))
    return decoder


def gradients_of(decoder: Decoder, loss: Tensor) -> Gradients:
    return list(torch.autograd.grad(loss, list(decoder.parameters()), retain_graph=True))


def assert_near(found: Gradients, expected: Gradients) -> None:
    for one, other in zip(found, expected, strict=True):
        assert float((one - other).norm()) <= 1e-10 * float(other.norm())


def check_tree(decoder: Decoder, tree: RenderedTree) -> None:
    """Logits, the gradient of every path's loss, and that of their sum, in one pass over the tree."""
    layout, token_ids = tree.layout, torch.tensor(tree.token_ids)
    logits = decoder(token_ids[None], mask=Tree(layout.ends[None]), positions=layout.positions[None])[0]
    before, after = layout.steps
    losses = F.cross_entropy(logits[before], token_ids[after], reduction="none")
    total: Gradients = [torch.zeros_like(parameter) for parameter in decoder.parameters()]
    for path in paths_of(tree):
        alone = decoder(token_ids[path][None])[0]
        torch.testing.assert_close(logits[path], alone, rtol=1e-10, atol=1e-10)
        expected = gradients_of(decoder, F.cross_entropy(alone[:-1], token_ids[path][1:], reduction="sum"))
        on_path = torch.isin(after, torch.tensor(path))
        assert_near(gradients_of(decoder, losses[on_path].sum()), expected)
        total = [one + other for one, other in zip(total, expected, strict=True)]
    assert_near(gradients_of(decoder, (losses * layout.num_paths[after]).sum()), total)


@pytest.mark.parametrize(("window", "alibi"), [(None, False), (7, False), (None, True), (7, True)])
def test_a_tree_in_one_pass_equals_its_paths(tokenizer: Tokenizer, window: int | None, alibi: bool) -> None:
    decoder = decoder_for(tokenizer.vocab_size, window=window, alibi=alibi)
    check_tree(decoder, render_tree(SMALL, tokenizer))


def openassistant(shared_data: Path, tokenizer: Tokenizer) -> Iterator[RenderedTree]:
    for root in read_trees(shared_data / "instruct" / "oasst_en_trees.jsonl.zst"):
        yield render_tree(root, tokenizer)


def test_small_openassistant_trees_in_one_pass_equal_their_paths(shared_data: Path, tokenizer: Tokenizer) -> None:
    trees = sorted(openassistant(shared_data, tokenizer), key=lambda tree: len(tree.token_ids))
    branching = [tree for tree in trees if len(paths_of(tree)) >= 3]
    for tree in branching[:4]:
        check_tree(decoder_for(tokenizer.vocab_size), tree)


@pytest.mark.slow
def test_some_openassistant_trees_in_one_pass_equal_their_paths(shared_data: Path, tokenizer: Tokenizer) -> None:
    decoder = decoder_for(tokenizer.vocab_size)
    for tree in list(openassistant(shared_data, tokenizer))[::15]:
        check_tree(decoder, tree)


@pytest.mark.soak
def test_all_openassistant_trees_in_one_pass_equal_their_paths(shared_data: Path, tokenizer: Tokenizer) -> None:
    decoder = decoder_for(tokenizer.vocab_size)
    for tree in openassistant(shared_data, tokenizer):
        check_tree(decoder, tree)


def test_one_pass_over_openassistant_trees_saves_nearly_a_third_of_the_tokens(
    shared_data: Path, tokenizer: Tokenizer, record_property: Callable[[str, object], None]
) -> None:
    trees = list(openassistant(shared_data, tokenizer))
    once = sum(len(tree.token_ids) for tree in trees)
    apart = sum(int(tree.layout.num_paths.sum()) for tree in trees)
    assert apart == sum(len(path) for tree in trees for path in paths_of(tree))
    share = 1 - once / apart
    record_property("share of tokens saved", share)
    print(f"{len(trees)} trees: {once} tokens in place of {apart}, {share:.1%} saved")
    assert 0.3 < share < 0.34
