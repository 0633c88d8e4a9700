"""One small tokenizer and its artifacts for the whole room."""

from pathlib import Path

import pytest

from tests.tokens import material
from waman.artifact import Artifact
from waman.dataflow import Inline
from waman.tokens.recipe import TokenizerRecipe
from waman.tokens.tokenizer import Tokenizer
from waman.tokens.train_tokenizer import train_tokenizer

VOCAB_SIZE = 640


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Two files of documents, of the sources github and web."""
    some = material.documents()
    return material.write_artifact(tmp_path_factory.mktemp("documents") / "documents", [some[:9], some[9:]])


@pytest.fixture(scope="session")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Groups 0 to 5 trained on, 6 and 7 held out."""
    splits = {f"group-{number}": "train" if number < 6 else "held_out" for number in range(8)}
    return material.write_mixture(tmp_path_factory.mktemp("mixture") / "mixture", splits)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, documents: Artifact, mixture: Artifact) -> Artifact:
    """The tokenizer learned from them."""
    out: Path = tmp_path_factory.mktemp("tokenizer") / "tokenizer"
    recipe = TokenizerRecipe(vocab_size=VOCAB_SIZE)
    return train_tokenizer(recipe, documents=[documents], mixture=mixture, out=out, executor=Inline())


@pytest.fixture(scope="session")
def tokenizer(trained: Artifact) -> Tokenizer:
    """The same, opened."""
    return Tokenizer.load(trained.path)
