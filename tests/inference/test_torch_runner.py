"""Reading in pages and passes equals reading everything anew, in every family."""

import random
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.inference.passes import decoder_of, draw_ids, read_in_passes
from tests.model.variants import VARIANTS
from waman.errors import InputError, RecipeError
from waman.inference.few_tokens import FewTokens
from waman.inference.runner import Row, page_bytes
from waman.inference.runner_choice import build_runner
from waman.inference.torch_runner import TorchRunner
from waman.model.config import Attention, ModelConfig, Swiglu
from waman.model.decoder import Decoder
from waman.weights.adapters import Adapter, merge
from waman.weights.huggingface import places, to_hugging_face, write_back

every_family = pytest.mark.parametrize("name", VARIANTS)
LENGTHS = (3, 21, 40, 1, 33, 40)


def wholes_of(lengths: tuple[int, ...] = LENGTHS) -> list[list[int]]:
    return [draw_ids(count, seed=7 * number + count) for number, count in enumerate(lengths)]


@torch.inference_mode()
def assert_read(found: list[Tensor], decoder: Decoder, wholes: list[list[int]], *, atol: float) -> None:
    for logits, whole in zip(found, wholes, strict=True):
        expected = decoder(torch.tensor([whole]))[0].float()
        torch.testing.assert_close(logits, expected, rtol=0, atol=atol)


@every_family
@pytest.mark.parametrize("deterministic", [False, True])
def test_any_cut_into_passes_gives_the_logits_of_the_whole(name: str, deterministic: bool) -> None:
    decoder = decoder_of(name)
    runner = TorchRunner(decoder, num_pages=60, page_tokens=4, deterministic=deterministic)
    for seed in range(3):
        wholes = wholes_of()
        assert_read(read_in_passes(runner, wholes, random.Random(seed)), decoder, wholes, atol=1e-5)


