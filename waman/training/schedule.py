"""The learning rate as a function of the step alone, so that a resumed run needs no memory of it."""

import math

from waman.training.recipe import Checkpointing, Constant, Cosine, Evenly, EverySteps, Schedule


def learning_rate(schedule: Schedule, *, peak: float, step: int, num_steps: int) -> float:
    """The learning rate of a step, counted from 0.

    The climb takes w = round(warmup_share * num_steps) steps, step i of it at peak * (i + 1) / w; the cosine goes on
    from there and reaches floor_share * peak in the last step.
    """
    assert 0 <= step < num_steps
    warmup_steps = round(schedule.warmup_share * num_steps)
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    match schedule:
        case Constant():
            return peak
        case Cosine(floor_share=floor_share):
            first = max(warmup_steps - 1, 0)
            progress = (step - first) / max(num_steps - 1 - first, 1)
            return peak * (floor_share + (1 - floor_share) * (1 + math.cos(math.pi * progress)) / 2)


def checkpoint_steps(checkpointing: Checkpointing, num_steps: int) -> list[int]:
    """Numbers of steps done after which a checkpoint is written, ascending, the last one num_steps."""
    match checkpointing:
        case EverySteps(steps=steps):
            return [*range(steps, num_steps, steps), num_steps]
        case Evenly(number=number):
            return sorted({max(round(num_steps * i / number), 1) for i in range(1, number + 1)})
