import pytest

from waman.corpus.filters.code import AlphanumericCharacters, LicenceHeader, LineLength
from waman.corpus.filters.rule import Reason
from waman.corpus.text import Text

BODY = '"""What it does."""\n\nimport os\n# a comment\nprint(os.name)\n'


def test_line_length() -> None:
    assert LineLength(100.0, 1000).judge(Text(BODY)) is None
    assert LineLength(100.0, 1000).judge(Text("x" * 101 + "\n")) == Reason("long_mean_line", 101)
    long = "\n".join(["x = 1"] * 99 + ["y" * 1001]) + "\n"  # mean (99 x 5 + 1001) / 100
    assert LineLength(100.0, 1000).judge(Text(long)) == Reason("longest_line", 1001)


def test_alphanumeric_characters() -> None:
    assert AlphanumericCharacters(0.25).judge(Text("ab------")) is None
    assert AlphanumericCharacters(0.25).judge(Text("a-------")) == Reason("few_alphanumeric_characters", 1 / 8)


@pytest.mark.parametrize(
    "header",
    [
        "# Copyright (c) 2001-2006 A. Name\n# All rights reserved.\n",
        "# SPDX-License-Identifier: MIT\n\n",
        "# Copyright 2020 A. Name\n#\n# Redistribution and use are permitted:\n#\n# 1. keep this\n#\n# NO LICENCE\n#\n",
        "# Copyright 2001 A. Name\n#\n# No express\n# warranty.\n#\n# Permission is\n# granted to all.\n\n",
        "// Licensed under the Apache License, Version 2.0\n//\n\n",
        "/* Copyright (C) 1999\n * Permission is hereby granted to everyone\n */\n",
        "<!-- Copyright 2020 A. Name\n     Licensed under MIT -->\n\n",
        "-- Licensed under the Apache License, Version 2.0\n\n",
    ],
)
def test_licence_headers_go(header: str) -> None:
    assert LicenceHeader().correct(Text(header + BODY)) == BODY


def test_the_lines_that_the_interpreter_reads_stay() -> None:
    top = "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n"
    assert LicenceHeader().correct(Text(top + "# Copyright 2020 A. Name\n" + BODY)) == top + BODY


def test_what_a_head_says_of_the_program_stays() -> None:
    head = "# Reads a file of numbers.\n\n# Copyright 2020 A. Name\n# Licence: MIT\n\n# Needs Python 3.\n"
    assert LicenceHeader().correct(Text(head + BODY)) == "# Reads a file of numbers.\n\n# Needs Python 3.\n" + BODY


@pytest.mark.parametrize(
    "text",
    [
        BODY,
        "# a plain comment\n" + BODY,
        "/* what it does */\nint main() {}\n",
        "<!-- what it shows -->\n<p>Text</p>\n",
        BODY + "# Copyright 2020 A. Name\n",
        "import os\n# Copyright is a word that may stand further down\n",
        "",
    ],
)
def test_other_heads_are_left_alone(text: str) -> None:
    assert LicenceHeader().correct(Text(text)) == text
