"""Random kills of random doors, several in a row before the run is let to finish."""

import random

import pytest

from tests.integrity.doors import DOORS
from tests.integrity.processes import Processes, Work, finished_work, what_was_made
from tests.integrity.test_kills import finish_and_compare
from tests.sweep import Sweep


@pytest.mark.soak
def test_random_doors_killed_again_and_again_go_on_to_the_same_bytes(processes: Processes, sweep: Sweep) -> None:
    for draw in sweep(40):
        name, workers = draw.choice(list(DOORS)), draw.random() < 0.25
        whole = processes.whole(name, workers=workers)
        out = processes.folder / f"{name}-swept-{sweep.seed}"
        kept: Work = {}
        for _ in range(draw.randint(1, 5)):
            if not processes.kill(name, out, after=_instant(draw, processes.spans[name, workers]), workers=workers):
                break
            now = finished_work(out.with_name(out.name + ".partial"))
            assert kept.items() <= now.items(), "finished work was done again"
            kept = now
        if out.exists():
            assert what_was_made(out, name) == what_was_made(whole, name)
        else:
            finish_and_compare(processes, name, out, kept, whole=whole, workers=workers)


def _instant(draw: random.Random, span: float) -> float:
    """Seconds after the first write: anywhere, or at once."""
    return draw.choice((draw.uniform(0, span), draw.uniform(0, span), draw.uniform(0, 0.02)))
