"""Quantized directories: as transformers reads them, as we read them again, and what is refused."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.quantization.conftest import CONFIG, save
from waman.artifact import open_artifact, open_input
from waman.errors import InputError, RecipeError
from waman.inference.load import load
from waman.model.config import FeedForward, Gelu, LayerNorm, Learned, ModelConfig, Parallel
from waman.model.decoder import Decoder
from waman.quantization.linear import QuantizedEmbedding, QuantizedLinear, set_exact
from waman.quantization.load import load_any, load_quantized
from waman.quantization.quantize import quantize
from waman.quantization.recipe import Int4, Int8, Keep, ModuleScheme, Nf4, QuantizeRecipe
from waman.quantization.rewrite import quantize_decoder
from waman.quantization.write import Writer
from waman.weights import safetensors
from waman.weights.checkpoint import Checkpoint
from waman.weights.huggingface import load_decoder

SMALL = QuantizeRecipe(head=Int8(), embeddings=Int8())
MIXED = QuantizeRecipe(
    layers=Int4(64),
    head=Int8(),
    modules=(
        ModuleScheme("*.1.mlp.down_proj", Int8(None)),
        ModuleScheme("*.k_proj", Keep()),
        ModuleScheme("*.v_proj", Int8()),
    ),
)
PROMPT = (1, 300, 7, 44, 260, 301, 12)


def made(recipe: QuantizeRecipe, source: Path, out: Path) -> Path:
    return quantize(recipe, weights=open_input(source), out=out).path


def exact(folder: Path) -> Decoder:
    decoder = load_any(folder)
    set_exact(decoder, True)
    return decoder


@torch.no_grad()
def greedy(decoder: Decoder, count: int, prompt: Sequence[int] = PROMPT) -> list[int]:
    ids = list(prompt)
    for _ in range(count):
        ids.append(int(decoder(torch.tensor([ids]))[0, -1].argmax()))
    return ids


def transformers_model(folder: Path, **options: Any) -> Any:
    from transformers import AutoModelForCausalLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options)


def dequantizing() -> Any:
    from transformers import CompressedTensorsConfig

    return CompressedTensorsConfig(dequantize=True)


@pytest.mark.parametrize("name", ["folder", "tied"])
@pytest.mark.parametrize("recipe", [QuantizeRecipe(), QuantizeRecipe(layers=Int8(None)), MIXED])
def test_transformers_goes_on_with_our_tokens(
    recipe: QuantizeRecipe, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    out = made(recipe, request.getfixturevalue(name), tmp_path / "quantized")
    expected = greedy(exact(out), 48)
    theirs = transformers_model(out)
    found = theirs.generate(torch.tensor([PROMPT]), max_new_tokens=48, do_sample=False, eos_token_id=None)
    assert found[0].tolist() == expected
    with torch.no_grad():
        logits = theirs(torch.tensor([expected])).logits
        ours = exact(out)(torch.tensor([expected]))
    assert (logits - ours).abs().max() <= 1e-5 * ours.abs().max()


def test_zero_points_are_packed_as_compressed_tensors_packs_them(folder: Path, tmp_path: Path) -> None:
    out = made(QuantizeRecipe(layers=Int4(zeros=True)), folder, tmp_path / "quantized")
    # transformers 5.23 expects zero points unpacked where it keeps the weights packed
    theirs = transformers_model(out, quantization_config=dequantizing())
    ours = exact(out).state_dict()
    found = theirs.model.layers[1].mlp.down_proj.weight
    expected = exact(out).blocks[1].feed_forward.down.dequantize()  # type: ignore[operator,union-attr]
    assert (found - expected).abs().max() <= 1e-3 * expected.abs().max()  # it multiplies in float16
    assert any("zeros" in name for name in ours)


@pytest.mark.parametrize(
    "recipe", [SMALL, MIXED, QuantizeRecipe(layers=Int4(zeros=True)), QuantizeRecipe(layers=Nf4())]
)
@pytest.mark.parametrize("name", ["folder", "tied"])
def test_a_directory_is_the_model_that_was_quantized_in_memory(
    recipe: QuantizeRecipe, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source = request.getfixturevalue(name)
    decoder = load_decoder(source)
    quantize_decoder(decoder, recipe)
    set_exact(decoder, True)
    out = made(recipe, source, tmp_path / "quantized")
    ids = torch.tensor([PROMPT])
    with torch.no_grad():
        assert exact(out)(ids).equal(decoder(ids))


def test_shards_hold_what_one_file_holds(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    Writer(Checkpoint(folder), SMALL, shard_bytes=20_000).write(tmp_path / "shards")
    whole = made(SMALL, folder, tmp_path / "whole")
    assert len(list((tmp_path / "shards").glob("model-*.safetensors"))) > 3
    ids = torch.tensor([PROMPT])
    with torch.no_grad():
        assert load_quantized(tmp_path / "shards")(ids).equal(load_quantized(whole)(ids))


FALCON = ModelConfig(
    vocab_size=420,
    context_length=64,
    model_dim=64,
    num_layers=1,
    attention=replace(CONFIG.attention, num_kv_heads=2),
    feed_forward=Gelu(hidden_dim=256),
    norm=LayerNorm(),
    block=Parallel(num_norms=2),
    tie_embeddings=True,
)


def gpt2() -> ModelConfig:
    attention = replace(CONFIG.attention, num_kv_heads=4, bias=True, output_bias=True)
    feed_forward: FeedForward = Gelu(hidden_dim=256, bias=True, approximation="tanh")
    parts: dict[str, Any] = {"norm": LayerNorm(), "position": Learned(), "tie_embeddings": True}
    return replace(CONFIG, attention=attention, feed_forward=feed_forward, **parts)


@pytest.mark.parametrize(("config", "model_type"), [(FALCON, "falcon"), (gpt2(), "waman")])
def test_other_families_come_back(config: ModelConfig, model_type: str, tokenizer: Path, tmp_path: Path) -> None:
    source = save(config, tokenizer, tmp_path / "source")
    out = made(QuantizeRecipe(layers=Int8()), source, tmp_path / "quantized")
    assert json.loads((out / "config.json").read_text())["model_type"] == model_type
    original, ids = load_decoder(source), torch.tensor([PROMPT])
    with torch.no_grad():
        expected = original(ids)
        assert (exact(out)(ids) - expected).norm() < 0.05 * expected.norm()
        if model_type == "falcon":  # whose linear layers in transformers know plain weights alone
            theirs = transformers_model(out, quantization_config=dequantizing())(ids).logits
            assert (theirs - exact(out)(ids)).norm() < 2e-3 * expected.norm()  # it dequantizes in float16


def test_a_quantized_directory_answers_and_its_matrices_stay_quantized(folder: Path, tmp_path: Path) -> None:
    out = made(SMALL, folder, tmp_path / "quantized")
    llm = load(out)
    assert isinstance(llm.decoder.embedding, QuantizedEmbedding)
    assert sum(isinstance(one, QuantizedLinear) for one in llm.decoder.modules()) == 2 * 4 + 1
    assert not any(isinstance(one, torch.nn.Linear) for one in llm.decoder.modules())
    assert len(llm.generate(["def main("], max_tokens=8)) == 1
    assert llm.logits([1, 2, 3]).shape == (3, 420)


def test_the_manifest_counts_every_byte(folder: Path, tmp_path: Path) -> None:
    out = made(SMALL, folder, tmp_path / "quantized")
    counts = open_artifact(out, "weights").counts
    size = (out / "model.safetensors").stat().st_size
    assert counts["bytes"] == size
    assert counts["bits_per_weight"] == round(8 * size / counts["parameters"], 4)


# What is refused


def test_a_pattern_that_fits_nothing_is_told(folder: Path, tmp_path: Path) -> None:
    recipe = QuantizeRecipe(modules=(ModuleScheme("*.down", Int8()),))
    with pytest.raises(
        RecipeError, match=r"the pattern '\*\.down' fits no module; expected names such as model\.embed"
    ):
        made(recipe, folder, tmp_path / "quantized")


def test_groups_that_do_not_fit_are_told_before_anything_is_written(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"q_proj: 64 inputs cannot be cut into groups of 128; take groups of 32 or 64"
    ):
        made(QuantizeRecipe(layers=Int4(128)), folder, tmp_path / "quantized")


def test_weights_are_not_quantized_twice(folder: Path, tmp_path: Path) -> None:
    out = made(SMALL, folder, tmp_path / "quantized")
    with pytest.raises(InputError, match=r"quantized already; expected those of the original"):
        made(SMALL, out, tmp_path / "again")


def test_nan_weights_leave_nothing_behind(folder: Path, tmp_path: Path) -> None:
    source = rewritten(folder, tmp_path / "source", {"model.layers.1.mlp.up_proj.weight": lambda one: one * torch.nan})
    with pytest.raises(InputError, match=r"up_proj.weight: 8192 of 8192 weights are NaN or infinite"):
        made(SMALL, source, tmp_path / "quantized")
    assert not (tmp_path / "quantized").exists()


def rewritten(folder: Path, target: Path, changes: dict[str, Any], config: dict[str, Any] | None = None) -> Path:
    """A copy with some tensors changed, or left out where the change gives None."""
    target.mkdir()
    table = json.loads((folder / "config.json").read_text()) | (config or {})
    (target / "config.json").write_text(json.dumps(table))
    tensors = dict(safetensors.read(folder / "model.safetensors"))
    changed: dict[str, Tensor | None] = {
        name: changes[name](one) if name in changes else one for name, one in tensors.items()
    }
    safetensors.write(target / "model.safetensors", {name: one for name, one in changed.items() if one is not None})
    return target


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model.layers.0.mlp.up_proj.weight_scale": lambda _: None},
            r"missing model\.layers\.0\.mlp\.up_proj\.weight",
        ),
        ({"model.norm.weight": lambda one: one[:3]}, r"model\.norm\.weight has shape \(3,\), expected \(64,\)"),
        (
            {"lm_head.weight_packed": lambda one: one[:, :5]},
            r"lm_head packs 64 inputs into 5 words; expected 4 or 8 bits",
        ),
        ({"lm_head.weight_scale": lambda one: one[:7]}, r"lm_head has .* integers for 420 x 64 weights and scales .*7"),
        ({"lm_head.weight_shape": lambda _: torch.tensor([400, 64])}, r"lm_head has \(420, 64\) integers for 400 x 64"),
    ],
)
def test_damaged_directories_are_told(changes: dict[str, Any], message: str, folder: Path, tmp_path: Path) -> None:
    out = made(SMALL, folder, tmp_path / "quantized")
    with pytest.raises(InputError, match=message):
        load_quantized(rewritten(out, tmp_path / "damaged", changes))


@pytest.mark.parametrize(
    ("quantization", "message"),
    [
        ({"quant_method": "awq"}, r"quant_method = 'awq', read are 'compressed-tensors' and 'bitsandbytes'"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, r"bnb_4bit_quant_type = None, read is 'nf4'"),
        ({"quant_method": "compressed-tensors", "format": "float-quantized"}, r"format 'float-quantized', read are"),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"a": {"input_activations": {"num_bits": 8}}}},
            r"a: input_activations are quantized, which is not computed; take the original",
        ),
    ],
)
def test_layouts_that_are_not_read_are_named(
    quantization: dict[str, Any], message: str, folder: Path, tmp_path: Path
) -> None:
    source = rewritten(folder, tmp_path / "foreign", {}, {"quantization_config": quantization})
    with pytest.raises(InputError, match=message):
        load_quantized(source)
