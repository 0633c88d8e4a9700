from collections import Counter

import pytest
import torch

from waman.inference.recipe import Sampling
from waman.inference.sampling import Sampler, nucleus

PROBABILITIES = torch.tensor([0.1, 0.4, 0.2, 0.3], dtype=torch.float64)


@pytest.mark.parametrize(
    ("top_p", "expected"),
    [
        (0.05, [1]),
        (0.39, [1]),
        (0.41, [1, 3]),
        (0.69, [1, 3]),
        (0.71, [1, 3, 2]),
        (0.95, [1, 3, 2, 0]),
        (1, [1, 3, 2, 0]),
    ],
)
def test_the_nucleus_keeps_tokens_before_which_at_most_top_p_is_reached(top_p: float, expected: list[int]) -> None:
    kept, token_ids = nucleus(PROBABILITIES, top_p)
    assert token_ids.tolist() == expected
    assert kept.tolist() == PROBABILITIES[expected].tolist()


def test_equal_probabilities_go_by_id() -> None:
    assert nucleus(torch.full((5,), 0.2, dtype=torch.float64), 0.5)[1].tolist() == [0, 1, 2]


def test_temperature_zero_takes_the_likeliest() -> None:
    assert Sampler(Sampling(temperature=0.0)).choose(PROBABILITIES.log()) == 1


def test_draws_have_the_renormalised_probabilities_of_the_nucleus() -> None:
    sampler = Sampler(Sampling(temperature=1.0, top_p=0.6, seed=3))
    drawn = Counter(sampler.choose(PROBABILITIES.log()) for _ in range(4000))
    assert set(drawn) == {1, 3}
    assert drawn[1] / 4000 == pytest.approx(4 / 7, abs=4 * (4 / 7 * 3 / 7 / 4000) ** 0.5)


def test_temperature_divides_the_logits() -> None:
    sampler = Sampler(Sampling(temperature=0.5, seed=4))
    drawn = Counter(sampler.choose(PROBABILITIES.log()) for _ in range(4000))
    squares = PROBABILITIES**2 / (PROBABILITIES**2).sum()
    for index, expected in enumerate(squares.tolist()):
        assert drawn[index] / 4000 == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 4000) ** 0.5)


def test_a_seed_gives_the_same_draws_whatever_else_draws() -> None:
    torch.manual_seed(1)
    first, second = (Sampler(Sampling(temperature=1.0, seed=5)) for _ in range(2))
    one = [first.choose(PROBABILITIES.log()) for _ in range(50)]
    torch.manual_seed(2)
    assert one == [second.choose(PROBABILITIES.log()) for _ in range(50)]
    other = Sampler(Sampling(temperature=1.0, seed=6))
    assert one != [other.choose(PROBABILITIES.log()) for _ in range(50)]
