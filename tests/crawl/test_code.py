import hashlib
import shutil
from pathlib import Path

import pytest

from waman.artifact import Artifact, open_input
from waman.crawl.extract import extract
from waman.crawl.recipe import CodeRules, ExtractRecipe, Github, Python, Web
from waman.crawl.sources.code import judge, strip_header
from waman.crawl.sources.python import (
    group_of_distribution,
    group_of_module,
    open_distributions,
    open_standard_library,
)
from waman.dataflow import Inline
from waman.document import Document, read_documents, read_drops
from waman.errors import InputError, RecipeError

CODE = "def add(first, second):\n    return first + second\n"
MIT = (
    "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy, without restriction\n"
)
GPL = "GNU GENERAL PUBLIC LICENSE\nVersion 3\n"


def run(tmp_path: Path, *archives: Artifact, recipe: ExtractRecipe) -> dict[str, Document]:
    out = tmp_path / "out"
    shutil.rmtree(tmp_path / "out.partial", ignore_errors=True)
    found = extract(recipe, archives=archives, out=out, executor=Inline())
    return {document.origin: document for document in read_documents(found)}


def drops(tmp_path: Path) -> dict[str, tuple[str, str]]:
    return {drop.origin: (drop.reason, drop.text) for drop in read_drops(tmp_path / "out")}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (CODE, None),
        ("x" * 1000 + "\n" + "y\n" * 20, None),
        ("x" * 1001 + "\n" + "y\n" * 20, ("long_line", 1001.0)),
        (("x" * 101 + "\n") * 3, ("long_lines", 101.0)),
        ("ab......\n", ("few_letters_and_digits", 2 / 9)),
        (" \n", ("empty", 0.0)),
    ],
)
def test_files_are_judged_by_line_length_and_share_of_letters(text: str, verdict: tuple[str, float] | None) -> None:
    assert judge(text, CodeRules()) == verdict


def test_a_header_about_rights_is_cut_and_other_comments_stay() -> None:
    rights = "# Copyright 2020 Someone\n# Licensed under the MIT licence\n"
    assert strip_header(rights + "\n" + CODE) == CODE
    assert strip_header("#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n" + rights + CODE) == (
        "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n" + CODE
    )
    assert strip_header("/*\n * Copyright 2020\n */\nint x;\n") == "int x;\n"
    assert strip_header("// SPDX-License-Identifier: MIT\nint x;\n") == "int x;\n"
    assert strip_header("# What this file does.\n" + CODE) == "# What this file does.\n" + CODE
    assert strip_header(CODE + rights) == CODE + rights


def test_shares_out_of_range_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"min_alphanumeric_share: found 2, expected 0 to 1"):
        CodeRules(min_alphanumeric_share=2)


def test_repositories_are_kept_by_licence_which_travels_with_each_file(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    files = {
        "owner/free/LICENSE": MIT, "owner/free/src/a.py": CODE, "owner/free/data.bin": "",
        "owner/free/inner/COPYING": GPL, "owner/free/inner/b.py": CODE,
        "other/bound/LICENSE": GPL, "other/bound/c.py": CODE, "other/silent/setup.py": CODE,
        "lone/LICENCE.txt": MIT, "lone/d.go": "package main\n\nfunc main() {}\n",
    }  # fmt: skip
    write(tree, files)
    found = run(tmp_path, open_input(tree), recipe=ExtractRecipe(source=Github()))
    assert {origin: (d.group, d.licence, d.source) for origin, d in found.items()} == {
        "owner/free/src/a.py": ("owner/free", "MIT", "github"), "lone/d.go": ("lone", "MIT", "github")
    }  # fmt: skip
    assert drops(tmp_path) == {
        "owner/free/inner": ("licence", "GPL"), "other/bound": ("licence", "GPL"), "other/silent": ("no_licence", ""),
    }  # fmt: skip
    assert found["lone/d.go"].language is None


def test_what_is_no_repository_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "a.py").write_text(CODE)
    with pytest.raises(InputError, match="plain holds no repository: expected folders with a licence"):
        run(tmp_path, open_input(tmp_path / "plain"), recipe=ExtractRecipe(source=Github()))
    with pytest.raises(InputError, match=r"a\.py holds no repository"):
        run(tmp_path, open_input(tmp_path / "plain" / "a.py"), recipe=ExtractRecipe(source=Github()))
    with pytest.raises(InputError, match="plain holds neither a standard library"):
        run(tmp_path, open_input(tmp_path / "plain"), recipe=ExtractRecipe(source=Python()))


