"""Whatever the schedule, every request gets what the plain loop gives it, and every page comes back."""

import random
from dataclasses import replace

import pytest
import torch

from tests.inference.passes import decoder_of
from tests.inference.reference import HashRunner, LogitsOf, logits_of, plain_loop
from tests.inference.schedules import CONTEXT_LENGTH, Served, draw_requests, serve
from tests.model.variants import VARIANTS
from tests.sweep import Sweep
from waman.errors import PromptError, RecipeError
from waman.inference.engine import Engine, Limits
from waman.inference.generation import Request
from waman.inference.llm import LLM
from waman.inference.recipe import Bias, Sampling
from waman.inference.runner import Runner
from waman.inference.sampling import log_probabilities
from waman.inference.torch_runner import TorchRunner
from waman.tokens.tokenizer import Tokenizer

VOCAB_SIZE = 420


def build_engine(
    runner: Runner, tokenizer: Tokenizer, *, max_rows: int = 6, max_pass_tokens: int = 16, vocab_size: int = VOCAB_SIZE
) -> Engine:
    limits = Limits(
        context_length=CONTEXT_LENGTH,
        vocab_size=vocab_size,
        page_bytes=1000,
        max_rows=max_rows,
        max_pass_tokens=max_pass_tokens,
    )
    return Engine(runner, tokenizer, limits)


def assert_served(served: list[Served], read: LogitsOf, tokenizer: Tokenizer, *, atol: float) -> None:
    for one in served:
        sampling = one.request.sampling
        if not one.cancelled:
            assert set(one.completions) == set(range(sampling.num_samples))
        for number, completion in one.completions.items():
            expected = plain_loop(read, one.request, context_length=CONTEXT_LENGTH, number=number)
            assert list(completion.token_ids) == expected
            text = tokenizer.continuation(begins_text=False)
            assert completion.text == one.texts[number] == "".join(text.add(token_id) for token_id in expected)
            full = len(expected) in (sampling.max_tokens, CONTEXT_LENGTH - len(one.request.token_ids))
            assert (completion.finish == "length") == full
            assert_logs(one, number, read, atol=atol)


def assert_logs(one: Served, number: int, read: LogitsOf, *, atol: float) -> None:
    """Of the answer's tokens and the prompt's, each with its alternatives, as a plain pass has them."""
    completion, prompt = one.completions[number], list(one.request.token_ids)
    for told, wanted, ids in (
        (completion.logprobs, one.request.sampling.logprobs, [*prompt, *completion.token_ids]),
        (completion.prompt_logprobs, one.request.sampling.prompt_logprobs, prompt),
    ):
        if wanted is None:
            assert told is None
            continue
        assert told is not None
        first = len(ids) - len(told)
        assert first == (1 if told is completion.prompt_logprobs else len(prompt))
        for place, found in enumerate(told, start=first):
            (expected,) = log_probabilities(read(ids[:place])[-1:], [ids[place]], top=wanted)
            assert found.token_id == expected.token_id
            assert [likely.token_id for likely in found.top] == [likely.token_id for likely in expected.top]
            pairs = [(found.log_probability, expected.log_probability)]
            pairs += [(a[1], b[1]) for a, b in zip(found.top, expected.top, strict=True)]
            for a, b in pairs:
                assert a == pytest.approx(b, abs=atol)


def run_schedules(tokenizer: Tokenizer, draw: random.Random) -> Engine:
    runner = HashRunner(num_pages=draw.choice((15, 18, 25, 60)), page_tokens=4, vocab_size=VOCAB_SIZE)
    engine = build_engine(
        runner, tokenizer, max_rows=draw.choice((1, 2, 6, 12)), max_pass_tokens=draw.choice((13, 20, 64))
    )
    requests = draw_requests(draw, draw.randint(1, 14), vocab_size=VOCAB_SIZE, most_samples=draw.choice((2, 3, 8)))
    served = serve(engine, requests, draw)
    assert_served(served, runner.read, tokenizer, atol=0.0)
    assert engine.pages.num_free == runner.num_pages
    assert (engine.scheduler.num_running, engine.scheduler.num_waiting) == (0, 0)
    return engine


