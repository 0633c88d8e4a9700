"""A directory from the hub is evaluated as it is, each family with its own tokenizer."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests.inference.foreign import CONTEXT_LENGTH, MODELS, write_model
from waman.artifact import Artifact, open_input
from waman.dataflow import Inline
from waman.document import read_documents
from waman.evaluation.bits import document_bits
from waman.evaluation.evaluate import evaluate
from waman.evaluation.likelihood import Pair
from waman.evaluation.metrics import Floats
from waman.evaluation.recipe import BitsPerByte, Cloze, EvaluateRecipe
from waman.evaluation.report import read_scores
from waman.model.recipe import Float32
from waman.settings import Off

RECIPE = EvaluateRecipe(
    bits=BitsPerByte(scorers=(), max_bytes=1500),
    cloze=Cloze(
        scorers=(),
        num_questions=8,
        min_context_tokens=10,
        max_context_tokens=40,
        min_option_tokens=8,
        max_option_tokens=16,
    ),
    instructions=Off(),
    overlap=Off(),
    precision=Float32(),
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Theirs:
    """transformers' model as a scorer."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM

        self._model: Any = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa")

    @torch.inference_mode()
    def log_likelihoods(self, pairs: Sequence[Pair]) -> Floats:
        found = []
        for context, continuation in pairs:
            ids = torch.tensor([*context, *continuation])
            logs = self._model(ids[None, :-1]).logits[0].log_softmax(dim=-1)
            found.append(float(logs.gather(1, ids[1:, None])[len(context) - 1 :].sum()))
        return np.array(found)


@pytest.mark.parametrize("name", MODELS)
def test_bits_are_those_that_transformers_gives_to_the_same_tokens(
    tmp_path: Path, name: str, documents: Artifact, mixture: Artifact
) -> None:
    from transformers import AutoTokenizer

    folder = write_model(name, tmp_path / "model")
    scores = evaluate(
        RECIPE,
        weights=open_input(folder, "weights"),
        documents=[documents],
        mixture=mixture,
        out=tmp_path / "scores",
        executor=Inline(),
    )
    rows = pq.read_table(scores.path / "bits.parquet").to_pylist()
    assert rows
    texts = {document.id: document.text for document in read_documents(documents)}
    tokenizer, config = AutoTokenizer.from_pretrained(folder), MODELS[name][1]
    sequences = []
    for row in rows:
        ids = tokenizer(texts[row["id"]], add_special_tokens=False).input_ids
        sequences.append(np.array([config["bos_token_id"], *ids, config["eos_token_id"]]))
    expected = document_bits(
        Theirs(folder), sequences, context_length=CONTEXT_LENGTH, overlap=int(0.5 * CONTEXT_LENGTH)
    )
    np.testing.assert_allclose([row["model_bits"] for row in rows], expected, rtol=1e-4)
    assert read_scores(scores)["cloze"]["accuracy"]["model"]["n"] == 8
