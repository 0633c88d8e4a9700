"""Every architecture that we write for llama.cpp, with the weights of a transformers model: the same logits."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.weights.test_gguf_peer import CONTINUE, ask
from waman.model.config import (
    Attention,
    Gelu,
    LayerNorm,
    Learned,
    Linear,
    Llama3,
    ModelConfig,
    Ntk,
    Parallel,
    RmsNorm,
    Rope,
    RopeScaling,
    Swiglu,
    Unscaled,
)
from waman.weights.gguf import save_gguf

LLAMA = ModelConfig(
    vocab_size=64,
    context_length=128,
    model_dim=64,
    num_layers=2,
    attention=Attention(num_heads=4, num_kv_heads=2, head_dim=16),
    feed_forward=Swiglu(hidden_dim=96),
    norm=RmsNorm(eps=1e-5),
    position=Rope(theta=10000.0),
)
GPT2 = replace(
    LLAMA,
    norm=LayerNorm(),
    position=Learned(),
    attention=Attention(num_heads=4, num_kv_heads=4, head_dim=16, bias=True, output_bias=True),
    feed_forward=Gelu(hidden_dim=256, bias=True, approximation="tanh"),
    tie_embeddings=True,
)
FALCON_7B = replace(
    LLAMA,
    norm=LayerNorm(),
    attention=Attention(num_heads=4, num_kv_heads=1, head_dim=16),
    feed_forward=Gelu(hidden_dim=256),
    block=Parallel(1),
    tie_embeddings=True,
)
FALCON_40B = replace(FALCON_7B, attention=Attention(num_heads=4, num_kv_heads=2, head_dim=16), block=Parallel(2))


def randomized(model: Any) -> Any:
    """Weights large enough for every part to show in the logits, vectors included."""
    with torch.no_grad():
        for index, parameter in enumerate(model.parameters()):
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index))
            parameter.mul_(1.5).add_((0.1 if parameter.dim() > 1 else 0.3) * noise)
    return model.eval()


def llama(scaling: RopeScaling, table: dict[str, Any]) -> tuple[ModelConfig, Any, dict[str, Tensor]]:
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"vocab_size": 64, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "rms_norm_eps": 1e-5}
    rope = {"rope_parameters": {"rope_theta": 10000.0} | table}
    theirs = randomized(LlamaForCausalLM(LlamaConfig(**shape, **heads, **rope)))  # type: ignore[arg-type]
    named = theirs.state_dict()
    state = {"embedding.weight": named["model.embed_tokens.weight"], "norm.weight": named["model.norm.weight"]}
    state["unembedding.weight"] = named["lm_head.weight"]
    for layer in range(2):
        ours, prefix = f"blocks.{layer}", f"model.layers.{layer}"
        fused = [named[f"{prefix}.self_attn.{one}_proj.weight"] for one in "qkv"]
        state[f"{ours}.attention.query_key_value.weight"] = torch.cat(fused)
        state[f"{ours}.attention.output.weight"] = named[f"{prefix}.self_attn.o_proj.weight"]
        gate_up = [named[f"{prefix}.mlp.{one}_proj.weight"] for one in ("gate", "up")]
        state[f"{ours}.feed_forward.gate_up.weight"] = torch.cat(gate_up)
        state[f"{ours}.feed_forward.down.weight"] = named[f"{prefix}.mlp.down_proj.weight"]
        state[f"{ours}.attention_norm.weight"] = named[f"{prefix}.input_layernorm.weight"]
        state[f"{ours}.feed_forward_norm.weight"] = named[f"{prefix}.post_attention_layernorm.weight"]
    return replace(LLAMA, position=Rope(theta=10000.0, scaling=scaling)), theirs, state


def gpt2() -> tuple[ModelConfig, Any, dict[str, Tensor]]:
    from transformers import GPT2Config, GPT2LMHeadModel

    theirs = randomized(GPT2LMHeadModel(GPT2Config(vocab_size=64, n_positions=128, n_embd=64, n_layer=2, n_head=4)))
    named = {name.removeprefix("transformer."): tensor for name, tensor in theirs.state_dict().items()}
    state = {"embedding.weight": named["wte.weight"], "position.weight": named["wpe.weight"]}
    names = {
        "ln_1": "attention_norm",
        "attn.c_attn": "attention.query_key_value",
        "attn.c_proj": "attention.output",
        "ln_2": "feed_forward_norm",
        "mlp.c_fc": "feed_forward.up",
        "mlp.c_proj": "feed_forward.down",
    }
    for kind in ("weight", "bias"):
        state[f"norm.{kind}"] = named[f"ln_f.{kind}"]
        for layer in range(2):
            for name, our_name in names.items():
                tensor = named[f"h.{layer}.{name}.{kind}"]
                state[f"blocks.{layer}.{our_name}.{kind}"] = tensor.T if tensor.dim() > 1 else tensor
    return GPT2, theirs, state


def falcon(*, grouped: bool) -> tuple[ModelConfig, Any, dict[str, Tensor]]:
    from transformers import FalconConfig, FalconForCausalLM

    shape: dict[str, Any] = {"vocab_size": 64, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    form: dict[str, Any] = {"new_decoder_architecture": True, "num_kv_heads": 2} if grouped else {"multi_query": True}
    # llama.cpp computes every GELU by the tanh formula
    options: dict[str, Any] = {"parallel_attn": True, "bias": False, "alibi": False, "activation": "gelu_pytorch_tanh"}
    theirs = randomized(FalconForCausalLM(FalconConfig(**shape, **form, **options, max_position_embeddings=128)))
    named = {name.removeprefix("transformer."): tensor for name, tensor in theirs.state_dict().items()}
    state = {"embedding.weight": named["word_embeddings.weight"]}
    names = {"self_attention.dense": "attention.output", "mlp.dense_h_to_4h": "feed_forward.up"}
    names |= {"mlp.dense_4h_to_h": "feed_forward.down"}
    norms = {"input_layernorm": "attention_norm"}
    if grouped:
        norms = {"ln_attn": "attention_norm", "ln_mlp": "feed_forward_norm"}
    for layer in range(2):
        ours, prefix = f"blocks.{layer}", f"h.{layer}"
        fused = named[f"{prefix}.self_attention.query_key_value.weight"]
        if grouped:  # each group of two queries with its key and its value
            groups = fused.view(2, 4, 16, 64)
            fused = torch.cat([groups[:, part].reshape(-1, 64) for part in (slice(0, 2), slice(2, 3), slice(3, 4))])
        state[f"{ours}.attention.query_key_value.weight"] = fused
        for name, our_name in names.items():
            state[f"{ours}.{our_name}.weight"] = named[f"{prefix}.{name}.weight"]
        for name, our_name in norms.items():
            for kind in ("weight", "bias"):
                state[f"{ours}.{our_name}.{kind}"] = named[f"{prefix}.{name}.{kind}"]
    for kind in ("weight", "bias"):
        state[f"norm.{kind}"] = named[f"ln_f.{kind}"]
    return FALCON_40B if grouped else FALCON_7B, theirs, state


LLAMA_3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
MODELS = {
    "llama": lambda: llama(Unscaled(), {"rope_type": "default"}),
    "llama, linear": lambda: llama(Linear(factor=4.0), {"rope_type": "linear", "factor": 4.0}),
    "llama, NTK": lambda: llama(Ntk(factor=4.0), {"rope_type": "default", "rope_theta": 10000.0 * 4 ** (16 / 14)}),
    "llama, Llama 3": lambda: llama(
        Llama3(original_context_length=64, factor=8.0), LLAMA_3 | {"original_max_position_embeddings": 64}
    ),
    "gpt2": gpt2,
    "falcon, as 7B": lambda: falcon(grouped=False),
    "falcon, as 40B": lambda: falcon(grouped=True),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())
def test_llama_cpp_computes_the_logits_of_transformers(tmp_path: Path, llama_cpp: Path, make: Any) -> None:
    config, theirs, state = make()
    save_gguf(tmp_path / "a.gguf", state, config, kind="F32", tokenizer=None, name="tiny")
    prompt = torch.randint(64, (96,), generator=torch.Generator().manual_seed(1)).tolist()
    ids, scores = json.loads(ask(llama_cpp, CONTINUE, tmp_path / "a.gguf", json.dumps(prompt), 4))
    with torch.no_grad():
        expected = theirs(torch.tensor([ids])).logits[0]
    assert expected.std() > 0.3
    # llama.cpp looks GELU up in a table of half precision
    tolerance = 1e-5 if isinstance(config.feed_forward, Swiglu) else 1e-3
    assert (torch.tensor(scores) - expected).abs().max() <= tolerance * expected.abs().max()
