"""GGUF files of ours in llama.cpp: the same ids, the same logits, the same greedy tokens."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import pre_tokenizers

from tests.tokens import material
from tests.tokens.test_sentencepiece import LLAMA, train
from tests.weights.test_gguf_tokenizer import byte_level
from tests.weights.test_huggingface import TINY, build
from waman.model.presets import preset
from waman.tokens import bpe
from waman.tokens.sentencepiece import convert_model
from waman.tokens.tokenizer import Tokenizer, own_tokenizer
from waman.weights.gguf import save_gguf
from waman.weights.gguf_tokenizer import read_entry

_TOKENIZE = """
import json, sys
from llama_cpp import Llama
model = Llama(sys.argv[1], vocab_only=True, verbose=False)
for line in open(sys.argv[2], encoding="utf-8"):
    text = json.loads(line)
    ids = model.tokenize(text.encode(), add_bos=False, special=False)
    print(json.dumps([ids, model.tokenize(text.encode(), add_bos=True, special=False)[:1]]))
"""

CONTINUE = """
import json, sys
from llama_cpp import Llama
path, prompt, count = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
kept = dict(type_k=0, type_v=0, flash_attn=False)  # keys and values in fp32
model = Llama(path, n_ctx=256, logits_all=True, n_threads=1, verbose=False, **kept)
model.eval(prompt)
ids = list(prompt)
for _ in range(count):
    ids.append(int(model.scores[model.n_tokens - 1].argmax()))
    model.eval(ids[-1:])
print(json.dumps([ids, model.scores[: model.n_tokens].tolist()]))
"""


def ask(python: Path, program: str, *arguments: object) -> str:
    command = [str(python), "-c", program, *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def ours(folder: Path) -> Path:
    """A tokenizer of ours, learned from code and prose of two languages."""
    texts = [*material.sources(), material.KOREAN * 20, material.PROSE * 20]
    pieces = bpe.learn_pieces(texts, vocab_size=1200, character_coverage=0.9995)
    own_tokenizer(bpe.build(pieces)).save(folder)
    return folder


def sentencepiece_s(folder: Path) -> Path:
    convert_model(train(folder, **LLAMA), folder)
    return folder


def gpt2_s(folder: Path) -> Path:
    return byte_level(folder, pre_tokenizers.ByteLevel(add_prefix_space=False))


def texts() -> list[str]:
    """10,000 of words, controls and rare characters, and every meeting of line ends, runs of spaces and words."""
    met = [
        before + "\n" * lines + " " * spaces + after
        for before in ("", "x", "(", "7")
        for lines in range(3)
        for spaces in (0, 1, 2, 3, 4, 7, 8, 12, 15, 16, 17, 33)
        for after in ("", "a", "return", "+", "안", "옮", "1", "\t", "\r\n", "<0x41>")
    ]
    return met + material.strings(10_000 - len(met), seed=11)


@pytest.mark.parametrize("make", [ours, sentencepiece_s, gpt2_s])
def test_llama_cpp_gives_our_ids_on_ten_thousand_texts(tmp_path: Path, llama_cpp: Path, make: Any) -> None:
    tokenizer = Tokenizer.load(make(tmp_path))
    config = replace(TINY, vocab_size=tokenizer.vocab_size + 3)
    entry = read_entry(tmp_path).padded(tokenizer.vocab_size + 3)
    path = tmp_path / "a.gguf"
    save_gguf(path, build(config).state_dict(), config, kind="F32", tokenizer=entry, name="tiny")
    asked = [*texts(), *material.sources()]
    (tmp_path / "texts").write_text("".join(json.dumps(text) + "\n" for text in asked))
    answers = ask(llama_cpp, _TOKENIZE, path, tmp_path / "texts").splitlines()
    assert len(answers) == len(asked) > 10_000
    for text, answer in zip(asked, answers, strict=True):
        ids, first = json.loads(answer)
        assert ids == tokenizer.encode(text), repr(text)
        assert not tokenizer.begins_with_bos or first == [tokenizer.bos_id]


def test_llama_cpp_computes_our_logits_and_goes_on_with_our_tokens(tmp_path: Path, llama_cpp: Path) -> None:
    config = replace(preset("laptop-1m"), vocab_size=4096)  # the demo's
    decoder = build(config)
    path = tmp_path / "a.gguf"
    entry = read_entry(ours(tmp_path)).padded(4096)
    save_gguf(path, decoder.state_dict(), config, kind="F32", tokenizer=entry, name="demo")
    prompt = [1, *Tokenizer.load(tmp_path).encode("The cat sat on the mat, and")]
    ids, scores = json.loads(ask(llama_cpp, CONTINUE, path, json.dumps(prompt), 64))
    with torch.no_grad():
        expected = list(prompt)
        for _ in range(64):
            expected.append(int(decoder(torch.tensor([expected]))[0, -1].argmax()))
        logits = decoder(torch.tensor([expected]))[0]
    assert ids == expected
    # llama.cpp's dot products sum in fp32 in an order of its own, over layers of large random weights
    assert (torch.tensor(scores) - logits).abs().max() <= 1e-4 * logits.abs().max()
