import math
from collections import Counter
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from waman.inference.recipe import Bias, Sampling
from waman.inference.sampling import Sampler, choose, likeliest, log_probabilities, nucleus

PROBABILITIES = torch.tensor([0.1, 0.4, 0.2, 0.3], dtype=torch.float64)
LOGITS = PROBABILITIES.log().float()


def draws(sampling: Sampling, count: int, *, logits: Tensor = LOGITS, number: int = 0) -> list[int | None]:
    sampler = Sampler(sampling, number=number)
    return [choose(logits[None], [sampler])[0] for _ in range(count)]


def assert_shares(drawn: Sequence[int | None], expected: dict[int, float]) -> None:
    counts = Counter(drawn)
    assert set(counts) == set(expected)
    for token_id, share in expected.items():
        assert counts[token_id] / len(drawn) == pytest.approx(share, abs=4 * (share * (1 - share) / len(drawn)) ** 0.5)


@pytest.mark.parametrize(
    ("top_p", "expected"),
    [
        (0.05, [1]),
        (0.39, [1]),
        (0.41, [1, 3]),
        (0.69, [1, 3]),
        (0.71, [1, 2, 3]),
        (0.95, [0, 1, 2, 3]),
        (1, [0, 1, 2, 3]),
    ],
)
def test_the_nucleus_keeps_tokens_before_which_at_most_top_p_is_reached(top_p: float, expected: list[int]) -> None:
    assert nucleus(PROBABILITIES, top_p).tolist() == expected


def test_equal_probabilities_go_by_id() -> None:
    assert nucleus(torch.full((5,), 0.2, dtype=torch.float64), 0.5).tolist() == [0, 1, 2]
    assert likeliest(torch.tensor([0.1, 0.3, 0.1, 0.3, 0.1, 0.1]), 3).tolist() == [0, 1, 3]
    assert likeliest(torch.tensor([0.1, 0.3]), 5).tolist() == [0, 1]


def test_the_nucleus_is_that_of_the_released_formula() -> None:
    """Sorted in falling order; a token stays while the sum before it is at most top_p."""
    draw = torch.Generator().manual_seed(0)
    for top_p in (0.01, 0.3, 0.9, 0.999):
        for sharpness in (0.1, 1.0, 10.0):
            probabilities = torch.softmax(sharpness * torch.randn(500, generator=draw, dtype=torch.float64), dim=0)
            falling, token_ids = torch.sort(probabilities, descending=True, stable=True)
            kept = token_ids[falling.cumsum(0) - falling <= top_p]
            assert nucleus(probabilities, top_p).tolist() == sorted(kept.tolist())


def test_temperature_zero_takes_the_likeliest() -> None:
    assert draws(Sampling(), 1) == [1]


def test_draws_have_the_renormalised_probabilities_of_the_nucleus() -> None:
    assert_shares(draws(Sampling(temperature=1.0, top_p=0.6, seed=3), 4000), {1: 4 / 7, 3: 3 / 7})


def test_top_k_and_min_p_keep_the_likeliest() -> None:
    assert_shares(draws(Sampling(temperature=1.0, top_k=3, seed=1), 4000), {1: 4 / 9, 2: 2 / 9, 3: 3 / 9})
    assert_shares(draws(Sampling(temperature=1.0, min_p=0.45, seed=2), 4000), {1: 4 / 9, 2: 2 / 9, 3: 3 / 9})
    # of what top_k leaves 4/9 stand before token 3, 7/9 before token 2
    assert_shares(draws(Sampling(temperature=1.0, top_k=3, top_p=0.7, seed=3), 2000), {1: 4 / 7, 3: 3 / 7})


def test_temperature_divides_the_logits() -> None:
    squares = PROBABILITIES**2 / (PROBABILITIES**2).sum()
    assert_shares(draws(Sampling(temperature=0.5, seed=4), 4000), dict(enumerate(squares.tolist())))


