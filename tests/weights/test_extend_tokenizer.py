"""`waman extend-tokenizer` on tiny models: what it adds, what it leaves as it was, what transformers makes of it."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tokens import material
from tests.weights.test_huggingface import TINY, build, in_transformers
from waman import draft
from waman.artifact import Artifact, open_artifact, open_input, verify
from waman.cli import main as command_line
from waman.dataflow import Inline
from waman.document import Document
from waman.errors import InputError
from waman.model.config import ModelConfig
from waman.tokens import bpe
from waman.tokens.extension import spell
from waman.tokens.recipe import ExtendTokenizerRecipe
from waman.tokens.tokenizer import Tokenizer, own_tokenizer
from waman.weights import safetensors
from waman.weights.extend_tokenizer import extend_tokenizer, read_measure
from waman.weights.huggingface import load_decoder, save_weights

OLD, NEW = 640, 60
MakeModel = Callable[..., Path]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For English and Python only."""
    folder = tmp_path_factory.mktemp("tokenizer")
    texts = [*material.sources(), material.PROSE * 9]
    own_tokenizer(bpe.build(bpe.learn_pieces(texts, vocab_size=OLD, character_coverage=0.999))).save(folder)
    return folder


@pytest.fixture
def make_model(tmp_path: Path, tokenizer: Path) -> MakeModel:
    """Writes a model directory; changes are to the config."""

    def make(dtype: torch.dtype = torch.float32, **changes: Any) -> Path:
        config = dataclasses.replace(TINY, **{"vocab_size": OLD, **changes})
        save_weights(build(config), config, tokenizer, tmp_path / "model", dtype)
        return tmp_path / "model"

    return make


@pytest.fixture
def documents(tmp_path: Path) -> Artifact:
    """Korean in nine groups, two of which the mixture holds out."""
    texts = [f"{material.KOREAN}{number}번째 사람은 평등하다.\n" * 2 for number in range(9)]
    some = [Document(f"{number}", text, "web", f"group-{number}") for number, text in enumerate(texts)]
    return material.write_artifact(tmp_path / "documents", [some[:5], some[5:]])


@pytest.fixture
def mixture(tmp_path: Path) -> Artifact:
    splits = {f"group-{number}": "train" if number < 7 else "held_out" for number in range(9)}
    return material.write_mixture(tmp_path / "mixture", splits)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        command_line.main([str(one) for one in arguments])
    code = ended.value.code
    assert isinstance(code, int)
    return code


