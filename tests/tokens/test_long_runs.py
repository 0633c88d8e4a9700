"""What takes longer, or other text than the tests bring along."""

import io
import json
from pathlib import Path

import pytest
import transformers
import zstandard

from tests.sweep import Sweep
from tests.tokens.material import strings
from waman.artifact import Artifact
from waman.tokens import bpe
from waman.tokens.tokenizer import Tokenizer, own_tokenizer


@pytest.mark.soak
def test_a_million_strings_come_back_with_the_ids_of_transformers(
    tokenizer: Tokenizer, trained: Artifact, sweep: Sweep
) -> None:
    theirs = transformers.AutoTokenizer.from_pretrained(trained.path)
    for draw in sweep(100):
        texts = strings(10_000, seed=draw.getrandbits(32))
        ids = tokenizer.encode_batch(texts)
        assert [tokenizer.decode(one) for one in ids] == texts
        assert theirs(texts, split_special_tokens=True, add_special_tokens=False)["input_ids"] == ids


@pytest.mark.soak
def test_every_unicode_string_of_random_code_points_comes_back(tokenizer: Tokenizer) -> None:
    points = [point for point in range(0x110000) if not 0xD800 <= point <= 0xDFFF and point != 0x2581]
    for start in range(len(points) // 64):
        text = "".join(map(chr, points[start :: len(points) // 64]))
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_korean_prose_comes_back_and_takes_fewer_tokens_than_characters(shared_data: Path) -> None:
    path = shared_data / "corpus" / "korean" / "kobest_boolq_train_paragraphs.jsonl.zst"
    with path.open("rb") as file:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8")
        texts = [json.loads(line)["text"] for line, _ in zip(lines, range(1000), strict=False)]
    learned, others = texts[:800], texts[800:]
    pieces = bpe.learn_pieces(learned, vocab_size=4096, character_coverage=0.9995, max_character_share=0.35)
    tokenizer = own_tokenizer(bpe.build(pieces))
    ids = tokenizer.encode_batch(others)
    assert [tokenizer.decode(one) for one in ids] == others
    assert sum(map(len, ids)) < 0.75 * sum(map(len, others))
