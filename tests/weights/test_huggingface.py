"""A directory of ours in transformers, and a directory of transformers in ours."""

import dataclasses
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from waman.errors import InputError, RecipeError
from waman.model.config import Attention, ModelConfig, Rope, Swiglu
from waman.model.decoder import Decoder
from waman.model.initialize import initialize
from waman.model.presets import PRESETS, preset
from waman.weights import safetensors
from waman.weights.configuration import load_config, to_table
from waman.weights.families.llama import LLAMA
from waman.weights.huggingface import from_hugging_face, load_decoder, save_weights, to_hugging_face

TINY = ModelConfig(
    vocab_size=61,
    context_length=48,
    model_dim=32,
    num_layers=2,
    attention=Attention(num_heads=4, num_kv_heads=2, head_dim=8),
    feed_forward=Swiglu(hidden_dim=40),
    position=Rope(theta=500.0),
)
VARIANTS = {
    "grouped heads, untied": TINY,
    "grouped heads, tied": dataclasses.replace(TINY, tie_embeddings=True),
    "as many kv heads": dataclasses.replace(TINY, attention=Attention(num_heads=4, num_kv_heads=4, head_dim=8)),
    "one kv head, wide heads": dataclasses.replace(TINY, attention=Attention(num_heads=2, num_kv_heads=1, head_dim=24)),
}


def build(config: ModelConfig) -> Decoder:
    """Weights large enough for every part to show in the logits."""
    decoder = Decoder(config)
    initialize(decoder, seed=0)
    with torch.no_grad():
        for index, parameter in enumerate(decoder.parameters()):
            generator = torch.Generator().manual_seed(index)
            parameter.mul_(2).add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return decoder


def tokens() -> Tensor:
    return torch.randint(61, (3, 40), generator=torch.Generator().manual_seed(7))


def in_transformers(folder: Path, **options: Any) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, **options)


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS.keys())
def test_transformers_computes_the_same_logits_and_gradients(tmp_path: Path, config: ModelConfig) -> None:
    decoder = build(config)
    save_weights(decoder, config, None, tmp_path, torch.float32)
    theirs, info = in_transformers(tmp_path, output_loading_info=True, attn_implementation="eager")
    assert not any(info.values()), info
    assert theirs.dtype == torch.float32

    logits, expected = decoder(tokens()), theirs(tokens()).logits
    assert expected.std() > 0.5
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)

    logits.square().mean().backward()
    expected.square().mean().backward()
    gradients = {name: parameter.grad for name, parameter in decoder.named_parameters() if parameter.grad is not None}
    ours = to_hugging_face(gradients, config)
    reference = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    assert set(ours) == set(reference)
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, reference[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS.keys())
def test_what_transformers_saved_is_loaded(tmp_path: Path, config: ModelConfig) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    table = to_table(config, torch.float32)
    known = {name: value for name, value in table.items() if name not in ("torch_dtype", "rope_theta")}
    torch.manual_seed(0)
    theirs = LlamaForCausalLM(LlamaConfig(**known))
    theirs.save_pretrained(tmp_path)
    decoder = load_decoder(tmp_path)
    assert decoder.config == config
    torch.testing.assert_close(decoder(tokens()), theirs(tokens()).logits, rtol=0, atol=1e-5)


def test_what_we_saved_is_loaded_to_the_bit(tmp_path: Path) -> None:
    decoder = build(TINY)
    save_weights(decoder, TINY, None, tmp_path, torch.float32)
    again = load_decoder(tmp_path)
    assert again.config == TINY
    state = again.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in decoder.state_dict().items())
    assert torch.equal(decoder(tokens()), again(tokens()))


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        save_weights(build(TINY), TINY, None, tmp_path / name, torch.bfloat16)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "other" / file.name).read_bytes()


def test_bfloat16_weights_open_in_transformers_as_bfloat16(tmp_path: Path) -> None:
    save_weights(build(TINY), TINY, None, tmp_path, torch.bfloat16)
    theirs = in_transformers(tmp_path)
    assert theirs.dtype == torch.bfloat16
    ours = load_decoder(tmp_path, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.bfloat16}
    exact = load_decoder(tmp_path)(tokens())
    error, their_error = ours(tokens()) - exact, theirs(tokens()).logits - exact
    assert 0 < error.std() < 1.5 * their_error.std()
    assert their_error.std() < 0.05 * exact.std()


LLAMA_SHAPED = [name for name in PRESETS if name.startswith(("llama-", "llama2-", "llama3-", "laptop-"))]


