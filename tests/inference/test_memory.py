from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.model.variants import TINY
from waman.errors import InputError, PromptError, RecipeError
from waman.inference import memory
from waman.inference.load import load
from waman.inference.memory import free_bytes, pages_for, require_room, untouched
from waman.inference.runner import page_bytes
from waman.inference.torch_runner import TorchRunner
from waman.model.count import num_parameters


def test_a_budget_buys_whole_pages_and_the_pages_take_no_more() -> None:
    """A page of TINY takes 4096 bytes in 16 bits."""
    size = page_bytes(TINY, kv_bits=16)
    assert size == 4096
    for budget in (size, 5 * size - 1, 5 * size):
        pages = pages_for(TINY, kv_bits=16, cache_bytes=budget, free=10**9, max_rows=64)
        assert pages == budget // size
        assert pages * size <= budget


def test_without_a_budget_full_contexts_have_room_or_half_of_what_is_free_is_taken() -> None:
    assert pages_for(TINY, kv_bits=16, cache_bytes=None, free=10**9, max_rows=8) == 8 * 2
    assert pages_for(TINY, kv_bits=16, cache_bytes=None, free=20 * 4096, max_rows=8) == 10
    assert pages_for(TINY, kv_bits=16, cache_bytes=None, free=None, max_rows=8) == 16


def test_a_budget_of_less_than_a_page_is_refused_with_what_it_takes() -> None:
    with pytest.raises(
        RecipeError, match=r"cache_bytes = 4,095: a page of 32 tokens takes 4,096 bytes, a whole context of 64 8,192"
    ):
        pages_for(TINY, kv_bits=16, cache_bytes=4095, free=None, max_rows=8)
    with pytest.raises(RecipeError, match="half of the 100 bytes that are free: a page"):
        pages_for(TINY, kv_bits=16, cache_bytes=None, free=100, max_rows=8)


def test_the_cache_of_an_opened_model_stays_within_its_budget(folder: Path) -> None:
    for kv_bits in (8, 32):
        llm = load(folder, cache_bytes=50_000, kv_bits=kv_bits)
        llm.generate(["the cat"] * 9, max_tokens=60)
        assert isinstance(llm._runner, TorchRunner)
        assert 40_000 < llm._runner.num_bytes <= 50_000
    with pytest.raises(PromptError, match=r"prompt 0 has 4 tokens and wants up to 100 more: 4 pages of 32 tokens"):
        load(folder, cache_bytes=3 * 8192).generate(["the cat"], max_tokens=100)


def test_a_model_that_does_not_fit_is_said_with_what_would() -> None:
    weights, cache = num_parameters(TINY), 2 * 8192
    require_room(TINY, dtype=torch.float32, free=weights * 4 + cache, where="model")
    require_room(TINY, dtype=torch.float32, free=None, where="model")
    with pytest.raises(InputError) as caught:
        require_room(TINY, dtype=torch.float32, free=weights * 4 + cache - 1, where="model")
    said = str(caught.value)
    assert f"model: {weights:,} weights in float32 and one context of 64 tokens take {weights * 4 + cache:,}" in said
    assert f"in bfloat16 (dtype=torch.bfloat16) {weights * 2 + cache // 2:,}, in 8 bits (waman quantize)" in said
    with pytest.raises(InputError, match="it takes in 4 bits"):
        require_room(TINY, dtype=torch.bfloat16, free=weights * 5 // 8 + 8192, where="model")
    with pytest.raises(InputError, match="no form of it fits; take a smaller model or free memory"):
        require_room(TINY, dtype=torch.float32, free=10, where="model")
    large = replace(TINY, num_layers=1000)
    with pytest.raises(InputError, match="take a smaller model"):
        require_room(large, dtype=torch.float32, free=1000, where="model")


def test_a_model_is_refused_before_its_weights_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("waman.inference.load.free_bytes", lambda device: 1000)
    with pytest.raises(InputError, match="1,000 are free"):
        load(folder)


def test_what_is_free_is_the_least_of_the_machines_and_the_containers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("4500\n")
    (tmp_path / "memory.stat").write_text("anon 4000\ninactive_file 300\n")
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    assert free_bytes(torch.device("cpu")) == 800
    (tmp_path / "memory.max").write_text("max\n")
    free = free_bytes(torch.device("cpu"))
    assert free is None or free > 10**6


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="needs Linux's count of pages in memory")
def test_pages_take_memory_only_once_they_are_used() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    before = resident()
    found = untouched((1000, 100_000), torch.bfloat16, torch.device("cpu"))
    assert resident() - before < 20_000_000
    assert found.data_ptr() % 64 == 0
    assert (found.shape, found.dtype) == ((1000, 100_000), torch.bfloat16)
    found[500:700] = 1.0
    assert 40_000_000 <= resident() - before < 60_000_000
    assert float(found[499:501].float().sum()) == 100_000
