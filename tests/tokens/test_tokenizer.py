import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import transformers
from tokenizers import decoders, models, pre_tokenizers

from tests.tokens.material import strings
from waman.artifact import Artifact
from waman.errors import InputError
from waman.tokens.bpe import WORDS, fixed_tokens
from waman.tokens.tokenizer import Tokenizer, require_same

NUM_STRINGS = 10_000


@pytest.fixture(scope="module")
def theirs(trained: Artifact) -> Any:
    """The same directory opened by transformers."""
    return transformers.AutoTokenizer.from_pretrained(trained.path)


def _tokens(tokenizer: Tokenizer, trained: Artifact, text: str) -> list[str]:
    vocab = json.loads((trained.path / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    names = {index: token for token, index in vocab.items()}
    return [names[index] for index in tokenizer.encode(text)]


def test_every_string_without_the_space_sign_comes_back(tokenizer: Tokenizer) -> None:
    texts = strings(NUM_STRINGS)
    assert len(set(texts)) > 0.9 * NUM_STRINGS
    assert [tokenizer.decode(ids) for ids in tokenizer.encode_batch(texts)] == texts


def test_the_bytes_of_a_texts_tokens_are_the_text_after_a_space(tokenizer: Tokenizer) -> None:
    for text in strings(500):
        spelt = b"".join(tokenizer.token_bytes[index] for index in tokenizer.encode(text))
        assert spelt == (f" {text}" if text else "").encode()
    assert tokenizer.token_bytes[tokenizer.eos_id] == b""


def test_transformers_gives_the_same_ids_and_texts(tokenizer: Tokenizer, theirs: Any) -> None:
    texts = strings(NUM_STRINGS)
    ours = tokenizer.encode_batch(texts)
    assert theirs(texts, split_special_tokens=True, add_special_tokens=False)["input_ids"] == ours
    assert theirs.batch_decode(ours) == texts


def test_every_code_point_of_the_first_plane_and_some_of_the_others_come_back(tokenizer: Tokenizer) -> None:
    numbers = [*range(0xD800), *range(0xE000, 0x10000), *range(0x10000, 0x110000, 13)]
    points = [chr(number) for number in numbers if number != 0x2581]
    texts = ["".join(points[start : start + 4096]) for start in range(0, len(points), 4096)]
    assert [tokenizer.decode(ids) for ids in tokenizer.encode_batch(texts)] == texts


def test_the_space_sign_itself_comes_back_as_a_space(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode("a\u2581b")) == "a b"


def test_ids_are_laid_out_as_llama_lays_them(tokenizer: Tokenizer, trained: Artifact) -> None:
    table = json.loads((trained.path / "tokenizer.json").read_text(encoding="utf-8"))
    vocab = table["model"]["vocab"]
    assert sorted(vocab.values()) == list(range(640))
    assert [vocab[token] for token in fixed_tokens()] == list(range(261))
    assert (vocab["<0x00>"], vocab["<0xFF>"], vocab["<|user|>"], vocab["<|assistant|>"]) == (3, 258, 259, 260)
    assert {one["content"] for one in table["added_tokens"]} == {"<unk>", "<s>", "</s>", "<|user|>", "<|assistant|>"}
    assert (tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.vocab_size) == (0, 1, 2, 640)
    assert [len(token) == 1 for token in list(vocab)[261:]] == sorted(len(token) == 1 for token in list(vocab)[261:])


def test_special_tokens_in_text_are_ordinary_pieces(tokenizer: Tokenizer) -> None:
    text = "a </s><s> <unk><|user|> b<|assistant|>"
    ids = tokenizer.encode(text)
    assert not set(ids) & {0, 1, 2, 259, 260}
    assert tokenizer.decode(ids) == text
    assert tokenizer.encode_marked("</s>") == [2]
    assert tokenizer.encode("</s>") != [2], "marked encoding must not last"


def test_a_byte_token_is_written_only_by_its_byte(tokenizer: Tokenizer) -> None:
    assert 3 + 0x41 not in tokenizer.encode("<0x41>")
    assert tokenizer.encode("\x07") == [*tokenizer.encode("\x07")[:1], 3 + 0x07]
    assert tokenizer.decode([3 + 0x41]) == "A"


def test_words_are_cut_by_the_rules(tokenizer: Tokenizer, trained: Artifact) -> None:
    assert _tokens(tokenizer, trained, "0 12") == ["▁", "0", "▁", "1", "2"]
    assert _tokens(tokenizer, trained, "the for") == ["▁the", "▁for"]
    assert _tokens(tokenizer, trained, "x\n    y")[2:] == ["\n▁▁▁▁", "y"]


def test_no_piece_crosses_a_cut() -> None:
    cut = pre_tokenizers.Split(tokenizers.Regex(WORDS), "isolated")
    text = "▁def▁f_1(x):\n\n▁▁▁▁return▁▁▁'안녕e\u0301'▁▁12\t\t▁"
    words = [
        "▁def",
        "▁f",
        "_",
        "1",
        "(",
        "x",
        "):",
        "\n\n",
        "▁▁▁",
        "▁return",
        "▁▁",
        "▁'",
        "안녕e\u0301",
        "'",
        "▁▁",
        "1",
        "2",
    ]
    assert [word for word, _ in cut.pre_tokenize_str(text)] == [*words, "\t\t", "▁"]


def test_every_piece_is_part_of_one_word(trained: Artifact) -> None:
    cut = pre_tokenizers.Split(tokenizers.Regex(WORDS), "isolated")
    pieces = list(json.loads((trained.path / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"])[261:]
    assert pieces[:15] == ["\n" + "▁" * spaces for spaces in range(1, 16)]
    pieces = pieces[15:]
    assert [piece for piece in pieces if len(cut.pre_tokenize_str(piece)) != 1] == []


def test_plain_text_in_transformers_begins_with_bos(tokenizer: Tokenizer, theirs: Any) -> None:
    assert theirs("the cat")["input_ids"] == [1, *tokenizer.encode("the cat")]
    assert theirs("a", "b")["input_ids"] == [1, *tokenizer.encode("a"), 1, *tokenizer.encode("b")]
    assert tokenizer.begins_with_bos


def test_bytes_that_are_no_text_become_replacement_signs(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode([3 + 0xE3, *tokenizer.encode("a")]) == "\ufffd a"
    assert tokenizer.decode([1, *tokenizer.encode("a"), 2]) == "a"


def test_a_continuation_gives_out_whole_characters_only(tokenizer: Tokenizer) -> None:
    stream = tokenizer.continuation(begins_text=True)
    shown = [stream.add(index) for index in tokenizer.encode("a😀é")]
    assert "".join(shown) == "a😀é"
    assert all("\ufffd" not in part for part in shown)
    after = tokenizer.continuation(begins_text=False)
    assert "".join(after.add(index) for index in tokenizer.encode("cat")) == " cat"
    cut = tokenizer.continuation(begins_text=True)
    assert "".join(cut.add(index) for index in tokenizer.encode("a😀")[:-1]) == "a"


def test_a_lone_surrogate_is_refused_by_its_place(tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match=r"text 1 has a lone surrogate \(U\+D800\) at character 2"):
        tokenizer.encode_batch(["fine", "ab\ud800"])


def test_the_identity_stays_with_the_file(trained: Artifact, tokenizer: Tokenizer, tmp_path: Path) -> None:
    shutil.copy(trained.path / "tokenizer.json", tmp_path)
    copied = Tokenizer.load(tmp_path)
    assert copied.identity == tokenizer.identity
    require_same(copied, tokenizer.identity, what="tokens")
    with pytest.raises(InputError, match=r"tokens: made with tokenizer abc, the one given is .*tokenize again"):
        require_same(copied, "abc", what="tokens")
    with pytest.raises(InputError, match=r"no bos_token: expected its name in tokenizer_config\.json"):
        copied.bos_id  # noqa: B018


def test_a_directory_without_a_tokenizer_and_a_damaged_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no tokenizer: expected tokenizer\.json"):
        Tokenizer.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"')
    with pytest.raises(InputError, match="is not a tokenizer that can be read"):
        Tokenizer.load(tmp_path)


def test_a_byte_level_tokenizer_of_another_family_is_opened_too(tmp_path: Path) -> None:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    foreign = tokenizers.Tokenizer(models.BPE({letter: index for index, letter in enumerate(letters)}, []))
    foreign.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    foreign.decoder = decoders.ByteLevel()
    foreign.add_special_tokens(["<|end|>"])
    foreign.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": "<|end|>"}}))
    opened = Tokenizer.load(tmp_path)
    assert (opened.eos_id, opened.vocab_size, opened.begins_with_bos) == (256, 257, False)
    for text in strings(500):
        assert opened.decode(opened.encode(text)) == text == foreign.decode(opened.encode(text))


def test_a_tokenizer_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    tokenizers.Tokenizer(models.BPE({"a": 0}, [])).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match="decoder is absent: expected LLaMA's"):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize(
    "files",
    [
        {"config.json": {"bos_token_id": 1, "eos_token_id": 2}},
        {"config.json": {"bos_token_id": 1, "eos_token_id": [2, 0]}, "tokenizer_config.json": {"model_max_length": 9}},
        {"special_tokens_map.json": {"bos_token": "<s>", "eos_token": {"content": "</s>"}}},
        {
            "tokenizer_config.json": {"bos_token": "<s>", "eos_token": "</s>"},
            "config.json": {"bos_token_id": 0, "eos_token_id": 0},
        },
    ],
)
def test_special_tokens_are_named_where_the_directory_names_them(
    tmp_path: Path, trained: Artifact, files: dict[str, Any]
) -> None:
    shutil.copy(trained.path / "tokenizer.json", tmp_path)
    for name, table in files.items():
        (tmp_path / name).write_text(json.dumps(table))
    found = Tokenizer.load(tmp_path)
    assert (found.bos_id, found.eos_id) == (1, 2)


def test_a_special_token_that_is_named_nowhere_is_missed_when_it_is_asked_for(
    tmp_path: Path, trained: Artifact
) -> None:
    shutil.copy(trained.path / "tokenizer.json", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"bos_token_id": None, "eos_token_id": 10**6}))
    found = Tokenizer.load(tmp_path)
    for role in ("bos", "eos"):
        with pytest.raises(InputError, match=f"the tokenizer has no {role}_token"):
            getattr(found, f"{role}_id")
