import pytest

from waman.training.recipe import Constant, Cosine, Evenly, EverySteps
from waman.training.schedule import checkpoint_steps, learning_rate


def test_the_rate_climbs_to_the_peak_and_falls_by_half_a_cosine_to_a_tenth() -> None:
    rates = [learning_rate(Cosine(warmup_share=0.25), peak=6.0, step=step, num_steps=13) for step in range(13)]
    # 3 steps of climb; half-way between step 2 and step 12 the cosine stands at (1 + 0.1) / 2 of the peak
    assert rates[:3] == pytest.approx([2.0, 4.0, 6.0])
    assert rates[7] == pytest.approx(3.3)
    assert rates[12] == pytest.approx(0.6)
    assert rates[2:] == sorted(rates[2:], reverse=True)


def test_without_a_climb_the_first_step_has_the_peak() -> None:
    schedule = Cosine(warmup_share=0.0, floor_share=0.0)
    rates = [learning_rate(schedule, peak=1.0, step=step, num_steps=3) for step in range(3)]
    assert rates == pytest.approx([1.0, 0.5, 0.0])


def test_a_run_of_one_step_takes_it_at_the_peak() -> None:
    assert learning_rate(Cosine(), peak=1.0, step=0, num_steps=1) == 1.0


def test_a_constant_rate_climbs_and_stays() -> None:
    rates = [learning_rate(Constant(warmup_share=0.5), peak=1.0, step=step, num_steps=4) for step in range(4)]
    assert rates == [0.5, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("checkpointing", "num_steps", "expected"),
    [
        (EverySteps(4), 10, [4, 8, 10]),
        (EverySteps(5), 10, [5, 10]),
        (EverySteps(50), 10, [10]),
        (Evenly(3), 10, [3, 7, 10]),
        (Evenly(10), 4, [1, 2, 3, 4]),
        (Evenly(1), 1, [1]),
    ],
)
def test_checkpoints_fall_where_they_are_asked_for_and_on_the_last_step(
    checkpointing: EverySteps | Evenly, num_steps: int, expected: list[int]
) -> None:
    assert checkpoint_steps(checkpointing, num_steps) == expected