@pytest.mark.parametrize("name", LLAMA_SHAPED)
def test_config_json_describes_every_llama_preset_and_back(tmp_path: Path, name: str) -> None:
    config = dataclasses.replace(preset(name), vocab_size=preset(name).vocab_size or 4096)
    (tmp_path / "config.json").write_text(json.dumps(to_table(config, torch.float32)))
    assert load_config(tmp_path) == config


def test_a_config_from_before_rope_parameters_is_read(tmp_path: Path) -> None:
    table = {
        "architectures": ["LlamaForCausalLM"],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": 4096,
        "initializer_range": 0.02,
        "intermediate_size": 11008,
        "max_position_embeddings": 2048,
        "model_type": "llama",
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "pad_token_id": 0,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "torch_dtype": "float16",
        "transformers_version": "4.28.0",
        "use_cache": True,
        "vocab_size": 32000,
    }
    (tmp_path / "config.json").write_text(json.dumps(table))
    assert load_config(tmp_path) == preset("llama-7b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sliding_window": 4096}, "unknown key sliding_window = 4096"),
        ({"hidden_act": "gelu"}, "hidden_act = 'gelu', ours computes 'silu'"),
        ({"attention_bias": "yes"}, "attention_bias = 'yes', expected true or false"),
        (
            {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
            "rope_scaling of type 'llama3' without original_max",
        ),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "rope_scaling of type 'dynamic', ours computes"),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling of type 'linear' without factor"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_parameters and rope_scaling differ"),
        ({"rope_scaling": {"rope_type": "default", "factor": 2.0}}, "rope_scaling: unknown keys factor"),
        ({"rope_interleaved": True}, "rope_interleaved = True, ours computes False"),
        ({"rope_scaling": 2.0}, "rope_scaling = 2.0, expected a table"),
        ({"rope_parameters": {"rope_theta": 1.0, "partial_rotary_factor": 0.5}}, "partial_rotary_factor = 0.5"),
        ({"rope_theta": 7.0}, "rope_theta is given as 7.0 and as 500.0"),
        ({"hidden_size": "32"}, "hidden_size = '32', expected a whole number above 0"),
        ({"num_attention_heads": 0}, "num_attention_heads = 0, expected a whole number above 0"),
        ({"rms_norm_eps": True}, "rms_norm_eps = True, expected a number above 0"),
        ({"num_hidden_layers": None}, "num_hidden_layers is missing"),
        ({"num_key_value_heads": 3}, "num_heads = 4 is not a multiple of num_kv_heads = 3"),
    ],
)
def test_a_config_that_we_would_compute_differently_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(to_table(TINY, torch.float32) | change))
    with pytest.raises(InputError) as caught:
        load_config(tmp_path)
    assert message in str(caught.value)


def test_all_problems_of_a_config_are_named_at_once(tmp_path: Path) -> None:
    change = {"mlp_bias": 1, "logit_scale": 0.5, "hidden_size": None}
    (tmp_path / "config.json").write_text(json.dumps(to_table(TINY, torch.float32) | change))
    with pytest.raises(InputError) as caught:
        load_config(tmp_path)
    assert all(name in str(caught.value) for name in change)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "config.json: cannot be read (No such file or directory); expected a Hugging Face model directory"),
        ("{", "config.json: not valid JSON"),
        ("[]", "config.json: found a list, expected a table"),
        ('{"model_type": "bert"}', "model_type is 'bert'; known: 'llama', 'mistral', 'gpt2', 'falcon', 'waman'"),
    ],
)
def test_a_config_that_is_none_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError) as caught:
        load_config(tmp_path)
    assert message in str(caught.value)


def test_missing_extra_and_misshaped_tensors_are_all_named(tmp_path: Path) -> None:
    save_weights(build(TINY), TINY, None, tmp_path, torch.float32)
    named = dict(safetensors.read(tmp_path / "model.safetensors"))
    del named["model.norm.weight"]
    named["model.layers.1.mlp.up_proj.weight"] = torch.zeros(40, 31)
    named["model.layers.2.mlp.up_proj.weight"] = torch.zeros(40, 32)
    safetensors.write(tmp_path / "model.safetensors", named)
    for load in (lambda: load_decoder(tmp_path), lambda: from_hugging_face(named, TINY)):
        with pytest.raises(InputError) as caught:
            load()
        assert "missing model.norm.weight; extra model.layers.2.mlp.up_proj.weight; " in str(caught.value)
        assert "model.layers.1.mlp.up_proj.weight has shape (40, 31), expected (40, 32)" in str(caught.value)


