"""Bits per byte: how short a text becomes when every token costs -log2 of its probability.

bits per byte = nats of a document's tokens / ln 2 / UTF-8 bytes of its text. The tokens are the text's and the final
`</s>`; the opening `<s>` is given, not paid for. This holds for the model and for the n-gram model alike, which see
the same tokens; the compressors pay for no document ends.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from waman.document import Document
from waman.evaluation.likelihood import Ids, LanguageModel
from waman.evaluation.metrics import Floats


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens `start` to `stop` of a sequence are shown; those from `scored` on are scored. The last is only scored."""

    start: int
    stop: int
    scored: int


def windows(num_tokens: int, *, context_length: int, overlap: int) -> list[Window]:
    """Windows in which every token after the first is scored once.

    At most `context_length` tokens are read at a time. After the first window, each scored token follows at least
    `overlap` + 1 tokens of its window (or all there are); the last window reaches back as far as it can.
    """
    assert 0 <= overlap < context_length, "a window must advance"
    found: list[Window] = []
    done = 1
    while done < num_tokens:
        stop = min(num_tokens, context_length + 1 if not found else done + context_length - overlap)
        found.append(Window(start=max(0, stop - context_length - 1), stop=stop, scored=done))
        done = stop
    return found


def document_bits(model: LanguageModel, sequences: Sequence[Ids]) -> Floats:
    """Bits of each sequence (`<s>`, text, `</s>`), `<s>` not counted -> (sequences,)."""
    return np.array([-logs.sum() / math.log(2) for logs in model.sequences(sequences)], dtype=np.float64)


def draw_documents(documents: Sequence[Document], *, max_bytes: int, seed: int) -> list[Document]:
    """Whole documents in an order drawn by `seed`, each that still fits into `max_bytes`, the first in any case.

    Returned in the order of their ids, so that the drawn text is the same however the documents are stored.
    """
    by_id = sorted(documents, key=lambda document: document.id)
    chosen: list[Document] = []
    total = 0
    for index in np.random.default_rng(seed).permutation(len(by_id)):
        size = len(by_id[index].text.encode())
        if size and (not chosen or total + size <= max_bytes):
            chosen.append(by_id[index])
            total += size
    return sorted(chosen, key=lambda document: document.id)