@every_family
@pytest.mark.parametrize("kv_bits", [None, 8])
def test_a_token_of_each_row_is_read_as_by_the_modules(name: str, kv_bits: int | None, monkeypatch: Any) -> None:
    """Rows alone and beside others, on pages that follow each other and on pages that do not."""
    decoder = decoder_of(name)
    wholes = wholes_of((9, 1, 30, 30))
    held = [[0, 1, 2], [9], [30, 4, 17, 5, 6, 40, 7, 21], [50, 51, 52, 53, 54, 55, 56, 57]]

    def read(chosen: list[int]) -> list[Tensor]:
        runner = TorchRunner(decoder, num_pages=60, page_tokens=4, kv_bits=kv_bits)
        found = []
        for place in range(max(len(wholes[n]) for n in chosen)):
            rows = [Row([wholes[n][place]], place, held[n], [0]) for n in chosen if place < len(wholes[n])]
            found.append(runner.run(rows))
        return found

    few = [read(chosen) for chosen in ([2], [3], [0, 1, 2, 3])]
    monkeypatch.setattr(FewTokens, "takes", lambda *_: False)
    for found, chosen in zip(few, ([2], [3], [0, 1, 2, 3]), strict=True):
        for one, other in zip(found, read(chosen), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@every_family
def test_a_token_of_each_row_is_read_in_bfloat16(name: str) -> None:
    """A plain head takes what the decoder computes in."""
    decoder = decoder_of(name, torch.bfloat16)
    whole = draw_ids(9, seed=1)
    runner = TorchRunner(decoder, num_pages=8, page_tokens=4)
    found = [runner.run([Row([token_id], place, [3, 1, 2], [0])]) for place, token_id in enumerate(whole)]
    with torch.inference_mode():
        expected = decoder(torch.tensor([whole]))[0].float()
    assert float((torch.cat(found) - expected).norm() / expected.norm()) < 0.05


@every_family
def test_under_the_switch_the_bits_do_not_depend_on_neighbours_or_cuts(name: str) -> None:
    """In float32, where another order of summing shows."""
    decoder = decoder_of(name, torch.float32)
    runner = TorchRunner(decoder, num_pages=60, page_tokens=4, deterministic=True)
    wholes = wholes_of()
    alone = [read_in_passes(runner, [whole], random.Random(0))[0] for whole in wholes]
    at_once = [runner.run([Row(whole, 0, list(range(10)), range(len(whole)))]) for whole in wholes]
    for seed in range(3):
        together = read_in_passes(runner, wholes, random.Random(seed))
        for one, two, three in zip(alone, together, at_once, strict=True):
            assert torch.equal(one, two)
            assert torch.equal(one, three)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bits_hold_at_a_larger_width_and_in_bfloat16(dtype: torch.dtype) -> None:
    config = ModelConfig(
        vocab_size=1000,
        context_length=300,
        model_dim=256,
        num_layers=2,
        attention=Attention(num_heads=8, num_kv_heads=2, head_dim=32),
        feed_forward=Swiglu(hidden_dim=688),
    )
    torch.manual_seed(0)
    decoder = Decoder(config).to(dtype)
    runner = TorchRunner(decoder, num_pages=40, deterministic=True)
    wholes = [draw_ids(count, seed=count, vocab_size=1000) for count in (200, 5, 40)]
    alone = [read_in_passes(runner, [whole], random.Random(1))[0] for whole in wholes]
    for one, two in zip(alone, read_in_passes(runner, wholes, random.Random(2)), strict=True):
        assert torch.equal(one, two)


def test_wanted_logits_come_in_the_order_of_the_rows() -> None:
    decoder = decoder_of("llama")
    runner = TorchRunner(decoder, num_pages=8, page_tokens=16)
    long, short = draw_ids(9, seed=1), draw_ids(2, seed=2)
    found = runner.run([Row(long, 0, [3], [2, 8]), Row(short, 0, [1], []), Row(short, 0, [5], [1])])
    with torch.inference_mode():
        first, second = decoder(torch.tensor([long]))[0], decoder(torch.tensor([short]))[0]
    torch.testing.assert_close(found, torch.stack([first[2], first[8], second[1]]).float(), rtol=0, atol=1e-5)
    assert runner.run([Row(short, 0, [1], [])]).shape == (0, 50)


def test_a_copied_page_goes_its_own_way() -> None:
    decoder = decoder_of("llama")
    for kv_bits in (None, 8):
        runner = TorchRunner(decoder, num_pages=4, page_tokens=8, kv_bits=kv_bits)
        shared = draw_ids(13, seed=1)
        runner.run([Row(shared, 0, [2, 0], [])])
        runner.copy_page(0, 3)
        both = runner.run([Row([5], 13, [2, 0], [0]), Row([6], 13, [2, 3], [0])])
        with torch.inference_mode():
            expected = torch.stack([decoder(torch.tensor([[*shared, one]]))[0, -1] for one in (5, 6)]).float()
        torch.testing.assert_close(both, expected, rtol=0, atol=1e-5 if kv_bits is None else 0.1)


@pytest.mark.parametrize("deterministic", [False, True])
@torch.inference_mode()
def test_eight_bits_are_near_and_take_the_bytes_that_were_said(deterministic: bool) -> None:
    decoder = decoder_of("llama", torch.float32)
    wholes = wholes_of()
    runners = {
        bits: TorchRunner(decoder, num_pages=60, page_tokens=4, kv_bits=bits, deterministic=deterministic)
        for bits in (8, 16, 32)
    }
    for bits, runner in runners.items():
        assert runner.num_bytes == 60 * page_bytes(decoder.config, page_tokens=4, kv_bits=bits)
        apart = [
            float((logits - decoder(torch.tensor([whole]))[0]).abs().max())
            for whole, logits in zip(wholes, read_in_passes(runner, wholes, random.Random(3)), strict=True)
        ]
        assert max(apart) < {8: 0.2, 16: 0.2, 32: 1e-4}[bits]
        assert bits == 32 or max(apart) > 1e-4


def test_a_number_of_bits_that_there_is_not_is_refused() -> None:
    with pytest.raises(RecipeError, match="kv_bits: found 3, expected one of 8, 16, 32, 64"):
        build_runner(decoder_of("llama"), num_pages=1, kv_bits=3)


def adapter_for(decoder: Decoder, seed: int, *, rank: int = 3) -> Adapter:
    """Changes every matrix that is multiplied."""
    draw = torch.Generator().manual_seed(seed)
    pairs = {}
    transposed = False
    for name, place in places(decoder.config).items():
        if len(place.shape) == 2 and not place.name.startswith(("embedding", "position")):
            outputs, inputs = place.shape[::-1] if place.transposed else place.shape
            transposed = transposed or place.transposed
            down = torch.randn(rank, inputs, generator=draw)
            pairs[name.removesuffix(".weight")] = (down, torch.randn(outputs, rank, generator=draw) * 0.1)
    return Adapter(rank=rank, alpha=2.0, pairs=pairs, transposed=transposed)


@every_family
@pytest.mark.parametrize("deterministic", [False, True])
def test_each_row_gets_its_own_adapter_as_if_it_were_merged(name: str, deterministic: bool) -> None:
    decoder = decoder_of(name)
    runner = TorchRunner(decoder, num_pages=60, page_tokens=4, deterministic=deterministic)
    adapters = [adapter_for(decoder, seed) for seed in (1, 2)]
    if any(one.transposed for one in adapters):
        adapters = [Adapter(one.rank, one.alpha, _matrices(one, decoder), transposed=True) for one in adapters]
    numbers = [runner.add_adapter(one) for one in adapters]
    wholes = wholes_of()
    chosen = [None, numbers[0], numbers[1], numbers[0], None, numbers[1]]
    found = read_in_passes(runner, wholes, random.Random(5), adapters=chosen)
    for logits, whole, number in zip(found, wholes, chosen, strict=True):
        merged = decoder if number is None else with_merged(decoder, adapters[number])
        assert_read([logits], merged, [whole], atol=1e-5)


def _matrices(adapter: Adapter, decoder: Decoder) -> dict[str, tuple[Tensor, Tensor]]:
    """Of a family that keeps some matrices the other way round, those: one adapter knows one way only."""
    known = places(decoder.config)
    return {name: pair for name, pair in adapter.pairs.items() if known[f"{name}.weight"].transposed}


def with_merged(decoder: Decoder, adapter: Adapter) -> Decoder:
    merged = Decoder(decoder.config).to(next(decoder.parameters()).dtype)
    merged.load_state_dict(decoder.state_dict())
    merged.position.build_tables()
    state = dict(merged.state_dict())
    named = to_hugging_face(state, decoder.config)
    merge(adapter, named)
    write_back(state, named, decoder.config)
    return merged


def test_an_adapter_of_another_model_is_refused_with_every_problem() -> None:
    decoder = decoder_of("llama")
    runner = TorchRunner(decoder, num_pages=1)
    pair = (torch.zeros(2, 32), torch.zeros(7, 2))
    wrong = Adapter(
        rank=2, alpha=1.0, pairs={"model.layers.0.self_attn.q_proj": pair, "model.embed_tokens": pair, "x.y": pair}
    )
    with pytest.raises(
        InputError,
        match=r"self_attn\.q_proj has 32 inputs and 32 outputs, the adapter 32 and 7; the model has no linear layer "
        r"model\.embed_tokens; the model has no linear layer x\.y",
    ):
        runner.add_adapter(wrong)
