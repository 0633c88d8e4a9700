import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.longer_pages import lengthen
from tests.crawl.test_extract import html, page, run
from waman.crawl.block_features import CONTEXT_NAMES, NAMES, Measured
from waman.crawl.block_judge import from_json, shipped, to_json
from waman.crawl.block_words import CLASS_GROUPS, TEXT_GROUPS, groups_of_classes, groups_of_texts
from waman.crawl.blocks import MAX_BLOCK_CHARACTERS, HostilePageError, read_blocks
from waman.crawl.html import extract_page, links
from waman.crawl.main_text import choose, write
from waman.crawl.page_kernels import Points
from waman.crawl.recipe import ExtractRecipe, Trafilatura, Web
from waman.document import read_documents, read_drops
from waman.settings import parse, to_table

SENTENCE = "A sentence of the kind that people write, with a comma. "
ARTICLE = (
    "<html><head><title>A title</title></head><body><nav><a href='/'>Home</a></nav><article class='entry-content'>"
    f"<p>{SENTENCE * 5}</p>{{}}<p>{SENTENCE * 5}</p></article></body></html>"
)


def lines_of(body: str, *, include_tables: bool = True) -> list[str]:
    blocks = read_blocks(body)
    return write(blocks, list(range(len(blocks.texts))), include_tables=include_tables).split("\n")


def points(text: str) -> Points:
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)


def test_blocks_end_where_lines_do_and_inline_elements_add_no_space() -> None:
    body = "<p>one <b>two</b>three<i>, </i>four<br>five</p>six<div>7\n  8</div><ruby>漢<rt>kan</rt></ruby>&shy;字"
    assert lines_of(body) == ["one twothree, four", "five", "six", "7 8", "漢字"]


def test_code_lists_and_tables_keep_their_lines() -> None:
    body = """<pre>def f(x):
    return <b>x</b>

print(1)</pre><ul><li>a <p>b</p></li><li>c</li></ul><table><tr><th>k<th>v</tr><tr><td>1<td>2</table>"""
    code = ["def f(x):", "    return x", "", "print(1)"]
    assert lines_of(body) == [*code, "- a", "b", "- c", "k | v", "1 | 2"]
    assert lines_of(body, include_tables=False) == [*code, "- a", "b", "- c"]


def test_what_is_not_shown_is_no_block() -> None:
    body = "<p hidden>a</p><div style='color: red; DISPLAY : none'>b</div><p aria-hidden=true>c</p><script>d</script>e"
    assert lines_of(body) == ["e"]


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("<p title='<b>\">'>a &lt;b&gt; &amp;amp; c&nbsp;d</p><!-- <p>e</p> --><?f <p> ?>", ["a <b> &amp; c d", "?>"]),
        ("<script><!-- document.write('<script>x</script>'); --></script>a", ["a"]),
        ("<script>if (a<!--b) '<script>'; </script>a", []),
        ("<style>a::after { content: '</p>' }</style><xmp><p>a</p></xmp><iframe><p>b</iframe>c", ["<p>a</p>", "c"]),
        ("<svg><style>p > a {}</style><title>a</title><link>b</link></svg>c<math><mi>d</math>", ["c"]),
        ("<template><div>a</div></template><select><option>b</select><textarea><p>c</textarea>d", ["d"]),
        ('<a"b=c x\'=1 =y "z=">">a</a"b=c>b<p =class id=x>c', ["ab", "c"]),
        ("<p>a<plaintext><p>b</plaintext>", ["a", "<p>b</plaintext>"]),
    ],
)
def test_what_looks_like_markup_is_read_as_the_parser_does(body: str, lines: list[str]) -> None:
    assert read_blocks(body).texts == lines


def test_a_page_tells_its_title_licence_and_robots_words() -> None:
    head = """<meta property="og:title" content="O  T"><meta name=ROBOTS content="noindex, NoAI">
              <meta name=robots content="noindex,noimageai">
              <link rel="license" href="https://creativecommons.org/publicdomain/zero/1.0/">"""
    found = extract_page(head + ARTICLE.format(""), include_tables=True)
    assert found is not None
    assert (found.title, found.licence) == ("O T", "CC0-1.0")
    assert found.robots == ("noindex", "noai", "noimageai")


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        ("post-123 type-post format-standard has-post-thumbnail tag-sidebar", {"content"}),
        ("sidebar-left", {"sidebar"}),
        ("rightSidebar", {"sidebar"}),
        ("articleBody", {"content", "body"}),
        ("no-comments information platform language-python", set()),
        ("comment-respond", {"comments"}),
    ],
)
def test_class_names_tell_what_a_container_is_for(names: str, groups: set[str]) -> None:
    before, found = groups_of_classes(points(f"x\0{names}\0")).tolist()
    assert before == 0
    assert {name for number, name in enumerate(CLASS_GROUPS) if found >> number & 1} == groups


