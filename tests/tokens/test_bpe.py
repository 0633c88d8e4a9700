import re
from collections import Counter

import pytest

from tests.tokens import material
from waman.errors import InputError
from waman.tokens import bpe
from waman.tokens.recipe import NUM_FIXED_TOKENS, TokenizerRecipe


def test_coverage_keeps_the_commonest_and_settles_ties_by_code_point() -> None:
    counts = Counter({"a": 50, "c": 25, "b": 25, "z": 1})
    assert bpe.covered_characters(counts, 0.5) == ["a", "b"]
    assert bpe.covered_characters(counts, 0.99) == ["a", "b", "c"]
    assert bpe.covered_characters(counts, 1.0) == ["a", "b", "c", "z"]


def test_a_rare_character_is_spelt_in_bytes_and_ends_no_word() -> None:
    texts = ["banana bandana " * 200 + "옮"]
    tokenizer = bpe.build(bpe.learn_pieces(texts, vocab_size=289, character_coverage=0.999))
    assert "옮" not in tokenizer.get_vocab()
    assert tokenizer.encode("banana옮", add_special_tokens=False).tokens[-3:] == ["<0xEC>", "<0x98>", "<0xAE>"]


def test_merges_are_those_worked_out_by_hand() -> None:
    # ▁ab four times and ▁b twice: (▁,a) and (a,b) both 4 times, the smaller pair of code points first
    pieces = bpe.learn_pieces(["ab ab ab ab b b"], vocab_size=261 + 15 + 4 + 3, character_coverage=1.0)
    assert set(pieces.characters) == {"a", "b", "▁", "\n"}
    assert pieces.merges[15:] == (("a", "b"), ("▁", "ab"), ("▁", "b"))
    assert pieces.merged[15:] == ("ab", "▁ab", "▁b")


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
    with pytest.raises(InputError, match=r"found 22 pieces, expected 39 .*set vocab_size to 283, with --replace"):
        bpe.learn_pieces(["ab ab ab ab b b"], vocab_size=300, character_coverage=1.0)
    assert len(bpe.learn_pieces(["ab ab ab ab b b"], vocab_size=283, character_coverage=1.0).merged) == 18


def test_too_many_characters_say_what_they_need() -> None:
    text = "".join(chr(0xAC00 + number) * 2 for number in range(50))
    with pytest.raises(
        InputError, match=r"has 52 characters to cover, .* room for 24 .* set vocab_size to 328, or a lower"
    ):
        bpe.learn_pieces([text], vocab_size=300, character_coverage=1.0)
    assert len(bpe.learn_pieces([text], vocab_size=328, character_coverage=1.0).characters) == 52


@pytest.mark.parametrize(
    "texts",
    [
        ["a"], ["ab"], ["▁"], ["   "], ["x" * 40], ["ab ab ab ab b b"], [material.KOREAN],
        [material.PROSE, "0123456789"], [material.KOREAN + material.PROSE],
        ["".join(material.strings(60))], ["".join(map(chr, range(0x4E00, 0x4F00)))],
    ],
)  # fmt: skip
@pytest.mark.parametrize("share", [0.05, 0.35, 0.9, 1.0])
def test_a_vocabulary_of_the_size_that_the_error_advises_is_learned_at_once(texts: list[str], share: float) -> None:
    with pytest.raises(InputError, match="too small for the vocabulary") as error:
        bpe.learn_pieces(texts, vocab_size=4096, character_coverage=0.9995, max_character_share=share)
    advised = int(re.findall(r"set vocab_size to (\d+)", str(error.value))[0])
    TokenizerRecipe(vocab_size=advised)
    pieces = bpe.learn_pieces(texts, vocab_size=advised, character_coverage=0.9995, max_character_share=share)
    assert bpe.build(pieces).get_vocab_size() == advised


def test_the_advice_reckons_with_the_characters_that_a_smaller_vocabulary_loses() -> None:
    def refusal(vocab_size: int) -> str:
        with pytest.raises(InputError) as error:
            bpe.learn_pieces([material.KOREAN], vocab_size=vocab_size, character_coverage=1.0, max_character_share=0.35)
        return str(error.value)

    found = int(refusal(4096).partition("found ")[2].partition(" ")[0])
    assert "too small" in refusal(found + NUM_FIXED_TOKENS), "as many pieces as were found would do: no case in point"


def test_characters_leave_room_for_words() -> None:
    words = " ".join(chr(0xAC00 + number) * 2 for number in range(50))
    pieces = bpe.learn_pieces([words * 3], vocab_size=300, character_coverage=1.0, max_character_share=0.5)
    assert len(pieces.characters) == 12 + 1  # half of 39 less 15 for indentation; and the line end
    assert len(pieces.merged) == 39 - 13


def test_numbers_become_tokens_only_where_digits_are_not_split() -> None:
    text = "in 1984 and 1984 or 2024, of 1984 by 2024 and 1984; " * 5
    whole = bpe.build(bpe.learn_pieces([text], vocab_size=309, character_coverage=1.0, split_digits=False))
    split = bpe.build(bpe.learn_pieces([text], vocab_size=300, character_coverage=1.0))
    assert "1984" in whole.encode("by 1984", add_special_tokens=False).tokens
    assert split.encode("by 1984", add_special_tokens=False).tokens[-4:] == ["1", "9", "8", "4"]
    assert not [piece for piece in split.get_vocab() if len(piece) > 1 and piece.strip("▁").isdigit()]
    assert whole.decode(whole.encode("x 19842024 y").ids) == "x 19842024 y"