def test_quantized_tensors_are_refused_and_not_taken_for_numbers(tmp_path: Path) -> None:
    save_weights(build(TINY), TINY, None, tmp_path, torch.float32)
    named = dict(safetensors.read(tmp_path / "model.safetensors"))
    named["model.norm.weight"] = named["model.norm.weight"].to(torch.int8)
    safetensors.write(tmp_path / "model.safetensors", named)
    with pytest.raises(InputError, match=r"quantized weights are not read, found model\.norm\.weight as I8; fetch"):
        load_decoder(tmp_path)


def test_names_go_both_ways() -> None:
    state = build(TINY).state_dict()
    again = from_hugging_face(to_hugging_face(state, TINY), TINY)
    assert set(again) == set(state)
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())


def test_sharded_weights_are_read_by_their_index(tmp_path: Path) -> None:
    decoder = build(TINY)
    save_weights(decoder, TINY, None, tmp_path, torch.float32)
    named = dict(safetensors.read(tmp_path / "model.safetensors"))
    (tmp_path / "model.safetensors").unlink()
    weight_map = {}
    for index, name in enumerate(sorted(named)):
        weight_map[name] = f"model-{index % 2}.safetensors"
    for file in set(weight_map.values()):
        shard = {name: tensor for name, tensor in named.items() if weight_map[name] == file}
        safetensors.write(tmp_path / file, shard)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert torch.equal(load_decoder(tmp_path)(tokens()), decoder(tokens()))


def test_an_index_without_a_map_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(to_table(TINY, torch.float32)))
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(InputError, match="no weight_map"):
        load_decoder(tmp_path)


def test_a_directory_without_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(to_table(TINY, torch.float32)))
    with pytest.raises(InputError, match=r"no model\.safetensors and no model\.safetensors\.index\.json"):
        load_decoder(tmp_path)


