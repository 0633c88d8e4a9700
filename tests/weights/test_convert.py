"""`waman convert`: every road between the forms, without loss where the type stays, and what it refuses."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tokens import material
from tests.tokens.test_sentencepiece import LLAMA, train
from tests.weights.test_adapters import DOWN, adapter
from tests.weights.test_huggingface import TINY, build, tokens
from waman import settings
from waman.artifact import Artifact, open_artifact, open_input, verify
from waman.cli import main as command_line
from waman.errors import InputError, RecipeError, StaleError
from waman.model.config import Attention, ModelConfig, Swiglu
from waman.tokens import bpe
from waman.tokens.tokenizer import Tokenizer, own_tokenizer
from waman.weights import safetensors
from waman.weights.adapters import merge, write_adapter
from waman.weights.convert import convert
from waman.weights.huggingface import load_decoder, save_weights, to_hugging_face
from waman.weights.meta import save_meta
from waman.weights.recipe import ConvertRecipe

CONFIG = replace(
    TINY,
    vocab_size=900,
    attention=Attention(num_heads=4, num_kv_heads=2, head_dim=8),
    feed_forward=Swiglu(hidden_dim=40),
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    pieces = bpe.learn_pieces(material.sources(), vocab_size=900, character_coverage=0.9995)
    own_tokenizer(bpe.build(pieces)).save(folder)
    return folder


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def model(request: pytest.FixtureRequest, tmp_path: Path, tokenizer: Path) -> Artifact:
    save_weights(build(CONFIG), CONFIG, tokenizer, tmp_path / "model", request.param)
    return open_input(tmp_path / "model", "weights")


def run(out: Path, source: Artifact, *overrides: str, **inputs: Any) -> Artifact:
    return convert(settings.load(ConvertRecipe, None, overrides), model=source, out=out, **inputs)


def same_weights(one: Path, other: Path) -> bool:
    return (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    "overrides",
    [
        ("format.kind=meta",),
        ("format.kind=meta", "format.num_shards=2"),
        ("format.kind=gguf", "format.type=STORED"),
        ("format.kind=hugging_face",),
    ],
)
def test_there_and_back_gives_the_same_bytes(model: Artifact, tmp_path: Path, overrides: tuple[str, ...]) -> None:
    stored = safetensors.dtypes(model.path / "model.safetensors")
    kind = {torch.float32: "F32", torch.bfloat16: "BF16"}[stored.pop()]
    there = run(tmp_path / "there", model, *(one.replace("STORED", kind) for one in overrides))
    back = run(tmp_path / "back", open_input(there.path), f"context_length={CONFIG.context_length}")
    assert (back.kind, verify(back)) == ("weights", [])
    assert same_weights(back.path, model.path)
    for name in ("tokenizer.json", "chat_template.jinja"):
        assert (back.path / name).read_bytes() == (model.path / name).read_bytes()
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        assert json.loads((back.path / name).read_text()) == json.loads((model.path / name).read_text())


@pytest.mark.parametrize(
    ("overrides", "kind", "files"),
    [
        (("format.kind=meta", "format.num_shards=2"), "meta", ["consolidated.00.pth", "consolidated.01.pth"]),
        (("format.kind=gguf", "format.type=Q8_0"), "gguf", ["model.gguf"]),
        (("format.dtype=float16",), "weights", ["config.json", "model.safetensors"]),
    ],
)
def test_what_is_written_says_what_it_is(
    model: Artifact, tmp_path: Path, overrides: tuple[str, ...], kind: str, files: list[str]
) -> None:
    made = run(tmp_path / "out", model, *overrides)
    assert (made.kind, open_artifact(tmp_path / "out").identity) == (kind, made.identity)
    assert set(files) <= {path.name for path in made.path.iterdir()}
    assert made.counts["parameters"] == sum(one.numel() for one in build(CONFIG).state_dict().values())
    again = run(tmp_path / "out", model, *overrides)
    assert again.identity == made.identity
    with pytest.raises(StaleError):
        run(tmp_path / "out", model, "format.kind=meta", "format.num_shards=1")


def test_a_single_file_is_a_source(model: Artifact, tmp_path: Path) -> None:
    made = run(tmp_path / "gguf", model, "format.kind=gguf", "format.type=F32")
    shutil.copy(made.path / "model.gguf", tmp_path / "some.gguf")
    back = run(tmp_path / "back", open_input(tmp_path / "some.gguf"), "format.dtype=float32")
    state, again = load_decoder(model.path).state_dict(), load_decoder(back.path).state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())


def test_a_directory_of_another_program_s_files_is_a_source(model: Artifact, tmp_path: Path) -> None:
    made = run(tmp_path / "meta", model, "format.kind=meta")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name in ("params.json", "consolidated.00.pth"):
        shutil.copy(made.path / name, foreign / name)
    train(foreign, **LLAMA)
    back = run(tmp_path / "back", open_input(foreign), "context_length=48")
    assert same_weights(back.path, model.path)
    assert Tokenizer.load(back.path).vocab_size == 900
    assert load_decoder(back.path).config == CONFIG


def test_a_tokenizer_of_another_kind_beside_meta_s_files_is_named(tmp_path: Path) -> None:
    save_meta(build(CONFIG).state_dict(), CONFIG, tmp_path / "meta")
    (tmp_path / "meta" / "tokenizer.model").write_text("IQ== 0\nIg== 1\n")
    with pytest.raises(InputError, match=r"of Llama 3 on it is of another kind: put tokenizer\.json beside it"):
        run(tmp_path / "out", open_input(tmp_path / "meta"))


def test_adapters_are_merged_in_order(model: Artifact, tmp_path: Path) -> None:
    one, other = adapter(), adapter(alpha=-3, pairs={DOWN: adapter().pairs[DOWN]})
    other = replace(other, alpha=3)
    write_adapter(one, tmp_path / "one")
    write_adapter(other, tmp_path / "other")
    adapters = [open_input(tmp_path / name) for name in ("one", "other")]
    made = run(tmp_path / "out", model, adapter=adapters)
    expected = load_decoder(model.path, dtype=safetensors.dtypes(model.path / "model.safetensors").pop())
    named = to_hugging_face(expected.state_dict(), CONFIG)
    merge(one, named)
    merge(other, named)
    state = load_decoder(made.path, dtype=expected.embedding.weight.dtype).state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.state_dict().items())
    assert not same_weights(made.path, model.path)
    assert [record.kind for record in made.manifest.inputs["adapter"]] == ["files", "files"]  # type: ignore[union-attr]


def test_a_sentencepiece_model_becomes_a_tokenizer(tmp_path: Path) -> None:
    path = train(tmp_path, **LLAMA)
    made = run(tmp_path / "tokenizer", open_input(path), "format.kind=tokenizer_json")
    assert (made.kind, made.counts) == ("tokenizer", {"vocab_size": 900, "form": "BPE"})
    assert Tokenizer.load(made.path).decode(Tokenizer.load(made.path).encode("안녕 x")) == "안녕 x"


def test_the_command_line_converts_and_says_where(
    model: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["convert", str(model.path), "--out", str(tmp_path / "out"), "--set", "format.kind=gguf"]
    with pytest.raises(SystemExit) as ended:
        command_line.main(arguments)
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out")
    assert (tmp_path / "out" / "model.gguf").is_file()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("format.num_shards=0", "format.kind=meta"), "num_shards: found 0, expected at least 1"),
        (("format.kind=gguf", "format.type=Q5_K"), "format.type"),
        (("format.kind=onnx",), "expected one of gguf, hugging_face, meta, tokenizer_json"),
        (("context_length=0",), "context_length: found 0, expected more than 0"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        settings.load(ConvertRecipe, None, sorted(overrides))
    assert message in str(caught.value)


def test_a_source_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match=r"expected a model: config\.json with safetensors, params\.json"):
        run(tmp_path / "out", open_input(tmp_path / "notes.txt"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"no tokenizer\.model in it"):
        run(tmp_path / "out2", open_input(tmp_path / "folder"), "format.kind=tokenizer_json")
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_that_llama_cpp_cannot_run_is_refused_unless_near_is_enough(tmp_path: Path) -> None:
    pieces = bpe.learn_pieces(material.sources(), vocab_size=900, character_coverage=0.9995)
    own_tokenizer(bpe.build(pieces)).save(tmp_path)
    table = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    table["model"]["merges"] = list({left + right: [left, right] for left, right in table["model"]["merges"]}.values())
    (tmp_path / "tokenizer.json").write_text(json.dumps(table), encoding="utf-8")
    save_weights(build(CONFIG), CONFIG, tmp_path, tmp_path / "model", torch.float32)
    model = open_input(tmp_path / "model")
    with pytest.raises(RecipeError, match="llama.cpp cannot run this tokenizer id for id".replace(".", r"\.")):
        run(tmp_path / "out", model, "format.kind=gguf")
    run(tmp_path / "near", model, "format.kind=gguf", "format.tokenizer=nearest")


def test_weights_without_a_tokenizer_are_converted_without_one(tmp_path: Path) -> None:
    config: ModelConfig = TINY
    save_weights(build(config), config, None, tmp_path / "model", torch.float32)
    model = open_input(tmp_path / "model")
    there = run(tmp_path / "gguf", model, "format.kind=gguf", "format.type=F32")
    back = run(tmp_path / "back", open_input(there.path))
    assert same_weights(back.path, model.path)
    assert not (back.path / "tokenizer.json").exists()
    assert torch.equal(load_decoder(back.path)(tokens()), build(config)(tokens()))
