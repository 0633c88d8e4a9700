"""The tokenizer whose line ends count the spaces after them: the same ids with and without a rule for words."""

import json

import pytest
import tokenizers

from tests.tokens import material
from waman.tokens import bpe
from waman.tokens.tokenizer import Tokenizer, own_tokenizer


@pytest.fixture(scope="module")
def pieces() -> bpe.Pieces:
    texts = [*material.sources(), material.KOREAN * 20, material.PROSE * 20]
    return bpe.learn_pieces(texts, vocab_size=1200, character_coverage=0.9995)


@pytest.fixture(scope="module")
def tokenizer(pieces: bpe.Pieces) -> Tokenizer:
    return own_tokenizer(bpe.build(pieces))


def test_the_vocabulary_has_the_size_asked_for(pieces: bpe.Pieces, tokenizer: Tokenizer) -> None:
    assert tokenizer.vocab_size == 1200
    assert len(pieces.characters) + len(pieces.merged) + 261 == 1200


@pytest.mark.parametrize("spaces", range(40))
def test_a_line_end_counts_up_to_15_spaces_and_a_word_takes_one_of_the_rest(tokenizer: Tokenizer, spaces: int) -> None:
    tokens = tokenizer.token_bytes
    found = [tokens[index].decode() for index in tokenizer.encode("a\n" + " " * spaces + "return")][1:]
    line_end, *rest = found
    assert line_end == "\n" + " " * min(spaces, 15)
    assert spaces <= 15 or rest[-1] == " return"
    assert "".join(rest) == " " * max(0, spaces - 15) + "return"


def test_after_no_line_end_the_last_space_goes_to_the_word(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.token_bytes
    found = [tokens[index].decode() for index in tokenizer.encode("x     the")]
    assert found[-1] == " the"
    assert not "".join(found[1:-1]).strip(" ")


def test_ids_are_the_same_without_a_rule_for_words(tokenizer: Tokenizer, pieces: bpe.Pieces) -> None:
    table = json.loads(bpe.build(pieces).to_str())
    whole = tokenizers.Tokenizer.from_str(json.dumps(table | {"pre_tokenizer": None}))
    whole.encode_special_tokens = True
    texts = material.strings(4000) + material.sources()
    for text in texts:
        assert whole.encode(text, add_special_tokens=False).ids == tokenizer.encode(text)


def test_any_two_pieces_that_spell_a_piece_are_merged(pieces: bpe.Pieces) -> None:
    known = {*pieces.characters, *pieces.merged}
    pairs = {(one[:cut], one[cut:]) for one in known for cut in range(1, len(one))}
    assert set(pieces.merges) == {(left, right) for left, right in pairs if left in known and right in known}


def test_every_text_comes_back(tokenizer: Tokenizer) -> None:
    for text in material.strings(3000, seed=1) + material.sources():
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_text_without_line_ends_has_the_tokens_all_the_same() -> None:
    found = bpe.learn_pieces(["ab ab ab ab b b"], vocab_size=261 + 15 + 4 + 3, character_coverage=1.0)
    assert set(found.characters) == {"a", "b", "▁", "\n"}
    assert found.merged[15:] == ("ab", "▁ab", "▁b")
    assert found.merges[15:] == (("a", "b"), ("▁", "ab"), ("▁", "b"))
    assert own_tokenizer(bpe.build(found)).decode([261 + 14]) == "\n" + " " * 15
