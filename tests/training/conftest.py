"""A tokenizer and token shards small enough to train on in a second."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
from tokenizers import decoders, models

from waman.artifact import Artifact, open_input
from waman.document import Document
from waman.model.config import Attention, ModelConfig, Swiglu
from waman.tokens.shards import ShardWriter, TokensInfo, write_info
from waman.tokens.tokenizer import Tokenizer

VOCAB_SIZE = 64
BOS, EOS = 1, 2

MakeTokens = Callable[[Mapping[str, list[int]]], Artifact]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other cost far more than these small products."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny_model() -> ModelConfig:
    """A model of 14,000 parameters."""
    return ModelConfig(
        context_length=16,
        model_dim=24,
        num_layers=2,
        attention=Attention(num_heads=2, num_kv_heads=1, head_dim=12),
        feed_forward=Swiglu(hidden_dim=32),
        tie_embeddings=True,
    )


@pytest.fixture
def tokenizer(tmp_path: Path) -> Artifact:
    """64 one-letter tokens in the files that a model directory has."""
    return write_tokenizer(tmp_path / "tokenizer")


def write_tokenizer(folder: Path, vocab_size: int = VOCAB_SIZE) -> Artifact:
    """A tokenizer directory with so many tokens."""
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2} | {chr(0x4E00 + number): number for number in range(3, vocab_size)}
    backend = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>"))
    backend.add_special_tokens(["<unk>", "<s>", "</s>"])
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    folder.mkdir()
    backend.save(str(folder / "tokenizer.json"))
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return open_input(folder)


@pytest.fixture
def make_tokens(tmp_path: Path, tokenizer: Artifact) -> MakeTokens:
    """Writes token shards: source to the lengths of its documents, both ends' tokens included."""

    def make(lengths: Mapping[str, list[int]]) -> Artifact:
        folder = tmp_path / "tokens"
        random = np.random.default_rng(0)
        for number, (source, several) in enumerate(lengths.items()):
            with ShardWriter(folder / "train", number, dtype="uint16") as shard:
                for place, length in enumerate(several):
                    inner = (np.arange(length - 2) + random.integers(40)) % (VOCAB_SIZE - 3) + 3
                    document = Document(id=f"{source}{place}", text="x", source=source, group=source, origin="here")
                    shard.add(document, [BOS, *inner.tolist(), EOS])
        write_info(folder, TokensInfo("uint16", VOCAB_SIZE, BOS, EOS, Tokenizer.load(tokenizer.path).identity))
        sources = {source: {"proportion": 1 / len(lengths)} for source in lengths}
        (folder / "mixture.json").write_text(json.dumps({"sources": sources}))
        return Artifact(folder, "tokens", "tokens of the test")

    return make