def test_words_of_lines_tell_what_they_are_for() -> None:
    lines = ["3 Kommentare", "Menükarte", "MENÜ ‹ 이전", "댓글을", "a comment" + " " * 141 + "x", "©2020"]
    found = groups_of_texts(points("\0\0".join(lines) + "\0"), 150).tolist()
    told = [{name for number, name in enumerate(TEXT_GROUPS) if one >> number & 1} for one in found]
    assert told == [{"comments"}, set(), {"navigation"}, set(), set(), set()]


def test_features_are_what_they_are_called() -> None:
    body = f"<body><div class=sidebar><p><a>{'x' * 50}</a></p></div><h1>T</h1><p>{SENTENCE * 20}</p><p>1, 2?</p></body>"
    measured = Measured(read_blocks(body))
    measured.put_context(np.array([-1.0, 0.0, 2.0, 1.0]))
    names = (*NAMES, *CONTEXT_NAMES)
    assert measured.matrix.shape == (4, len(names)) == (4, len(set(names)))

    def column(name: str) -> list[float]:
        return [round(float(value), 3) for value in measured.matrix[:, names.index(name)]]

    assert column("density") == [1, 0, 0, 0]
    assert column("around_sidebar") == [1, 0, 0, 0]
    assert column("is_h1") == [0, 1, 0, 0]
    assert column("is_p") == [1, 0, 1, 1]
    assert column("ends_sentence") == [0, 0, 1, 1]
    assert column("digits") == [0, 0, 0, 0.4]
    assert column("length-1") == [0, *(round(float(np.log1p(size)), 3) for size in (50, 1, len(SENTENCE) * 20 - 1))]
    assert column("after_h1") == [0, 1, 1, 1]
    assert column("score+1") == [0, 2, 1, -6]
    assert column("in_run_high") == [0, 0, 1, 1]


def test_a_section_ends_with_its_container_or_at_the_next_heading_of_its_order() -> None:
    body = "<h1>T</h1><p>a</p><div><h2>A</h2><p>b<h3>x</h3><p>c<h2>B</h2><p><a>d</a></p></div><p>e"
    measured = Measured(read_blocks(body))
    assert measured.blocks.texts == ["T", "a", "A", "b", "x", "c", "B", "d", "e"]
    assert measured.sections.tolist() == [0, 0, 2, 2, 4, 4, 6, 6, 0]
    measured.put_context(np.array([-9, -9, 9, 9, -9, -9, -9, -9, -9]))
    names = (*NAMES, *CONTEXT_NAMES)
    known = dict(zip(names, measured.matrix[6].tolist(), strict=True))
    assert (known["sections"], known["section_density"]) == (2, 0.5)
    assert known["likely_sections"] > 0.5 > known["likely_section"]


@pytest.mark.parametrize(
    ("last", "score", "kept"),
    [
        (f"<p>{SENTENCE}", -1.4, True),
        (f"<p>{SENTENCE}", -1.6, False),
        (
            "<p>이 장에서는 모델을 학습하고 저장하는 방법을 살펴보았습니다. 자세한 것은 다음 장에서 다룹니다.",
            -1.4,
            True,
        ),
        ("<p>Too short.", -1.4, False),
        (f"<p>{SENTENCE[:-2]}", -1.4, False),
        (f"<p><a>{SENTENCE}</a>", -1.4, False),
        (f"<div>{SENTENCE}", -1.4, False),
    ],
)
def test_prose_behind_what_is_kept_is_kept_more_easily(last: str, score: float, kept: bool) -> None:
    blocks = read_blocks(f"<p>{SENTENCE * 5}</p><h2>The end</h2>{last}")
    assert choose(blocks, np.array([3.0, -1.0, score])) == ([0, 1, 2] if kept else [0])
    apart = read_blocks(f"<p>{SENTENCE * 5}</p><div>Menu</div>{last}")
    assert choose(apart, np.array([3.0, -1.0, score])) == [0]


def test_a_page_made_longer_is_read_as_one_written_longer() -> None:
    items = "<h2>Ab</h2><div><p>cd</p>ef</div><pre>gh</pre>"
    page = "<body><ul><li>menu</li></ul><div>top{}<p>last</p>rest</div><footer>foot</footer></body>"
    blocks = read_blocks(page.format(items))
    found = lengthen(blocks, [2, 3, 5], 2)
    assert found is not None
    longer, old = found
    written = read_blocks(page.format(items * 3))
    assert [text[1:] for text in longer.texts] == [text[1:] for text in written.texts]
    assert len(set(longer.texts)) == len(longer.texts)
    for name in ("parents", "kinds", "groups", "depths", "starts", "places", "containers", "link_characters"):
        assert getattr(longer, name).tolist() == getattr(written, name).tolist(), name
    assert old.tolist() == [0, 1, *[-1] * 8, *range(2, len(blocks.texts))]
    assert lengthen(blocks, [3], 2) is None


