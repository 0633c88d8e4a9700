"""Every family against transformers: logits and gradients of random weights, directories in and out."""

import json
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from waman.model.config import ModelConfig
from waman.model.position import HeadSlopes
from waman.weights import safetensors
from waman.weights.configuration import FAMILIES, read_config, to_table
from waman.weights.families.family import Family
from waman.weights.huggingface import load_decoder, save_weights, to_hugging_face

LLAMA = {
    "model_type": "llama",
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 48,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 24,
    "rope_theta": 500.0,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 24, "rope_theta": 100.0}
FALCON = {
    "model_type": "falcon",
    "vocab_size": 61,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 48,
}
GPT2 = {"model_type": "gpt2", "vocab_size": 61, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 48}
TINY: dict[str, dict[str, Any]] = {
    "llama": LLAMA,
    "llama with biases": LLAMA | {"attention_bias": True, "mlp_bias": True},
    "llama tied": LLAMA | {"tie_word_embeddings": True},
    "llama 3.1": LLAMA | {"rope_parameters": LLAMA3},
    "llama, linear": LLAMA | {"rope_parameters": {"rope_type": "linear", "factor": 3.0, "rope_theta": 100.0}},
    "llama, yarn": LLAMA | {"rope_parameters": YARN},
    "mistral": LLAMA | {"model_type": "mistral", "sliding_window": 7},
    "mistral without a window": LLAMA | {"model_type": "mistral", "sliding_window": None},
    "falcon-7b": FALCON,
    "falcon-40b": FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2},
    "falcon, grouped, one norm": FALCON
    | {"new_decoder_architecture": True, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1},
    "falcon-rw": FALCON | {"alibi": True, "bias": True, "multi_query": False, "parallel_attn": False},
    "gpt2": GPT2,
    "gpt2, untied, relu": GPT2 | {"tie_word_embeddings": False, "activation_function": "relu", "n_inner": 24},
}
# Two layers of the published width, and a small vocabulary.
WIDE: dict[str, dict[str, Any]] = {
    "llama-7b": LLAMA
    | {"hidden_size": 4096, "intermediate_size": 11008, "num_attention_heads": 32, "num_key_value_heads": 32},
    "llama 3.1 8b": LLAMA
    | {"hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32, "num_key_value_heads": 8}
    | {"rope_parameters": LLAMA3 | {"rope_theta": 500000.0}},
    "mistral-7b": LLAMA
    | {"model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32}
    | {"num_key_value_heads": 8, "sliding_window": 9},
    "falcon-7b": FALCON | {"hidden_size": 4544, "num_attention_heads": 71},
    "falcon-40b": FALCON
    | {"hidden_size": 8192, "num_attention_heads": 128, "num_kv_heads": 8, "new_decoder_architecture": True},
    "falcon-rw-1b": FALCON
    | {"hidden_size": 2048, "num_attention_heads": 32, "alibi": True, "bias": True}
    | {"multi_query": False, "parallel_attn": False},
    "gpt2-xl": GPT2 | {"n_embd": 1600, "n_head": 25},
}  # fmt: skip


def reference(table: dict[str, Any], folder: Path, *, spread: float = 0.1) -> Any:
    """A model of transformers with random weights in every place, saved to the folder."""
    from transformers import AutoConfig, AutoModelForCausalLM

    known = {name: value for name, value in table.items() if name != "model_type"}
    config = AutoConfig.for_model(table["model_type"], **known)
    # Not eager, which takes the softmax in fp32 whatever the model's type.
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")  # type: ignore[no-untyped-call]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=spread / parameter.shape[-1] ** 0.5)
    model.save_pretrained(folder)
    return model.eval()


@contextmanager
def no_rounding(monkeypatch: pytest.MonkeyPatch, model: Any) -> Iterator[None]:
    """transformers computes RMSNorm in fp32 and ALiBi in bf16 whatever the model's type; here in its own."""
    from transformers.models.falcon import modeling_falcon

    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            monkeypatch.setattr(module, "forward", _rms_norm(module))
    monkeypatch.setattr(modeling_falcon, "build_alibi_tensor", _exact_alibi)
    yield


def _rms_norm(module: Any) -> Any:
    def forward(x: Tensor) -> Tensor:
        scaled: Tensor = module.weight * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + module.variance_epsilon))
        return scaled

    return forward


