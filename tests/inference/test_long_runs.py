"""Random sweeps over what a batch may hold."""

from pathlib import Path

import pytest
import torch

from tests.sweep import Sweep
from tests.tokens.material import strings
from waman.inference.llm import LLM
from waman.inference.load import load
from waman.inference.recipe import Sampling
from waman.inference.scoring import Query, score


@pytest.mark.soak
def test_random_batches_write_what_each_prompt_gets_alone(folder: Path, sweep: Sweep) -> None:
    """In float64: in float32 a prompt's products are rounded as the batch is shaped, and a draw may fall between."""
    llm = load(folder, dtype=torch.float64)
    prompts = [text for text in strings(4000, seed=1) if len(llm.tokenizer.encode(text)) < 120]
    for draw in sweep(60):
        chosen = draw.sample(prompts, draw.randint(1, 12))
        sampling = Sampling(
            max_tokens=draw.randint(1, 60),
            temperature=draw.choice((0.0, 0.7, 1.5)),
            top_p=draw.choice((0.5, 0.95, 1.0)),
            seed=draw.getrandbits(32),
            stop=draw.choice(((), ("e",), ("the", "\n", " a"))),
        )
        together = llm.generate(
            chosen,
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=sampling.seed,
            stop=sampling.stop,
        )
        for prompt, text in zip(chosen, together, strict=True):
            pieces = list(llm.stream(prompt, sampling))
            assert "".join(pieces) == text
            assert not any(stop in text for stop in sampling.stop)


@pytest.mark.soak
def test_random_queries_score_what_their_logits_say(llm: LLM, sweep: Sweep) -> None:
    for draw in sweep(40):
        contexts = [tuple(draw.choices(range(3, 420), k=draw.randint(1, 100))) for _ in range(draw.randint(1, 8))]
        lengths = [draw.randint(0, 60) for _ in range(30)]
        queries = [Query(draw.choice(contexts), tuple(draw.choices(range(3, 420), k=length))) for length in lengths]
        for query, found in zip(queries, score(llm.decoder, queries), strict=True):
            logs = torch.log_softmax(llm.logits([*query.context, *query.continuation]).double(), dim=-1)
            places = range(len(query.context) - 1, len(query.context) + len(query.continuation) - 1)
            expected = sum(float(logs[place, token]) for place, token in zip(places, query.continuation, strict=True))
            assert found.log_likelihood == pytest.approx(expected, abs=1e-3)
