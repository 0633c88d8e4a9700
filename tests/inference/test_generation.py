from pathlib import Path
from typing import Any

import pytest
import torch

from waman.errors import PromptError, RecipeError
from waman.inference.llm import LLM
from waman.inference.load import load
from waman.inference.recipe import Sampling
from waman.inference.runner import page_bytes
from waman.tokens.chat import Turn, render_prompt

PROMPTS = ["def encode(self, o):", "", "  The cat", "for x in range(3):\n    return x", "<s></s> 안녕", "import json"]


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder)


def _in_transformers(theirs: Any, ids: list[int], max_tokens: int) -> list[int]:
    given = torch.tensor([ids])
    options = {"do_sample": False, "max_new_tokens": max_tokens, "pad_token_id": 0}
    found = theirs.generate(given, attention_mask=torch.ones_like(given), **options)
    return [one for one in found[0].tolist()[len(ids) :] if one != 2]


def test_greedy_completions_are_those_of_transformers(llm: LLM, theirs: Any) -> None:
    found = llm.generate(PROMPTS, max_tokens=40)
    assert len(set(found)) > 3
    for prompt, text in zip(PROMPTS, found, strict=True):
        stream = llm.tokenizer.continuation(begins_text=False)
        ids = _in_transformers(theirs, [1, *llm.tokenizer.encode(prompt)], 40)
        assert text == "".join(stream.add(one) for one in ids)


def test_greedy_answers_are_those_of_transformers(llm: LLM, theirs: Any) -> None:
    turns = [Turn("user", "the cat"), Turn("assistant", "sat"), Turn("user", "why?")]
    (found,) = llm.answer([turns], Sampling(max_tokens=30))
    ids = _in_transformers(theirs, render_prompt(llm.tokenizer, turns), 30)
    ends = [place for place, one in enumerate(ids) if one in (259, 260)]
    stream = llm.tokenizer.continuation(begins_text=True)
    assert found == "".join(stream.add(one) for one in ids[: ends[0] if ends else None])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_batch_gives_each_prompt_what_it_gets_alone(llm: LLM, temperature: float) -> None:
    options: dict[str, Any] = {"max_tokens": 40, "temperature": temperature, "top_p": 0.9, "seed": 11}
    together = llm.generate(PROMPTS * 2, **options)
    assert together == [llm.generate([prompt], **options)[0] for prompt in PROMPTS] * 2


def test_a_small_cache_and_one_of_eight_bits_write_the_same(llm: LLM, folder: Path) -> None:
    """Six prompts in 6 pages: most of them wait, some give up their pages."""
    together = llm.generate(PROMPTS, max_tokens=40)
    page = page_bytes(llm.decoder.config, kv_bits=32)
    small = load(folder, cache_bytes=6 * page + 1)
    assert small.engine.pages.num_free == 6
    assert small.generate(PROMPTS, max_tokens=40) == together
    assert small.engine.pages.num_free == 6
    eighth = load(folder, kv_bits=8)
    assert eighth.generate(PROMPTS, max_tokens=12) != [""] * len(PROMPTS)


def test_seeds_hold_and_differ(llm: LLM) -> None:
    one, again, other = (
        llm.generate(["the"], max_tokens=30, temperature=1.0, seed=seed)[0] for seed in (1, 1, 2)
    )  # fmt: skip
    assert one == again
    assert one != other


def test_cached_decoding_equals_reading_everything_anew(llm: LLM) -> None:
    ids = [1, *llm.tokenizer.encode("the cat")]
    for _ in range(30):
        ids.append(int(llm.logits(ids)[-1].argmax()))
        if ids[-1] == 2:
            break
    expected = llm.tokenizer.continuation(begins_text=False)
    text = "".join(expected.add(one) for one in ids[1 + len(llm.tokenizer.encode("the cat")) :])
    assert llm.generate(["the cat"], max_tokens=30) == [text]


def test_streaming_gives_the_same_text_in_whole_characters(llm: LLM) -> None:
    for seed in range(5):
        sampling = Sampling(max_tokens=60, temperature=1.5, seed=seed, stop=("e", "the"))
        pieces = list(llm.stream("def", sampling))
        options: dict[str, Any] = {"max_tokens": 60, "temperature": 1.5, "seed": seed, "stop": ["e", "the"]}
        assert "".join(pieces) == llm.generate(["def"], **options)[0]
        turns = [Turn("user", "def")]
        assert "".join(llm.chat_stream(turns, sampling)) == llm.answer([turns], sampling)[0]


def test_a_stop_string_cuts_the_greedy_completion(llm: LLM) -> None:
    (whole,) = llm.generate(["the cat"], max_tokens=40)
    stop = whole[1:3]
    assert stop
    assert llm.generate(["the cat"], max_tokens=40, stop=[stop]) == [whole[: whole.find(stop)]]
    pieces = list(llm.stream("the cat", Sampling(max_tokens=40, stop=(stop,))))
    assert "".join(pieces) == whole[: whole.find(stop)]


def test_the_completion_ends_where_the_context_is_full(llm: LLM) -> None:
    prompt = "1" * (llm.context_length - 5)
    given = 1 + len(llm.tokenizer.encode(prompt))
    request = llm._request(prompt, Sampling(max_tokens=500), name="the prompt")
    assert len(request.token_ids) == given == llm.context_length - 3
    assert llm.generate([prompt], max_tokens=500) == llm.generate([prompt], max_tokens=3)


def test_a_prompt_longer_than_the_context_is_refused_with_its_figures(llm: LLM) -> None:
    with pytest.raises(PromptError, match=r"prompt 1 has 202 tokens, the model sees 160 .*shorten it to at most 159"):
        llm.generate(["fine", "1" * 200])
    with pytest.raises(PromptError, match="the prompt has 202 tokens"):
        llm.stream("1" * 200)
    with pytest.raises(PromptError, match="the conversation has 205 tokens"):
        llm.chat_stream([Turn("user", "1" * 200)])


def test_one_text_in_place_of_a_list_is_refused(llm: LLM) -> None:
    with pytest.raises(PromptError, match="found one text, expected a list of prompts"):
        llm.generate("hello")
    with pytest.raises(RecipeError, match=r"top_p: found 2\.0"):
        llm.generate(["hello"], top_p=2.0)


def test_a_conversation_of_plain_texts_is_answered(llm: LLM) -> None:
    turns = [Turn("user", "the cat"), Turn("assistant", "sat"), Turn("user", "why?")]
    assert llm.chat(["the cat", "sat", "why?"], max_tokens=9) == llm.answer([turns], Sampling(max_tokens=9))[0]
    with pytest.raises(PromptError, match="found one text, expected a list of turns"):
        llm.chat("why?")


def test_no_prompts_give_no_completions(llm: LLM) -> None:
    assert llm.generate([]) == []