@pytest.mark.parametrize(
    "seeds", [range(25), *(pytest.param(range(start, start + 100), marks=pytest.mark.slow) for start in (25, 125, 225))]
)
def test_random_schedules_give_what_the_plain_loop_gives(llm: LLM, seeds: range) -> None:
    preempted = 0
    for seed in seeds:
        preempted += run_schedules(llm.tokenizer, random.Random(seed)).scheduler.num_preempted
    assert preempted > len(seeds) // 2


@pytest.mark.soak
def test_more_random_schedules(llm: LLM, sweep: Sweep) -> None:
    for draw in sweep(1000):
        run_schedules(llm.tokenizer, draw)


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("name", ["llama", "falcon rw"])
def test_real_models_under_random_schedules_write_the_plain_loops_tokens(
    llm: LLM, name: str, deterministic: bool
) -> None:
    """In float64, where rounding decides nothing."""
    decoder = decoder_of(name)
    draw = random.Random(0)
    runner = TorchRunner(decoder, num_pages=20, page_tokens=4, deterministic=deterministic)
    engine = build_engine(runner, llm.tokenizer, vocab_size=50)
    served = serve(engine, draw_requests(draw, 8, vocab_size=50), draw)
    assert_served(served, logits_of(decoder), llm.tokenizer, atol=1e-5)
    assert engine.pages.num_free == 20


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_every_family_under_many_random_schedules(llm: LLM, name: str) -> None:
    decoder = decoder_of(name)
    for seed in range(4):
        draw = random.Random(seed)
        runner = TorchRunner(decoder, num_pages=draw.choice((16, 30)), page_tokens=4)
        engine = build_engine(runner, llm.tokenizer, vocab_size=50, max_rows=draw.choice((2, 8)))
        served = serve(engine, draw_requests(draw, 8, vocab_size=50), draw)
        assert_served(served, logits_of(decoder), llm.tokenizer, atol=1e-5)


def test_under_the_switch_log_probabilities_are_equal_to_the_bit_under_any_schedule(llm: LLM) -> None:
    """In float32: each request alone, and with all others on few pages."""
    decoder = decoder_of("llama", torch.float32)

    def engine_with(num_pages: int, max_pass_tokens: int) -> Engine:
        runner = TorchRunner(decoder, num_pages=num_pages, page_tokens=4, deterministic=True)
        return build_engine(runner, llm.tokenizer, vocab_size=50, max_pass_tokens=max_pass_tokens)

    requests = draw_requests(random.Random(1), 8, vocab_size=50)
    requests = [replace(one, sampling=replace(one.sampling, logprobs=3, prompt_logprobs=3)) for one in requests]
    alone = [serve(engine_with(16, 100), [one], random.Random(0), cancel_share=0)[0] for one in requests]
    for seed, num_pages in ((1, 16), (2, 24), (3, 60)):
        together = serve(engine_with(num_pages, 14), requests, random.Random(seed), cancel_share=0)
        for one, other in zip(alone, together, strict=True):
            assert one.completions == other.completions


def greedy(token_ids: list[int], **options: object) -> Request:
    return Request(token_ids, Sampling(**options), frozenset(), begins_text=False)  # type: ignore[arg-type]


def test_a_shared_beginning_is_read_once(llm: LLM) -> None:
    runner = HashRunner(num_pages=40, page_tokens=4, vocab_size=VOCAB_SIZE)
    engine = build_engine(runner, llm.tokenizer, max_pass_tokens=100)
    prompt = list(range(100, 130))
    for last, read in ((1, 31), (2, 3), (3, 3)):  # 28 of 31 tokens lie in full pages
        runner.tokens_read = 0
        serve(engine, [greedy([*prompt, last], max_tokens=1)], random.Random(0), cancel_share=0)
        assert runner.tokens_read == read
    runner.tokens_read = 0
    serve(engine, [replace(greedy([*prompt, 1], max_tokens=1), adapter=7)], random.Random(0), cancel_share=0)
    assert runner.tokens_read == 31, "keys under an adapter are others"


def test_the_longest_unused_pages_are_given_up_first(llm: LLM) -> None:
    """10 pages: the second prompt's stay known while a third takes those of the first."""
    runner = HashRunner(num_pages=15, page_tokens=4, vocab_size=VOCAB_SIZE)
    engine = build_engine(runner, llm.tokenizer, max_pass_tokens=100)
    prompts = [list(range(start, start + 25)) for start in (100, 200, 300)]
    read = []
    for number in (0, 1, 2, 1, 0):
        runner.tokens_read = 0
        serve(engine, [greedy(prompts[number], max_tokens=1)], random.Random(0), cancel_share=0)
        read.append(runner.tokens_read)
    assert read[:4] == [25, 25, 25, 1]
    assert read[4] > 1


