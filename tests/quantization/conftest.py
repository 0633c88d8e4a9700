"""Small models of random weights as Hugging Face directories, without the compiled library unless a test asks."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.tokens import material
from waman.model.config import Attention, ModelConfig, Swiglu
from waman.model.decoder import Decoder
from waman.model.initialize import initialize
from waman.quantization import kernels
from waman.tokens import bpe
from waman.tokens.tokenizer import own_tokenizer
from waman.weights.huggingface import save_weights

CONFIG = ModelConfig(
    vocab_size=420,
    context_length=128,
    model_dim=64,
    num_layers=2,
    attention=Attention(num_heads=4, num_kv_heads=2, head_dim=16),
    feed_forward=Swiglu(hidden_dim=128),
)


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they give where matrices are this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where `waman build-kernels` was never run."""
    monkeypatch.setattr(kernels, "native", lambda: None)


def build(config: ModelConfig, *, noise: float = 0.1) -> Decoder:
    """Weights drawn large, so that the logits differ clearly from token to token."""
    decoder = Decoder(config)
    initialize(decoder, seed=0)
    with torch.no_grad():
        for index, parameter in enumerate(decoder.parameters()):
            drawn = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index))
            parameter.add_(noise * drawn)
    return decoder.eval()


def save(config: ModelConfig, tokenizer: Path, folder: Path, dtype: torch.dtype = torch.float32) -> Path:
    """A directory of such a model."""
    save_weights(build(config), config, tokenizer, folder, dtype)
    return folder


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of 420 tokens."""
    place = tmp_path_factory.mktemp("tokenizer")
    pieces = bpe.learn_pieces([*material.sources(), material.PROSE], vocab_size=420, character_coverage=0.999)
    own_tokenizer(bpe.build(pieces)).save(place)
    return place


@pytest.fixture(scope="session")
def folder(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in bfloat16."""
    return save(CONFIG, tokenizer, tmp_path_factory.mktemp("weights") / "model", torch.bfloat16)


@pytest.fixture(scope="session")
def tied(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose head is its embedding."""
    return save(replace(CONFIG, tie_embeddings=True), tokenizer, tmp_path_factory.mktemp("weights") / "tied")
