"""One small world for the whole room: documents, their split, an untrained model with its tokenizer, instructions."""

import random
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from waman.artifact import Artifact
from waman.document import Document, document_id, write_documents
from waman.model.config import Attention, ModelConfig, Swiglu
from waman.model.decoder import Decoder
from waman.model.initialize import initialize
from waman.tokens.bpe import build, learn_pieces
from waman.tokens.tokenizer import own_tokenizer
from waman.weights.huggingface import save_weights

VOCAB_SIZE = 320
NUM_GROUPS = 8
HELD_OUT = ("group6", "group7")


def _words(source: random.Random, count: int) -> list[str]:
    return ["".join(source.choices("aeioulnrst", k=source.randint(2, 5))) for _ in range(count)]


def _text(words: Sequence[str], source: random.Random, num_lines: int) -> str:
    return "".join(" ".join(source.choices(words, k=source.randint(4, 9))) + ".\n" for _ in range(num_lines))


def made_up_documents() -> list[Document]:
    """Two sources that share their groups; a few words of each document are its own."""
    source = random.Random(0)
    common = _words(source, 60)
    documents = []
    for group in range(NUM_GROUPS):
        for number in range(3):
            kind = "web" if number == 2 else "github"
            words = common + _words(source, 20) * 3
            origin = f"group{group}/{number}"
            text = _text(words, source, num_lines=40)
            documents.append(Document(document_id(kind, origin), text, kind, f"group{group}", origin=origin))
    return documents


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("documents")
    made = made_up_documents()
    for number, some in enumerate((made[:13], made[13:])):
        write_documents(folder / "data" / f"{number:05}.parquet", some)
    return Artifact(folder, "documents", "the documents")


@pytest.fixture(scope="session")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("mixture")
    groups = [f"group{number}" for number in range(NUM_GROUPS)]
    splits = ["held_out" if group in HELD_OUT else "train" for group in groups]
    pq.write_table(pa.table({"group": groups, "split": splits}), folder / "groups.parquet")
    return Artifact(folder, "mixture", "the mixture")


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """An untrained model: whatever it answers is noise, which is what the tests of the paths around it need."""
    folder = tmp_path_factory.mktemp("weights")
    texts = [document.text for document in made_up_documents() if document.group not in HELD_OUT]
    own_tokenizer(build(learn_pieces(texts, vocab_size=VOCAB_SIZE, character_coverage=1.0))).save(folder)
    config = ModelConfig(
        vocab_size=VOCAB_SIZE,
        context_length=96,
        model_dim=16,
        num_layers=2,
        attention=Attention(num_heads=2, num_kv_heads=1, head_dim=8),
        feed_forward=Swiglu(hidden_dim=24),
    )
    decoder = Decoder(config)
    initialize(decoder, seed=7)
    save_weights(decoder, config, folder, folder / "model", torch.float32)
    return Artifact(folder / "model", "weights", "the weights")


@pytest.fixture(scope="session")
def instructions(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Two clusters, one of them without training rows; of each one task with options and one without."""
    folder = tmp_path_factory.mktemp("instructions")
    for split, clusters in (("train", ["seen"]), ("test", ["seen", "unseen"])):
        rows = [
            _row(f"{split}{number}", task, cluster, number)
            for cluster in clusters
            for number, task in enumerate([f"{cluster} choice", f"{cluster} writing"] * 6)
        ]
        (folder / split).mkdir()
        pq.write_table(pa.Table.from_pylist(rows), folder / split / "00000.parquet")
    return Artifact(folder, "instructions", "the instructions")


def _row(name: str, task: str, cluster: str, number: int) -> dict[str, object]:
    is_choice = task.endswith("choice")
    options = ["rain", "sun", "snow"] if is_choice else []
    return {
        "id": f"{cluster}-{name}",
        "task": task,
        "cluster": cluster,
        "template": "t",
        "prompt": f"what falls in {'winter' if number % 3 else 'summer'}?",
        "target": options[number % 3] if options else "rain falls",
        "options": options,
        "answer": number % 3 if options else None,
        "source": "github",
        "group": f"group{number % 4}",
        "split": "test",
    }
