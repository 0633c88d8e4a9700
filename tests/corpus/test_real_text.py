"""The presets on text that people wrote: what is kept, and that what is dropped deserves it."""

import ast
import json
import sysconfig
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

from waman.corpus import presets
from waman.corpus.duplicates.clusters import find_clusters
from waman.corpus.duplicates.minhash import bucket_keys, shingles
from waman.corpus.filters.chain import Kept, apply
from waman.corpus.recipe import MinHash
from waman.corpus.text import Text


def records(path: Path) -> Iterator[dict[str, Any]]:
    with zstandard.open(path, "rt", encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines)


def library_sources() -> list[Path]:
    """Files of the standard library: every fourth module, and two packages."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    return [
        *sorted(folder.glob("*.py"))[::4],
        *sorted(folder.glob("encodings/cp12*.py")),
        *sorted(folder.glob("multiprocessing/*.py")),
    ]


def test_programs_keep_their_meaning_and_lose_their_licence_header() -> None:
    headers = 0
    for path in library_sources():
        source = path.read_text(encoding="utf-8")
        kept = apply(presets.code(), Text(source))
        assert isinstance(kept, Kept), path.name
        if kept.text != source:
            assert ast.dump(ast.parse(kept.text)) == ast.dump(ast.parse(source)), path.name
            headers += 1
    assert headers >= 10


def test_code_pages_are_near_duplicates_of_one_another_and_other_modules_are_not() -> None:
    paths = library_sources()
    texts = [path.read_text(encoding="utf-8") for path in paths]
    clusters = find_clusters(len(texts), bucket_keys([shingles(text, 5) for text in texts], MinHash()))
    alike = {path.name for path, size in zip(paths, clusters.size, strict=True) if size > 1}
    assert {"cp1252.py", "cp1254.py"} <= alike
    assert {name for name in alike if not name.startswith("cp")} <= {
        "sre_compile.py",
        "sre_constants.py",
        "sre_parse.py",
    }


def test_one_text_passes_in_nearly_every_language(shared_data: Path) -> None:
    """The Declaration of Human Rights; some files hold one article only, and are too short."""
    reasons: Counter[str] = Counter()
    for record in records(shared_data / "corpus" / "langid" / "udhr2.jsonl.zst"):
        answer = apply(presets.gopher(), Text(record["text"]))
        reasons["kept" if isinstance(answer, Kept) else answer.name] += 1
    assert reasons["kept"] >= 0.93 * reasons.total()
    assert reasons["long_words"] + reasons["short_words"] <= 6


def test_korean_novels_magazines_and_books_are_kept(shared_data: Path) -> None:
    folder = shared_data / "korean" / "prose"
    for name, least in (("novels_koconovel", 1.0), ("magazines_samcholli_donggwang", 0.8), ("rust_book_ko", 0.8)):
        texts = [Text(record["text"], "ko") for record in records(folder / f"{name}.jsonl.zst")]
        kept = [isinstance(apply(presets.gopher(), text), Kept) for text in texts]
        assert sum(kept) >= least * len(kept), name


def test_noisy_comments_are_dropped(shared_data: Path) -> None:
    path = shared_data / "corpus" / "korean" / "nsmc_reviews_noisy.jsonl.zst"
    texts = [Text(record["review"], "ko") for _, record in zip(range(1000), records(path), strict=False)]
    assert not [text.text for text in texts if isinstance(apply(presets.gopher(), text), Kept)]


def test_books_are_kept_whole(shared_data: Path) -> None:
    path = shared_data / "corpus" / "books" / "classic_books.jsonl.zst"
    for _, record in zip(range(6), records(path), strict=False):
        assert apply(presets.books(), Text(record["text"], "en")) == Kept(record["text"], ())
