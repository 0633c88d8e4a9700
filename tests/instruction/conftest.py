"""Documents, a mixture, a tokenizer and a tiny model, small enough to compose from and to tune in a second."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.tasks import documents as texts
from tests.tokens import material
from waman.artifact import Artifact, open_input
from waman.dataflow import Inline
from waman.document import Document
from waman.instruction.compose import compose
from waman.instruction.recipe import ComposeRecipe
from waman.model.config import Attention, ModelConfig, Swiglu
from waman.model.decoder import Decoder
from waman.model.initialize import initialize
from waman.tokens.recipe import TokenizerRecipe
from waman.tokens.tokenizer import Tokenizer
from waman.tokens.train_tokenizer import train_tokenizer
from waman.weights.huggingface import save_weights

NUM_GROUPS = 6
HELD_OUT = ("group-4", "group-5")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other cost far more than these small products."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def python_documents() -> list[Document]:
    """A source for each group, alike but for the names."""
    names = ("shape", "figure", "body", "form", "tile", "block")
    return [
        texts.python(texts.SOURCE.replace("shape", name), name=f"{name}.py", group=f"group-{number}")
        for number, name in enumerate(names)
    ]


def prose_documents() -> list[Document]:
    """A page for each group, alike but for a few words."""
    words = ("river", "brook", "stream", "flood", "torrent", "water")
    return [
        texts.prose(texts.ENGLISH.replace("river", word), name=f"{word}.txt", group=f"group-{number}")
        for number, word in enumerate(words)
    ]


@pytest.fixture(scope="session")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Groups 0 to 3 trained on, 4 and 5 held out."""
    groups = [f"group-{number}" for number in range(NUM_GROUPS)]
    splits = {group: "held_out" if group in HELD_OUT else "train" for group in groups}
    return material.write_mixture(tmp_path_factory.mktemp("mixture") / "mixture", splits)


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Sources and pages of every group, in two files."""
    folder = tmp_path_factory.mktemp("documents") / "documents"
    return material.write_artifact(folder, [python_documents(), prose_documents()])


@pytest.fixture(scope="session")
def instructions(tmp_path_factory: pytest.TempPathFactory, documents: Artifact, mixture: Artifact) -> Artifact:
    """What `compose` makes of the sources by default."""
    out: Path = tmp_path_factory.mktemp("instructions") / "instructions"
    return compose(ComposeRecipe(), documents=[documents], mixture=mixture, out=out, executor=Inline())


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory, documents: Artifact, mixture: Artifact) -> Path:
    """A tokenizer of 400 tokens."""
    out: Path = tmp_path_factory.mktemp("tokenizer") / "tokenizer"
    recipe = TokenizerRecipe(vocab_size=400)
    return train_tokenizer(recipe, documents=[documents], mixture=mixture, out=out, executor=Inline()).path


@pytest.fixture(scope="session")
def tokenizer(tokenizer_folder: Path) -> Tokenizer:
    """The same, opened."""
    return Tokenizer.load(tokenizer_folder)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory, tokenizer_folder: Path) -> Artifact:
    """An untrained model of 20,000 parameters and 192 tokens of context."""
    config = ModelConfig(
        vocab_size=400,
        context_length=192,
        model_dim=32,
        num_layers=1,
        attention=Attention(num_heads=2, num_kv_heads=1, head_dim=16),
        feed_forward=Swiglu(hidden_dim=48),
        tie_embeddings=True,
    )
    decoder = Decoder(config)
    initialize(decoder, seed=0)
    folder: Path = tmp_path_factory.mktemp("weights") / "weights"
    save_weights(decoder, config, tokenizer_folder, folder, torch.float32)
    return open_input(folder)
