"""A question small enough to be answered in a second or two: made-up documents, a model of a few thousand numbers."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.corpus.making import make_document, make_documents
from tests.costing.test_calibrate import MACHINE
from waman import settings
from waman.ablation.recipe import AblateRecipe, Pipeline
from waman.artifact import Artifact
from waman.planning import plan

TINY = (
    "refine.filters.web=[]",
    "refine.recurring_lines.kind=off",
    "mix.held_out.share=0.3",
    "train_tokenizer.vocab_size=320",
    "pretrain.model.context_length=16",
    "pretrain.model.initialization.kind=scaled_normal",  # so small that positions hardly tell at first
    "pretrain.model.model_dim=16",
    "pretrain.model.num_layers=1",
    "pretrain.model.attention={num_heads=2, num_kv_heads=2, head_dim=8}",
    "pretrain.model.feed_forward.hidden_dim=24",
    "pretrain.num_tokens=4096",
    "pretrain.batch_tokens=256",
    "pretrain.optimizer.learning_rate=0.01",
    "pretrain.precision.kind=float32",
    "evaluate.precision.kind=float32",
    "evaluate.bits.max_bytes=4000",
)


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that need not be measured, for ten seconds each time."""
    monkeypatch.setattr(plan, "machine_for", lambda recipe: MACHINE)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other cost far more than these small products."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Twenty groups of four documents of two hundred words that repeat themselves a little."""
    drawn = random.Random(0)
    words = ["".join(drawn.choices("aeioulnrst", k=drawn.randint(2, 6))) for _ in range(150)]
    made = [
        make_document(" ".join(drawn.choices(words, k=120)) + ".", group=f"g{number % 20}", name=f"d{number}")
        for number in range(80)
    ]
    return make_documents(tmp_path_factory.mktemp("ablation") / "documents", made)


def question(*says: str, base: tuple[str, ...] = (), **fields: object) -> AblateRecipe:
    """A tiny question with one variant, called `other`, or the variants among the fields."""
    pipeline = settings.load(Pipeline, None, [*TINY, *base])
    return AblateRecipe(**{"variants": {"other": says}, "base": pipeline, "seeds": 3, **fields})  # type: ignore[arg-type]


def folders(place: Path) -> set[str]:
    """The artifacts in a folder, by their relative paths."""
    return {str(path.parent.relative_to(place)) for path in place.rglob("manifest.json")} - {"."}
