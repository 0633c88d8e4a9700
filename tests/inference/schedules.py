"""Requests that come, are cancelled and are answered at random times."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from waman.inference.engine import Engine
from waman.inference.generation import Completion, Request
from waman.inference.recipe import Bias, Sampling

CONTEXT_LENGTH = 60


@dataclass
class Served:
    """What became of one request."""

    request: Request
    texts: dict[int, str] = field(default_factory=dict)
    completions: dict[int, Completion] = field(default_factory=dict)
    cancelled: bool = False


def draw_sampling(draw: random.Random, *, vocab_size: int, num_samples: int) -> Sampling:
    return Sampling(
        max_tokens=draw.choice((1, 3, 10, 30)),
        temperature=draw.choice((0.0, 0.0, 0.7, 1.5)),
        top_p=draw.choice((1.0, 0.9)),
        top_k=draw.choice((None, None, 7)),
        min_p=draw.choice((0.0, 0.0, 0.02)),
        seed=draw.getrandbits(20),
        repetition_penalty=draw.choice((1.0, 1.0, 1.2)),
        presence_penalty=draw.choice((0.0, 0.0, 0.3)),
        frequency_penalty=draw.choice((0.0, 0.0, 0.1)),
        logit_bias=draw.choice(((), (Bias(5, 2.0), Bias(9, -1.0)))),
        stop_ids=draw.choice(((), (draw.randrange(vocab_size), 17, 18))),
        num_samples=num_samples,
        logprobs=draw.choice((None, None, 0, 2)),
        prompt_logprobs=draw.choice((None, None, None, 0, 2)),
    )


def draw_requests(
    draw: random.Random, count: int, *, vocab_size: int, longest: int = 40, most_samples: int = 3
) -> list[Request]:
    """Many begin alike: with one of a few texts, cut anywhere."""
    beginnings = [draw.choices(range(vocab_size), k=longest) for _ in range(2)]
    found = []
    for _ in range(count):
        shared = draw.choice(beginnings)[: draw.choice((0, 4, 8, 9, 15, longest // 2))]
        own = draw.choices(range(vocab_size), k=draw.randint(0 if shared else 1, longest - len(shared)))
        sampling = draw_sampling(draw, vocab_size=vocab_size, num_samples=draw.choice((1, 1, 1, most_samples)))
        ends = frozenset(draw.sample(range(vocab_size), vocab_size // 40))
        found.append(Request((shared + own)[:longest], sampling, ends, begins_text=False))
    return found


def serve(
    engine: Engine, requests: Sequence[Request], draw: random.Random, *, cancel_share: float = 0.1
) -> list[Served]:
    """Submits at random times, cancels some, steps until all is done."""
    coming = list(requests)
    served: dict[int, Served] = {}
    while coming or not engine.is_idle:
        while coming and draw.random() < 0.4:
            request = coming.pop(0)
            served[engine.submit(request)] = Served(request)
        for event in engine.step():
            one = served[event.request]
            assert not one.cancelled, "a cancelled request went on"
            assert event.sample not in one.completions, "a finished sample went on"
            one.texts[event.sample] = one.texts.get(event.sample, "") + event.text
            if event.completion is not None:
                one.completions[event.sample] = event.completion
        for number, one in served.items():
            unfinished = len(one.completions) < one.request.sampling.num_samples
            if unfinished and not one.cancelled and draw.random() < cancel_share / 20:
                engine.cancel(number)
                one.cancelled = True
    return list(served.values())
