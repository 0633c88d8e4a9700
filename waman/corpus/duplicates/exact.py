"""Documents of the same text."""

import unicodedata

from waman import ngrams


def text_key(text: str) -> int:
    """A 64-bit number that is equal for texts equal but for Unicode form (NFC) and white space; never 0."""
    return max(1, ngrams.hash_text(" ".join(unicodedata.normalize("NFC", text).split())))
