"""What Python sees of answers beside their text."""

from pathlib import Path

import pytest
import torch

import waman
from tests.inference.test_torch_runner import adapter_for, with_merged
from waman.errors import InputError, PromptError, RecipeError
from waman.inference.about import About
from waman.inference.generation import Completion
from waman.inference.llm import LLM
from waman.inference.load import load
from waman.inference.recipe import Regex, Sampling
from waman.tokens.chat import Turn
from waman.weights.adapters import write_adapter


def test_what_is_asked_for_and_what_comes_are_public() -> None:
    assert (waman.Sampling, waman.Completion) == (Sampling, Completion)


def test_completions_tell_why_they_ended_and_what_their_tokens_are_worth(llm: LLM) -> None:
    sampling = Sampling(max_tokens=12, logprobs=2, prompt_logprobs=1, num_samples=3, temperature=1.0, seed=4)
    (found,) = llm.complete(["the cat sat"], sampling)
    assert [one.sample for one in found] == [0, 1, 2]
    prompt = [1, *llm.tokenizer.encode("the cat sat")]
    for one in found:
        logs = torch.log_softmax(llm.logits([*prompt, *one.token_ids]).double(), dim=-1)
        told = [*(one.prompt_logprobs or ()), *(one.logprobs or ())]
        assert [each.token_id for each in told] == [*prompt[1:], *one.token_ids]
        for place, each in enumerate(told):
            assert each.log_probability == pytest.approx(float(logs[place, each.token_id]), abs=1e-4)
            assert each.top[0].token_id == int(logs[place].argmax())
        assert len((one.logprobs or ())[0].top) == 2
        assert one.finish == ("length" if len(one.token_ids) == 12 else "end")
        assert one.is_whole == (one.finish == "end")
    assert len({one.token_ids for one in found}) == 3
    assert found[0].text == llm.generate(["the cat sat"], max_tokens=12, temperature=1.0, seed=4)[0]


def test_the_prompts_log_probabilities_are_its_score(llm: LLM) -> None:
    context, continuation = [1, 50, 60, 70], [80, 90, 100]
    text = llm.tokenizer.decode([*context[1:], *continuation])
    ids = [1, *llm.tokenizer.encode(text)]
    (scored,) = llm.score_tokens([(ids[:2], ids[2:])])
    ((found,),) = llm.complete([text], Sampling(max_tokens=1, prompt_logprobs=0))
    assert found.prompt_logprobs is not None
    told = sum(one.log_probability for one in found.prompt_logprobs[1:])
    assert told == pytest.approx(scored.log_likelihood, abs=1e-4)


def test_stop_ids_and_stop_strings_are_told_apart_from_the_models_end(llm: LLM) -> None:
    ((whole,),) = llm.complete(["the cat"], Sampling(max_tokens=20))
    stop = whole.token_ids[5]
    first = whole.token_ids.index(stop)
    ((found,),) = llm.complete(["the cat"], Sampling(max_tokens=20, stop_ids=(stop,)))
    assert (found.token_ids, found.finish) == (whole.token_ids[:first], "stop")
    ((found,),) = llm.complete(["the cat"], Sampling(max_tokens=20, stop=(whole.text[2:4],)))
    assert (found.text, found.finish) == (whole.text[: whole.text.index(whole.text[2:4])], "stop")


def test_streams_that_are_read_by_turns_share_passes_and_one_that_is_left_is_cancelled(llm: LLM) -> None:
    prompts = ["the cat", "def f(x):", "import"]
    expected = llm.generate(prompts, max_tokens=20)
    free = llm.engine.pages.num_free
    streams = [llm.stream(prompt, Sampling(max_tokens=20)) for prompt in prompts]
    texts = ["", "", ""]
    open_ones = {0, 1, 2}
    while open_ones:
        for number in sorted(open_ones):
            piece = next(streams[number], None)
            if piece is None:
                open_ones.discard(number)
            else:
                texts[number] += piece
    assert texts == expected
    left = llm.stream("the cat", Sampling(max_tokens=40))
    next(left)
    assert llm.engine.pages.num_free < free
    left.close()  # type: ignore[attr-defined]
    assert llm.engine.pages.num_free == free
    assert llm.engine.is_idle


def test_a_text_alone_cannot_tell_samples_or_log_probabilities(llm: LLM) -> None:
    for sampling in (Sampling(num_samples=2), Sampling(logprobs=0), Sampling(prompt_logprobs=1)):
        with pytest.raises(RecipeError, match="one text cannot hold them; use complete"):
            llm.stream("a", sampling)
        with pytest.raises(RecipeError, match="one text cannot hold them; use complete"):
            llm.answer([[Turn("user", "a")]], sampling)


def test_nothing_is_computed_where_one_request_of_several_is_refused(llm: LLM) -> None:
    with pytest.raises(PromptError, match="prompt 1 has 202 tokens"):
        llm.complete(["fine", "1" * 200])
    with pytest.raises(RecipeError, match="regex: cannot be enforced"):
        llm.stream("a", Sampling(constraint=Regex("(")))
    assert llm.engine.is_idle


def test_an_adapter_is_chosen_per_request(llm: LLM, folder: Path, tmp_path: Path) -> None:
    adapter = adapter_for(llm.decoder, seed=1)
    write_adapter(adapter, tmp_path)
    number = llm.add_adapter(tmp_path)
    merged = LLM(with_merged(llm.decoder, adapter), llm.tokenizer, end_ids=llm.end_ids, about=About(parameters=1))
    streams = [llm.stream("the cat", Sampling(max_tokens=20), adapter=one) for one in (None, number)]
    plain, adapted = ("".join(pieces) for pieces in zip(*zip(*streams, strict=False), strict=True))
    assert merged.generate(["the cat"], max_tokens=20)[0].startswith(adapted)
    assert llm.generate(["the cat"], max_tokens=20)[0].startswith(plain)
    ((found,),) = llm.complete(["the cat"], Sampling(max_tokens=20), adapter=number)
    assert found.text == merged.generate(["the cat"], max_tokens=20)[0]
    assert found.text != llm.generate(["the cat"], max_tokens=20)[0]
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(InputError):
        llm.add_adapter(tmp_path)


def test_an_adapter_that_was_never_added_is_refused(llm: LLM) -> None:
    with pytest.raises(RecipeError, match=r"adapter: found 99, expected a number that add_adapter gave"):
        llm.complete(["a"], adapter=99)


def test_under_the_switch_a_batch_is_equal_to_the_bit(folder: Path) -> None:
    exact = load(folder, deterministic=True)
    prompts = ["the cat", "import json", "def f(x):\n    return", "1 2 3 4 5 6 7 8 9"]
    sampling = Sampling(max_tokens=20, temperature=0.9, logprobs=1, prompt_logprobs=1)
    together = exact.complete(prompts, sampling)
    for prompt, samples in zip(prompts, together, strict=True):
        assert exact.complete([prompt], sampling) == [samples]
