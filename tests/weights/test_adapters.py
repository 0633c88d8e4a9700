"""LoRA adapters in PEFT's form: the formula written out, there and back, and the base put back to the bit."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.weights.test_huggingface import TINY, build, tokens
from waman.errors import InputError
from waman.weights import safetensors
from waman.weights.adapters import Adapter, merge, read_adapter, unmerge, write_adapter
from waman.weights.huggingface import to_hugging_face

QUERY, DOWN = "model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def adapter(**changes: Any) -> Adapter:
    pairs = {QUERY: (draw(4, 32), draw(32, 4)), DOWN: (draw(4, 40), draw(32, 4))}
    return replace(Adapter(rank=4, alpha=6, pairs=pairs, base="tiny"), **changes)


@pytest.mark.parametrize("rank_stabilized", [False, True])
def test_merged_weights_are_the_formula_s_and_the_logits_those_of_the_side_path(rank_stabilized: bool) -> None:
    decoder, low = build(TINY), adapter(rank_stabilized=rank_stabilized)
    base = {name: tensor.clone() for name, tensor in decoder.state_dict().items()}
    merge(low, to_hugging_face(decoder.state_dict(), TINY))
    scale = 6 / 2 if rank_stabilized else 6 / 4
    down, up = low.pairs[QUERY]
    fused = decoder.state_dict()["blocks.0.attention.query_key_value.weight"]
    expected = base["blocks.0.attention.query_key_value.weight"]
    assert torch.equal(fused[32:], expected[32:])
    torch.testing.assert_close(fused[:32], expected[:32] + scale * up @ down)
    x = draw(3, 32)
    torch.testing.assert_close(
        x @ fused[:32].T, x @ expected[:32].T + scale * (x @ down.T) @ up.T, rtol=1e-4, atol=1e-4
    )
    changed = {name for name, tensor in decoder.state_dict().items() if not torch.equal(tensor, base[name])}
    assert changed == {"blocks.0.attention.query_key_value.weight", "blocks.1.feed_forward.down.weight"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_unmerging_restores_the_base_to_the_bit(dtype: torch.dtype) -> None:
    decoder = build(TINY).to(dtype)
    base, before = {name: tensor.clone() for name, tensor in decoder.state_dict().items()}, decoder(tokens())
    named = to_hugging_face(decoder.state_dict(), TINY)
    kept = merge(adapter(), named)
    assert set(kept) == {f"{QUERY}.weight", f"{DOWN}.weight"}
    assert not torch.equal(decoder(tokens()), before)
    unmerge(named, kept)
    assert all(torch.equal(tensor, base[name]) for name, tensor in decoder.state_dict().items())
    assert torch.equal(decoder(tokens()), before)


def test_half_precision_is_rounded_once() -> None:
    weight = draw(32, 32).bfloat16()
    low = Adapter(rank=2, alpha=2, pairs={"m": (draw(2, 32), draw(32, 2))})
    expected = (weight.float() + low.pairs["m"][1] @ low.pairs["m"][0]).bfloat16()
    named = {"m.weight": weight.clone()}
    merge(low, named)
    assert torch.equal(named["m.weight"], expected)


def test_matrices_that_the_base_keeps_transposed_are_changed_transposed() -> None:
    low = Adapter(rank=2, alpha=1, pairs={"c_attn": (draw(2, 8), draw(24, 2))}, transposed=True)
    named = {"c_attn.weight": torch.zeros(8, 24)}
    merge(low, named)
    torch.testing.assert_close(named["c_attn.weight"], (0.5 * low.pairs["c_attn"][1] @ low.pairs["c_attn"][0]).T)


@pytest.mark.parametrize("changes", [{}, {"rank_stabilized": True}, {"transposed": True}, {"base": None, "alpha": 0.5}])
def test_an_adapter_comes_back_as_it_was_written(tmp_path: Path, changes: dict[str, Any]) -> None:
    low = adapter(**changes)
    write_adapter(low, tmp_path / "a")
    again = read_adapter(tmp_path / "a")
    assert replace(again, pairs={}) == replace(low, pairs={})
    assert list(again.pairs) == sorted(low.pairs)
    assert all(torch.equal(a, b) for name in low.pairs for a, b in zip(again.pairs[name], low.pairs[name], strict=True))
    write_adapter(again, tmp_path / "b")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


# What LoraConfig of PEFT 0.21 writes for r=4, lora_alpha=6, target_modules=["q_proj", "down_proj"].
PEFT_CONFIG: dict[str, Any] = {
    "alora_invocation_tokens": None,
    "alpha_pattern": {},
    "arrow_config": None,
    "auto_mapping": None,
    "base_model_name_or_path": "tiny",
    "bias": "none",
    "corda_config": None,
    "ensure_weight_tying": False,
    "eva_config": None,
    "exclude_modules": None,
    "fan_in_fan_out": False,
    "inference_mode": True,
    "init_lora_weights": True,
    "layer_replication": None,
    "layers_pattern": None,
    "layers_to_transform": None,
    "loftq_config": {},
    "lora_alpha": 6,
    "lora_bias": False,
    "lora_dropout": 0.05,
    "megatron_config": None,
    "megatron_core": "megatron.core",
    "modules_to_save": None,
    "peft_type": "LORA",
    "peft_version": "0.21.2",
    "qalora_group_size": 16,
    "r": 4,
    "rank_pattern": {},
    "revision": None,
    "target_modules": ["q_proj", "down_proj"],
    "target_parameters": None,
    "task_type": "CAUSAL_LM",
    "trainable_token_indices": None,
    "use_dora": False,
    "use_qalora": False,
    "use_rslora": False,
}


def with_config(folder: Path, table: dict[str, Any]) -> Path:
    write_adapter(adapter(), folder)
    (folder / "adapter_config.json").write_text(json.dumps(table))
    return folder


def test_peft_s_own_config_is_read(tmp_path: Path) -> None:
    again = read_adapter(with_config(tmp_path, PEFT_CONFIG))
    assert (again.rank, again.alpha, again.scaling, again.base) == (4, 6, 1.5, "tiny")
    assert math.isclose(replace(again, rank_stabilized=True).scaling, 3.0)
    read_adapter(with_config(tmp_path, PEFT_CONFIG | {"target_modules": r".*\.(q_proj|down_proj)"}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "IA3"}, "peft_type = 'IA3', ours computes 'LORA'"),
        ({"bias": "all"}, "bias = 'all', ours computes 'none'"),
        ({"use_dora": True}, "use_dora = True is not computed"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save = ['lm_head'] is not computed"),
        ({"rank_pattern": {"q_proj": 8}}, "rank_pattern = {'q_proj': 8} is not computed"),
        ({"alpha_pattern": {"q_proj": 8}}, "alpha_pattern = {'q_proj': 8} is not computed"),
        ({"layer_replication": [[0, 4]]}, "layer_replication = [[0, 4]] is not computed"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights = 'pissa', ours computes True"),
        ({"brand_new": 3}, "brand_new = 3 is not computed"),
        ({"r": 0}, "r = 0, expected a whole number above 0"),
        ({"lora_alpha": "6"}, "lora_alpha = '6', expected a number above 0"),
        ({"target_modules": None}, "target_modules = None, expected names or a pattern"),
        ({"target_modules": ["q_proj"]}, f"{DOWN} are not among target_modules"),
        ({"r": 8}, "shapes (4, 40) and (32, 4), expected (8, ...) and (..., 8)"),
    ],
)
def test_anything_but_plain_lora_is_refused_by_name(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_adapter(with_config(tmp_path, PEFT_CONFIG | change))
    assert message in str(caught.value)


def test_all_problems_of_an_adapter_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"bias = 'all'.*use_dora = True"):
        read_adapter(with_config(tmp_path, PEFT_CONFIG | {"bias": "all", "use_dora": True}))


def test_tensors_that_are_no_pairs_are_named(tmp_path: Path) -> None:
    write_adapter(adapter(), tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    tensors = dict(safetensors.read(path))
    del tensors[f"base_model.model.{QUERY}.lora_B.weight"]
    tensors["base_model.model.model.embed_tokens.lora_embedding_A"] = draw(4, 61)
    safetensors.write(path, tensors)
    with pytest.raises(InputError, match=r"missing .*q_proj\.lora_B\.weight; extra .*lora_embedding_A"):
        read_adapter(tmp_path)
    safetensors.write(path, {})
    with pytest.raises(InputError, match="not the pairs of a LoRA adapter: it holds none"):
        read_adapter(tmp_path)


def test_an_adapter_of_another_model_changes_nothing() -> None:
    named = to_hugging_face(build(TINY).state_dict(), TINY)
    before = {name: tensor.clone() for name, tensor in named.items()}
    pairs = {QUERY: (draw(4, 32), draw(32, 4)), DOWN: (draw(4, 41), draw(32, 4)), "lm_foot": (draw(4, 1), draw(1, 4))}
    with pytest.raises(InputError) as caught:
        merge(adapter(pairs=pairs), named)
    assert f"{DOWN}.weight has shape (32, 40), the adapter changes (32, 41)" in str(caught.value)
    assert "the base has no lm_foot.weight" in str(caught.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in named.items())
