"""GGUF of quantized models: grids that are llama.cpp's stay as they are, and llama.cpp goes on with our tokens."""

import json
from dataclasses import replace
from pathlib import Path

import gguf
import pytest
import torch
from torch.nn import functional as F

from tests.quantization.conftest import CONFIG, build
from tests.quantization.test_compressed import FALCON, PROMPT, exact, greedy
from tests.weights.conftest import llama_cpp
from tests.weights.test_gguf_peer import CONTINUE, ask
from waman.artifact import open_input
from waman.errors import InputError
from waman.model.config import ModelConfig
from waman.model.decoder import Decoder
from waman.quantization.convert import convert
from waman.quantization.quantize import quantize
from waman.quantization.recipe import Int4, Int8, Keep, ModuleScheme, Nf4, QuantizeRecipe
from waman.weights.gguf import load_gguf
from waman.weights.huggingface import load_decoder, save_weights
from waman.weights.recipe import ConvertRecipe, Gguf, GgufType, HuggingFace

__all__ = ["llama_cpp"]
ALL4 = QuantizeRecipe(head=Int4(), embeddings=Int4())
MIXED = QuantizeRecipe(
    layers=Int4(64),
    head=Int8(None),
    modules=(ModuleScheme("*.k_proj", Int8()), ModuleScheme("*.0.mlp.up_proj", Keep())),
)


def quantized(recipe: QuantizeRecipe, source: Path, out: Path) -> Path:
    return quantize(recipe, weights=open_input(source), out=out).path


def to_gguf(folder: Path, out: Path, kind: GgufType = "Q4_0") -> Path:
    recipe = ConvertRecipe(format=Gguf(type=kind, tokenizer="nearest"))
    return convert(recipe, model=open_input(folder), out=out).path / "model.gguf"


@pytest.mark.parametrize("recipe", [ALL4, MIXED])
def test_a_gguf_file_holds_the_weights_of_the_quantized_model_to_the_bit(
    recipe: QuantizeRecipe, folder: Path, tmp_path: Path
) -> None:
    place = quantized(recipe, folder, tmp_path / "quantized")
    found, ours = load_gguf(to_gguf(place, tmp_path / "gguf")), exact(place)
    with torch.no_grad():
        plain = load_decoder(folder)
        plain.load_state_dict({name: tensor.float() for name, tensor in found.state.items()})
        ids = torch.tensor([PROMPT])
        assert (plain(ids) - ours(ids)).abs().max() < 1e-5 * ours(ids).abs().max()  # summed in another order
        weight = ours.blocks[1].feed_forward.down.dequantize()  # type: ignore[operator,union-attr]
    assert found.state["blocks.1.feed_forward.down.weight"].equal(weight)


def test_each_matrix_has_the_type_of_its_grid(folder: Path, tmp_path: Path) -> None:
    path = to_gguf(quantized(MIXED, folder, tmp_path / "quantized"), tmp_path / "gguf")
    types = {one.name: one.tensor_type.name for one in gguf.GGUFReader(path).tensors}
    assert types["blk.0.attn_q.weight"] == types["blk.1.ffn_up.weight"] == "Q4_0"
    assert types["blk.0.attn_k.weight"] == types["output.weight"] == "Q8_0"
    assert types["blk.0.ffn_up.weight"] == types["token_embd.weight"] == "BF16"
    assert types["blk.0.attn_norm.weight"] == "F32"


@pytest.mark.parametrize("layers", [Int4(zeros=True), Nf4()])
def test_what_is_not_on_their_grid_is_quantized_from_the_dequantized(
    layers: Int4 | Nf4, folder: Path, tmp_path: Path
) -> None:
    place = quantized(QuantizeRecipe(layers=layers), folder, tmp_path / "quantized")
    stored = {one.name: one for one in gguf.GGUFReader(to_gguf(place, tmp_path / "gguf")).tensors}
    weight = exact(place).blocks[0].feed_forward.down.dequantize()  # type: ignore[operator,union-attr]
    expected = gguf.quants.quantize(weight.numpy(), gguf.GGMLQuantizationType.Q4_0)
    assert (stored["blk.0.ffn_down.weight"].data == expected).all()


def test_other_forms_get_the_dequantized_weights(folder: Path, tmp_path: Path) -> None:
    place = quantized(ALL4, folder, tmp_path / "quantized")
    made = convert(ConvertRecipe(format=HuggingFace()), model=open_input(place), out=tmp_path / "plain")
    ids = torch.tensor([PROMPT])
    with torch.no_grad():
        assert load_decoder(made.path)(ids).equal(exact(place)(ids))


def test_an_adapter_is_not_merged_into_quantized_weights(folder: Path, tmp_path: Path) -> None:
    place = quantized(ALL4, folder, tmp_path / "quantized")
    with pytest.raises(InputError, match=r"its weights are quantized, an adapter .* merge it into the original"):
        convert(ConvertRecipe(), model=open_input(place), adapter=[open_input(folder)], out=tmp_path / "out")


def learned(config: ModelConfig) -> tuple[Decoder, list[list[int]]]:
    """A model that knows a few sequences by heart: what it goes on with is far likelier than anything else."""
    decoder = build(config, noise=0.0).train()
    sequences = torch.randint(3, 420, (4, 56), generator=torch.Generator().manual_seed(5))
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=3e-3)
    for _ in range(150):
        logits = decoder(sequences[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), sequences[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert loss < 0.1
    return decoder.eval(), sequences.tolist()


@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, tie_embeddings=True), FALCON])
@pytest.mark.parametrize("recipe", [ALL4, QuantizeRecipe(layers=Int8())])
def test_llama_cpp_goes_on_with_our_tokens(
    recipe: QuantizeRecipe, config: ModelConfig, tokenizer: Path, tmp_path: Path, llama_cpp: Path
) -> None:
    config = replace(config, context_length=256)
    decoder, sequences = learned(config)
    save_weights(decoder, config, tokenizer, tmp_path / "source", torch.float32)
    place = quantized(recipe, tmp_path / "source", tmp_path / "quantized")
    path = to_gguf(place, tmp_path / "gguf")
    prompt = sequences[0][:5]
    ids, scores = json.loads(ask(llama_cpp, CONTINUE, path, json.dumps(prompt), 48))
    assert ids == greedy(exact(place), 48, prompt)
    with torch.no_grad():
        logits = exact(place)(torch.tensor([ids]))[0]
    # llama.cpp rounds activations to 8 bits before it multiplies with quantized weights
    assert (torch.tensor(scores) - logits).norm() < 0.05 * logits.norm()
