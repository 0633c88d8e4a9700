"""Bits per byte of two general compressors: what needs no language model.

Documents are joined end to end with nothing between them, so that a compressor pays no header per document and may
use the documents before; a language model sees every document alone. The bits are divided by the same bytes.
"""

import gzip
import lzma
from typing import Any


def gzip_bits(text: bytes) -> int:
    """Bits of `gzip -9`, its header of 18 bytes included."""
    return 8 * len(gzip.compress(text, compresslevel=9, mtime=0))


def primed_lzma_bits(text: bytes, *, priming: bytes, primed_size: int) -> int:
    """Bits that `text` adds to the raw LZMA2 stream of `priming`: compress(priming + text) - compress(priming).

    `primed_size` is `lzma_size(priming)`, bytes, given so that many texts share one measurement; `text` may be empty.
    Every run uses a dictionary at least as long as its input, so that all of the priming text is within reach.
    """
    return 8 * (lzma_size(priming + text) - primed_size)


def lzma_size(text: bytes) -> int:
    """Bytes of the raw LZMA2 stream of `text` (preset 9 extreme, dictionary as long as the text)."""
    return len(lzma.compress(text, format=lzma.FORMAT_RAW, filters=[_filter(len(text))]))


def _filter(num_bytes: int) -> dict[str, Any]:
    smallest = 4096  # what LZMA2 allows
    return {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": max(smallest, num_bytes)}
