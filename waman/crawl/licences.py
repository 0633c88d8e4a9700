"""Which licence a text, an SPDX expression or a package's metadata states, and whether it is permissive."""

import re
from collections.abc import Iterable

_FAMILIES = (
    r"MIT(-0|-CMU)?",
    r"0BSD|BSD(-\d-Clause(-[A-Za-z]+)?)?",
    r"Apache-2\.0",
    r"PSF-2\.0|Python-2\.0(\.1)?|PSF",
)
_PERMISSIVE = re.compile("|".join(f"({family})" for family in _FAMILIES), re.IGNORECASE)

# What a licence's text says and other licences' texts do not, in the order in which they are asked.
_TEXTS = (
    ("AGPL-3.0", r"gnu affero general public license"),
    ("LGPL", r"gnu (lesser|library) general public license"),
    ("GPL", r"gnu general public license"),
    ("MPL-2.0", r"mozilla public license"),
    ("EPL-2.0", r"eclipse public license"),
    ("CC-BY-NC", r"creative commons attribution-noncommercial"),
    ("Apache-2.0", r"apache license,? version 2\.0"),
    ("PSF-2.0", r"(python software foundation license|psf license agreement for python)"),
    ("BSD-3-Clause", r"redistribution and use in source and binary forms.*neither the names? of"),
    ("BSD-2-Clause", r"redistribution and use in source and binary forms"),
    ("MIT", r"permission is hereby granted, free of charge, to any person obtaining a copy.*without restriction"),
    (
        "ISC",
        r"permission to use, copy, modify, and/?(or)? distribute this software for any purpose with or without fee",
    ),
    ("Unlicense", r"this is free and unencumbered software released into the public domain"),
    ("CC0-1.0", r"cc0 1\.0 universal"),
    ("Zlib", r"this software is provided 'as-is', without any express or implied warranty"),
)

# What packages write in their License field where they give no SPDX identifier.
_NAMES = (
    ("GPL", r"\bA?L?GPL|general public"),
    ("MPL-2.0", r"\bMPL|mozilla"),
    ("Apache-2.0", r"^(the )?apache( software)?( licen[cs]e)?,?( ?(version |v)?-?2(\.0)?)?( licen[cs]e)?$"),
    ("BSD-3-Clause", r"^(new |modified |revised )?(3-clause bsd|bsd[- ]3[- ]?clause)( licen[cs]e)?$"),
    ("BSD-2-Clause", r"^(simplified )?(2-clause bsd|bsd[- ]2[- ]?clause)( licen[cs]e)?$"),
    ("BSD", r"^(new |modified |revised |simplified )?bsd([- ]style)?( licen[cs]e)?$"),
    ("MIT", r"^(the )?mit( licen[cs]e)?$"),
    ("PSF-2.0", r"^(psf(-2\.0|l)?|python software foundation( licen[cs]e)?|python-2\.0)$"),
)
_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Python Software Foundation License": "PSF-2.0",
}
_CLASSIFIER = re.compile(r"License :: (?:OSI Approved :: )?(.+)")


def is_permissive(expression: str) -> bool:
    """Whether an SPDX expression leaves a way that is MIT, BSD, Apache-2.0 or PSF throughout."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression)
    try:
        verdict, rest = _any_of(tokens)
    except IndexError:
        return False
    return verdict and not rest


def _any_of(tokens: list[str]) -> tuple[bool, list[str]]:
    verdict, rest = _all_of(tokens)
    while rest and rest[0].upper() == "OR":
        another, rest = _all_of(rest[1:])
        verdict = verdict or another
    return verdict, rest


def _all_of(tokens: list[str]) -> tuple[bool, list[str]]:
    verdict, rest = _one(tokens)
    while rest and rest[0].upper() == "AND":
        another, rest = _one(rest[1:])
        verdict = verdict and another
    return verdict, rest


def _one(tokens: list[str]) -> tuple[bool, list[str]]:
    first, rest = tokens[0], tokens[1:]
    if first == "(":
        verdict, rest = _any_of(rest)
        return verdict and rest[0] == ")", rest[1:]
    if rest and rest[0].upper() == "WITH":
        rest = rest[2:]
    return _PERMISSIVE.fullmatch(first) is not None, rest


def licence_of_text(text: str) -> str | None:
    """The SPDX identifier of the licence whose text this is, or that it states; None where it is none we know."""
    stated = re.search(r"SPDX-License-Identifier:\s*([^\r\n*#/]+)", text)
    if stated:
        return " ".join(stated[1].split())
    plain = " ".join(re.sub(r"[\"“”‘’`*#]", "'", text).lower().split()).replace("''as is''", "'as-is'")
    return next((name for name, pattern in _TEXTS if re.search(pattern, plain)), None)


def licence_of_metadata(expression: str | None, field: str | None, classifiers: Iterable[str]) -> str | None:
    """The licence that a distribution's metadata name: its expression, else its classifiers, else its License field.

    Several classifiers hold together, as far as the metadata tell. None where no licence is named.
    """
    if expression and expression.strip():
        return expression.strip()
    matches = [_CLASSIFIER.fullmatch(classifier.strip()) for classifier in classifiers]
    named = [match[1] for match in matches if match and match[1] != "OSI Approved"]
    if named:
        return " AND ".join(dict.fromkeys(_CLASSIFIERS.get(name, name.replace(" ", "-")) for name in named))
    return _licence_of_field(field.strip()) if field and field.strip() else None


def _licence_of_field(field: str) -> str:
    first = field.splitlines()[0].strip()
    if len(field) > 200:
        return licence_of_text(field) or first[:100]
    found = next((name for name, pattern in _NAMES if re.search(pattern, first, re.IGNORECASE)), None)
    return found or first