def _exact_alibi(attention_mask: Tensor, num_heads: int, dtype: torch.dtype) -> Tensor:
    power = 2 ** math.floor(math.log2(num_heads))
    slopes = [2 ** (-8 * i / power) for i in range(1, power + 1)]
    slopes += [2 ** (-4 * i / power) for i in range(1, 2 * (num_heads - power), 2)]
    places = (attention_mask.cumsum(-1) - 1) * attention_mask
    alibi = torch.tensor(slopes, dtype=dtype)[None, :, None, None] * places[:, None, None, :]
    return alibi.flatten(0, 1)


def logits_and_gradients(model: Any, token_ids: Tensor) -> dict[str, Tensor]:
    """Of a model of transformers, or of ours, under the names of its own parameters."""
    logits = model(token_ids)
    logits = logits if isinstance(logits, Tensor) else logits.logits
    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(3)).to(logits)
    (logits * weights).mean().backward()
    gradients = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
    return {"logits": logits.detach(), **gradients}


def under_their_names(found: dict[str, Tensor], config: ModelConfig, family: Family) -> dict[str, Tensor]:
    gradients = {name: one for name, one in found.items() if name != "logits"}
    return {"logits": found["logits"], **to_hugging_face(gradients, config, family)}


def compare(found: dict[str, Tensor], expected: dict[str, Tensor], *, norm_wise: float, by_largest: float) -> None:
    """Logits and every gradient, tensor by tensor; zero where the reference is zero."""
    assert set(found) == set(expected)
    for name, b in expected.items():
        a = found[name]
        apart = a - b
        assert apart.norm() <= norm_wise * b.norm(), name
        assert apart.norm(math.inf) <= by_largest * b.norm(math.inf), name
        # Rows of tokens that did not come, say; the gradient of a key's bias is rounding noise, 0 only by luck.
        unused = (b.flatten(1) == 0).all(dim=1) if b.ndim > 1 else (b == 0).all().expand(len(b))
        assert not a[unused].any(), name