def test_the_standard_library_is_read_by_top_level_module(tmp_path: Path) -> None:
    library = tmp_path / "lib"
    sources = (
        "json/__init__.py", "json/decoder.py", "_pydecimal.py", "test/test_json.py", "unittest/case.py",
        "unittest/test/a.py", "_sysconfigdata_x.py", "encodings/cp949.py", "data.txt",
    )  # fmt: skip
    write(library, dict.fromkeys(sources, CODE))
    (library / "latin.py").write_bytes(b"# -*- coding: latin-1 -*-\nname = 'caf\xe9'\n")
    (library / "bad.py").write_bytes(b"name = '\xff'\n")
    found = run(tmp_path, open_standard_library(library), recipe=ExtractRecipe(max_damaged_share=1.0))
    assert {origin: (d.group, d.title) for origin, d in found.items()} == {
        "python/json/__init__.py": ("json", "json"), "python/json/decoder.py": ("json", "json.decoder"),
        "python/_pydecimal.py": ("decimal", "_pydecimal"), "python/unittest/case.py": ("unittest", "unittest.case"),
        "python/latin.py": ("latin", "latin"),
    }  # fmt: skip
    assert {d.licence for d in found.values()} == {"PSF-2.0"}
    assert "café" in found["python/latin.py"].text
    assert drops(tmp_path)["python/bad.py"][0] == "invalid_utf8"


def test_a_folder_given_by_its_path_is_read_as_what_it_is(tmp_path: Path) -> None:
    write(tmp_path / "lib", {"os.py": CODE})
    install(tmp_path / "site", "one", "License: MIT", {"one.py": CODE})
    archives = [open_input(tmp_path / "lib"), open_input(tmp_path / "site")]
    found = run(tmp_path, *archives, recipe=ExtractRecipe(source=Python()))
    assert {origin: d.licence for origin, d in found.items()} == {"python/os.py": "PSF-2.0", "one/one.py": "MIT"}


def test_groups_of_the_standard_library_can_be_chosen(tmp_path: Path) -> None:
    recipe = ExtractRecipe(source=Python(include=("textwrap", "abc"), exclude=("abc",)))
    found = run(tmp_path, open_standard_library(), recipe=recipe)
    assert list(found) == ["python/textwrap.py"]
    assert "def dedent(text):" in found["python/textwrap.py"].text


def install(folder: Path, name: str, metadata: str, sources: dict[str, str], *, version: str = "1.0") -> None:
    """Lays a distribution out as an installer does: its files, METADATA and RECORD."""
    described = folder / f"{name}-{version}.dist-info"
    described.mkdir(parents=True)
    (described / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{metadata}\n")
    rows = []
    for path, text in sources.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
        rows.append(f"{path},sha256={hashlib.sha256(text.encode()).hexdigest()},{len(text)}")
    (described / "RECORD").write_text("\n".join([*rows, f"{described.name}/RECORD,,", "../../bin/tool.py,,"]) + "\n")


def test_distributions_are_kept_by_the_licence_in_their_metadata(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(site, "Free.Thing", "License-Expression: MIT", {"free/__init__.py": CODE, "free/tests/test_a.py": CODE})
    install(site, "bound", "License: GPLv3", {"bound.py": CODE})
    install(site, "silent", "Summary: x", {"silent.py": CODE})
    install(site, "waman", "License-Expression: Apache-2.0", {"waman/x.py": CODE})
    install(site, "old", "Classifier: License :: OSI Approved :: BSD License", {"old.py": CODE})
    found = run(tmp_path, open_distributions(folder=site), recipe=ExtractRecipe())
    assert {origin: (d.group, d.licence, d.title) for origin, d in found.items()} == {
        "free-thing/free/__init__.py": ("free-thing", "MIT", "free"), "old/old.py": ("old", "BSD", "old")
    }  # fmt: skip
    assert drops(tmp_path) == {
        "bound": ("licence", "GPL"),
        "silent": ("no_licence", ""),
        "waman": ("own", "Apache-2.0"),
    }


def test_the_identity_of_distributions_follows_from_what_is_recorded_of_those_named(tmp_path: Path) -> None:
    site, changed = tmp_path / "site", tmp_path / "changed"
    for folder in (site, changed):
        install(folder, "one", "License: MIT", {"one.py": CODE})
        install(folder, "two", "License: MIT", {"two.py": CODE if folder == site else CODE + CODE})
    assert open_distributions(folder=site).identity != open_distributions(folder=changed).identity
    assert open_distributions(["one"], folder=site).identity == open_distributions(["One"], folder=changed).identity
    found = run(tmp_path, open_distributions(["two"], folder=site), recipe=ExtractRecipe())
    assert list(found) == ["two/two.py"]
    with pytest.raises(InputError, match="absent: not installed in"):
        open_distributions(["absent"], folder=site)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no Python sources"):
        open_standard_library(tmp_path / "empty")
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(InputError, match=r"holds Python sources, expected --set source\.kind=python"):
        run(tmp_path, open_standard_library(), recipe=ExtractRecipe(source=Web()))


def test_groups_have_the_names_that_pages_have() -> None:
    assert [group_of_module(name) for name in ("json.decoder", "posixpath", "_pydecimal", "abc")] == [
        "json", "os", "decimal", "abc"
    ]  # fmt: skip
    assert group_of_distribution("Markdown_It.Py") == "markdown-it-py"  # PEP 503
