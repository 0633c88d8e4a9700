"""Documents of the same text."""

import hashlib
import unicodedata


def text_hash(text: str) -> bytes:
    """Sixteen bytes that are equal for texts equal but for Unicode form (NFC) and white space."""
    normalised = " ".join(unicodedata.normalize("NFC", text).split())
    return hashlib.blake2b(normalised.encode("utf-8", "surrogatepass"), digest_size=16).digest()
