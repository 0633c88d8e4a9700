from pathlib import Path

import torch

from waman.inference.cache import BLOCK_TOKENS, Cache, pad, read_contexts
from waman.inference.llm import LLM
from waman.inference.load import load

DEVICE = torch.device("cpu")


def _ids(count: int, seed: int) -> list[int]:
    return torch.randint(3, 420, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


@torch.inference_mode()
def test_reading_token_by_token_equals_reading_at_once(llm: LLM) -> None:
    ids = _ids(150, seed=0)
    cache = Cache(llm.decoder, rows=1, capacity=1)
    stepwise = torch.cat([llm.decoder(torch.tensor([[one]]), cache=cache)[0] for one in ids])
    torch.testing.assert_close(stepwise, llm.logits(ids), rtol=0, atol=1e-4)
    assert cache.lengths.tolist() == [150]


@torch.inference_mode()
def test_rows_of_different_lengths_go_on_as_if_alone(llm: LLM) -> None:
    rows = [_ids(count, seed=count) for count in (5, 40, 17)]
    more = [_ids(6, seed=100 + number) for number in range(3)]
    cache = Cache(llm.decoder, rows=3, capacity=40)
    read_contexts(llm.decoder, cache, rows)
    assert cache.lengths.tolist() == [5, 40, 17]
    logits = llm.decoder(pad(more, DEVICE), cache=cache)
    for row in range(3):
        alone = llm.logits([*rows[row], *more[row]])[-6:]
        torch.testing.assert_close(logits[row], alone, rtol=0, atol=1e-4)


@torch.inference_mode()
def test_rows_can_be_left_out_and_repeated(llm: LLM) -> None:
    rows = [_ids(count, seed=count) for count in (5, 40, 17)]
    cache = Cache(llm.decoder, rows=3, capacity=1)
    read_contexts(llm.decoder, cache, rows)
    cache.choose([2, 0, 0])
    assert cache.lengths.tolist() == [17, 5, 5]
    logits = llm.decoder(torch.tensor([[7], [8], [9]]), cache=cache)
    for row, whole in enumerate([[*rows[2], 7], [*rows[0], 8], [*rows[0], 9]]):
        torch.testing.assert_close(logits[row, -1], llm.logits(whole)[-1], rtol=0, atol=1e-4)


@torch.inference_mode()
def test_the_cache_grows_in_blocks_and_keeps_what_it_holds(llm: LLM) -> None:
    cache = Cache(llm.decoder, rows=1, capacity=1)
    assert cache.capacity == BLOCK_TOKENS
    ids = _ids(BLOCK_TOKENS + 1, seed=1)
    llm.decoder(torch.tensor([ids[:BLOCK_TOKENS]]), cache=cache)
    assert cache.capacity == BLOCK_TOKENS
    logits = llm.decoder(torch.tensor([ids[BLOCK_TOKENS:]]), cache=cache)
    assert cache.capacity == 2 * BLOCK_TOKENS
    torch.testing.assert_close(logits[0, -1], llm.logits(ids)[-1], rtol=0, atol=1e-4)


@torch.inference_mode()
def test_under_autocast_the_cache_holds_what_the_model_computes_in(llm: LLM) -> None:
    """The weights stay float32 there, keys and values come as bfloat16."""
    rows = [_ids(count, seed=count) for count in (5, 40)]
    cache = Cache(llm.decoder, rows=2, capacity=1)
    with torch.autocast("cpu", torch.bfloat16):
        read_contexts(llm.decoder, cache, rows)
        cache.choose([1, 0, 0])
        logits = llm.decoder(torch.tensor([[7], [8], [9]]), cache=cache)
        wholes = [llm.decoder(torch.tensor([ids]))[0, -1] for ids in ([*rows[1], 7], [*rows[0], 8], [*rows[0], 9])]
    assert logits.dtype == torch.bfloat16
    for row, whole in enumerate(wholes):
        torch.testing.assert_close(logits[row, -1], whole, rtol=0.02, atol=0.1)


@torch.inference_mode()
def test_a_model_opened_in_bfloat16_reads_on_from_its_cache(folder: Path) -> None:
    llm = load(folder, dtype=torch.bfloat16)
    ids = _ids(60, seed=3)
    cache = Cache(llm.decoder, rows=1, capacity=1)
    stepwise = torch.cat([llm.decoder(torch.tensor([[one]]), cache=cache)[0] for one in ids])
    assert stepwise.dtype == torch.bfloat16
    torch.testing.assert_close(stepwise.float(), llm.logits(ids), rtol=0.02, atol=0.1)