def test_samples_share_their_prompts_pages(llm: LLM) -> None:
    """30 tokens in 8 pages, the last half full: 7 are shared, each of 8 samples has its own last one and writes on."""
    runner = HashRunner(num_pages=60, page_tokens=4, vocab_size=VOCAB_SIZE)
    engine = build_engine(runner, llm.tokenizer, max_rows=8, max_pass_tokens=100)
    engine.submit(greedy(list(range(30)), max_tokens=20, temperature=1.0, num_samples=8))
    used = []
    while not engine.is_idle:
        engine.step()
        used.append(runner.num_pages - engine.pages.num_free)
    assert used[:3] == [8, 15, 15]
    assert engine.scheduler.num_preempted == 0
    assert runner.tokens_read == 30 + 8 * 19


def test_a_cancelled_request_gives_its_pages_back_at_once(llm: LLM) -> None:
    runner = HashRunner(num_pages=40, page_tokens=4, vocab_size=VOCAB_SIZE)
    engine = build_engine(runner, llm.tokenizer)
    reading = engine.submit(greedy(list(range(40)), max_tokens=10))
    engine.step()
    assert engine.pages.num_free < 40
    engine.cancel(reading)
    assert engine.pages.num_free == 40
    assert engine.is_idle
    writing = engine.submit(greedy(list(range(5)), max_tokens=30, num_samples=3, temperature=1.0))
    for _ in range(4):
        engine.step()
    engine.cancel(writing)
    engine.cancel(writing)
    assert engine.pages.num_free == 40
    assert engine.step() == []


def test_thousands_of_requests_leave_nothing_behind_and_cost_no_more_later(llm: LLM) -> None:
    """What the engine holds after many requests is what it held after few; neither do the steps do more."""
    runner = HashRunner(num_pages=30, page_tokens=4, vocab_size=VOCAB_SIZE)
    engine = build_engine(runner, llm.tokenizer)
    draw = random.Random(0)
    held = []
    for _ in range(4):
        for _ in range(750):
            prompt = draw.choices(range(VOCAB_SIZE), k=draw.randint(1, 6))
            number = engine.submit(greedy(prompt, max_tokens=draw.choice((1, 2))))
            if draw.random() < 0.5:
                engine.cancel(number)
            if draw.random() < 0.6:
                engine.step()
        while not engine.is_idle:
            engine.step()
        assert engine.pages.num_free == 30
        held.append(size_of(engine))
    assert held[-1] <= held[0]


def size_of(engine: Engine) -> int:
    """Numbers, keys and tokens that an idle engine still refers to."""
    seen: set[int] = set()

    def count(value: object) -> int:
        if id(value) in seen or isinstance(value, HashRunner | Tokenizer | type):
            return 0
        seen.add(id(value))
        if isinstance(value, dict):
            return len(value) + sum(count(one) for pair in value.items() for one in pair)
        if isinstance(value, list | tuple | set):
            return len(value) + sum(count(one) for one in value)
        return count(vars(value)) if hasattr(value, "__dict__") and not callable(value) else 0

    return count(engine)


def test_a_step_does_the_same_work_after_thousands_of_requests(llm: LLM) -> None:
    """Counted in lines of Python that a step runs, for the same request at the beginning and at the end."""
    runner = HashRunner(num_pages=30, page_tokens=4, vocab_size=VOCAB_SIZE)
    engine = build_engine(runner, llm.tokenizer)

    def lines(prompt: list[int]) -> int:
        import sys

        total = 0

        def trace(frame: object, event: str, argument: object) -> object:
            nonlocal total
            total += event == "line"
            return trace

        engine.submit(greedy(prompt, max_tokens=4))
        before = sys.gettrace()
        sys.settrace(trace)  # type: ignore[arg-type]
        try:
            while not engine.is_idle:
                engine.step()
        finally:
            sys.settrace(before)
        return total

    first = lines(list(range(20)))
    draw = random.Random(0)
    for _ in range(2000):
        number = engine.submit(greedy(draw.choices(range(VOCAB_SIZE), k=9), max_tokens=2))
        if draw.random() < 0.5:
            engine.step()
            engine.cancel(number)
        while not engine.is_idle:
            engine.step()
    assert lines(list(range(20, 40))) <= 1.02 * first


