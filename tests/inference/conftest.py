"""A tiny model of random weights with a small tokenizer, as a Hugging Face directory."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.tokens import material
from waman.inference.llm import LLM
from waman.inference.load import load
from waman.model.config import Attention, ModelConfig, Swiglu
from waman.model.decoder import Decoder
from waman.model.initialize import initialize
from waman.tokens import bpe
from waman.tokens.tokenizer import own_tokenizer
from waman.weights.huggingface import save_weights

CONFIG = ModelConfig(
    vocab_size=420,
    context_length=160,
    model_dim=32,
    num_layers=2,
    attention=Attention(num_heads=4, num_kv_heads=2, head_dim=8),
    feed_forward=Swiglu(hidden_dim=48),
)


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost more than they give where matrices are this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory. Its weights are drawn large, so that the logits differ clearly from token to token."""
    place = tmp_path_factory.mktemp("weights")
    pieces = bpe.learn_pieces([*material.sources(), material.PROSE], vocab_size=420, character_coverage=0.999)
    (place / "tokenizer").mkdir()
    own_tokenizer(bpe.build(pieces)).save(place / "tokenizer")
    decoder = Decoder(CONFIG)
    initialize(decoder, seed=0)
    with torch.no_grad():
        for index, parameter in enumerate(decoder.parameters()):
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index))
            parameter.add_(0.2 * noise)
    save_weights(decoder, CONFIG, place / "tokenizer", place / "model", torch.float32)
    return place / "model"


@pytest.fixture(scope="session")
def llm(folder: Path) -> LLM:
    """The model, opened."""
    return load(folder)