def test_the_weights_are_read_as_they_were_written() -> None:
    text = to_json(shipped())
    assert to_json(from_json(text)) == text


def test_menus_comments_and_footers_are_left_out() -> None:
    more = f"""<div class=sidebar><ul><li><a href=x>Older entries</a></ul></div>
               <ol class=commentlist>{"<li class=comment><p>Great post, thanks a lot for sharing!</p>" * 4}</ol>
               <footer>© 2020 All rights reserved.</footer>"""
    found = extract_page(ARTICLE.format("<h2>A heading</h2>") + more, include_tables=True)
    assert found is not None
    text = SENTENCE.strip()
    assert found.text == f"{' '.join([text] * 5)}\nA heading\n{' '.join([text] * 5)}"


def test_a_page_of_few_words_gives_what_is_likeliest() -> None:
    found = extract_page("<html><body><p>Hello, world</p></body></html>", include_tables=True)
    assert found is not None
    assert found.text == "Hello, world"


def test_trafilatura_is_the_other_choice(tmp_path: Path) -> None:
    web = parse(Web, {"extractor": {"kind": "trafilatura"}})
    assert web == Web(extractor=Trafilatura())
    assert to_table(Web())["extractor"] == {"kind": "own"}
    path = tmp_path / "a.warc.gz"
    path.write_bytes(page("http://a.test/", html(SENTENCE * 3)))
    texts = []
    for name, source in (("own", Web()), ("other", web)):
        found = run(tmp_path / name, path, recipe=ExtractRecipe(source=source))
        texts.append([document.text for document in read_documents(found)])
    assert texts[0] == texts[1] == [(SENTENCE * 3).strip()]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("nested formatting", "<b><i>" * 50_000),
        ("tables", "<table><tr><td>" * 3_000),
        ("line ends", "x<br>" * 100_000),
        ("siblings", "<p>a</p>" * 50_000),
        ("one word", "x" * 10_000_000),
        ("one class", f'<div class="{"comment sidebar " * 100_000}">'),
        ("spaces in a style", f'<div style="{("display" + " " * 50_000) * 20}">'),
        ("NULs", "\0" * 1_000_000),
        ("a comment without end", "<!--" + SENTENCE * 1000),
        ("a script without end", "<script>" + SENTENCE * 1000),
        ("entities", "&#xD800;&#1114112;&#0;&amp;" * 50_000),
        ("brackets", "<" * 1_000_000),
        ("words for robots", "".join(f"<meta name=robots content=w{number}>" for number in range(50_000))),
        ("quotes without end", "<div class='" * 3_000),
        ("ends in what is not HTML", "<svg><style>" + "&lt;/style>&lt;xmp>&lt;!--" * 50_000),
        ("scripts in comments in scripts", "<svg>" + "<script>&lt;!--&lt;script></script>" * 20_000),
    ],
)
def test_hostile_pages_take_bounded_time(name: str, body: str) -> None:
    start = time.process_time()
    found = extract_page(ARTICLE.format(body), include_tables=True)
    assert list(links(body, "http://a.test/")) == []
    assert time.process_time() - start < 5
    assert found is None or len(found.text) <= MAX_BLOCK_CHARACTERS + 10 * len(SENTENCE) + 10, name


@pytest.mark.parametrize(
    ("reason", "body"),
    [
        ("too_deep", "<div>" * 100_000),
        ("too_deep", "<ul><li>" * 50_000),
        ("too_deep", "".join(f"<x{number}>a" for number in range(50_000))),
        ("too_deep", "".join(f"<font a={number}>" for number in range(60_000))),
        ("too_many_attributes", f"<div {'/'.join(f'a{number}' for number in range(150_000))}>"),
        ("too_many_attributes", "<div " + "".join(f"a{number}=''" for number in range(150_000)) + ">"),
        ("too_many_attributes", f"<div {' '.join(f'a{number}=x' for number in range(150_000))}>"),
    ],
)
def test_what_would_take_the_parser_minutes_is_refused_with_its_reason(tmp_path: Path, reason: str, body: str) -> None:
    with pytest.raises(HostilePageError, match=f"^{reason}: [0-9]+, expected at most [0-9]+$"):
        extract_page(body, include_tables=True)
    assert list(links(body, "http://a.test/")) == []
    path = tmp_path / "a.warc.gz"
    path.write_bytes(page("http://a.test/", html(SENTENCE)) + page("http://b.test/", html(body)))
    found = run(tmp_path, path, recipe=ExtractRecipe())
    assert [drop.reason for drop in read_drops(found)] == [reason]
