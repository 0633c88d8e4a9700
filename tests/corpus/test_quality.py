"""Each rule of Rae et al. 2021, section A.1.1: a kept and a dropped text per reason, and a slow reference for all."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waman.corpus import presets
from waman.corpus.filters.chain import Kept, apply
from waman.corpus.filters.quality import (
    AlphabeticWords,
    Bounds,
    BulletLines,
    EllipsisLines,
    MeanWordLength,
    NumWords,
    StopWords,
    SymbolsPerWord,
)
from waman.corpus.filters.rule import Reason
from waman.corpus.text import Text
from waman.errors import RecipeError


def slow_quality(text: str) -> str | None:
    """The paper's sentences, one after another, for English prose."""
    words, lines = text.split(), [line.strip() for line in text.splitlines() if line.strip()]
    if not 50 <= len(words) <= 100_000:
        return "words"
    if not 3 <= sum(len(word) for word in words) / len(words) <= 10:
        return "length"
    if len(re.findall("#+", text)) / len(words) > 0.1 or len(re.findall(r"\.{3,}|…+", text)) / len(words) > 0.1:
        return "symbols"
    if sum(line[0] in "•‣◦●▪-*·" for line in lines) / len(lines) > 0.9:
        return "bullets"
    if sum(line.endswith(("...", "…")) for line in lines) / len(lines) > 0.3:
        return "ellipsis"
    if sum(any(c.isalpha() for c in word) for word in words) / len(words) < 0.8:
        return "alphabetic"
    present = {word.strip(".,#…*").lower() for word in words}
    stop_words = ("the", "be", "to", "of", "and", "that", "have", "with")
    return "stop words" if sum(word in present for word in stop_words) < 2 else None


NAMES = {
    "words": {"too_few_words", "too_many_words"},
    "length": {"short_words", "long_words"},
    "symbols": {"hash_signs", "ellipses"},
    "bullets": {"bullet_lines"},
    "ellipsis": {"ellipsis_lines"},
    "alphabetic": {"few_alphabetic_words"},
    "stop words": {"few_stop_words"},
}
PIECES = [
    "house",
    "The",
    "of.",
    "and",
    "walked",
    "12",
    "#",
    "more...",
    "…",
    "•",
    "- item",
    "a",
    "\n",
    "\n\n",
    "extraordinarily",
]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=12), st.integers(1, 12))
def test_the_preset_judges_as_the_slow_reference(pieces: list[str], times: int) -> None:
    text = " ".join(pieces * times)
    answer = apply(presets.gopher_quality(), Text(text, "en"))
    expected = slow_quality(text) if text.strip() else "empty"
    if expected is None:
        assert isinstance(answer, Kept)
    else:
        assert isinstance(answer, Reason)
        assert answer.name in NAMES.get(expected, {"empty"})


def sentences(times: int, sentence: str = "The old man went down to the sea with a net.") -> str:
    return "\n".join([sentence] * times)


def test_number_of_words() -> None:
    assert NumWords(10, 20).judge(Text("w " * 10)) is None
    assert NumWords(10, 20).judge(Text("w " * 20)) is None
    assert NumWords(10, 20).judge(Text("w " * 9)) == Reason("too_few_words", 9)
    assert NumWords(10, 20).judge(Text("w " * 21)) == Reason("too_many_words", 21)
    assert NumWords(10).judge(Text("w " * 21)) is None


def test_mean_word_length() -> None:
    assert MeanWordLength().judge(Text("abc abc abc")) is None
    assert MeanWordLength().judge(Text("abc abc ab")) == Reason("short_words", 8 / 3)
    assert MeanWordLength().judge(Text("abcdefghijk abcdefghijk")) == Reason("long_words", 11)


def test_mean_word_length_knows_the_script() -> None:
    assert MeanWordLength().judge(Text("나는 집에 간다")) is None  # 7 / 3, too short for Latin letters
    assert MeanWordLength().judge(Text("나 너 그 저")) == Reason("short_words", 1)
    assert MeanWordLength().judge(Text("가" * 40)) == Reason("long_words", 40)
    assert MeanWordLength().judge(Text("日本語の文章には空白がない。" * 5)) is None


