"""More tokens for a tokenizer: learned from Korean, added to tokenizers that know English and Python only."""

import json
from typing import Any

import pytest
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

from tests.tokens import material
from waman.errors import InputError
from waman.tokens import bpe
from waman.tokens.extension import (
    Extension,
    Table,
    extend,
    is_complete,
    learn_extension,
    new_tokens,
    num_ids,
    pairs,
    spell,
)
from waman.tokens.tokenizer import Tokenizer
from waman.weights.gguf_tokenizer import read_entry

NUM_TOKENS = 90
TEXTS = [
    material.KOREAN * 3,
    "자유롭고 평등한 사람은 존엄하다. 이성과 양심은 자유롭다!\n\n    평등하다, 3일 동안\n" * 4,
]


def ours() -> Table:
    """Of our own kind, with merges for English and Python; Korean is spelt in bytes."""
    pieces = bpe.learn_pieces([*material.sources(), material.PROSE * 9], vocab_size=700, character_coverage=0.999)
    return table_of(bpe.build(pieces))


def byte_level(**words: Any) -> Table:
    """GPT-2's kind, with an added token after the vocabulary."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, **words)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator([*material.sources(), material.PROSE * 9], trainer)
    backend.add_special_tokens(["<|endoftext|>"])
    return table_of(backend)


def sentencepiece() -> Table:
    """LLaMA's own kind: no rule for words, merges written as text, spaces written by the pre-tokenizer."""
    table = json.loads(json.dumps(ours()))
    table["normalizer"] = None
    table["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    table["model"]["merges"] = [" ".join(pair) for pair in table["model"]["merges"]]
    return dict(table)


def without_bytes() -> Table:
    """What a tokenizer without a spelling in bytes does not know is unknown."""
    backend = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    backend.normalizer = normalizers.Replace(" ", "▁")
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>"], show_progress=False)
    backend.train_from_iterator(material.sources(), trainer)
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return table_of(backend)


def whole_words_first() -> Table:
    """Llama 3's kind: a word that is a token is taken as it is, whatever the merges."""
    table = json.loads(json.dumps(byte_level()))
    table["model"]["ignore_merges"] = True
    return dict(table)


TABLES = {
    "ours": ours,
    "byte-level": byte_level,
    "byte-level without words": lambda: byte_level(use_regex=False),
    "sentencepiece": sentencepiece,
    "whole words first": whole_words_first,
}


def table_of(backend: tokenizers.Tokenizer) -> Table:
    return dict(json.loads(backend.to_str()))


def backend_of(table: Table) -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer.from_str(json.dumps(dict(table)))
    backend.encode_special_tokens = True
    return backend


@pytest.fixture(scope="module", params=TABLES)
def old(request: pytest.FixtureRequest) -> Table:
    return TABLES[request.param]()


@pytest.fixture(scope="module")
def extension(old: Table) -> Extension:
    return learn(old, NUM_TOKENS)


def learn(old: Table, num_tokens: int) -> Extension:
    return learn_extension(old, TEXTS, num_tokens=num_tokens, character_coverage=1.0, max_character_share=0.5)


def ids(backend: tokenizers.Tokenizer, text: str) -> list[int]:
    return list(backend.encode(text, add_special_tokens=False).ids)


def test_text_whose_encoding_holds_no_new_token_has_the_old_ids(old: Table, extension: Extension) -> None:
    first = num_ids(old)
    before, after = backend_of(old), backend_of(extend(old, extension))
    lines = [line for source in material.sources() for line in source.splitlines(keepends=True)]
    with_new = 0
    for text in [*lines, *material.sources(), material.PROSE * 3, *material.strings(4000), *TEXTS]:
        found = ids(after, text)
        if all(index < first for index in found):
            assert found == ids(before, text)
        else:
            with_new += 1
    assert with_new < 4000, "most texts of the old languages need no new token"
    assert len(ids(after, TEXTS[0])) < 0.6 * len(ids(before, TEXTS[0]))


@pytest.mark.parametrize("name", [name for name in TABLES if name != "whole words first"])
def test_text_with_new_tokens_is_the_old_pieces_joined(name: str) -> None:
    """No old text is cut otherwise; only a word that is taken whole is not merged from its parts."""
    old = TABLES[name]()
    extension = learn(old, NUM_TOKENS)
    first, before, after = num_ids(old), backend_of(old), backend_of(extend(old, extension))
    pieces = spell(old, extension.tokens)
    for text in [*TEXTS, *material.strings(2000, seed=2)]:
        spread = [one for index in ids(after, text) for one in (pieces[index - first] if index >= first else [index])]
        assert spread == ids(before, text)


def test_characters_that_were_unknown_become_known() -> None:
    old = without_bytes()
    before, after = backend_of(old), backend_of(extend(old, learn(old, NUM_TOKENS)))
    assert 0 in ids(before, "모든 사람") and 0 not in ids(after, "사람은 자유롭다")  # noqa: PT018
    for text in [*material.sources(), *material.strings(4000)]:
        found = ids(after, text)
        assert found == ids(before, text) or max(found) >= num_ids(old)


def test_as_many_tokens_are_added_as_were_asked_for_and_follow_the_old_ids(old: Table, extension: Extension) -> None:
    new = extend(old, extension)
    assert len(extension.tokens) == NUM_TOKENS
    assert num_ids(new) == num_ids(old) + NUM_TOKENS
    assert new_tokens(old, new) == list(extension.tokens)
    assert backend_of(new).get_vocab_size() == backend_of(old).get_vocab_size() + NUM_TOKENS
    assert new["model"]["vocab"].items() >= old["model"]["vocab"].items()
    assert pairs(new)[: len(pairs(old))] == pairs(old)
    assert {left + right for left, right in extension.merges} == set(extension.merged)


def test_every_text_comes_back(old: Table, extension: Extension, tmp_path: Any) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(extend(old, extension)))
    tokenizer = Tokenizer.load(tmp_path)
    for text in [*TEXTS, *material.strings(1000, seed=1)]:
        text = "x" + text  # Metaspace writes one space before a text only if it has none
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_the_same_text_in_another_order_gives_the_same_extension(old: Table, extension: Extension) -> None:
    again = learn_extension(old, TEXTS[::-1], num_tokens=NUM_TOKENS, character_coverage=1.0, max_character_share=0.5)
    assert again == extension


