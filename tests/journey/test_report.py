"""The report: complete, self-contained, honest about what was missed, and inert whatever the documents say."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.journey.made_up import made_up_data
from tests.journey.page import Page, read_page
from waman.journey import report
from waman.journey.report import Estimate, render_report

HOSTILE = """</pre></title></style><script>alert(1)</script>"'><img src=x onerror=alert(2)><b x=" y={{ 7*7 }}&lt;"""


@pytest.fixture(scope="module")
def page() -> Page:
    return read_page(render_report(made_up_data()))


def with_every_text(value: Any, text: str) -> Any:
    """The same data with `text` in place of every string that comes from outside, names of inputs aside."""
    if isinstance(value, str):
        return text
    if isinstance(value, Mapping):
        return {f"{text}{number}": with_every_text(one, text) for number, one in enumerate(value.values())}
    if isinstance(value, tuple):
        return tuple(with_every_text(one, text) for one in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        changed = {name: with_every_text(one, text) for name, one in fields.items()}
        if isinstance(value, report.ArtifactNode):
            changed |= {"name": text + value.name, "inputs": tuple(text + name for name in value.inputs)}
        if isinstance(value, report.Cloze):
            changed |= {"best": f"{text}{list(value.scorers).index(value.best)}"}
        if isinstance(value, report.SourceTokens):
            changed |= {"source": f"{text}0"}
        return type(value)(**changed)
    return value


def test_the_page_is_well_formed_and_loads_nothing(page: Page) -> None:
    assert page.unbalanced == []
    for element in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "xlink:href"):
            assert re.match(r"#|data:,", element.attributes.get(name, "#")), element
    assert not re.search(r"url\(|@import|@font-face", page.style)
    assert {"script", "iframe", "object", "embed", "base", "form", "img"}.isdisjoint(e.tag for e in page.elements)
    [policy] = [e for e in page.find("meta") if e.attributes.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy.attributes["content"]


def test_every_anchor_of_the_navigation_is_on_the_page(page: Page) -> None:
    places = {element.attributes.get("id") for element in page.elements}
    links = [element.attributes["href"] for element in page.find("a")]
    assert len(links) == 9
    assert {link.removeprefix("#") for link in links} <= places


def test_hostile_text_is_shown_and_does_nothing(page: Page) -> None:
    harmless = read_page(render_report(with_every_text(made_up_data(), "x")))
    hostile = read_page(render_report(with_every_text(made_up_data(), HOSTILE)))
    assert hostile.unbalanced == []
    assert [e.tag for e in hostile.elements] == [e.tag for e in harmless.elements]
    assert [list(e.attributes) for e in hostile.elements] == [list(e.attributes) for e in harmless.elements]
    assert hostile.text.count(HOSTILE) > 40
    assert "alert" not in hostile.style


def test_control_characters_become_pictures_and_newlines_stay() -> None:
    assert report.printable("a\0b\x1b[31m\n\tc\x85\ud800") == "a␀b␛[31m\n\tc��"
    shown = render_report(dataclasses.replace(made_up_data(), title="a\0b\ud800"))
    assert "<title>a␀b�</title>" in shown
    assert shown.encode("utf-8")


def test_the_funnel_shows_counts_reasons_figures_and_examples(page: Page) -> None:
    assert "4,478 kept of 5,620" in page.text
    assert "symbol to word ratio 133" in page.text
    assert "duplicate line share 0.813" in page.text
    assert "too few words 0" in page.text
    assert "(no text)" in page.text
    assert "Coroutine will be wrapped in Task." in page.text
    assert len(page.find("article", "dropped")) == 3
    assert len(page.find("article", "kept")) == 2


def test_what_was_left_out_whole_is_listed_with_reason_licence_and_size(page: Page) -> None:
    assert re.search(r"left out whole:\s*recipe 2\s*licence 1\s*no_licence 1", page.text)
    assert "4 left out whole, each with its reason" in page.text
    assert re.search(r"torch 2\.13\.0\s*recipe\s*Apache-2\.0 AND BSL-1\.0\s*2,319\s*39\.1 MiB", page.text)
    assert re.search(r"nameless\s*no_licence\s*none stated\s*1\s*10 B", page.text)


def test_bars_of_the_funnel_are_shares_of_the_largest_stage() -> None:
    stage = report.FunnelStage("only", "one", {"web": 60}, {"empty": 40})
    shown = render_report(dataclasses.replace(made_up_data(), funnel=(stage,)))
    assert 'title="web: 60 kept" style="width:60.000%' in shown
    assert 'title="40 dropped" style="width:40.000%' in shown


def test_tokens_per_character_are_divided_by_source(page: Page) -> None:
    assert re.search(r"web\s*271\s*2\.41 M\s*672 k\s*0\.279\s*5\.24\s*42\.0%", page.text)


def test_what_beats_the_others_and_what_does_not_is_said() -> None:
    data = made_up_data()
    assert "2.8% fewer bits than 5-gram" in read_page(render_report(data)).text
    worse = dataclasses.replace(data, bits=(report.SourceBits("all", 2.2, {"5-gram": 2.0, "gzip -9": 2.5}),))
    text = read_page(render_report(worse)).text
    assert "10.0% more bits than 5-gram: the goal of staying below it was missed" in text
    assert "✗ not below 2.00 of 5-gram" in text


def test_without_a_model_the_page_ends_with_the_tokens() -> None:
    data = made_up_data()
    bare = report.ReportData(
        title="From your files to tokens",
        made_by=data.made_by,
        vocab_size=4096,
        funnel=data.funnel,
        sources=(report.SourceTokens("web", 271, 2_412_310, 672_204, 0.42, None),),
        lineage=data.lineage,
        costs=data.costs,
        commands=data.commands,
    )
    page = read_page(render_report(bare))
    assert re.search(r"Tokens to train on\s*672 k", page.text)
    assert re.search(r"0\.279\s*–\s*42\.0%", page.text)
    for name in ("Parameters", "Cloze", "Instructions", "was recorded in this run", "Chat on"):
        assert name not in page.text


def test_figures_on_all_the_questions_are_told_from_those_of_the_curves(page: Page) -> None:
    assert "Of 1,200 questions the model gets 57.2%" in page.text
    assert "The curve is on 300 of the questions" in page.text
    some = dataclasses.replace(made_up_data(), curve_bytes=80_000, bits_bytes=200_000)
    assert "The curves are on 80,000 bytes of it" in read_page(render_report(some)).text
    assert "bytes of it" not in page.text


def test_a_cloze_interval_that_reaches_zero_is_said_to_show_nothing() -> None:
    data = made_up_data()
    assert data.cloze is not None
    assert "The whole interval lies above zero: the model is better." in read_page(render_report(data)).text
    level = dataclasses.replace(data.cloze, difference=Estimate(0.01, -0.02, 0.04))
    text = read_page(render_report(dataclasses.replace(data, cloze=level))).text
    assert "Paired difference: +1.0 points, 95% interval −2.0 to +4.0." in text
    assert "the model is not shown to be better" in text


def test_wrong_answers_are_marked_and_show_what_was_expected(page: Page) -> None:
    assert len(page.find("article", "wrong")) == 2
    assert len(page.find("article", "right")) == 3
    assert page.text.count("✗ wrong") == 2
    assert "expected: binascii" in page.text
    assert "3 right, 2 wrong" in page.text


def test_the_lineage_joins_each_artifact_to_its_inputs(page: Page) -> None:
    data = made_up_data()
    arcs = [path for path in page.find("path") if path.attributes.get("class", "").startswith("to-")]
    assert len(arcs) == sum(len(node.inputs) for node in data.lineage)
    for node in data.lineage:
        assert node.identity[:16] in page.text
    assert "from pretrained, instructions" in page.text


def test_costs_are_summed_and_the_largest_memory_named(page: Page) -> None:
    assert re.search(r"together\s*8 min 12 s\s*1\.18 GiB", page.text)


def test_what_was_not_measured_is_said_to_be() -> None:
    nothing: dict[str, Any] = {
        field.name: ()
        for field in dataclasses.fields(report.ReportData)
        if field.name not in ("title", "made_by", "vocab_size", "model", "curve_bytes", "bits_bytes")
    }
    empty = read_page(render_report(dataclasses.replace(made_up_data(), **nothing | {"cloze": None})))
    assert empty.unbalanced == []
    assert len(empty.find("p", "absent")) == 8
    assert "No cloze questions were asked in this run." in empty.text


def test_the_same_data_give_the_same_page() -> None:
    assert render_report(made_up_data()) == render_report(made_up_data())


def test_a_long_text_is_cut_and_says_so() -> None:
    assert report.excerpt("ab " * 300) == ("ab " * 200).rstrip() + " …"
    assert report.excerpt("short") == "short"
