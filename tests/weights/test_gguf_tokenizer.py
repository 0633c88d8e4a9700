"""tokenizer.json as llama.cpp's metadata: what it can run id for id, and the reasons where it cannot."""

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from tests.tokens import material
from waman.errors import InputError, RecipeError
from waman.tokens import bpe
from waman.tokens.tokenizer import Tokenizer, own_tokenizer
from waman.weights import gguf_tokenizer
from waman.weights.gguf import load_gguf, save_gguf
from waman.weights.gguf_tokenizer import Entry, read_entry, restore_tokenizer


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("counted")
    texts = [*material.sources(), material.KOREAN * 20, material.PROSE * 20]
    own_tokenizer(bpe.build(bpe.learn_pieces(texts, vocab_size=1200, character_coverage=0.9995))).save(folder)
    return folder


def changed(source: Path, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a tokenizer with its table changed."""
    table = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    change(table)
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(table), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text((source / "tokenizer_config.json").read_text())
    return folder


def test_ours_is_sentencepiece_s_kind_with_scores_in_the_order_of_the_merges(counted: Path) -> None:
    entry = read_entry(counted)
    tokenizer = Tokenizer.load(counted)
    assert (entry.model, entry.merges, len(entry.tokens)) == ("llama", None, tokenizer.vocab_size)
    assert entry.flags == {
        "add_space_prefix": True,
        "remove_extra_whitespaces": False,
        "add_bos_token": True,
        "add_eos_token": False,
    }
    assert entry.special_ids == {"bos": 1, "eos": 2, "unknown": 0}
    kinds = [gguf_tokenizer.UNKNOWN, *[gguf_tokenizer.CONTROL] * 2, *[gguf_tokenizer.BYTE] * 256]
    assert list(entry.types[:261]) == [*kinds, *[gguf_tokenizer.CONTROL] * 2]
    assert set(entry.types[261:]) == {gguf_tokenizer.NORMAL}
    assert entry.scores is not None
    scores = dict(zip(entry.tokens, entry.scores, strict=True))
    assert scores["\n▁"] == -1 > scores["\n▁▁"] > scores["▁the"] > scores["▁▁"]


def by_scores(entry: Entry, text: str) -> list[int]:
    """SentencePiece's algorithm written out: join the best pair of neighbours that spells a token, leftmost first."""
    assert entry.scores is not None
    ids = {token: index for index, token in enumerate(entry.tokens)}
    symbols = list("▁" + text.replace(" ", "▁")) if text else []
    while True:
        joined = [
            (-entry.scores[ids[a + b]], place)
            for place, (a, b) in enumerate(itertools.pairwise(symbols))
            if a + b in ids
        ]
        if not joined:
            break
        place = min(joined)[1]
        symbols[place : place + 2] = ["".join(symbols[place : place + 2])]
    found = []
    for symbol in symbols:
        found += [ids[symbol]] if symbol in ids else [3 + byte for byte in symbol.encode()]
    return found


def test_scores_give_the_ids_of_the_merges(counted: Path) -> None:
    entry, tokenizer = read_entry(counted), Tokenizer.load(counted)
    for text in [*material.strings(1500, seed=3), material.sources()[1][:2000]]:
        assert by_scores(entry, text) == tokenizer.encode(text), repr(text)


def test_one_that_cuts_by_words_of_its_own_is_refused_with_the_reasons(counted: Path, tmp_path: Path) -> None:
    """As a byte-pair tokenizer usually is: a merge for each piece, and a rule for words that matters."""
    table = json.loads((counted / "tokenizer.json").read_text(encoding="utf-8"))
    table["model"]["merges"] = list({left + right: [left, right] for left, right in table["model"]["merges"]}.values())
    table["pre_tokenizer"]["pattern"]["Regex"] = r"[\r\n]+|▁?[^\r\n▁]+|▁+"
    shutil.copytree(counted, tmp_path, dirs_exist_ok=True)
    (tmp_path / "tokenizer.json").write_text(json.dumps(table), encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        read_entry(tmp_path)
    for part in (
        "llama.cpp cannot run this tokenizer id for id",
        "pairs that spell a token are not to be joined",
        "it cuts words by a rule that llama.cpp lacks",
        "Train one with waman train-tokenizer",
        "--set format.tokenizer=nearest",
    ):
        assert part in str(caught.value)
    assert read_entry(tmp_path, nearest=True).model == "llama"


def _without_bytes(table: dict[str, Any]) -> None:
    table["model"]["byte_fallback"] = False


def _swap_two_merges(table: dict[str, Any]) -> None:
    merges = table["model"]["merges"]
    places = [place for place, (left, right) in enumerate(merges) if left + right == "\n▁▁▁"]
    merges.append(merges.pop(places[0]))


def _lowercase(table: dict[str, Any]) -> None:
    table["normalizer"]["normalizers"].append({"type": "Lowercase"})


def _keep_spaces(table: dict[str, Any]) -> None:
    table["normalizer"] = None


def _strip(table: dict[str, Any]) -> None:
    table["added_tokens"][-1]["lstrip"] = True


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without_bytes, "it does not spell unknown characters in bytes"),
        (_swap_two_merges, "tokens are made by pairs of which another token's stand between"),
        (_lowercase, r"it changes the text first \(Lowercase\)"),
        (_keep_spaces, "it does not write spaces as ▁"),
        (_strip, r"the token '<\|assistant\|>' takes the spaces beside it"),
    ],
)
def test_what_llama_cpp_would_do_otherwise_is_named(
    counted: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        read_entry(changed(counted, tmp_path / "t", change))


def byte_level(folder: Path, cutter: pre_tokenizers.PreTokenizer) -> Path:
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = cutter
    tokenizer.decoder = decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(material.sources(), trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|endoftext|>"}))
    return folder


def test_the_byte_level_kind_is_known_by_its_rule_for_words(tmp_path: Path) -> None:
    entry = read_entry(byte_level(tmp_path, pre_tokenizers.ByteLevel(add_prefix_space=False)))
    assert (entry.model, entry.pre, entry.scores) == ("gpt2", "gpt-2", None)
    assert entry.merges is not None
    assert entry.merges[0].count(" ") == 1
    assert entry.types[0] == gguf_tokenizer.CONTROL
    assert entry.special_ids == {"eos": 0}
    qwen = tokenizers.Regex(gguf_tokenizer._QWEN_2)
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    cutter = pre_tokenizers.Sequence([pre_tokenizers.Split(qwen, "isolated"), level])
    assert read_entry(byte_level(tmp_path, cutter)).pre == "qwen2"


def test_a_byte_level_rule_that_llama_cpp_lacks_is_named(tmp_path: Path) -> None:
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    cutter = pre_tokenizers.Sequence([pre_tokenizers.Split(tokenizers.Regex(r"\w+"), "isolated"), level])
    with pytest.raises(RecipeError, match=r"it cuts words by a rule that llama\.cpp lacks \(\\w\+\)"):
        read_entry(byte_level(tmp_path, cutter))
    with pytest.raises(RecipeError, match="it cuts words"):
        read_entry(byte_level(tmp_path, pre_tokenizers.ByteLevel(add_prefix_space=True)))


def _compose(table: dict[str, Any]) -> None:
    table["normalizer"] = {"type": "NFC"}


def _ignore_merges(table: dict[str, Any]) -> None:
    table["model"]["ignore_merges"] = True


@pytest.mark.parametrize(
    ("change", "message"),
    [(_compose, r"it changes the text first \(NFC\)"), (_ignore_merges, r"as llama\.cpp does not take them")],
)
def test_what_llama_cpp_would_do_otherwise_to_bytes_is_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    source = byte_level(tmp_path, pre_tokenizers.ByteLevel(add_prefix_space=False))
    with pytest.raises(RecipeError, match=message):
        read_entry(changed(source, tmp_path / "t", change))


def test_a_tokenizer_of_another_kind_is_refused(tmp_path: Path) -> None:
    tokenizers.Tokenizer(models.Unigram([("a", 0.0)], 0, False)).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match="the tokenizer is of type 'Unigram'; GGUF is written for 'BPE' only"):
        read_entry(tmp_path)


def test_tokens_that_the_model_knows_beyond_the_tokenizer_are_never_used(counted: Path) -> None:
    entry = read_entry(counted).padded(1203)
    assert entry.tokens[1200:] == ("[PAD1200]", "[PAD1201]", "[PAD1202]")
    assert entry.types[1200:] == (gguf_tokenizer.UNUSED,) * 3
    with pytest.raises(InputError, match="the tokenizer has 1200 tokens, but the model knows 1100"):
        read_entry(counted).padded(1100)


def test_the_tokenizer_s_files_come_back(counted: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from tests.weights.test_huggingface import TINY, build

    config = replace(TINY, vocab_size=1200)
    path = tmp_path / "a.gguf"
    save_gguf(path, build(config).state_dict(), config, kind="F32", tokenizer=read_entry(counted), name="tiny")
    opened = load_gguf(path)
    assert opened.tokenizer_json is not None
    restore_tokenizer(opened.tokenizer_json, opened.metadata, tmp_path)
    for name in ("tokenizer.json", "chat_template.jinja"):
        assert (tmp_path / name).read_bytes() == (counted / name).read_bytes()
    assert json.loads((tmp_path / "tokenizer_config.json").read_text()) == json.loads(
        (counted / "tokenizer_config.json").read_text()
    )
