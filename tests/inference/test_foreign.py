"""Directories as the hub has them answer here as they do in transformers, each family with its own tokenizer."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.inference.foreign import MODELS, write_model
from waman.cli.main import build_app
from waman.inference.llm import LLM
from waman.inference.load import load
from waman.weights.huggingface import save_weights

PROMPT = "The cat sat on the mat, 3 o'clock: 안녕"


@pytest.fixture(scope="module", params=MODELS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def llm(folder: Path) -> LLM:
    return load(folder)


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="sdpa")


@pytest.fixture(scope="module")
def ids(folder: Path) -> list[int]:
    """What transformers makes of the prompt."""
    from transformers import AutoTokenizer

    found: list[int] = AutoTokenizer.from_pretrained(folder)(PROMPT).input_ids
    return found


def test_a_prompt_has_the_same_tokens(llm: LLM, ids: list[int]) -> None:
    first = [llm.tokenizer.bos_id] if llm.tokenizer.begins_with_bos else []
    assert [*first, *llm.tokenizer.encode(PROMPT)] == ids


def test_logits_are_the_same(llm: LLM, model: Any, ids: list[int]) -> None:
    with torch.inference_mode():
        expected = model(torch.tensor([ids])).logits[0]
    torch.testing.assert_close(llm.logits(ids), expected, rtol=0, atol=1e-4)


def test_a_completion_is_the_same(llm: LLM, model: Any, ids: list[int]) -> None:
    """Random tokens are seldom UTF-8, where transformers' decoders differ among themselves: ours shows both."""
    prompt, end_ids = torch.tensor([ids]), sorted(llm.end_ids)
    options = {"max_new_tokens": 40, "do_sample": False, "eos_token_id": end_ids, "pad_token_id": end_ids[0]}
    made = model.generate(prompt, attention_mask=torch.ones_like(prompt), **options)[0, len(ids) :].tolist()
    assert len(set(made)) > 1, "a completion of one token repeated would show little"
    decoder = llm.tokenizer.continuation(begins_text=False)
    expected = "".join(decoder.add(one) for one in made if one not in llm.end_ids)
    assert llm.generate([PROMPT], max_tokens=40) == [expected]


def test_decoding_is_the_way_back(llm: LLM, ids: list[int]) -> None:
    assert llm.tokenizer.decode(ids) == PROMPT


def test_a_continuation_has_the_same_log_likelihood(llm: LLM, model: Any, ids: list[int]) -> None:
    context = PROMPT.split()[0]
    num_context = len(llm.tokenizer.encode(context)) + llm.tokenizer.begins_with_bos
    with torch.inference_mode():
        log_likelihoods = model(torch.tensor([ids])).logits[0].log_softmax(dim=-1)
    expected = log_likelihoods[:-1].gather(1, torch.tensor(ids)[1:, None])[num_context - 1 :].sum()
    found = llm.score([(context, PROMPT.removeprefix(context))])[0]
    assert found.log_likelihood == pytest.approx(float(expected), rel=1e-4)


def test_written_again_it_answers_alike(folder: Path, llm: LLM, tmp_path: Path) -> None:
    save_weights(llm.decoder, llm.decoder.config, folder, tmp_path, torch.float32)
    again = load(tmp_path)
    assert again.end_ids == llm.end_ids
    assert again.tokenizer.special_names == llm.tokenizer.special_names
    assert again.generate([PROMPT], max_tokens=20) == llm.generate([PROMPT], max_tokens=20)


def test_what_ends_a_completion_is_known(folder: Path, llm: LLM) -> None:
    assert llm.end_ids == ({1, 2} if folder.name.startswith("llama3") else {llm.tokenizer.eos_id})


def test_the_command_line_gives_the_same(folder: Path, llm: LLM) -> None:
    from typer.testing import CliRunner

    result = CliRunner().invoke(
        build_app(), ["generate", str(folder), PROMPT, "--max-tokens", "20", "--temperature", "0"]
    )
    assert result.exit_code == 0, result.output
    assert result.stdout == llm.generate([PROMPT], max_tokens=20)[0] + "\n"
