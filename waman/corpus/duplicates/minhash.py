"""Documents of nearly the same text, by min-hashes in buckets (Broder 1997; Penedo et al. 2023, appendix G.3.1).

Two documents whose sets of n-grams have the Jaccard index s agree in a min-hash with probability s, in all b of a
bucket with s^b, and in at least one of r buckets with 1-(1-s^b)^r. As in RefinedWeb, a shared bucket is enough: the
similarity of such a pair is not worked out.
"""

from collections.abc import Sequence

import numpy as np

from waman import ngrams
from waman.corpus.recipe import MinHash
from waman.ngrams import Hashes

_BLOCK_HASHES = 1 << 20
"""N-gram hashes worked on at once: 8 MB, which stays near the processor."""


def shingles(text: str, ngram_words: int) -> Hashes:
    """The distinct hashes of a text's n-grams of normalised words; a shorter text is one n-gram, an empty one none."""
    words = ngrams.hash_words(ngrams.normalised_words(text))
    return np.unique(ngrams.hash_ngrams(words, min(ngram_words, max(1, len(words)))))


def bucket_keys(documents: Sequence[Hashes], recipe: MinHash) -> Hashes:
    """A key for each bucket of each document, equal where all of its min-hashes are: (num_buckets, num_documents).

    `documents`: each one's shingles. A document without shingles gets 0.
    """
    keys = np.zeros((recipe.num_buckets, len(documents)), dtype=np.uint64)
    begin = 0
    while begin < len(documents):
        end, total = begin + 1, len(documents[begin])
        while end < len(documents) and total + len(documents[end]) <= _BLOCK_HASHES:
            total += len(documents[end])
            end += 1
        _fill_keys(keys[:, begin:end], documents[begin:end], recipe)
        begin = end
    return keys


def match_probability(similarity: float, *, num_buckets: int, hashes_per_bucket: int) -> float:
    """The probability that two documents share a bucket: 1-(1-s^b)^r."""
    return 1.0 - (1.0 - similarity**hashes_per_bucket) ** num_buckets


def _fill_keys(keys: Hashes, documents: Sequence[Hashes], recipe: MinHash) -> None:
    full = [index for index, one in enumerate(documents) if len(one)]
    if not full:
        return
    flat = np.concatenate([documents[index] for index in full])
    starts = np.cumsum([0, *(len(documents[index]) for index in full[:-1])])
    random = np.random.Generator(np.random.PCG64(recipe.seed))
    draws = random.integers(0, 1 << 64, size=(recipe.num_buckets, recipe.hashes_per_bucket, 2), dtype=np.uint64)
    for bucket in range(recipe.num_buckets):
        key = np.zeros(len(full), dtype=np.uint64)
        for shift, multiplier in draws[bucket]:
            permuted = (flat ^ shift) * (multiplier | np.uint64(1))
            key = ngrams.mix(key ^ np.minimum.reduceat(permuted, starts))
        keys[bucket, full] = np.maximum(key, np.uint64(1))
