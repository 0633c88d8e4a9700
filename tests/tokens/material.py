"""Texts and artifacts from which the tests of this room make tokenizers and shards."""

import inspect
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from waman.artifact import Artifact
from waman.document import Document, document_id, write_documents
from waman.draft import begin

KOREAN = (
    "모든 사람은 태어날 때부터 자유롭고, 존엄성과 권리에 있어서 평등하다.\n"
    "사람은 이성과 양심을 부여받았으며 서로에게 형제의 정신으로 대하여야 한다.\n"
)
PROSE = "The cat sat on the mat, and the dog sat by the door. It's 3 o'clock; 1,024 mice ran past.\n\n"

FRAGMENTS = (
    *("", " ", "  ", "   ", "\t", "\n", "\r\n", "\n\n    ", "\n\t\t", "\r"),
    *("\v", "\f", "\x00", "\x1b[0m", "\x7f", "\x85"),
    *("a", "the", " the", "The", "self", "return", "def f(x):", "__init__", "don't", "x_1", "...", "))", " (", "->"),
    *("<0x41>", "<0x0A>", "<0xFF>", "<s>", "</s>", "<unk>", "<|user|>", "<|assistant|>", "<", ">", "|"),
    *("0", "1", "42", "3.14", " 2024", "1,024", "½", "²", "٣", "Ⅷ", "①"),
    *("안녕", "하세요", " 평등", "ㅎㅎ", "각", "日本", "語", "ひらがな", "العربية", "עברית", "ไทย", "हिन्दी"),
    *("😀", "👩‍👩‍👧", "🏳️‍🌈", "🇰🇷", "👍🏽", "\u200d", "\ufe0f", "é", "e\u0301", "\u0301", "ñ", "ß", "İ", "ﬁ"),
    *("\u00a0", "\u2003", "\u200b", "\ufeff", "\u2028", "\ufffd", "\uffff", "\ue000", "\U0010ffff", "\U000e0041"),
)


def strings(count: int, seed: int = 0) -> list[str]:
    """Texts in which words, spaces, signs, controls and rare characters meet; none holds ▁ (U+2581)."""
    draw = random.Random(seed)
    found = list(FRAGMENTS)
    while len(found) < count:
        parts = [
            _any_character(draw) if draw.random() < 0.1 else draw.choice(FRAGMENTS) for _ in range(draw.randint(1, 12))
        ]
        found.append("".join(parts))
    return found[:count]


def _any_character(draw: random.Random) -> str:
    while True:
        character = chr(draw.choice((draw.randrange(0x80), draw.randrange(0x3000), draw.randrange(0x110000))))
        if not 0xD800 <= ord(character) <= 0xDFFF and character != "\u2581":
            return character


def sources() -> list[str]:
    """Python sources of the standard library, enough to learn a small vocabulary from."""
    return [inspect.getsource(module) for module in (json, json.decoder, json.encoder, random)]


def documents(groups: int = 8) -> list[Document]:
    """Pieces of code and prose of two sources that share their groups."""
    code = "".join(sources())
    found = []
    for number in range(groups):
        piece = code[number * len(code) // groups : (number + 1) * len(code) // groups]
        found.append(_document("github", f"group-{number}", piece))
        found.append(_document("web", f"group-{number}", (KOREAN + PROSE) * 3 + f"page {number}"))
    return found


def _document(source: str, group: str, text: str) -> Document:
    return Document(document_id(source, group), text, source, group, origin=group)


@dataclass(frozen=True)
class _NoRecipe:
    name: str = ""
    """Tells two artifacts apart."""


def write_artifact(folder: Path, files: Sequence[Sequence[Document]]) -> Artifact:
    """A documents artifact with the given files."""
    draft = begin(folder, kind="documents", version=1, recipe=_NoRecipe(folder.name), inputs={})
    with draft:
        for number, some in enumerate(files):
            write_documents(draft.path / "data" / f"{number:05d}.parquet", some)
        return draft.finish(counts={})


def write_mixture(folder: Path, splits: Mapping[str, str]) -> Artifact:
    """A mixture artifact: group to split, and the proportions of the sources web and github."""
    draft = begin(folder, kind="mixture", version=1, recipe=_NoRecipe(), inputs={})
    with draft:
        table = pa.table({"group": list(splits), "split": list(splits.values())})
        pq.write_table(table, draft.path / "groups.parquet")
        proportions = {"sources": {"github": {"proportion": 0.25}, "web": {"proportion": 0.75}}}
        (draft.path / "mixture.json").write_text(json.dumps(proportions))
        return draft.finish(counts={})
