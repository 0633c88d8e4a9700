"""Lines that stand in many documents: menus, footers, notices.

LLaMA's web pages are deduplicated by line (Touvron et al. 2023, section 2.1, after CCNet, Wenzek et al. 2020), whose
normalisation is used: lower case, each digit as 0.
"""

import re
from collections.abc import Iterator

import numpy as np

from waman import ngrams
from waman.corpus.recipe import RecurringLines
from waman.ngrams import Hashes

_DIGIT = re.compile(r"\d")
_MANY_BREAKS = re.compile(r"\n{3,}")


def line_keys(text: str, rule: RecurringLines) -> Hashes:
    """The distinct keys of a text's lines that are long enough to be looked at."""
    keys = [key for key, _ in _keyed_lines(text, rule) if key is not None]
    return np.unique(np.array(keys, dtype=np.uint64))


def recurring_keys(keys: Hashes, num_documents: int, rule: RecurringLines) -> Hashes:
    """The keys that recur. `keys`: the distinct ones of each of `num_documents` documents, one after another."""
    found, counts = np.unique(keys, return_counts=True)
    return found[counts >= max(2, rule.min_documents, rule.min_share * num_documents)]


def without_lines(text: str, keys: frozenset[int], rule: RecurringLines) -> str:
    """The text without the lines of these keys, and without the many blank lines that are left of them."""
    lines = list(_keyed_lines(text, rule))
    kept = [line for key, line in lines if key is None or key not in keys]
    if len(kept) == len(lines):
        return text
    return _MANY_BREAKS.sub("\n\n", "\n".join(kept)).strip("\n")


def _keyed_lines(text: str, rule: RecurringLines) -> Iterator[tuple[int | None, str]]:
    """Each line with its key; None for those that are too short to be looked at."""
    for line in text.split("\n"):
        words = line.lower().split()
        normalised = _DIGIT.sub("0", " ".join(words))
        yield (ngrams.hash_text(normalised) if len(words) >= rule.min_words else None), line
