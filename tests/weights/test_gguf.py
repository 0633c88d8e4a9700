"""GGUF files: read back to the bit, quantized as the package `gguf` does, refused where llama.cpp differs."""

import builtins
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from torch import Tensor

from tests.weights.test_huggingface import TINY, VARIANTS, build
from waman.errors import ExtraError, InputError, RecipeError
from waman.model.config import (
    Alibi,
    Attention,
    Gelu,
    LayerNorm,
    Learned,
    Linear,
    Llama3,
    ModelConfig,
    Ntk,
    Parallel,
    Rope,
    RopeScaling,
    Swiglu,
    Yarn,
)
from waman.weights.gguf import exact_dtype, load_gguf, save_gguf
from waman.weights.gguf_names import architecture_of, rope_factors

WIDE = replace(
    TINY,
    model_dim=64,
    attention=Attention(num_heads=4, num_kv_heads=2, head_dim=16),
    feed_forward=Swiglu(hidden_dim=96),
)
GPT2 = replace(
    TINY,
    norm=LayerNorm(),
    position=Learned(),
    attention=Attention(num_heads=4, num_kv_heads=4, head_dim=8, bias=True, output_bias=True),
    feed_forward=Gelu(hidden_dim=128, bias=True, approximation="tanh"),
    tie_embeddings=True,
)
FALCON = replace(
    TINY,
    norm=LayerNorm(),
    block=Parallel(2),
    feed_forward=Gelu(hidden_dim=128),
    tie_embeddings=True,
)


def write(path: Path, config: ModelConfig, state: Mapping[str, Tensor], **options: Any) -> dict[str, int]:
    return save_gguf(path, state, config, **({"kind": "F32", "tokenizer": None, "name": "tiny"} | options))


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize(("kind", "dtype"), [("F32", torch.float32), ("BF16", torch.bfloat16), ("F16", torch.float16)])
def test_plain_types_come_back_to_the_bit(tmp_path: Path, config: ModelConfig, kind: str, dtype: torch.dtype) -> None:
    state = {name: tensor.to(dtype) for name, tensor in build(config).state_dict().items()}
    write(tmp_path / "a.gguf", config, state, kind=kind)
    opened = load_gguf(tmp_path / "a.gguf")
    assert opened.config == config
    assert exact_dtype(opened.state) == dtype
    assert set(opened.state) == set(state)
    assert all(torch.equal(opened.state[name].to(dtype), tensor) for name, tensor in state.items())


def test_vectors_that_the_matrices_type_cannot_hold_keep_fp32() -> None:
    state = {"a": torch.zeros(2, 2, dtype=torch.bfloat16), "b": torch.tensor([1 + 2**-20])}
    assert exact_dtype(state) == torch.float32
    assert exact_dtype(state | {"b": torch.tensor([1.5])}) == torch.bfloat16
    assert exact_dtype(state | {"c": torch.zeros(2, 2)}) == torch.float32


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0"])
def test_quantized_types_are_those_of_the_package_gguf(tmp_path: Path, kind: str) -> None:
    state = build(WIDE).state_dict()
    counts = write(tmp_path / "a.gguf", WIDE, state, kind=kind)
    assert counts == {kind: 2 + 2 * 7, "F32": 1 + 2 * 2}
    stored = {one.name: one for one in gguf.GGUFReader(tmp_path / "a.gguf").tensors}
    chosen = gguf.GGMLQuantizationType[kind]
    for theirs, expected in (
        ("token_embd.weight", state["embedding.weight"]),
        ("blk.1.attn_v.weight", state["blocks.1.attention.query_key_value.weight"][96:]),
        ("blk.1.ffn_up.weight", state["blocks.1.feed_forward.gate_up.weight"][96:]),
        ("blk.0.ffn_down.weight", state["blocks.0.feed_forward.down.weight"]),
    ):
        assert stored[theirs].tensor_type == chosen
        assert (stored[theirs].data == gguf.quants.quantize(expected.numpy(), chosen)).all()
    opened = load_gguf(tmp_path / "a.gguf")
    expected = gguf.quants.dequantize(stored["output.weight"].data, chosen)
    assert torch.equal(opened.state["unembedding.weight"], torch.from_numpy(expected))


def test_a_large_matrix_is_quantized_in_pieces_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = build(WIDE).state_dict()
    write(tmp_path / "whole.gguf", WIDE, state, kind="Q4_0")
    monkeypatch.setattr("waman.weights.gguf._CHUNK_ELEMENTS", 200)
    write(tmp_path / "pieces.gguf", WIDE, state, kind="Q4_0")
    assert (tmp_path / "whole.gguf").read_bytes() == (tmp_path / "pieces.gguf").read_bytes()


