"""A pass in the compiled library against the decoder's modules; the same bits alone, in batches, in pieces."""

import random
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from waman.errors import InputError
from waman.inference import runner_choice
from waman.inference.native_runner import NativeRunner, can_run
from waman.inference.runner import Row, page_bytes
from waman.inference.runner_choice import build_runner, usual_kv_bits
from waman.inference.torch_runner import TorchRunner
from waman.model.config import (
    Alibi,
    Attention,
    Geglu,
    Gelu,
    LayerNorm,
    Learned,
    ModelConfig,
    NoPosition,
    Parallel,
    Relu,
    Rope,
    Sequential,
    SquaredRelu,
    Swiglu,
    Yarn,
)
from waman.model.decoder import Decoder
from waman.quantization.kernels import Native
from waman.weights.adapters import Adapter, merge
from waman.weights.huggingface import to_hugging_face

LLAMA = ModelConfig(
    vocab_size=100,
    model_dim=96,
    num_layers=2,
    attention=Attention(num_heads=4, num_kv_heads=2, head_dim=48),
    feed_forward=Swiglu(hidden_dim=200),
)
MANY_TO_ONE = Attention(num_heads=20, num_kv_heads=1, head_dim=16)
WITH_BIASES = Attention(num_heads=5, num_kv_heads=5, head_dim=20, bias=True, output_bias=True)
CONFIGS = {
    "llama": LLAMA,
    "tied": replace(LLAMA, tie_embeddings=True),
    "yarn": replace(LLAMA, position=Rope(scaling=Yarn(factor=4.0, original_context_length=64))),
    "falcon-7b": replace(LLAMA, attention=MANY_TO_ONE, norm=LayerNorm(), block=Parallel(), feed_forward=Gelu()),
    "falcon-40b": replace(
        LLAMA, norm=LayerNorm(), block=Parallel(num_norms=2), feed_forward=Gelu(approximation="tanh")
    ),
    "gpt2": replace(
        LLAMA,
        model_dim=100,
        attention=WITH_BIASES,
        norm=LayerNorm(),
        feed_forward=Gelu(bias=True),
        position=Learned(),
        tie_embeddings=True,
    ),
    "alibi": replace(LLAMA, position=Alibi(), feed_forward=Relu()),
    "window": replace(LLAMA, attention=replace(LLAMA.attention, window=19), feed_forward=Geglu()),
    "geglu-tanh": replace(LLAMA, feed_forward=Geglu(approximation="tanh", bias=True)),
    "no-position": replace(LLAMA, position=NoPosition(), feed_forward=SquaredRelu()),
}
LENGTHS = [70, 1, 33, 130]
NUM_PAGES = 40
# float32 weights and keys and values rounded to 11 bits of mantissa; bfloat16 rounds what enters each product as well
TOLERANCES = {
    (torch.float32, 16): 5e-4,
    (torch.float32, 8): 1e-2,
    (torch.bfloat16, 16): 1e-2,
    (torch.bfloat16, 8): 2e-2,
}


def make(config: ModelConfig, dtype: torch.dtype) -> Decoder:
    torch.manual_seed(0)
    decoder = Decoder(config).eval()
    for parameter in decoder.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.02)
    return decoder.to(dtype)


