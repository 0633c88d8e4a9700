"""Meta's checkpoints, against the formula of the released code written out here, and bit for bit there and back."""

import json
import math
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.weights.test_huggingface import TINY, VARIANTS, build, tokens
from waman.errors import InputError, RecipeError
from waman.model.config import Attention, LayerNorm, Llama3, ModelConfig, Rope, Swiglu
from waman.model.decoder import Decoder
from waman.model.presets import preset
from waman.weights.meta import hidden_dim, load_meta, parts, read_params, save_meta, to_halves, to_neighbours, to_params

SHARED = replace(
    TINY,
    vocab_size=64,
    attention=Attention(num_heads=4, num_kv_heads=4, head_dim=8),
    feed_forward=Swiglu(hidden_dim=48),
)


def state_of(decoder: Decoder, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    return {name: tensor.to(dtype) for name, tensor in decoder.state_dict().items()}


def plain_logits(shard: dict[str, Tensor], params: dict[str, Any], token_ids: Tensor) -> Tensor:
    """The released model, one file: neighbours of a head are the parts of a complex number, turned by the position."""
    x = shard["tok_embeddings.weight"][token_ids]
    batch, time, dim = x.shape
    head_dim = dim // params["n_heads"]
    angles = torch.outer(
        torch.arange(time).float(), params["rope_theta"] ** (-torch.arange(0, head_dim, 2).float() / head_dim)
    )
    turns = torch.polar(torch.ones_like(angles), angles)[None, :, None]

    def norm(y: Tensor, weight: Tensor) -> Tensor:
        return y * torch.rsqrt(y.square().mean(-1, keepdim=True) + params["norm_eps"]) * weight

    def turn(y: Tensor) -> Tensor:
        return torch.view_as_real(torch.view_as_complex(y.reshape(*y.shape[:-1], -1, 2)) * turns).flatten(-2)

    for layer in range(params["n_layers"]):
        w = {name.removeprefix(f"layers.{layer}."): tensor for name, tensor in shard.items()}
        y = norm(x, w["attention_norm.weight"])
        q, k, v = ((y @ w[f"attention.{one}.weight"].T).view(batch, time, -1, head_dim) for one in ("wq", "wk", "wv"))
        q, k = turn(q), turn(k)
        group = params["n_heads"] // params["n_kv_heads"]
        k, v = k.repeat_interleave(group, dim=2), v.repeat_interleave(group, dim=2)
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(head_dim)
        scores += torch.full((time, time), float("-inf")).triu(1)
        seen = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v).reshape(batch, time, dim)
        x = x + seen @ w["attention.wo.weight"].T
        y = norm(x, w["ffn_norm.weight"])
        gate = torch.nn.functional.silu(y @ w["feed_forward.w1.weight"].T)
        x = x + (gate * (y @ w["feed_forward.w3.weight"].T)) @ w["feed_forward.w2.weight"].T
    return norm(x, shard["norm.weight"]) @ shard["output.weight"].T