def tokens(vocab_size: int = 61) -> Tensor:
    return torch.randint(vocab_size, (2, 40), generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("name", TINY)
def test_logits_and_gradients_are_those_of_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    model, family = reference(TINY[name], tmp_path, spread=1.0), FAMILIES[TINY[name]["model_type"]]
    for dtype, norm_wise, by_largest in ((torch.float32, 1e-5, 1e-5), (torch.float64, 1e-10, 1e-9)):
        model.to(dtype).zero_grad()
        with no_rounding(monkeypatch, model):
            expected = logits_and_gradients(model, tokens())
        decoder = load_decoder(tmp_path, dtype=dtype)
        if isinstance(decoder.position, HeadSlopes):
            decoder.position.slopes = torch.tensor(decoder.position.values, dtype=dtype)
        found = under_their_names(logits_and_gradients(decoder, tokens()), decoder.config, family)
        compare(found, expected, norm_wise=norm_wise, by_largest=by_largest)


@pytest.mark.slow
@pytest.mark.parametrize("name", WIDE)
def test_logits_and_gradients_at_the_published_width(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """One model is in memory at a time: two layers of Falcon 40B, with their gradients, take 11 GB."""
    with tempfile.TemporaryDirectory(dir=tmp_path) as scratch:
        model = reference(WIDE[name], Path(scratch))
        with no_rounding(monkeypatch, model):
            torch.save(logits_and_gradients(model, tokens()), Path(scratch) / "expected.pt")
        del model
        expected = torch.load(Path(scratch) / "expected.pt", mmap=True, weights_only=True)
        decoder = load_decoder(Path(scratch))
        found, config = logits_and_gradients(decoder, tokens()), decoder.config
        del decoder
        found = under_their_names(found, config, FAMILIES[WIDE[name]["model_type"]])
        compare(found, expected, norm_wise=1e-5, by_largest=1e-5)


@pytest.mark.parametrize("name", TINY)
def test_a_directory_comes_out_as_it_went_in(tmp_path: Path, name: str) -> None:
    from transformers import AutoModelForCausalLM

    reference(TINY[name], tmp_path / "in")
    decoder = load_decoder(tmp_path / "in")
    save_weights(decoder, decoder.config, None, tmp_path / "out", torch.float32)
    before = dict(safetensors.read(tmp_path / "in" / "model.safetensors"))
    after = dict(safetensors.read(tmp_path / "out" / "model.safetensors"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[one], after[one]) for one in before)
    config, family = read_config(tmp_path / "out")
    assert config == decoder.config
    written = json.loads((tmp_path / "out" / "config.json").read_text())["model_type"]
    # A window is what tells mistral from llama.
    assert written == family.model_type == ("llama" if name == "mistral without a window" else TINY[name]["model_type"])
    opened: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    model, info = opened
    assert not any(info.values()), info
    assert torch.allclose(model(tokens()).logits, decoder(tokens()), atol=1e-4)


def test_a_checkpoint_of_the_body_alone_is_read(tmp_path: Path) -> None:
    """As the published gpt2: names without their beginning, and the causal mask as a buffer."""
    model = reference(GPT2, tmp_path)
    named = dict(safetensors.read(tmp_path / "model.safetensors"))
    short = {name.removeprefix("transformer."): tensor.clone() for name, tensor in named.items()}
    safetensors.write(tmp_path / "model.safetensors", short | {"h.0.attn.bias": torch.ones(1, 1, 48, 48)})
    torch.testing.assert_close(load_decoder(tmp_path)(tokens()), model(tokens()).logits, rtol=0, atol=1e-5)


def test_alibi_of_transformers_is_rounded_and_ours_is_not(tmp_path: Path) -> None:
    """Four heads have slopes that bf16 holds exactly, and so have places up to 256: there nothing is rounded."""
    model = reference(TINY["falcon-rw"], tmp_path)
    torch.testing.assert_close(load_decoder(tmp_path)(tokens()), model(tokens()).logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx = True, ours computes"),
        ("gpt2", {"activation_function": "silu"}, "activation_function = 'silu', ours computes 'gelu_new'"),
        ("gpt2", {"n_head": 5}, "n_embd = 32 is not a multiple of n_head = 5"),
        ("falcon-40b", {"parallel_attn": False}, "parallel_attn = False with new_decoder_architecture"),
        ("falcon-7b", {"num_ln_in_parallel_attn": 2}, "num_ln_in_parallel_attn = 2, ours computes 1"),
        ("falcon-7b", {"hidden_size": 34}, "hidden_size = 34 is not a multiple of num_attention_heads = 4"),
        ("mistral", {"sliding_window": 0}, "sliding_window = 0, expected a whole number above 0"),
        ("mistral", {"attention_bias": True}, "unknown key attention_bias = True"),
    ],
)  # fmt: skip
def test_what_a_family_computes_otherwise_is_refused(
    tmp_path: Path, name: str, change: dict[str, Any], message: str
) -> None:
    from waman.errors import InputError

    (tmp_path / "config.json").write_text(json.dumps(TINY[name] | change))
    with pytest.raises(InputError) as caught:
        read_config(tmp_path)
    assert message in str(caught.value)


def test_a_larger_theta_is_all_that_ntk_is(tmp_path: Path) -> None:
    from waman.model.config import Ntk, Rope

    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    config, _ = read_config(tmp_path)
    scaled = type(config)(**{**vars(config), "position": Rope(theta=100.0, scaling=Ntk(factor=2.0))})
    (tmp_path / "config.json").write_text(json.dumps(to_table(scaled, torch.float32)))
    again, _ = read_config(tmp_path)
    assert isinstance(again.position, Rope)
    assert again.position.theta == pytest.approx(100.0 * 2.0 ** (8 / 6))