def test_running_streams_go_on_in_every_pass_while_a_long_prompt_is_read(llm: LLM) -> None:
    runner = HashRunner(num_pages=60, page_tokens=4, vocab_size=VOCAB_SIZE)
    engine = build_engine(runner, llm.tokenizer, max_rows=4, max_pass_tokens=10)
    for number in range(3):
        engine.submit(greedy([number], max_tokens=30))
    engine.step()
    engine.submit(greedy(list(range(100, 150)), max_tokens=5))
    runner.passes.clear()
    for _ in range(8):
        engine.step()
    assert runner.passes[:8] == [[1, 1, 1, 7]] * 7 + [[1, 1, 1, 1]]


def test_more_samples_than_rows_all_come(llm: LLM) -> None:
    runner = HashRunner(num_pages=30, page_tokens=4, vocab_size=VOCAB_SIZE)
    engine = build_engine(runner, llm.tokenizer, max_rows=3)
    request = greedy(list(range(10)), max_tokens=6, temperature=1.0, num_samples=11)
    (served,) = serve(engine, [request], random.Random(0), cancel_share=0)
    assert_served([served], runner.read, llm.tokenizer, atol=0.0)
    assert len({completion.token_ids for completion in served.completions.values()}) == 11


def test_what_can_never_fit_is_refused_with_the_arithmetic(llm: LLM) -> None:
    runner = HashRunner(num_pages=10, page_tokens=4, vocab_size=VOCAB_SIZE)
    engine = build_engine(runner, llm.tokenizer)
    fitting = greedy(list(range(30)), max_tokens=11)
    engine.cancel(engine.submit(fitting))
    with pytest.raises(
        PromptError,
        match=r"the prompt has 30 tokens and wants up to 12 more: 11 pages of 4 tokens, 11,000 bytes; the cache has "
        r"10, 10,000 bytes: keep both together within 41 tokens, or give the cache more \(cache_bytes\)",
    ):
        engine.submit(greedy(list(range(30)), max_tokens=12))
    with pytest.raises(PromptError, match="the prompt has 60 tokens, the model sees 60 at once and needs room"):
        engine.submit(greedy([1] * 60))
    assert engine.is_idle


def test_tokens_that_the_model_does_not_have_are_refused(llm: LLM) -> None:
    engine = build_engine(HashRunner(num_pages=20, page_tokens=4, vocab_size=VOCAB_SIZE), llm.tokenizer)
    for options in ({"stop_ids": (420,)}, {"logit_bias": (Bias(-1, 1.0),)}):
        with pytest.raises(RecipeError, match=r"stop_ids, logit_bias: found token .*, the model has 0 to 419"):
            engine.submit(greedy([1], **options))


def test_limits_that_leave_no_room_for_prompts_are_refused() -> None:
    with pytest.raises(RecipeError, match="max_rows = 8, max_pass_tokens = 8: expected at least 1 row, and more"):
        Limits(context_length=60, vocab_size=50, page_bytes=1, max_rows=8, max_pass_tokens=8)


def test_a_model_whose_logits_are_not_finite_fails_its_request_and_no_other(llm: LLM) -> None:
    class Broken(HashRunner):
        def logits(self, token_ids: object, adapter: int | None = None) -> torch.Tensor:
            found = super().logits(token_ids, adapter)  # type: ignore[arg-type]
            return found * float("nan") if adapter == 1 else found

    runner = Broken(num_pages=20, page_tokens=4, vocab_size=VOCAB_SIZE)
    engine = build_engine(runner, llm.tokenizer)
    requests = [greedy([1, 2], max_tokens=5), replace(greedy([1, 2], max_tokens=5), adapter=1)]
    sound, broken = serve(engine, requests, random.Random(0), cancel_share=0)
    assert sound.completions[0].is_whole or sound.completions[0].finish == "length"
    assert broken.completions[0].finish == "failed"
    assert "the model's logits are not finite" in broken.completions[0].problem
    assert engine.pages.num_free == 20
