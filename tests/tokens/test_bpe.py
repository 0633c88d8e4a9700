from collections import Counter

import pytest

from tests.tokens import material
from waman.errors import InputError
from waman.tokens import bpe


def test_coverage_keeps_the_commonest_and_settles_ties_by_code_point() -> None:
    counts = Counter({"a": 50, "c": 25, "b": 25, "z": 1})
    assert bpe.covered_characters(counts, 0.5) == ["a", "b"]
    assert bpe.covered_characters(counts, 0.99) == ["a", "b", "c"]
    assert bpe.covered_characters(counts, 1.0) == ["a", "b", "c", "z"]


def test_a_rare_character_is_spelt_in_bytes_and_ends_no_word() -> None:
    texts = ["banana bandana " * 200 + "옮"]
    tokenizer = bpe.build(bpe.learn_pieces(texts, vocab_size=273, character_coverage=0.999))
    assert "옮" not in tokenizer.get_vocab()
    assert tokenizer.encode("banana옮", add_special_tokens=False).tokens[-3:] == ["<0xEC>", "<0x98>", "<0xAE>"]


def test_merges_are_those_worked_out_by_hand() -> None:
    # ▁ab four times and ▁b twice: (▁,a) and (a,b) both 4 times, the smaller pair of code points first
    pieces = bpe.learn_pieces(["ab ab ab ab b b"], vocab_size=261 + 3 + 3, character_coverage=1.0)
    assert set(pieces.characters) == {"a", "b", "▁"}
    assert pieces.merges == (("a", "b"), ("▁", "ab"), ("▁", "b"))
    assert pieces.merged == ("ab", "▁ab", "▁b")


def test_learning_twice_gives_the_same_bytes() -> None:
    texts = [*material.sources(), material.KOREAN * 20]
    found = {
        bpe.build(bpe.learn_pieces(order, vocab_size=1200, character_coverage=0.999)).to_str(pretty=True)
        for order in (texts, texts, texts[::-1], texts)
    }
    assert len(found) == 1


def test_no_text_is_refused() -> None:
    for texts in ([], ["", ""]):
        with pytest.raises(InputError, match="the sample holds no text"):
            bpe.learn_pieces(texts, vocab_size=300, character_coverage=1.0)


def test_too_little_text_says_how_many_pieces_were_found() -> None:
    with pytest.raises(InputError, match=r"found 6 pieces, expected 39 .*set vocab_size to 267 or less"):
        bpe.learn_pieces(["ab ab ab ab b b"], vocab_size=300, character_coverage=1.0)
    assert len(bpe.learn_pieces(["ab ab ab ab b b"], vocab_size=267, character_coverage=1.0).merged) == 3


def test_too_many_characters_say_what_they_need() -> None:
    text = "".join(chr(0xAC00 + number) * 2 for number in range(50))
    with pytest.raises(InputError, match=r"has 51 characters to cover, the vocabulary has room for 39.*more than 312"):
        bpe.learn_pieces([text], vocab_size=300, character_coverage=1.0)


def test_characters_leave_room_for_words() -> None:
    words = " ".join(chr(0xAC00 + number) * 2 for number in range(50))
    pieces = bpe.learn_pieces([words * 3], vocab_size=300, character_coverage=1.0, max_character_share=0.5)
    assert len(pieces.characters) == 19
    assert len(pieces.merged) == 39 - 19