@pytest.mark.parametrize("tied", [False, True])
def test_the_old_vocabulary_keeps_its_ids_rows_and_logits(
    make_model: MakeModel, documents: Artifact, mixture: Artifact, tmp_path: Path, tied: bool,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(draft, "Local", Inline)
    model = make_model(tie_embeddings=tied)
    out = tmp_path / "extended"
    inputs = [model, "--documents", documents.path, "--mixture", mixture.path]
    assert run("extend-tokenizer", *inputs, "--tokens", NEW, "--out", out) == 0
    said = capsys.readouterr().out
    assert f"{out}\n" in said
    assert "tokens per character before" in said
    made = open_artifact(out, "weights")
    assert verify(made) == []
    assert (made.counts["new_tokens"], made.counts["vocab_size"]) == (NEW, OLD + NEW)
    web = read_measure(made)["web"]
    assert web["documents"] == 2
    assert 0 < web["after"]["tokens_per_character"] < 0.5 * web["before"]["tokens_per_character"]

    before, after = load_decoder(model), load_decoder(out)
    assert after.config == dataclasses.replace(before.config, vocab_size=OLD + NEW)
    then, now = before.state_dict(), after.state_dict()
    for name, tensor in then.items():
        rows = now[name][:OLD] if name in ("embedding.weight", "unembedding.weight") else now[name]
        assert torch.equal(rows, tensor)
    old, new = Tokenizer.load(model), Tokenizer.load(out)
    for text in ("def f(x):\n    return x", material.PROSE[:60]):
        ids = new.encode(text)
        assert ids == old.encode(text)
        token_ids = torch.tensor([ids])
        assert torch.equal(before.hidden(token_ids), after.hidden(token_ids))
        torch.testing.assert_close(after(token_ids)[..., :OLD], before(token_ids), rtol=0, atol=1e-6)


def test_a_new_token_starts_as_the_mean_of_its_old_pieces(
    make_model: MakeModel, documents: Artifact, tmp_path: Path
) -> None:
    model = make_model(torch.bfloat16, vocab_size=OLD + 10)  # ten rows that stand for no token
    recipe = ExtendTokenizerRecipe(num_tokens=NEW)
    made = extend_tokenizer(
        recipe, weights=open_input(model), documents=[documents], out=tmp_path / "out", executor=Inline()
    )
    assert safetensors.dtypes(made.path / "model.safetensors") == {torch.bfloat16}
    then, now = (load_decoder(folder, dtype=torch.bfloat16).state_dict() for folder in (model, made.path))
    table = json.loads((model / "tokenizer.json").read_text())
    extended = json.loads((made.path / "tokenizer.json").read_text())
    tokens = list(extended["model"]["vocab"])[OLD:]
    assert len(tokens) == NEW
    for name in ("embedding.weight", "unembedding.weight"):
        assert len(now[name]) == OLD + NEW
        for place, pieces in enumerate(spell(table, tokens)):
            assert len(pieces) > 1
            mean = sum(then[name][piece].float() for piece in pieces) / len(pieces)
            torch.testing.assert_close(now[name][OLD + place].float(), mean, rtol=2**-8, atol=1e-6)


def test_rows_beyond_the_tokenizer_stay_where_more_are_there_than_needed(
    make_model: MakeModel, documents: Artifact, tmp_path: Path
) -> None:
    model = make_model(vocab_size=OLD + 200)
    made = extend_tokenizer(
        ExtendTokenizerRecipe(num_tokens=NEW), weights=open_input(model), documents=[documents], out=tmp_path / "out",
        executor=Inline(),
    )  # fmt: skip
    then, now = (load_decoder(folder).state_dict()["embedding.weight"] for folder in (model, made.path))
    assert torch.equal(now[OLD + NEW :], then[OLD + NEW :])
    assert torch.equal(now[:OLD], then[:OLD])


def test_transformers_opens_the_result_with_the_same_ids_and_logits(
    make_model: MakeModel, documents: Artifact, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    made = extend_tokenizer(
        ExtendTokenizerRecipe(num_tokens=NEW), weights=open_input(make_model()), documents=[documents],
        out=tmp_path / "out", executor=Inline(),
    )  # fmt: skip
    theirs, ours = AutoTokenizer.from_pretrained(made.path), Tokenizer.load(made.path)
    assert len(theirs) == ours.vocab_size == OLD + NEW
    texts = [material.KOREAN, material.PROSE, *material.strings(300)]
    for text in texts:
        assert theirs.encode(text, add_special_tokens=False, split_special_tokens=True) == ours.encode(text)
    ids = torch.tensor([ours.encode(material.KOREAN)[:40]])
    assert ids.max() >= OLD
    model = in_transformers(made.path, attn_implementation="eager")
    torch.testing.assert_close(load_decoder(made.path)(ids), model(ids).logits, rtol=0, atol=1e-5)


def test_a_byte_level_tokenizer_of_another_family_is_extended(documents: Artifact, tmp_path: Path) -> None:
    """GPT-2's kind, its `<|endoftext|>` beside the vocabulary: transformers gives the same ids and logits after."""
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    from tests.tokens.test_extension import byte_level

    folder = tmp_path / "gpt2"
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(vocab_size=501, n_positions=64, n_embd=16, n_layer=2, n_head=2)).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps(dict(byte_level())))
    names = dict.fromkeys(("bos_token", "eos_token"), "<|endoftext|>")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **names}))
    made = extend_tokenizer(
        ExtendTokenizerRecipe(num_tokens=NEW), weights=open_input(folder), documents=[documents],
        out=tmp_path / "out", executor=Inline(),
    )  # fmt: skip
    theirs, ours = AutoTokenizer.from_pretrained(made.path), Tokenizer.load(made.path)
    assert theirs.eos_token_id == ours.eos_id == 500
    for text in (material.KOREAN, material.PROSE, *material.strings(300)):
        assert theirs.encode(text, add_special_tokens=False, split_special_tokens=True) == ours.encode(text)
    ids = torch.tensor([ours.encode(material.KOREAN)[:40]])
    assert ids.max() > 500
    model = in_transformers(made.path, attn_implementation="eager")
    assert model.config.model_type == "gpt2"
    torch.testing.assert_close(load_decoder(made.path)(ids), model(ids).logits, rtol=0, atol=1e-5)