@pytest.mark.parametrize(
    "config",
    [
        config
        for config in VARIANTS.values()
        if config.model_dim == 32 and config.attention.num_heads * config.attention.head_dim == 32
    ],
)
def test_the_released_formula_computes_our_logits(tmp_path: Path, config: ModelConfig) -> None:
    decoder = build(config)
    save_meta(decoder.state_dict(), config, tmp_path)
    params = json.loads((tmp_path / "params.json").read_text())
    shard = torch.load(tmp_path / "consolidated.00.pth", weights_only=True)
    expected = plain_logits(shard, params, tokens())
    assert expected.std() > 0.5
    assert (decoder(tokens()) - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("num_shards", [1, 2, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_every_number_of_shards_comes_back_to_the_bit(tmp_path: Path, num_shards: int, dtype: torch.dtype) -> None:
    state = state_of(build(SHARED), dtype)
    save_meta(state, SHARED, tmp_path / "out", num_shards=num_shards)
    assert len(list((tmp_path / "out").glob("consolidated.*.pth"))) == num_shards
    config, again = load_meta(tmp_path / "out", context_length=SHARED.context_length)
    assert config == SHARED
    assert set(again) == set(state)
    assert all(again[name].dtype == dtype and torch.equal(again[name], tensor) for name, tensor in state.items())

    save_meta(again, config, tmp_path / "twice", num_shards=num_shards)
    for file in (tmp_path / "out").iterdir():
        assert file.read_bytes() == (tmp_path / "twice" / file.name).read_bytes()


def test_shards_hold_what_model_parallel_ranks_of_the_released_code_hold(tmp_path: Path) -> None:
    save_meta(build(SHARED).state_dict(), SHARED, tmp_path, num_shards=2)
    first = torch.load(tmp_path / "consolidated.00.pth", weights_only=True)
    shapes = {name: tuple(first[name].shape) for name in first if not name.startswith("layers.1")}
    assert shapes == {
        "tok_embeddings.weight": (64, 16),
        "layers.0.attention.wq.weight": (16, 32),
        "layers.0.attention.wk.weight": (16, 32),
        "layers.0.attention.wv.weight": (16, 32),
        "layers.0.attention.wo.weight": (32, 16),
        "layers.0.feed_forward.w1.weight": (24, 32),
        "layers.0.feed_forward.w3.weight": (24, 32),
        "layers.0.feed_forward.w2.weight": (32, 24),
        "layers.0.attention_norm.weight": (32,),
        "layers.0.ffn_norm.weight": (32,),
        "norm.weight": (32,),
        "output.weight": (32, 32),
    }


def test_an_embedding_cut_by_rows_as_llama_3_s_is_merged(tmp_path: Path) -> None:
    state = build(SHARED).state_dict()
    save_meta(state, SHARED, tmp_path, num_shards=2)
    for rank in range(2):
        path = tmp_path / f"consolidated.{rank:02d}.pth"
        shard = torch.load(path, weights_only=True)
        shard["tok_embeddings.weight"] = state["embedding.weight"].chunk(2)[rank].clone()
        torch.save(shard, path)
    _, again = load_meta(tmp_path, context_length=48)
    assert torch.equal(again["embedding.weight"], state["embedding.weight"])


def test_rows_of_a_head_are_reordered_from_neighbours_to_halves() -> None:
    rows = torch.arange(12)[:, None]
    assert to_halves(rows, 2).flatten().tolist() == [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]
    assert torch.equal(to_neighbours(to_halves(rows, 2), 2), rows)


def test_a_tied_head_is_written_out(tmp_path: Path) -> None:
    config = replace(SHARED, tie_embeddings=True)
    state = build(config).state_dict()
    save_meta(state, config, tmp_path)
    _, again = load_meta(tmp_path, context_length=48)
    assert torch.equal(again["unembedding.weight"], state["embedding.weight"])


@pytest.mark.parametrize(
    ("name", "params", "context"),
    [
        ("llama-7b", {"dim": 4096, "multiple_of": 256, "n_heads": 32, "n_layers": 32, "norm_eps": 1e-6}, 2048),
        ("llama-65b", {"dim": 8192, "multiple_of": 256, "n_heads": 64, "n_layers": 80, "norm_eps": 1e-5}, 2048),
    ],
)
def test_the_published_params_describe_the_presets(
    tmp_path: Path, name: str, params: dict[str, Any], context: int
) -> None:
    (tmp_path / "params.json").write_text(json.dumps(params | {"vocab_size": 32000}))
    assert read_params(tmp_path, context_length=context) == preset(name)


@pytest.mark.parametrize(
    ("dim", "multiple_of", "multiplier", "expected"),
    [(4096, 256, None, 11008), (8192, 4096, 1.3, 28672), (4096, 1024, 1.3, 14336), (2048, 256, 1.5, 8192)],
    ids=["Llama 2 7B", "Llama 2 70B", "Llama 3 8B", "Llama 3.2 1B"],
)
def test_the_feed_forward_has_the_published_width(
    dim: int, multiple_of: int, multiplier: float | None, expected: int
) -> None:
    assert hidden_dim(dim, multiple_of, multiplier) == expected


@pytest.mark.parametrize("width", [40, 48, 85, 86, 100, 333])
def test_every_width_can_be_written(tmp_path: Path, width: int) -> None:
    config = replace(TINY, feed_forward=Swiglu(hidden_dim=width))
    table = to_params(config)
    (tmp_path / "params.json").write_text(json.dumps(table))
    assert read_params(tmp_path, context_length=48) == config


def test_llama_3_1_s_wavelengths_are_named_both_ways(tmp_path: Path) -> None:
    scaled = replace(TINY, position=Rope(theta=500000.0, scaling=Llama3(factor=32.0)))
    (tmp_path / "params.json").write_text(json.dumps(to_params(scaled)))
    assert json.loads((tmp_path / "params.json").read_text())["use_scaled_rope"] is True
    assert read_params(tmp_path, context_length=48, rope_factor=32.0) == scaled
    unlike = replace(TINY, position=Rope(scaling=Llama3(original_context_length=4096)))
    with pytest.raises(RecipeError, match=r"scaled as in Llama 3\.1"):
        to_params(unlike)


def test_a_vocabulary_of_minus_one_is_that_of_the_weights(tmp_path: Path) -> None:
    for num_shards in (1, 2):
        folder = tmp_path / str(num_shards)
        save_meta(build(SHARED).state_dict(), SHARED, folder, num_shards=num_shards)
        params = json.loads((folder / "params.json").read_text())
        (folder / "params.json").write_text(json.dumps(params | {"vocab_size": -1}))
        assert load_meta(folder, context_length=48)[0] == SHARED


def test_a_vocabulary_of_minus_one_needs_the_weights(tmp_path: Path) -> None:
    save_meta(build(SHARED).state_dict(), SHARED, tmp_path)
    params = json.loads((tmp_path / "params.json").read_text())
    (tmp_path / "params.json").write_text(json.dumps(params | {"vocab_size": -1}))
    torch.save({"norm.weight": torch.zeros(32)}, tmp_path / "consolidated.00.pth")
    with pytest.raises(InputError, match=r"vocab_size is -1 and tok_embeddings\.weight is missing or no matrix"):
        load_meta(tmp_path, context_length=48)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"moe_experts": 8}, "unknown key moe_experts = 8"),
        ({"dim": None}, "dim is missing"),
        ({"dim": "32"}, "dim = '32', expected a whole number above 0"),
        ({"n_heads": True}, "n_heads = True, expected a whole number above 0"),
        ({"n_heads": 5}, "dim = 32 is not a multiple of n_heads = 5"),
        ({"n_kv_heads": 3}, "num_heads = 4 is not a multiple of num_kv_heads = 3"),
        ({"norm_eps": 0}, "norm_eps = 0, expected a number above 0"),
        ({"vocab_size": -2}, "vocab_size = -2, expected a whole number above 0, or -1"),
        ({"use_scaled_rope": 1}, "use_scaled_rope = 1, expected true or false"),
    ],
)
def test_params_that_we_would_compute_differently_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    (tmp_path / "params.json").write_text(json.dumps(to_params(SHARED) | change))
    with pytest.raises(InputError) as caught:
        read_params(tmp_path, context_length=48)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), ("{", "not valid JSON"), ("[]", "found a list, expected a table")],
)
def test_params_that_are_none_are_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "params.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_params(tmp_path, context_length=48)