def test_a_tied_checkpoint_may_repeat_its_head_but_not_change_it(tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, tie_embeddings=True)
    save_weights(build(config), config, None, tmp_path, torch.float32)
    named = dict(safetensors.read(tmp_path / "model.safetensors"))
    named["lm_head.weight"] = named["model.embed_tokens.weight"].clone()
    named["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(4)
    safetensors.write(tmp_path / "model.safetensors", named)
    assert load_decoder(tmp_path).config.tie_embeddings
    named["lm_head.weight"][3, 3] += 1
    safetensors.write(tmp_path / "model.safetensors", named)
    with pytest.raises(InputError, match=r"lm_head\.weight differs from the embedding"):
        load_decoder(tmp_path)


def test_a_shape_that_no_family_of_transformers_has_is_kept_as_our_own(tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, attention=Attention(num_heads=3, num_kv_heads=1, head_dim=8))
    decoder = build(config)
    save_weights(decoder, config, None, tmp_path, torch.float32)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "waman"
    again = load_decoder(tmp_path)
    assert again.config == config
    assert torch.equal(again(tokens()), decoder(tokens()))


def test_a_family_that_cannot_express_a_config_says_why() -> None:
    config = dataclasses.replace(TINY, attention=Attention(num_heads=3, num_kv_heads=1, head_dim=8, window=8))
    with pytest.raises(RecipeError) as caught:
        to_table(config, torch.float32, LLAMA)
    assert "model_dim = 32 is not a multiple of num_heads = 3" in str(caught.value)
    assert "window is not in llama" in str(caught.value)


def test_large_weights_are_written_in_shards_that_transformers_opens(tmp_path: Path) -> None:
    decoder = build(TINY)
    save_weights(decoder, TINY, None, tmp_path, torch.float32, max_shard_bytes=12_000)
    files = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert len(files) > 2
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    assert torch.equal(load_decoder(tmp_path)(tokens()), decoder(tokens()))
    theirs, info = in_transformers(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    torch.testing.assert_close(theirs(tokens()).logits, decoder(tokens()), rtol=0, atol=1e-5)


def test_an_index_that_names_a_missing_shard_is_refused(tmp_path: Path) -> None:
    save_weights(build(TINY), TINY, None, tmp_path, torch.float32, max_shard_bytes=12_000)
    lost = sorted(tmp_path.glob("*.safetensors"))[1]
    lost.unlink()
    with pytest.raises(InputError, match=f"names shards that are not there: {lost.name}"):
        load_decoder(tmp_path)


def test_a_shard_that_lacks_what_the_index_promises_is_refused(tmp_path: Path) -> None:
    """Even where another shard has it: one of the two is of another writing."""
    save_weights(build(TINY), TINY, None, tmp_path, torch.float32, max_shard_bytes=12_000)
    first, second = sorted(tmp_path.glob("*.safetensors"))[:2]
    named, others = dict(safetensors.read(first)), dict(safetensors.read(second))
    lost = [others.popitem() for _ in range(2)]
    safetensors.write(second, others)
    safetensors.write(first, named | {name: tensor.clone() for name, tensor in lost})
    with pytest.raises(InputError) as caught:
        load_decoder(tmp_path)
    assert f"{second.name}: lacks what model.safetensors.index.json promises: missing " in str(caught.value)
    assert all(name in str(caught.value) for name, _ in lost)


@pytest.mark.parametrize("place", ["../model.safetensors", "/model.safetensors", 1, ""])
def test_an_index_that_names_no_file_beside_it_is_refused(tmp_path: Path, place: Any) -> None:
    save_weights(build(TINY), TINY, None, tmp_path / "in", torch.float32, max_shard_bytes=12_000)
    path = tmp_path / "in" / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"]["model.norm.weight"] = place
    path.write_text(json.dumps(index))
    with pytest.raises(InputError) as caught:
        load_decoder(tmp_path / "in")
    assert f"model.norm.weight is said to be in {place!r}; expected the name of a file beside" in str(caught.value)


def test_a_shard_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    save_weights(build(TINY), TINY, None, tmp_path, torch.float32, max_shard_bytes=12_000)
    shard = sorted(tmp_path.glob("*.safetensors"))[1]
    whole = shard.read_bytes()
    for length in (len(whole) - 1, len(whole) // 2, 100, 4, 0):
        shard.write_bytes(whole[:length])
        with pytest.raises(InputError, match=f"{shard.name}: cut short or not in safetensors format"):
            load_decoder(tmp_path)


def test_a_pickle_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(to_table(TINY, torch.float32)))
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(InputError, match=r"but pytorch_model\.bin: save it again from transformers 5"):
        load_decoder(tmp_path)


def tokenizer_folder(folder: Path) -> Path:
    """A real tokenizer of three special tokens and the 26 letters."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    letters = {letter: index + 3 for index, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2, **letters}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")  # type: ignore[no-untyped-call]
    fast.save_pretrained(folder)
    return folder


def test_the_tokenizer_travels_with_the_weights(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = tokenizer_folder(tmp_path / "tokenizer")
    save_weights(build(TINY), TINY, tokenizer, tmp_path / "weights", torch.float32)
    assert AutoTokenizer.from_pretrained(tmp_path / "weights")("abc").input_ids == [3, 4, 5]
    theirs = in_transformers(tmp_path / "weights")
    assert (theirs.config.bos_token_id, theirs.config.eos_token_id) == (1, 2)
    assert (theirs.generation_config.bos_token_id, theirs.generation_config.eos_token_id) == (1, 2)


def test_the_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, vocab_size=20)
    with pytest.raises(InputError, match=r"token ids up to 28, but the model knows 20 \(vocab_size\)"):
        save_weights(build(config), config, tokenizer_folder(tmp_path / "t"), tmp_path / "w", torch.float32)


def test_generation_in_transformers_continues_as_ours_does(tmp_path: Path) -> None:
    decoder = build(TINY)
    save_weights(decoder, TINY, None, tmp_path, torch.float32)
    prompt = tokens()[:1, :10]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = in_transformers(tmp_path).generate(prompt, max_new_tokens=8, do_sample=False)
    ids = prompt
    for _ in range(8):
        ids = torch.cat((ids, decoder(ids)[:, -1:].argmax(dim=-1)), dim=1)
    assert torch.equal(ids, theirs)


def test_a_unigram_tokenizer_travels_with_the_weights(tmp_path: Path) -> None:
    """Its vocabulary is a list."""
    from tokenizers import Tokenizer, models

    (tmp_path / "tokenizer").mkdir()
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("a", -1.0), ("</s>", 0.0)]
    Tokenizer(models.Unigram(pieces, 0)).save(str(tmp_path / "tokenizer" / "tokenizer.json"))
    names = {"bos_token": "<s>", "eos_token": "</s>"}
    (tmp_path / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(names))
    save_weights(build(TINY), TINY, tmp_path / "tokenizer", tmp_path / "weights", torch.float32)
    written = json.loads((tmp_path / "weights" / "config.json").read_text())
    assert (written["bos_token_id"], written["eos_token_id"]) == (1, 3)