def test_what_was_merged_in_any_way_still_is(tmp_path: Any) -> None:
    """So llama.cpp gives the ids of an extended tokenizer too: `read_entry` proves it or gives reasons."""
    old = ours()
    assert is_complete(old)
    extension = learn(old, NUM_TOKENS)
    new = extend(old, extension)
    assert is_complete(new)
    (tmp_path / "tokenizer.json").write_text(json.dumps(new))
    assert read_entry(tmp_path).tokens[-NUM_TOKENS:] == extension.tokens
    whole = backend_of({**new, "pre_tokenizer": None})
    for text in [*TEXTS, *material.strings(2000)]:
        assert ids(whole, text) == ids(backend_of(new), text)


def test_the_commonest_pair_is_joined_first() -> None:
    letters = {letter: index for index, letter in enumerate("▁abcd")}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    added = {"id": 6, "content": "dd", **flags}
    model = {"type": "BPE", "vocab": {**letters, "ab": 5}, "merges": [["a", "b"]], "unk_token": None}
    table = {"model": model, "added_tokens": [added], "pre_tokenizer": None, "normalizer": None}
    found = learn_extension(
        table, ["abcabc", "abcd", "cd", "dd dd dd"], num_tokens=2, character_coverage=1.0, max_character_share=0.1
    )
    # c follows ab three times, ab follows c once, d follows c twice; "dd" is an added token and may not be made
    assert found == Extension((" ",), ("abc",), (("ab", "c"),))
    assert extend(table, found)["model"]["vocab"] == {**model["vocab"], "dd": 6, " ": 7, "abc": 8}  # type: ignore[dict-item]


def test_too_little_text_says_how_many_tokens_can_be_made(old: Table) -> None:
    with pytest.raises(InputError, match=r"too small for 5000 new tokens: \d+ can be made of it; give more") as caught:
        learn(old, 5000)
    possible = int(str(caught.value).split(": ")[1].split()[0])
    assert len(learn(old, possible).tokens) == possible >= NUM_TOKENS


def test_other_kinds_of_tokenizers_are_refused() -> None:
    table = ours()
    unigram = {**table, "model": {**table["model"], "type": "Unigram"}}
    random = {**table, "model": {**table["model"], "dropout": 0.1}}
    letter = {
        **table,
        "added_tokens": [*table["added_tokens"], {**table["added_tokens"][0], "content": "가", "id": 700}],
    }
    for odd, reason in (
        (unigram, "type 'Unigram': only byte-pair"),
        (random, "dropout = 0.1: with these, new merges"),
        (letter, "the added tokens '가' beside its vocabulary"),
    ):
        with pytest.raises(InputError, match=reason):
            learn(odd, 5)


def test_a_tokenizer_that_extends_no_other_is_told_why() -> None:
    old = ours()
    model, vocab, merges = old["model"], old["model"]["vocab"], old["model"]["merges"]

    def reason(**changes: Any) -> str:
        with pytest.raises(InputError) as caught:
            new_tokens(old, {**old, "model": {**model, **changes}})
        return str(caught.value)

    assert new_tokens(old, old) == []
    assert "tokens are missing or have other ids" in reason(vocab={**vocab, "a": vocab["b"], "b": vocab["a"]})
    assert "the old merges do not come first" in reason(merges=[["x", "q"], *merges], vocab={**vocab, "xq": 700})
    assert "the new tokens' ids do not follow the old ones" in reason(vocab={**vocab, "xq": 800})
    assert "a new merge makes an old token" in reason(merges=[*merges, ["a", "b"]], vocab={**vocab, "xq": 700, "ab": 5})
    assert "model.byte_fallback differs" in reason(byte_fallback=False)
    with pytest.raises(InputError, match="normalizer differs"):
        new_tokens(old, {**old, "normalizer": None})
