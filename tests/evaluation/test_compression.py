import gzip
import lzma
import random
import subprocess

import pytest

from waman.evaluation.compression import gzip_bits, lzma_size, primed_lzma_bits


def _text(num_bytes: int, seed: int) -> bytes:
    source = random.Random(seed)
    words = ["".join(source.choices("etaoinshrdlu", k=source.randint(2, 9))) for _ in range(400)]
    return " ".join(source.choices(words, k=num_bytes // 6)).encode()[:num_bytes]


def test_gzip_bits_are_those_of_the_command() -> None:
    text = _text(20_000, seed=0)
    command = subprocess.run(["gzip", "-9", "-n", "-c"], input=text, stdout=subprocess.PIPE, check=True)
    assert gzip_bits(text) == pytest.approx(8 * len(command.stdout), rel=0.01)
    assert gzip.decompress(gzip.compress(text, compresslevel=9, mtime=0)) == text


def test_text_that_stands_in_the_priming_costs_almost_nothing() -> None:
    priming = _text(100_000, seed=1)
    repeated = priming[1000:9000]
    primed = primed_lzma_bits(repeated, priming=priming, primed_size=lzma_size(priming))
    alone = primed_lzma_bits(repeated, priming=b"", primed_size=lzma_size(b""))
    assert primed < 0.03 * alone
    assert alone == pytest.approx(8 * len(lzma.compress(repeated, preset=9)), rel=0.05)


def test_the_dictionary_reaches_back_to_the_first_byte_of_the_priming() -> None:
    source = random.Random(2)
    wanted = source.randbytes(3000)
    priming = wanted + source.randbytes(300_000)
    primed = primed_lzma_bits(wanted, priming=priming, primed_size=lzma_size(priming))
    assert primed < 8 * 3000 / 4, "random bytes can only be had from the dictionary"


def test_no_text_costs_no_bits_beyond_the_priming() -> None:
    priming = _text(5000, seed=3)
    assert primed_lzma_bits(b"", priming=priming, primed_size=lzma_size(priming)) == 0
