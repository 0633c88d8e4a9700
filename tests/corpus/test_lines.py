import pytest

from waman.corpus.filters.chain import Kept, apply
from waman.corpus.filters.lines import Boilerplate, LineCorrections, flag_line
from waman.corpus.filters.rule import Reason
from waman.corpus.text import Text

PROSE = "The old man went down to the sea with a net and did not come back before the evening bell."


@pytest.mark.parametrize(
    ("line", "flag"),
    [
        ("BREAKING NEWS FROM LONDON", "uppercase"),
        ("THE API of today", None),  # 6 of 13 letters
        ("2024-01-31", "digits"),
        ("1,234 (56%)", "digits"),
        ("3 likes", "counter"),
        ("Views: 1,234 | 5 replies", "counter"),
        ("댓글 5", "counter"),
        ("조회 1.2만 · 추천 30개", "counter"),
        ("like", "single_word"),
        ("Introduction", "single_word"),
        ("likes and comments", None),
        ("Sign in to continue", "boilerplate"),
        ("Read the rest: continue reading »", "boilerplate"),
        ("You have 3 items in cart", "boilerplate"),
        ("로그인 후 이용하세요", "boilerplate"),
        ("You sign in to the service with a password", None),
        ("Sign in to the service with the password that you chose when you made the account", None),
        ("In 1984 there were 3 likes", None),
        ("서울은 오늘 맑음", None),
        ("-- * --", None),
        (PROSE, None),
    ],
)
def test_lines_of_page_furniture_are_told_from_text(line: str, flag: str | None) -> None:
    assert flag_line(line, Boilerplate()) == flag


def test_flagged_lines_are_removed_and_the_rest_stays_as_it_is() -> None:
    text = f"{PROSE}\n\n3 likes\n\n  {PROSE}\nA new bridge. Read more...\nSign in\n{PROSE}"
    expected = f"{PROSE}\n\n  {PROSE}\nA new bridge.\n{PROSE}"
    assert LineCorrections(1.0).correct(Text(text)) == expected


def test_a_line_that_is_nothing_but_its_end_goes() -> None:
    assert LineCorrections(1.0).correct(Text(f"{PROSE}\n» Read more »\nShow more")) == PROSE


def test_a_document_of_many_flagged_words_is_dropped() -> None:
    # 20 words a line; 2 flagged words of 42 are under 0.05: kept; of 22: dropped
    assert LineCorrections(0.05).correct(Text(f"{PROSE}\n{PROSE}\n3 likes")) == f"{PROSE}\n{PROSE}"
    assert LineCorrections(0.05).correct(Text(f"{PROSE}\n3 likes")) == Reason("flagged_lines", 2 / 22)


def test_corrections_hold_for_the_filters_after_them_and_are_named() -> None:
    kept = apply((LineCorrections(1.0), LineCorrections(0.0)), Text(f"{PROSE}\n3 likes"))
    assert kept == Kept(PROSE, ("line_corrections",))


def test_a_document_of_nothing_else_is_empty() -> None:
    assert apply((LineCorrections(1.0),), Text("3 likes\nSign in")) == Reason("empty")
