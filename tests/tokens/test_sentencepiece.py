"""SentencePiece models, trained here, as tokenizer.json: the ids are SentencePiece's own."""

import builtins
import io
from pathlib import Path
from typing import Any

import pytest
import sentencepiece

from tests.tokens import material
from waman.errors import ExtraError, InputError
from waman.tokens.sentencepiece import convert_model
from waman.tokens.tokenizer import Tokenizer

LLAMA = {
    "model_type": "bpe",
    "byte_fallback": True,
    "split_digits": True,
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
    "allow_whitespace_only_pieces": True,
}
FORMS: dict[str, dict[str, Any]] = {
    "LLaMA": LLAMA,
    "unigram with bytes": LLAMA | {"model_type": "unigram"},
    "without a space before": LLAMA | {"add_dummy_prefix": False, "user_defined_symbols": ["<sep>", "\n"]},
    "without bytes, spaces joined": {"model_type": "bpe", "normalization_rule_name": "identity"},
}


def train(folder: Path, **options: Any) -> Path:
    texts = [*"".join(material.sources()).splitlines(), *(material.KOREAN * 10 + material.PROSE * 10).splitlines()]
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=written, vocab_size=900, minloglevel=2, num_threads=1, **options
    )
    path = folder / "tokenizer.model"
    path.write_bytes(written.getvalue())
    return path


def ids(folder: Path, texts: list[str]) -> list[list[int]]:
    import tokenizers

    backend = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.encode_special_tokens = True
    return [one.ids for one in backend.encode_batch(texts, add_special_tokens=False)]


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS.keys())
def test_ids_are_sentencepiece_s_own(tmp_path: Path, options: dict[str, Any]) -> None:
    path = train(tmp_path, **options)
    counts = convert_model(path, tmp_path)
    assert counts == {"vocab_size": 900, "form": "BPE" if options["model_type"] == "bpe" else "Unigram"}
    texts = material.strings(4000, seed=2)
    reference = sentencepiece.SentencePieceProcessor(model_file=str(path))
    for text, found, expected in zip(texts, ids(tmp_path, texts), reference.encode(texts), strict=True):
        assert found == expected, repr(text)


def test_long_texts_have_sentencepiece_s_ids(tmp_path: Path) -> None:
    path = train(tmp_path, **LLAMA)
    convert_model(path, tmp_path)
    reference = sentencepiece.SentencePieceProcessor(model_file=str(path))
    assert ids(tmp_path, material.sources()) == reference.encode(material.sources())


def test_what_was_written_is_a_tokenizer_of_ours(tmp_path: Path) -> None:
    convert_model(train(tmp_path, **LLAMA), tmp_path)
    tokenizer = Tokenizer.load(tmp_path)
    assert (tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.vocab_size) == (0, 1, 2, 900)
    assert tokenizer.begins_with_bos
    for text in material.strings(1000):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.encode("</s>")[-1] != 2


def test_transformers_opens_what_was_written(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    convert_model(train(tmp_path, **LLAMA), tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    text = "def f(x): return x  # 안녕 42"
    assert theirs(text).input_ids == [1, *Tokenizer.load(tmp_path).encode(text)]


def test_a_model_that_rewrites_characters_is_refused_unless_near_is_enough(tmp_path: Path) -> None:
    path = train(tmp_path, model_type="unigram")
    with pytest.raises(InputError, match=r"it rewrites characters first \(nmt_nfkc\).*format\.ids=nearest"):
        convert_model(path, tmp_path)
    convert_model(path, tmp_path, nearest=True)
    texts = material.strings(2000)
    expected = sentencepiece.SentencePieceProcessor(model_file=str(path)).encode(texts)
    unlike = sum(a != b for a, b in zip(ids(tmp_path, texts), expected, strict=True))
    assert 0 < unlike < 0.02 * len(texts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_type": "word"}, "its model is neither unigram nor byte-pair encoding"),
        (LLAMA | {"treat_whitespace_as_suffix": True}, r"spaces end words \(treat_whitespace_as_suffix\)"),
        (LLAMA | {"user_defined_symbols": ["<sep>"]}, r"a space before a text and has symbols of its user \(<sep>\)"),
    ],
)
def test_forms_that_tokenizer_json_cannot_express_are_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    path = train(tmp_path, **({"normalization_rule_name": "identity"} | options))
    with pytest.raises(InputError, match=message):
        convert_model(path, tmp_path)


def test_models_changed_by_hand_are_refused(tmp_path: Path) -> None:
    from sentencepiece import sentencepiece_model_pb2

    path = train(tmp_path, **LLAMA)
    proto = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    proto.ParseFromString(path.read_bytes())
    proto.normalizer_spec.escape_whitespaces = False
    del proto.pieces[3]
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(InputError, match=r"spaces are not written as ▁ .*; it spells in bytes and has not all 256"):
        convert_model(path, tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no protobuf", "not a SentencePiece model, or cut short"),
        (b"", "not a SentencePiece model: it holds no pieces"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "tokenizer.model"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        convert_model(path, tmp_path)


def test_without_the_packages_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def fail(name: str, *rest: Any) -> Any:
        if name == "sentencepiece":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", fail)
    with pytest.raises(ExtraError, match=r"pip install 'waman\[sentencepiece\]'"):
        convert_model(tmp_path / "tokenizer.model", tmp_path)