def test_a_seed_gives_the_same_draws_whatever_else_draws() -> None:
    sampling = Sampling(temperature=1.0, seed=5)
    torch.manual_seed(1)
    one = draws(sampling, 50)
    torch.manual_seed(2)
    assert one == draws(sampling, 50)
    assert one != draws(Sampling(temperature=1.0, seed=6), 50)
    assert one != draws(sampling, 50, number=1)


def test_rows_that_are_chosen_together_get_what_they_get_alone() -> None:
    logits = 3 * torch.randn(70, 300, generator=torch.Generator().manual_seed(0))
    options = [
        Sampling(),
        Sampling(temperature=0.8, top_p=0.9),
        Sampling(temperature=1.2, top_k=5, presence_penalty=0.5),
        Sampling(temperature=1.0, min_p=0.1, repetition_penalty=1.3),
        Sampling(temperature=2.0, logit_bias=(Bias(3, 5.0),), frequency_penalty=0.2),
    ]
    before = logits.clone()
    chosen = [options[row % 5] for row in range(70)]
    together, alone = ([Sampler(one, number=row, prompt=[1, 2]) for row, one in enumerate(chosen)] for _ in range(2))
    for _ in range(3):
        found = choose(logits, together)
        assert found == [choose(logits[row : row + 1], [one])[0] for row, one in enumerate(alone)]
        for row, token_id in enumerate(found):
            assert token_id is not None
            together[row].take(token_id)
            alone[row].take(token_id)
    assert torch.equal(logits, before)


def test_penalties_and_biases_change_the_logits_as_their_formulas_say() -> None:
    logits = torch.tensor([2.0, -2.0, 1.0, 0.5, -1.0])
    sampler = Sampler(
        Sampling(
            repetition_penalty=2.0,
            presence_penalty=0.25,
            frequency_penalty=0.5,
            logit_bias=(Bias(4, 3.0), Bias(0, -1.0), Bias(4, 1.0)),
        ),
        prompt=[0, 1],
    )
    changed = logits.clone()
    sampler.change(changed)
    assert changed.tolist() == [0.5, -4.0, 1.0, 0.5, 3.0]
    for token_id in (2, 2, 4):
        sampler.take(token_id)
    changed = logits.clone()
    sampler.change(changed)
    assert changed.tolist() == [0.5, -4.0, 0.5 - 1.25, 0.5, 1.5 - 0.75]


def test_what_is_not_allowed_is_never_chosen() -> None:
    mask = torch.tensor([True, False, True, False])
    for sampling in (Sampling(), Sampling(temperature=5.0), Sampling(temperature=1.0, logit_bias=(Bias(1, 100.0),))):
        sampler = Sampler(sampling)
        assert {choose(LOGITS[None], [sampler], [mask])[0] for _ in range(200)} <= {0, 2}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_where_nothing_can_be_chosen_nothing_is(temperature: float) -> None:
    samplers = [Sampler(Sampling(temperature=temperature)) for _ in range(3)]
    logits = torch.stack([LOGITS, LOGITS, torch.full((4,), math.nan)])
    found = choose(logits, samplers, [None, torch.zeros(4, dtype=torch.bool), None])
    assert found[0] is not None
    assert found[1:] == [None, None]


def test_log_probabilities_are_those_of_the_plain_logits() -> None:
    (found,) = log_probabilities(LOGITS[None] + 7, [2], top=2)
    assert found.token_id == 2
    assert found.log_probability == pytest.approx(math.log(0.2))
    assert [one.token_id for one in found.top] == [1, 3]
    assert [one.log_probability for one in found.top] == pytest.approx([math.log(0.4), math.log(0.3)])
    assert log_probabilities(LOGITS[None], [0], top=0)[0].top == ()
    assert [one.token_id for one in log_probabilities(torch.zeros(1, 4), [0], top=9)[0].top] == [0, 1, 2, 3]