def texts(seed: int = 0) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids, and for each text pages that lie anywhere."""
    draw = random.Random(seed)
    ids = [[draw.randrange(100) for _ in range(length)] for length in LENGTHS]
    free = draw.sample(range(NUM_PAGES), NUM_PAGES)
    return ids, [[free.pop() for _ in range(-(-len(one) // 32))] for one in ids]


def read_whole(runner: NativeRunner, ids: list[list[int]], pages: list[list[int]]) -> Tensor:
    return runner.run([Row(one, 0, held, range(len(one))) for one, held in zip(ids, pages, strict=True)])


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("dtype", "kv_bits"), TOLERANCES)
def test_a_pass_gives_the_decoders_logits(library: Native, name: str, dtype: torch.dtype, kv_bits: int) -> None:
    decoder = make(CONFIGS[name], dtype)
    reference = make(CONFIGS[name], dtype).float()
    ids, pages = texts()
    with torch.inference_mode():
        expected = torch.cat([reference(torch.tensor([one]))[0] for one in ids])
        found = read_whole(NativeRunner(decoder, library, num_pages=NUM_PAGES, kv_bits=kv_bits), ids, pages)
    assert float((found - expected).abs().max() / expected.abs().max()) < TOLERANCES[dtype, kv_bits]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("kv_bits", [16, 8])
def test_however_texts_are_cut_and_batched_every_bit_is_the_same(library: Native, name: str, kv_bits: int) -> None:
    decoder = make(CONFIGS[name], torch.bfloat16)
    ids, pages = texts()
    whole = read_whole(NativeRunner(decoder, library, num_pages=NUM_PAGES, kv_bits=kv_bits), ids, pages)
    expected = list(torch.split(whole, LENGTHS))
    for seed in range(4):
        draw = random.Random(seed)
        ids, pages = ids, texts(seed)[1]
        runner = NativeRunner(decoder, library, num_pages=NUM_PAGES, kv_bits=kv_bits)
        done = [0] * len(ids)
        while any(place < len(one) for place, one in zip(done, ids, strict=True)):
            chosen = [number for number, one in enumerate(ids) if done[number] < len(one) and draw.random() < 0.7]
            if not chosen:
                continue
            rows = []
            for number in chosen:
                part = ids[number][done[number] : done[number] + draw.choice([1, 1, 2, 5, 17, 40])]
                rows.append(Row(part, done[number], pages[number], range(len(part))))
            found = torch.split(runner.run(rows), [len(row.token_ids) for row in rows])
            for number, row, logits in zip(chosen, rows, found, strict=True):
                end = done[number] + len(row.token_ids)
                assert torch.equal(logits, expected[number][done[number] : end])
                done[number] = end


def test_only_what_is_wanted_comes_back(library: Native) -> None:
    decoder = make(LLAMA, torch.bfloat16)
    ids, pages = texts()
    whole = list(torch.split(read_whole(NativeRunner(decoder, library, num_pages=NUM_PAGES), ids, pages), LENGTHS))
    reader = NativeRunner(decoder, library, num_pages=NUM_PAGES)
    wanted = ((69,), (), (0, 32), (5, 100, 129))
    found = reader.run([Row(*row) for row in zip(ids, [0] * 4, pages, wanted, strict=True)])
    assert torch.equal(found, torch.cat([whole[row][list(places)] for row, places in enumerate(wanted)]))


def test_a_copied_page_is_read_like_the_first(library: Native) -> None:
    decoder = make(LLAMA, torch.bfloat16)
    runner = NativeRunner(decoder, library, num_pages=4)
    text = texts()[0][2]
    expected = runner.run([Row(text, 0, [0, 1], [32])])
    runner.copy_page(1, 3)
    runner.copy_page(0, 2)
    assert torch.equal(runner.run([Row(text[32:], 32, [2, 3], [0])]), expected)


def draw_adapter(modules: dict[str, tuple[int, int]], *, rank: int) -> Adapter:
    """modules: (outputs, inputs) of each."""
    generator = torch.Generator().manual_seed(5)
    pairs = {
        name: (torch.randn(rank, inputs, generator=generator), torch.randn(outputs, rank, generator=generator))
        for name, (outputs, inputs) in modules.items()
    }
    return Adapter(rank=rank, alpha=0.5, pairs=pairs)


def test_each_row_has_its_own_adapter(library: Native) -> None:
    layer = "model.layers.1"
    adapter = draw_adapter(
        {
            f"{layer}.self_attn.q_proj": (192, 96),
            f"{layer}.self_attn.v_proj": (96, 96),
            f"{layer}.self_attn.o_proj": (96, 192),
            f"{layer}.mlp.up_proj": (200, 96),
            f"{layer}.mlp.down_proj": (96, 200),
            "lm_head": (100, 96),
        },
        rank=3,
    )
    ids, pages = texts()
    plain, merged = make(LLAMA, torch.float32), make(LLAMA, torch.float32)
    merge(adapter, to_hugging_face(merged.state_dict(), LLAMA))
    expected_plain = read_whole(NativeRunner(plain, library, num_pages=NUM_PAGES), ids, pages)
    expected = read_whole(NativeRunner(merged, library, num_pages=NUM_PAGES), ids, pages)
    runner = NativeRunner(make(LLAMA, torch.float32), library, num_pages=NUM_PAGES)
    number = runner.add_adapter(adapter)
    found = runner.run(
        [
            Row(one, 0, held, range(len(one)), adapter=number if place % 2 else None)
            for place, (one, held) in enumerate(zip(ids, pages, strict=True))
        ]
    )
    for place, (logits, own, others) in enumerate(
        zip(*(torch.split(one, LENGTHS) for one in (found, expected, expected_plain)), strict=True)
    ):
        if place % 2:
            assert float((logits - own).abs().max() / own.abs().max()) < 1e-3
            assert float((logits - others).abs().max() / own.abs().max()) > 1e-2
        else:
            assert torch.equal(logits, others)


def test_an_adapter_of_another_model_or_too_large_a_rank_is_refused(library: Native) -> None:
    runner = NativeRunner(make(LLAMA, torch.float32), library, num_pages=4)
    with pytest.raises(InputError, match=r"the model has no linear layer model\.layers\.9\.mlp\.up_proj"):
        runner.add_adapter(draw_adapter({"model.layers.9.mlp.up_proj": (200, 96)}, rank=2))
    with pytest.raises(InputError, match="ranks add up to 1025 for one of our matrices, expected at most 1024"):
        runner.add_adapter(draw_adapter({"model.layers.0.mlp.up_proj": (200, 96)}, rank=1025))


def test_norms_after_each_part_are_left_to_the_decoder() -> None:
    assert can_run(make(LLAMA, torch.float32), kv_bits=16)
    assert not can_run(make(replace(LLAMA, block=Sequential(norm="after")), torch.float32), kv_bits=16)
    assert not can_run(make(LLAMA, torch.float32), kv_bits=32)
    assert not can_run(make(LLAMA, torch.float64), kv_bits=16)
    assert not can_run(make(CONFIGS["gpt2"], torch.float32), kv_bits=16)  # heads of 20


@pytest.mark.parametrize("kv_bits", [16, 8])
def test_pages_take_the_memory_that_is_reckoned_with(library: Native, kv_bits: int) -> None:
    for head_dim in (16, 48, 64, 80, 128):
        config = replace(LLAMA, attention=replace(LLAMA.attention, head_dim=head_dim))
        block = library.functions.waman_block_bytes(head_dim, kv_bits)
        assert config.num_layers * config.attention.num_kv_heads * block == page_bytes(config, kv_bits=kv_bits)


def test_bfloat16_weights_are_run_by_the_library_and_float32_by_the_decoder(
    library: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_choice, "native", lambda: library)
    half, whole = make(LLAMA, torch.bfloat16), make(LLAMA, torch.float32)
    assert (usual_kv_bits(half), usual_kv_bits(whole)) == (16, 32)
    assert isinstance(build_runner(half, num_pages=2), NativeRunner)
    assert isinstance(build_runner(half, num_pages=2), NativeRunner)  # packed already
    assert isinstance(build_runner(whole, num_pages=2), TorchRunner)
    monkeypatch.setattr(runner_choice, "native", lambda: None)
    assert isinstance(build_runner(make(LLAMA, torch.bfloat16), num_pages=2), TorchRunner)