def test_hash_signs_and_ellipses() -> None:
    assert SymbolsPerWord(0.1).judge(Text("#one " + "two " * 9)) is None
    assert SymbolsPerWord(0.1).judge(Text("#one #two " + "three " * 8)) == Reason("hash_signs", 0.2)
    assert SymbolsPerWord(0.1).judge(Text("### one " + "two " * 9)) is None  # one heading
    assert SymbolsPerWord(0.1).judge(Text("one... two… " + "three " * 8)) == Reason("ellipses", 0.2)


def test_bullet_lines() -> None:
    assert BulletLines(0.9).judge(Text("a heading\n" + "• item\n" * 9)) is None
    assert BulletLines(0.9).judge(Text("- item\n\n* item\n")) == Reason("bullet_lines", 1.0)


def test_ellipsis_lines() -> None:
    assert EllipsisLines(0.3).judge(Text("go on...\n" * 3 + "it ends.\n" * 7)) is None
    assert EllipsisLines(0.3).judge(Text("go on…\n" * 4 + "it ends.\n" * 6)) == Reason("ellipsis_lines", 0.4)


def test_alphabetic_words() -> None:
    assert AlphabeticWords(0.8).judge(Text("one two x2 네번째 5")) is None
    assert AlphabeticWords(0.8).judge(Text("one two x2 4 5")) == Reason("few_alphabetic_words", 0.6)


def test_stop_words() -> None:
    assert StopWords(2).judge(Text('"The cat," of course', "en")) is None
    assert StopWords(2).judge(Text("the the the cat", "en")) == Reason("few_stop_words", 1)


@pytest.mark.parametrize("language", ["ko", "fr", None])
def test_a_language_without_stop_words_is_not_judged_by_them(language: str | None) -> None:
    assert StopWords(2).judge(Text("el gato", language)) is None


def test_stop_words_of_another_language_may_be_given() -> None:
    rule = StopWords(1, {"fr": ("le", "la", "et")})
    assert rule.judge(Text("Le chat", "fr")) is None
    assert rule.judge(Text("chat chien", "fr")) == Reason("few_stop_words", 0)


@pytest.mark.parametrize(
    ("sentence", "language"),
    [
        ("나는 어제 학교에서 친구를 만나 오래 이야기했다.", "ko"),
        ("昨日、学校で友達に会って長い間話をした。", "ja"),
        ("മനുഷ്യരെല്ലാവരും തുല്യാവകാശങ്ങളോടും അന്തസ്സോടും സ്വാതന്ത്ര്യത്തോടുംകൂടി ജനിച്ചിട്ടുള്ളവരാണ്.", "ml"),
        ("เมื่อวานนี้ฉันพบเพื่อนที่โรงเรียนและคุยกันนานมาก", "th"),
        ("Вчера в школе я встретил друга и долго говорил с ним.", "ru"),
    ],
)
def test_prose_of_other_languages_passes_the_quality_rules(sentence: str, language: str) -> None:
    assert isinstance(apply(presets.gopher_quality(), Text(sentences(20, sentence), language)), Kept)


def test_empty_text_is_a_reason_of_its_own() -> None:
    assert apply(presets.gopher(), Text(" \n ")) == Reason("empty")
    assert apply((), Text("")) == Reason("empty")


def test_bounds_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"min: found 5 above max 2"):
        Bounds(5, 2)


def test_the_script_is_that_of_most_letters() -> None:
    cases: Sequence[tuple[str, str]] = [
        ("plain words", "spaced"),
        ("Слова через пробел", "spaced"),
        ("한국어 문장과 English 몇 마디", "hangul"),
        ("파이썬 one", "hangul"),
        ("ไม่มีช่องว่างระหว่างคำ", "unspaced"),
        ("東京は日本の首都 (Tokyo)", "ideographic"),
        ("An English text that quotes 日本", "spaced"),
        ("", "spaced"),
    ]
    assert [Text(text).script for text, _ in cases] == [script for _, script in cases]
