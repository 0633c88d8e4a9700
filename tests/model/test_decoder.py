import dataclasses
import math

import pytest
import torch

from tests.model.variants import TINY, ListCache, build, tokens
from waman.errors import PromptError, RecipeError
from waman.model.config import ModelConfig, RmsNorm
from waman.model.decoder import Decoder
from waman.model.masks import Document
from waman.model.norm import RootMeanSquareNorm
from waman.model.presets import preset


@pytest.mark.parametrize("num_kv_heads", [1, 2, 4])
def test_cached_decoding_equals_uncached(num_kv_heads: int) -> None:
    heads = dataclasses.replace(TINY.attention, num_kv_heads=num_kv_heads)
    decoder = build(dataclasses.replace(TINY, attention=heads)).double()
    ids = tokens(2, 13)
    cache = ListCache(TINY.num_layers, 2)
    steps = [decoder(ids[:, :6], cache=cache), decoder(ids[:, 6:9], cache=cache)]
    steps += [decoder(ids[:, t : t + 1], cache=cache) for t in range(9, 13)]
    torch.testing.assert_close(torch.cat(steps, dim=1), decoder(ids), rtol=1e-10, atol=1e-12)


def test_rows_of_a_cache_may_hold_different_numbers_of_tokens() -> None:
    decoder = build().double()
    ids = tokens(2, 12)
    cache = ListCache(TINY.num_layers, 2)
    decoder(ids[:, :8], cache=cache)
    cache.truncate([8, 5])
    following = torch.stack((ids[0, 8:11], ids[1, 5:8]))
    for step in (slice(0, 2), slice(2, 3)):
        got = decoder(following[:, step], cache=cache)
        alone = torch.stack((decoder(ids[:1])[0, 8:11][step], decoder(ids[1:])[0, 5:8][step]))
        torch.testing.assert_close(got, alone, rtol=1e-10, atol=1e-12)


def test_changing_a_token_changes_no_earlier_logit() -> None:
    decoder, ids = build(), tokens(2, 20)
    before = decoder(ids)
    ids[:, 11] = (ids[:, 11] + 1) % 50
    after = decoder(ids)
    assert torch.equal(before[:, :11], after[:, :11])
    assert (before[:, 11:] != after[:, 11:]).any(dim=-1).all()


def test_changing_another_document_changes_no_logit_of_this_one() -> None:
    decoder, ids = build(), tokens(1, 20)
    documents = torch.tensor([[0] * 7 + [1] * 8 + [2] * 5])
    before = decoder(ids, mask=Document(documents))
    ids[:, :7] = (ids[:, :7] + 1) % 50
    after = decoder(ids, mask=Document(documents))
    assert torch.equal(before[:, 7:], after[:, 7:])
    assert not torch.equal(before[:, :7], after[:, :7])


def test_a_document_reads_the_same_alone_and_packed() -> None:
    decoder, ids = build().double(), tokens(1, 20)
    packed = decoder(ids, mask=Document(torch.tensor([[0] * 7 + [1] * 13])))
    torch.testing.assert_close(packed[:, 7:], decoder(ids[:, 7:]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["laptop-1m", "laptop-3m", "laptop-5m"])
@pytest.mark.parametrize("tie_embeddings", [True, False])
def test_the_first_loss_is_that_of_guessing(name: str, tie_embeddings: bool) -> None:
    decoder = build(dataclasses.replace(preset(name), vocab_size=4096, tie_embeddings=tie_embeddings))
    ids = tokens(4, 65, 4096)
    logits = decoder(ids[:, :-1])
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).item()
    assert abs(loss / math.log(4096) - 1) < 0.02


def test_initialisation_depends_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = build(seed=3).state_dict()
    torch.manual_seed(2)
    again, other = build(seed=3).state_dict(), build(seed=4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert all(not torch.equal(first[name], other[name]) for name in first if first[name].ndim == 2)


def test_residual_writers_start_smaller_by_the_depth() -> None:
    state = build(dataclasses.replace(preset("laptop-3m"), vocab_size=4096)).state_dict()
    for name, tensor in state.items():
        if tensor.ndim == 2:
            writes = name.endswith(("attention.output.weight", "down.weight"))
            assert tensor.std().item() == pytest.approx(0.02 / math.sqrt(12) if writes else 0.02, rel=0.02)


def test_a_sequence_beyond_the_context_is_refused() -> None:
    with pytest.raises(PromptError, match=r"65 tokens, but the model was made for 64 \(context_length\)"):
        build()(tokens(1, 65))


def test_positions_beyond_the_context_are_refused() -> None:
    with pytest.raises(PromptError, match="71 tokens, but the model was made for 64"):
        build()(tokens(1, 1), positions=torch.tensor([[70]]))


def test_a_model_without_vocabulary_is_not_built() -> None:
    with pytest.raises(RecipeError, match="vocab_size is absent"):
        Decoder(ModelConfig())


def test_logits_depend_on_distance_and_not_on_place() -> None:
    decoder, ids = build().double(), tokens(1, 9)
    moved = decoder(ids, positions=torch.arange(30, 39)[None])
    torch.testing.assert_close(moved, decoder(ids), rtol=1e-5, atol=1e-6)


def test_the_head_of_hidden_is_forward() -> None:
    decoder, ids = build(dataclasses.replace(TINY, tie_embeddings=True)), tokens(2, 9)
    assert torch.equal(decoder.head(decoder.hidden(ids)), decoder(ids))
    assert decoder.unembedding is None


def test_autocast_computes_in_bfloat16_near_fp32_and_gives_fp32_gradients() -> None:
    decoder, ids = build(), tokens(2, 20)
    expected = decoder(ids)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = decoder(ids, mask=Document(torch.zeros(2, 20, dtype=torch.long)))
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), expected, rtol=0.05, atol=0.02)
    logits.float().square().mean().backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.dtype == torch.float32
        assert parameter.grad.abs().max() > 0, name


def test_the_norm_is_computed_in_fp32() -> None:
    norm = RootMeanSquareNorm(RmsNorm(eps=1e-6), 64)
    x = torch.randn(8, 64, generator=torch.Generator().manual_seed(0)).bfloat16() * 100
    wide = x.double()
    expected = wide / (wide.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(norm(x).double(), expected, rtol=2**-8, atol=0)