class _Call:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.getenv, ("HOME",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"norm.weight": torch.zeros(32), "extra": _Call()}, "its pickle asks for more than tensors"),
        ({"norm.weight": torch.zeros(32), "step": 3}, r"expected tensors only, found 'step' \(int\)"),
        ([torch.zeros(32)], "found a list, expected a table of tensors"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_asks_for_more_than_tensors_is_refused(
    tmp_path: Path, content: Any, message: str, zipped: bool
) -> None:
    (tmp_path / "params.json").write_text(json.dumps(to_params(SHARED)))
    torch.save(content, tmp_path / "consolidated.00.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=message):
        load_meta(tmp_path, context_length=48)


def test_a_plain_pickle_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text(json.dumps(to_params(SHARED)))
    (tmp_path / "consolidated.00.pth").write_bytes(pickle.dumps(_Call()))
    with pytest.raises(InputError, match="its pickle asks for more than tensors"):
        load_meta(tmp_path, context_length=48)


def test_a_shard_cut_short_is_refused(tmp_path: Path) -> None:
    save_meta(build(SHARED).state_dict(), SHARED, tmp_path)
    path = tmp_path / "consolidated.00.pth"
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"consolidated\.00\.pth: "):
        load_meta(tmp_path, context_length=48)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    save_meta(build(SHARED).state_dict(), SHARED, tmp_path, num_shards=4)
    (tmp_path / "consolidated.01.pth").unlink()
    with pytest.raises(InputError, match=r"3 shards, but no consolidated\.01\.pth"):
        load_meta(tmp_path, context_length=48)
    with pytest.raises(InputError, match=r"no consolidated\.00\.pth; expected one file per model-parallel rank"):
        read_params_and_shards(tmp_path / "empty")


def read_params_and_shards(folder: Path) -> None:
    folder.mkdir()
    (folder / "params.json").write_text(json.dumps(to_params(SHARED)))
    load_meta(folder, context_length=48)


def test_missing_extra_misshaped_and_unequal_tensors_are_named(tmp_path: Path) -> None:
    save_meta(build(SHARED).state_dict(), SHARED, tmp_path, num_shards=2)
    path = tmp_path / "consolidated.01.pth"
    shard = torch.load(path, weights_only=True)
    shard["norm.weight"] = shard["norm.weight"] + 1
    shard["rope.freqs"] = torch.zeros(4)
    torch.save(shard, path)
    with pytest.raises(InputError, match=r"norm\.weight differs between the shards"):
        load_meta(tmp_path, context_length=48)
    del shard["output.weight"]
    shard["layers.2.ffn_norm.weight"] = torch.zeros(32)
    shard["layers.0.attention.wq.weight"] = torch.zeros(32, 16)
    torch.save(shard, path)
    with pytest.raises(InputError) as caught:
        load_meta(tmp_path, context_length=48)
    for message in (
        "missing output.weight in consolidated.01.pth",
        "extra layers.2.ffn_norm.weight in consolidated.01.pth",
        "layers.0.attention.wq.weight in consolidated.01.pth has shape (32, 16), expected (16, 32)",
    ):
        assert message in str(caught.value)


def test_what_meta_s_code_does_not_compute_is_not_written(tmp_path: Path) -> None:
    config = replace(SHARED, norm=LayerNorm(), attention=Attention(num_heads=4, num_kv_heads=4, head_dim=8, window=16))
    with pytest.raises(RecipeError) as caught:
        to_params(config)
    assert "norm is LayerNorm, expected RmsNorm; attention has a window or a bias" in str(caught.value)
    with pytest.raises(RecipeError, match="num_shards = 3: num_kv_heads = 4 cannot be divided by it"):
        save_meta({}, SHARED, tmp_path, num_shards=3)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_raises_oserror_and_leaves_no_piece(tmp_path: Path) -> None:
    (tmp_path / "consolidated.00.pth.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        save_meta(build(SHARED).state_dict(), SHARED, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["params.json"]


def test_every_tensor_of_a_decoder_has_its_place() -> None:
    state = build(SHARED).state_dict()
    counted = dict.fromkeys(state, 0)
    for part in parts(SHARED):
        counted[part.ours] += part.rows.stop - part.rows.start
    assert counted == {name: tensor.shape[0] for name, tensor in state.items()}