def test_rows_that_no_block_fits_stay_half_precision(tmp_path: Path) -> None:
    config = replace(TINY, feed_forward=Swiglu(hidden_dim=40))
    counts = write(tmp_path / "a.gguf", config, build(config).state_dict(), kind="Q8_0")
    assert counts == {"Q8_0": 2 + 2 * 6, "F16": 2, "F32": 5}


@pytest.mark.parametrize("scaling", [Linear(factor=4.0), Llama3(factor=8.0), Llama3(factor=32.0)])
def test_rope_scaling_comes_back(tmp_path: Path, scaling: RopeScaling) -> None:
    state = build(TINY).state_dict()
    config = replace(TINY, position=Rope(theta=500000.0, scaling=scaling))
    write(tmp_path / "a.gguf", config, state)
    assert load_gguf(tmp_path / "a.gguf").config == config


def test_ntk_scaling_is_a_larger_theta(tmp_path: Path) -> None:
    config = replace(TINY, position=Rope(theta=500.0, scaling=Ntk(factor=2.0)))
    write(tmp_path / "a.gguf", config, build(TINY).state_dict())
    position = load_gguf(tmp_path / "a.gguf").config.position
    assert isinstance(position, Rope)
    assert position.theta == pytest.approx(500 * 2 ** (8 / 6), rel=1e-6)


def test_rope_factors_are_those_of_transformers() -> None:
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    table = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    table |= {"original_max_position_embeddings": 8192, "rope_theta": 500000.0}
    theirs, _ = ROPE_INIT_FUNCTIONS["llama3"](
        LlamaConfig(hidden_size=128, num_attention_heads=1, rope_parameters=table), device="cpu"
    )
    plain = 500000.0 ** (-torch.arange(0, 128, 2) / 128)
    ours = plain / torch.tensor(rope_factors(Llama3(factor=8.0), 500000.0, 128))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=0)


def test_equal_weights_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, TINY, build(TINY).state_dict(), kind="Q8_0")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_window_that_never_shows_is_written_and_one_that_does_is_not(tmp_path: Path) -> None:
    heads = TINY.attention
    assert architecture_of(replace(TINY, attention=replace(heads, window=48))).name == "llama"
    with pytest.raises(RecipeError, match="it has no window, and 16 is below the context length of 48"):
        architecture_of(replace(TINY, attention=replace(heads, window=16)))