def test_only_the_train_split_is_learned_from(
    make_model: MakeModel, documents: Artifact, mixture: Artifact, tmp_path: Path
) -> None:
    held_out = [Document(f"{number}", "뷁" * 900, "web", f"group-{number}") for number in (7, 8)]
    more = material.write_artifact(tmp_path / "more", [held_out])
    weights = open_input(make_model())
    made = [
        extend_tokenizer(
            ExtendTokenizerRecipe(num_tokens=NEW), weights=weights, documents=some, mixture=mixture,
            out=tmp_path / f"out{number}", executor=Inline(),
        )
        for number, some in enumerate(([documents], [documents, more]))
    ]  # fmt: skip
    first, second = ((one.path / "tokenizer.json").read_bytes() for one in made)
    assert first == second
    assert made[1].counts["held_out"]["web"]["documents"] == 4


def test_what_cannot_be_extended_is_refused(
    make_model: MakeModel, documents: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(draft, "Local", Inline)
    model = make_model()

    def refused(*arguments: object) -> str:
        out = tmp_path / "out"
        assert run("extend-tokenizer", model, "--documents", documents.path, *arguments, "--out", out) == 2
        assert not out.exists()
        shutil.rmtree(tmp_path / "out.partial", ignore_errors=True)
        return capsys.readouterr().err

    shown = refused("--tokens", 9999)
    assert "the text is too small for 9999 new tokens:" in shown
    possible = int(shown.split("ask for ")[1].split()[0])
    assert run("extend-tokenizer", model, documents.path, "--tokens", possible, "--out", tmp_path / "exact") == 0
    assert "num_tokens: found 0, expected at least 1" in refused("--tokens", 0)
    table = json.loads((model / "tokenizer.json").read_text())
    table["model"]["vocab"]["another piece"] = OLD
    (model / "tokenizer.json").write_text(json.dumps(table))
    assert f"the tokenizer has {OLD + 1} tokens, the model {OLD}: it is the tokenizer of another model" in refused()
    (model / "tokenizer.json").unlink()
    assert "holds no tokenizer: expected tokenizer.json" in refused()


def test_documents_without_text_are_refused(make_model: MakeModel, tmp_path: Path) -> None:
    nothing = material.write_artifact(tmp_path / "nothing", [[Document("a", "", "web", "group")]])
    none = material.write_artifact(tmp_path / "none", [[]])
    weights = open_input(make_model())
    for documents, message in ((nothing, "no text to learn tokens from"), (none, "no document in")):
        with pytest.raises(InputError, match=message):
            extend_tokenizer(
                ExtendTokenizerRecipe(num_tokens=NEW), weights=weights, documents=[documents],
                out=tmp_path / f"out-{documents.path.name}", executor=Inline(),
            )  # fmt: skip


def test_a_config_keeps_what_is_not_the_vocabulary(make_model: MakeModel, documents: Artifact, tmp_path: Path) -> None:
    weights = open_input(make_model(context_length=96))
    made = extend_tokenizer(
        ExtendTokenizerRecipe(num_tokens=1), weights=weights, documents=[documents], out=tmp_path / "out",
        executor=Inline(),
    )  # fmt: skip
    config: ModelConfig = load_decoder(made.path).config
    assert (config.context_length, config.vocab_size) == (96, OLD + 1)
    assert made.manifest is not None
    assert made.manifest.inputs["weights"][0].identity == weights.identity
