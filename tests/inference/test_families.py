"""Cached decoding equals uncached in every family: ragged batches, prompts in chunks, forked caches, all in float64."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from tests.model.variants import VARIANTS, build
from waman.inference.cache import Cache, pad
from waman.model.decoder import Decoder

every_family = pytest.mark.parametrize("name", VARIANTS)
PROMPTS = (3, 21, 9, 14)
CPU = torch.device("cpu")


def decoder_of(name: str) -> Decoder:
    """Its weights are drawn large, so that the logits differ clearly from token to token."""
    decoder = build(VARIANTS[name]).double()
    with torch.no_grad():
        for index, parameter in enumerate(decoder.parameters()):
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index)))
    return decoder


def draw_ids(count: int, seed: int) -> list[int]:
    return torch.randint(50, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


def read(decoder: Decoder, cache: Cache, rows: Sequence[list[int]]) -> Tensor:
    """Logits of new tokens of every row; padding is forgotten."""
    held = cache.lengths.tolist()
    logits: Tensor = decoder(pad(rows, CPU), cache=cache)
    cache.shorten([before + len(row) for before, row in zip(held, rows, strict=True)])
    return logits


def assert_same(got: Tensor, decoder: Decoder, whole: list[int], *, first: int) -> None:
    """got: (new tokens, vocab_size), against the last rows of the logits of the whole sequence."""
    expected = decoder(torch.tensor([whole]))[0, first:]
    torch.testing.assert_close(got[: len(expected)], expected, rtol=1e-9, atol=1e-11)


@every_family
@torch.inference_mode()
def test_a_ragged_batch_read_in_chunks_and_decoded(name: str) -> None:
    """Chunks cut the prompts where they like: some rows get many tokens in a pass, some one."""
    decoder = decoder_of(name)
    wholes = [draw_ids(count + 4, seed=count) for count in PROMPTS]
    cuts = [(1, 2, 3), (12, 13, 21), (2, 4, 9), (1, 12, 14)]
    cache = Cache(decoder, rows=len(wholes), capacity=4)
    for step in range(3):
        spans = [slice(ends[step - 1] if step else 0, ends[step]) for ends in cuts]
        logits = read(decoder, cache, [whole[span] for whole, span in zip(wholes, spans, strict=True)])
        for row, (whole, span) in enumerate(zip(wholes, spans, strict=True)):
            assert_same(logits[row], decoder, whole[: span.stop], first=span.start)
    assert cache.lengths.tolist() == list(PROMPTS)
    for step in range(4):
        logits = read(decoder, cache, [whole[count + step :][:1] for whole, count in zip(wholes, PROMPTS, strict=True)])
        for row, (whole, count) in enumerate(zip(wholes, PROMPTS, strict=True)):
            assert_same(logits[row], decoder, whole[: count + step + 1], first=count + step)


@every_family
@torch.inference_mode()
def test_an_even_batch_read_in_chunks_and_decoded(name: str) -> None:
    decoder = decoder_of(name)
    ids = torch.tensor([draw_ids(24, seed=row) for row in range(3)])
    cache = Cache(decoder, rows=3, capacity=24)
    parts = [decoder(part, cache=cache) for part in torch.split(ids, [7, 1, 9, 2, 1, 1, 1, 1, 1], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), decoder(ids), rtol=1e-9, atol=1e-11)


@every_family
@torch.inference_mode()
def test_a_forked_cache_goes_on_in_every_branch(name: str) -> None:
    """A row that comes several times, one that is left out; then other tokens in each, and a second fork."""
    decoder = decoder_of(name)
    prompts = [draw_ids(count, seed=count) for count in PROMPTS]
    cache = Cache(decoder, rows=len(prompts), capacity=4)
    read(decoder, cache, prompts)
    wholes = list(prompts)
    for fork, chosen in enumerate([[1, 0, 0, 3, 1], [4, 2, 2, 0]]):
        cache.choose(chosen)
        added = [draw_ids(3, seed=100 * fork + row) for row in range(len(chosen))]
        starts = [len(wholes[row]) for row in chosen]
        wholes = [wholes[row] + ids for row, ids in zip(chosen, added, strict=True)]
        logits = torch.cat(
            [read(decoder, cache, [ids[:2] for ids in added]), read(decoder, cache, [ids[2:] for ids in added])], dim=1
        )
        for row, (whole, start) in enumerate(zip(wholes, starts, strict=True)):
            assert_same(logits[row], decoder, whole, first=start)