def test_the_architectures_of_llama_cpp_are_chosen_by_the_parts() -> None:
    assert architecture_of(TINY).name == "llama"
    assert architecture_of(GPT2).name == "gpt2"
    assert architecture_of(FALCON).name == "falcon"
    assert architecture_of(replace(FALCON, block=Parallel(1))).name == "falcon"


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ({"norm": LayerNorm()}, ["llama: the norm is no RmsNorm"]),
        ({"position": Rope(scaling=Yarn())}, ["we do not write Yarn scaling"]),
        ({"position": Alibi()}, ["llama: positions are not Rope", "falcon: the norm is no LayerNorm with bias"]),
        ({"block": Parallel(1)}, ["llama: the block is not Sequential", "gpt2: the norm is no LayerNorm"]),
        ({"attention": replace(TINY.attention, bias=True)}, ["llama: attention has biases"]),
        ({"feed_forward": Gelu()}, ["llama: the feed-forward part is no Swiglu"]),
    ],
)
def test_what_llama_cpp_does_not_compute_is_not_written(
    tmp_path: Path, change: dict[str, Any], messages: list[str]
) -> None:
    with pytest.raises(RecipeError, match=r"llama\.cpp has no architecture that we write for this model") as caught:
        write(tmp_path / "a.gguf", replace(TINY, **change), {})
    assert all(message in str(caught.value) for message in messages)
    assert not list(tmp_path.iterdir())


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def fail(name: str, *rest: Any) -> Any:
        if name == "gguf":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(ExtraError, match=r"pip install 'waman\[gguf\]'"):
        write(tmp_path / "a.gguf", TINY, {})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_raises_oserror_and_leaves_the_old_file(tmp_path: Path) -> None:
    write(tmp_path / "a.gguf", TINY, build(TINY).state_dict())
    before = (tmp_path / "a.gguf").read_bytes()
    (tmp_path / "a.gguf.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        write(tmp_path / "a.gguf", TINY, build(TINY).state_dict(), kind="F16")
    assert [path.name for path in tmp_path.iterdir()] == ["a.gguf"]
    assert (tmp_path / "a.gguf").read_bytes() == before


# Files that are refused


def rewrite(path: Path, *, tensors: Mapping[str, Tensor | None] = {}, metadata: Mapping[str, Any] = {}) -> None:
    """The file with tensors and metadata changed, added, or left out (None)."""
    reader = gguf.GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    fields |= metadata
    named = {one.name: torch.from_numpy(one.data.copy()) for one in reader.tensors} | dict(tensors)
    writer = gguf.GGUFWriter(path, fields.pop("general.architecture"))
    for name, value in fields.items():
        if isinstance(value, str):
            writer.add_string(name, value)
        elif isinstance(value, float):
            writer.add_float32(name, value)
        elif value is not None:
            writer.add_uint32(name, value)
    for name, tensor in named.items():
        if tensor is not None:
            writer.add_tensor(name, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def written(tmp_path: Path) -> Path:
    write(tmp_path / "a.gguf", TINY, build(TINY).state_dict())
    return tmp_path / "a.gguf"


def test_missing_extra_and_misshaped_tensors_are_all_named(written: Path) -> None:
    rewrite(written, tensors={"output_norm.weight": None, "blk.7.attn_q.weight": torch.zeros(2, 2)})
    with pytest.raises(InputError, match=r"missing output_norm\.weight; extra blk\.7\.attn_q\.weight"):
        load_gguf(written)


def test_a_file_without_an_embedding_is_refused(written: Path) -> None:
    rewrite(written, tensors={"token_embd.weight": None})
    with pytest.raises(InputError, match=r"no token_embd\.weight"):
        load_gguf(written)


def test_misshaped_tensors_are_all_named(written: Path) -> None:
    rewrite(written, tensors={"blk.0.attn_q.weight": torch.zeros(32, 31), "blk.1.ffn_up.weight": torch.zeros(1, 32)})
    with pytest.raises(InputError) as caught:
        load_gguf(written)
    assert "blk.0.attn_q.weight has shape (32, 31), expected (32, 32)" in str(caught.value)
    assert "blk.1.ffn_up.weight has shape (1, 32), expected (40, 32)" in str(caught.value)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"general.architecture": "mamba"}, "general.architecture is 'mamba'; known: llama, gpt2, falcon"),
        ({"llama.expert_count": 8}, "unknown llama.expert_count = 8"),
        ({"split.count": 2}, "unknown split.count"),
        ({"llama.attention.head_count": None}, "llama.attention.head_count is missing"),
        ({"llama.rope.scaling.type": "yarn"}, "rope.scaling.type is 'yarn'"),
        ({"llama.rope.dimension_count": 4}, "rope.dimension_count is not the width of a head, 8"),
        ({"llama.attention.value_length": 4}, "attention.value_length differs"),
    ],
)
def test_metadata_that_we_would_have_to_ignore_are_refused(
    written: Path, metadata: dict[str, Any], message: str
) -> None:
    rewrite(written, metadata=metadata)
    with pytest.raises(InputError) as caught:
        load_gguf(written)
    assert message in str(caught.value)


def test_wavelengths_of_another_release_are_refused(written: Path) -> None:
    rewrite(written, tensors={"rope_freqs.weight": torch.full((4,), 3.0)})
    with pytest.raises(InputError, match=r"rope_freqs\.weight holds neither Llama 3\.1's factors nor Llama 3\.2's"):
        load_gguf(written)


def test_types_that_we_do_not_read_are_refused(tmp_path: Path) -> None:
    state = build(TINY).state_dict()
    write(tmp_path / "a.gguf", TINY, state)
    rewrite(tmp_path / "a.gguf", tensors={"blk.0.attn_q.weight": torch.zeros(32, 32, dtype=torch.float64)})
    with pytest.raises(InputError, match=r"blk\.0\.attn_q\.weight is of type F64, read are F32, F16, BF16, Q8_0, Q4_0"):
        load_gguf(tmp_path / "a.gguf")


@pytest.mark.parametrize("kept", [0, 3, 100, 2000, -40])
def test_a_file_cut_short_is_refused(written: Path, kept: int) -> None:
    written.write_bytes(written.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"a\.gguf: cut short or not in GGUF format"):
        load_gguf(written)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; expected weights in GGUF format"):
        load_gguf(tmp_path / "a.gguf")
