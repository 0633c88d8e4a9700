"""config.json of Hugging Face's `llama` <-> ModelConfig: what we do not know, we refuse."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from waman.errors import InputError, RecipeError
from waman.model.config import Attention, ModelConfig, RmsNorm, Rope, ScaledNormal, Swiglu, require_vocab_size

ARCHITECTURE = "LlamaForCausalLM"
_REQUIRED = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
# What transformers takes where a key is absent (its LlamaConfig).
_DEFAULTS: dict[str, Any] = {
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "initializer_range": 0.02,
    "tie_word_embeddings": False,
}
_DEFAULT_THETA = 10000.0
_WHOLE = (*_REQUIRED, "max_position_embeddings", "num_key_value_heads", "head_dim")
_REAL = ("rms_norm_eps", "initializer_range", "rope_theta")
_SHAPE = {*_REQUIRED, *_DEFAULTS, "num_key_value_heads", "head_dim", "rope_parameters", "rope_scaling", "rope_theta"}
# Keys that change the computation, with the values that mean what our decoder does.
_FIXED: dict[str, tuple[Any, ...]] = {
    "model_type": ("llama",),
    "hidden_act": ("silu", "swish"),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "attention_dropout": (0, None),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "is_decoder": (False, True),
    "partial_rotary_factor": (1, None),
    "tie_encoder_decoder": (False,),
    "pruned_heads": ({}, None),
    "rope_interleaved": (False,),
}
# Keys that say nothing about the logits of a forward pass.
_BOOKKEEPING = frozenset(
    (
        "_attn_implementation_autoset",
        "_commit_hash",
        "_name_or_path",
        "architectures",
        "auto_map",
        "bos_token_id",
        "chunk_size_feed_forward",
        "cross_attention_hidden_size",
        "dtype",
        "eos_token_id",
        "finetuning_task",
        "id2label",
        "is_llama_config",
        "label2id",
        "max_sequence_length",
        "output_attentions",
        "output_hidden_states",
        "pad_token_id",
        "prefix",
        "pretraining_tp",
        "problem_type",
        "return_dict",
        "sep_token_id",
        "task_specific_params",
        "tokenizer_class",
        "torch_dtype",
        "torchscript",
        "transformers.js_config",
        "transformers_version",
        "use_cache",
    )
)


def to_table(config: ModelConfig, dtype: torch.dtype) -> dict[str, Any]:
    """The content of config.json, without token ids. Raises RecipeError for a shape that `llama` cannot express."""
    heads, theta = config.attention, config.position.theta
    if config.model_dim % heads.num_heads:
        raise RecipeError(
            f"model_dim = {config.model_dim} is not a multiple of num_heads = {heads.num_heads}, "
            "which transformers demands of a llama model; change one of them"
        )
    name = str(dtype).removeprefix("torch.")
    return {
        "architectures": [ARCHITECTURE],
        "model_type": "llama",
        "vocab_size": require_vocab_size(config),
        "max_position_embeddings": config.context_length,
        "hidden_size": config.model_dim,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": heads.num_heads,
        "num_key_value_heads": heads.num_kv_heads,
        "head_dim": heads.head_dim,
        "intermediate_size": config.feed_forward.hidden_dim,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm.eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": theta},
        # transformers before version 5 reads theta and the dtype here
        "rope_theta": theta,
        "torch_dtype": name,
        "dtype": name,
        "tie_word_embeddings": config.tie_embeddings,
        "initializer_range": config.initialization.std,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "use_cache": True,
    }


def load_config(folder: Path) -> ModelConfig:
    """The model that a Hugging Face directory's config.json describes.

    Raises InputError if it is missing, not JSON, of another family, or has a key or value that our decoder would
    have to ignore; all of them are named.
    """
    path = folder / "config.json"
    table = read_json(path)
    if table.get("model_type") != "llama":
        raise InputError(f"{path}: model_type is {table.get('model_type')!r}; known: 'llama'")
    problems = [*_absent(table), *_not_numbers(table), *_unknown(table), *_rope_problems(table)]
    if problems:
        raise InputError(f"{path}: cannot be computed as written: {'; '.join(problems)}")
    found = {**_DEFAULTS, **{name: value for name, value in table.items() if value is not None}}
    num_heads = found["num_attention_heads"]
    try:
        return ModelConfig(
            vocab_size=found["vocab_size"],
            context_length=found["max_position_embeddings"],
            model_dim=found["hidden_size"],
            num_layers=found["num_hidden_layers"],
            attention=Attention(
                num_heads=num_heads,
                num_kv_heads=found.get("num_key_value_heads", num_heads),
                head_dim=found.get("head_dim", found["hidden_size"] // num_heads),
            ),
            feed_forward=Swiglu(hidden_dim=found["intermediate_size"]),
            norm=RmsNorm(eps=found["rms_norm_eps"]),
            position=Rope(theta=_theta(table)),
            tie_embeddings=found["tie_word_embeddings"],
            initialization=ScaledNormal(std=found["initializer_range"]),
        )
    except RecipeError as error:
        raise InputError(f"{path}: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds a table. Raises InputError if it is missing or holds anything else."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); expected a Hugging Face model directory"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(table, dict):
        raise InputError(f"{path}: found a {type(table).__name__}, expected a table")
    return table


def _absent(table: Mapping[str, Any]) -> list[str]:
    return [f"{name} is missing" for name in _REQUIRED if table.get(name) is None]


def _not_numbers(table: Mapping[str, Any]) -> list[str]:
    problems = []
    for names, kind, wanted in ((_WHOLE, int, "a whole number"), (_REAL, int | float, "a number")):
        for name in names:
            value = table.get(name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, kind) or value <= 0):
                problems.append(f"{name} = {value!r}, expected {wanted} above 0")
    return problems


def _unknown(table: Mapping[str, Any]) -> list[str]:
    problems = []
    for name, value in sorted(table.items()):
        if name in _FIXED:
            if value not in _FIXED[name]:
                problems.append(f"{name} = {value!r}, ours computes {_FIXED[name][0]!r}")
        elif name not in _SHAPE and name not in _BOOKKEEPING:
            problems.append(f"unknown key {name} = {value!r}")
    return problems


def _rope_problems(table: Mapping[str, Any]) -> list[str]:
    problems = []
    for name in ("rope_parameters", "rope_scaling"):
        rope = table.get(name) or {}
        if not isinstance(rope, dict):
            problems.append(f"{name} = {rope!r}, expected a table")
            continue
        kind = rope.get("rope_type", rope.get("type", "default"))
        if kind != "default":
            problems.append(f"{name} of type {kind!r}, ours computes 'default'")
        if rope.get("partial_rotary_factor", 1) != 1:
            problems.append(f"{name}.partial_rotary_factor = {rope['partial_rotary_factor']}, ours computes 1.0")
        unknown = set(rope) - {"rope_type", "type", "rope_theta", "partial_rotary_factor"}
        if kind == "default" and unknown:
            problems.append(f"{name}: unknown keys {', '.join(sorted(unknown))}")
    thetas = _thetas(table)
    if len(set(thetas)) > 1:
        problems.append(f"rope_theta is given as {' and as '.join(map(str, thetas))}")
    return problems


def _thetas(table: Mapping[str, Any]) -> list[float]:
    places = (table, table.get("rope_parameters"), table.get("rope_scaling"))
    return [place["rope_theta"] for place in places if isinstance(place, dict) and place.get("rope_theta") is not None]


def _theta(table: Mapping[str, Any]) -> float:
    return float(next(iter(_thetas(table)), _DEFAULT_THETA))
