import sys
import urllib.request
from pathlib import Path

import pytest

from waman.artifact import Artifact
from waman.crawl.extract import extract
from waman.crawl.fetch import fetch
from waman.crawl.html import extract_page
from waman.crawl.recipe import ByPathSegment, ExtractRecipe, FetchRecipe
from waman.crawl.sources.python import group_of_module
from waman.dataflow import Inline
from waman.document import read_documents
from waman.errors import InputError
from waman.journey import pages, render
from waman.journey.pages import HOST, SEED, modules_of, render_pages, serve_pages, standard_groups


def text_of(module: str) -> str:
    page = extract_page(render.render_module(module, {module: group_of_module(module)}), include_tables=True)
    assert page is not None
    return page.text


def test_a_page_reads_as_signature_and_description() -> None:
    text = text_of("bisect")
    assert text.startswith("bisect\nBisection algorithms.\nFunctions\n")
    assert (
        "bisect_left(a, x, lo=0, hi=None, *, key=None)\n"
        "Return the index where to insert item x in list a, assuming a is sorted.\n"
        "The return value i is such that all e in a[:i] have e < x, and all e in a[i:] have e >= x."
    ) in text


def test_classes_are_told_with_bases_methods_and_properties_of_their_own() -> None:
    text = text_of("fractions")
    assert "class Fraction(numbers.Rational)" in text
    assert "Fraction.limit_denominator(max_denominator=1000000)\nClosest Fraction to self with denominator" in text
    assert ">>> Fraction('3.141592653589793').limit_denominator(10)\nFraction(22, 7)\n" in text
    assert "Return self==value" not in text  # what every class inherits


def test_docstrings_keep_running_text_running_and_lines_lines() -> None:
    found = render.docstring(
        """First line
        goes on.

        - one
        - two <b>

        >>> f(1)
        2

        Args:
            x: what
        """
    )
    assert found == (
        "<p>First line goes on.</p>\n<pre>- one\n- two &lt;b&gt;\n\n&gt;&gt;&gt; f(1)\n2</pre>\n"
        "<p>Args:</p>\n<pre>    x: what</pre>"
    )


def test_addresses_and_places_of_this_machine_are_stripped() -> None:
    library = str(Path(json_file()).parent.parent)
    text = f"<function f at 0x7f00deadbeef> in {library}/json/decoder.py, {sys.prefix}/bin/python, {Path.home()}/x"
    assert render.strip_places(text).startswith("<function f> in json/decoder.py, /usr/bin/python, /")
    assert str(Path.home()) not in render.strip_places(text) or str(Path.home()) == "/home/user"


def json_file() -> str:
    import json

    return json.__file__


def test_modules_are_found_without_importing_them_and_harmful_ones_are_left_out() -> None:
    assert modules_of("json") == ["json", "json.decoder", "json.encoder", "json.scanner", "json.tool"]
    assert "urllib3.util.retry" in modules_of("urllib3")
    groups = standard_groups()
    assert {"json", "argparse", "asyncio", "os"} <= set(groups)
    assert not {"antigravity", "this", "idlelib", "turtledemo", "test", "tkinter", "lib2to3"} & set(groups)
    with pytest.raises(InputError, match="'no_such_thing' is neither a module of the standard library nor"):
        modules_of("no_such_thing")


def test_two_renderings_give_the_same_bytes_and_every_link_leads_to_a_page(tmp_path: Path) -> None:
    groups = ["textwrap", "json", "msilib", "zoneinfo"]
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        rendered = render_pages(tmp_path / name, groups=groups, workers=1)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        found.append({path.relative_to(tmp_path / name).as_posix(): path.read_bytes() for path in files})
    assert found[0] == found[1]
    assert "textwrap" in rendered.pages
    assert "json.decoder" in rendered.pages
    assert rendered.skipped.get("msilib", "ModuleNotFoundError").startswith("ModuleNotFoundError")
    with serve_pages(tmp_path / "one") as address:
        recipe = FetchRecipe(seeds=(SEED,), delay_seconds=0.0)
        crawl = fetch(recipe, out=tmp_path / "crawl", connect={HOST: address})
        robots = urllib.request.urlopen(f"http://{address[0]}:{address[1]}/robots.txt").read()
    assert robots == b"User-agent: *\nAllow: /\n"
    assert crawl.counts["by_reason"] == {"fetched": len(rendered.pages) + 1}
    check_documents(crawl, tmp_path)


def check_documents(crawl: Artifact, folder: Path) -> None:
    recipe = ExtractRecipe(group=ByPathSegment())
    documents = list(read_documents(extract(recipe, archives=[crawl], out=folder / "documents", executor=Inline())))
    groups = {document.title: document.group for document in documents}
    assert groups["json.decoder"] == groups["json"] == "json"
    assert groups["textwrap"] == "textwrap"
    assert {document.language for document in documents if len(document.text) > 1000} == {"en"}


def test_modules_that_fail_hang_or_end_their_process_are_skipped_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "lib" / "strange"
    package.mkdir(parents=True)
    sources = {
        "__init__": '"""A package."""', "good": 'def f(x):\n    """Says x."""\n', "raises": "1 / 0",
        "ends": "import os; os._exit(3)", "hangs": "import time; time.sleep(600)", "quits": "raise SystemExit('bye')",
        "talks": 'import sys; print("noise"); sys.stdin.read()\ndef g():\n    """Says g."""\n',
    }  # fmt: skip
    for name, text in sources.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    monkeypatch.setattr(
        pages, "modules_of", lambda group: sorted(f"strange.{name}" for name in sources if name[0] != "_")
    )
    (tmp_path / "site").mkdir()
    rendered = render_pages(tmp_path / "site", groups=["strange"], workers=1, module_timeout_seconds=3.0)
    assert rendered.pages == ("strange.good", "strange.talks")
    assert rendered.skipped == {
        "strange.ends": "its import ended the process",
        "strange.hangs": "took longer than 3 s",
        "strange.quits": "SystemExit: bye",
        "strange.raises": "ZeroDivisionError: division by zero",
    }
    assert sorted(path.name for path in (tmp_path / "site" / "strange").iterdir()) == [
        "strange.good.html", "strange.talks.html"
    ]  # fmt: skip
