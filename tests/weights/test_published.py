"""config.json as models are published with it: each describes the preset, and what it must not say is refused."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from waman.errors import InputError
from waman.model.config import ModelConfig
from waman.model.presets import preset
from waman.weights.configuration import load_config

GPT2 = {
    "activation_function": "gelu_new",
    "architectures": ["GPT2LMHeadModel"],
    "attn_pdrop": 0.1,
    "bos_token_id": 50256,
    "embd_pdrop": 0.1,
    "eos_token_id": 50256,
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-05,
    "model_type": "gpt2",
    "n_ctx": 1024,
    "n_embd": 768,
    "n_head": 12,
    "n_layer": 12,
    "n_positions": 1024,
    "resid_pdrop": 0.1,
    "summary_activation": None,
    "summary_first_dropout": 0.1,
    "summary_proj_to_labels": True,
    "summary_type": "cls_index",
    "summary_use_proj": True,
    "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
    "vocab_size": 50257,
}
FALCON_7B = {
    "alibi": False,
    "apply_residual_connection_post_layernorm": False,
    "architectures": ["FalconForCausalLM"],
    "attention_dropout": 0.0,
    "auto_map": {"AutoConfig": "configuration_falcon.FalconConfig"},
    "bias": False,
    "bos_token_id": 11,
    "eos_token_id": 11,
    "hidden_dropout": 0.0,
    "hidden_size": 4544,
    "initializer_range": 0.02,
    "layer_norm_epsilon": 1e-05,
    "model_type": "falcon",
    "multi_query": True,
    "new_decoder_architecture": False,
    "num_attention_heads": 71,
    "num_hidden_layers": 32,
    "parallel_attn": True,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.27.4",
    "use_cache": True,
    "vocab_size": 65024,
}
FALCON_40B = FALCON_7B | {
    "hidden_size": 8192,
    "new_decoder_architecture": True,
    "num_attention_heads": 128,
    "num_hidden_layers": 60,
    "num_kv_heads": 8,
}
FALCON_RW_1B = FALCON_7B | {
    "alibi": True,
    "bias": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_size": 2048,
    "multi_query": False,
    "num_attention_heads": 32,
    "num_hidden_layers": 24,
    "parallel_attn": False,
    "vocab_size": 50304,
}
MISTRAL_7B = {
    "architectures": ["MistralForCausalLM"],
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.02,
    "intermediate_size": 14336,
    "max_position_embeddings": 32768,
    "model_type": "mistral",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "sliding_window": 4096,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.34.0.dev0",
    "use_cache": True,
    "vocab_size": 32000,
}
LLAMA3_1_8B = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": 128000,
    "eos_token_id": [128001, 128008, 128009],
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.02,
    "intermediate_size": 14336,
    "max_position_embeddings": 131072,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 8,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {
        "factor": 8.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.42.3",
    "use_cache": True,
    "vocab_size": 128256,
}
PUBLISHED: dict[str, tuple[dict[str, Any], ModelConfig]] = {
    "gpt2": (GPT2, preset("gpt2-124m")),
    "falcon-7b": (FALCON_7B, preset("falcon-7b")),
    "falcon-40b": (FALCON_40B, preset("falcon-40b")),
    "falcon-rw-1b": (FALCON_RW_1B, preset("falcon-rw-1b")),
    # The report says 8192; the window is what was trained.
    "mistral-7b": (MISTRAL_7B, dataclasses.replace(preset("mistral-7b"), context_length=32768)),
    "llama-3.1-8b": (LLAMA3_1_8B, preset("llama3.1-8b")),
}


def read(folder: Path, table: dict[str, Any]) -> ModelConfig:
    (folder / "config.json").write_text(json.dumps(table))
    return load_config(folder)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_config_is_the_preset(tmp_path: Path, name: str) -> None:
    """But for how fresh weights are drawn, of which config.json knows the spread alone."""
    table, config = PUBLISHED[name]
    found = read(tmp_path, table)
    assert dataclasses.replace(found, initialization=config.initialization) == config


@pytest.mark.parametrize("name", PUBLISHED)
def test_how_to_sample_says_nothing_of_the_model(tmp_path: Path, name: str) -> None:
    table, _ = PUBLISHED[name]
    old = {"temperature": 0.7, "top_p": 0.9, "do_sample": True, "max_length": 4096, "repetition_penalty": 1.1}
    assert read(tmp_path, table | old) == read(tmp_path, table)


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("logit_scale", 0.5),
        ("quantization_config", {"bits": 4}),
        ("attn_logit_softcapping", 30.0),
        ("add_cross_attention", True),
        ("layer_types", ["sliding_attention", "full_attention"]),
    ],
)
def test_a_key_that_no_family_computes_is_refused_by_name(tmp_path: Path, name: str, key: str, value: Any) -> None:
    with pytest.raises(InputError, match=key):
        read(tmp_path, PUBLISHED[name][0] | {key: value})


@pytest.mark.parametrize(
    ("table", "change", "message"),
    [
        (FALCON_7B, {"apply_residual_connection_post_layernorm": True}, "layernorm = True, ours computes False"),
        (FALCON_RW_1B, {"num_kv_heads": 8}, "num_kv_heads = 8 with neither new_decoder_architecture nor multi_query"),
        (GPT2, {"scale_attn_weights": False}, "scale_attn_weights = False, ours computes True"),
        (LLAMA3_1_8B, {"rope_scaling": {"rope_type": "linear", "factor": "8"}}, "rope_scaling.factor = '8', expected"),
        (LLAMA3_1_8B, {"rope_scaling": {"rope_type": "linear", "factor": -1.0}}, "factor = -1.0; expected more than 0"),
        (
            LLAMA3_1_8B,
            {"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "truncate": 1}},
            "rope_scaling.truncate = 1, expected true or false",
        ),
        (
            LLAMA3_1_8B,
            {"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "mscale": 0.7}},
            "rope_scaling: unknown keys mscale",
        ),
        (
            LLAMA3_1_8B,
            {"rope_theta": None, "rope_scaling": {"rope_type": "default", "rope_theta": "high"}},
            "rope_scaling.rope_theta = 'high', expected a number above 0",
        ),
        (
            LLAMA3_1_8B,
            {"rope_scaling": LLAMA3_1_8B["rope_scaling"] | {"low_freq_factor": 9.0}},  # type: ignore[operator]
            "expected 0 < low_freq_factor < high_freq_factor",
        ),
    ],
)
def test_a_value_that_we_would_compute_differently_is_refused(
    tmp_path: Path, table: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, table | change)
    assert message in str(caught.value)


def test_what_a_mistral_config_leaves_out_is_as_in_transformers(tmp_path: Path) -> None:
    from transformers import MistralConfig

    short = {name: value for name, value in MISTRAL_7B.items() if name not in ("num_key_value_heads", "sliding_window")}
    found, theirs = read(tmp_path, short), MistralConfig(hidden_size=4096, num_attention_heads=32)
    assert (found.attention.num_kv_heads, found.attention.window) == (theirs.num_key_value_heads, theirs.sliding_window)
    del short["max_position_embeddings"]
    assert read(tmp_path, short).context_length == theirs.max_position_embeddings
    assert read(tmp_path, short | {"num_key_value_heads": None}).attention.num_kv_heads == 32
