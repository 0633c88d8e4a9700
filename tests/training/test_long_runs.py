"""Random corpora through the order of training."""

from collections import Counter

import numpy as np
import pytest

from tests.sweep import Sweep
from tests.training.test_batches import Numbers
from waman.training.batches import Batches

_APART = 10**6
"""Between the first tokens of two sources, so that a token tells where it is from."""


@pytest.mark.soak
def test_random_corpora_are_read_as_often_as_their_epochs_say(sweep: Sweep) -> None:
    for draw in sweep(250):
        context = draw.choice((1, 2, 7, 16, 50))
        names = [f"source {number}" for number in range(draw.randint(1, 4))]
        lengths = {
            name: [draw.randint(1, draw.choice((2, 30, 400))) for _ in range(draw.randint(1, 40))] for name in names
        }
        lengths[names[0]].append(context + 1)  # else there may be too little to train on
        streams = {name: Numbers(lengths[name], first=number * _APART) for number, name in enumerate(names)}
        proportions = {name: draw.choice((1.0, 0.01, draw.random())) + 1e-9 for name in names}
        seed, num_samples = draw.getrandbits(63), draw.randint(1, 1500)

        def batches(batch_sequences: int) -> Batches:
            return Batches(
                streams,  # noqa: B023  called in this round alone
                proportions=proportions,  # noqa: B023
                context_length=context,  # noqa: B023
                batch_sequences=batch_sequences,
                seed=seed,  # noqa: B023
            )

        one, other = batches(1), batches(draw.randint(1, 9))
        samples = [one.sample(index) for index in range(num_samples)]
        for index in draw.sample(range(num_samples), min(num_samples, 20)):
            for left, right in zip(other.sample(index), samples[index], strict=True):
                np.testing.assert_array_equal(left, right)

        by_source: dict[str, list[np.ndarray]] = {name: [] for name in names}
        for tokens, documents in samples:
            name = names[int(tokens[0]) // _APART]
            places = tokens - names.index(name) * _APART
            size = streams[name].num_tokens
            assert ((places[1:] - places[:-1]) % size == (1 % size)).all(), "a window is a stretch of one source's ring"
            bounds = np.cumsum([0, *lengths[name]])[:-1]
            np.testing.assert_array_equal(np.diff(documents) != 0, np.isin(places[1:], bounds))
            by_source[name].append(places[1:])
        epochs = one.epochs(num_samples)
        for name, windows in by_source.items():
            per_epoch = one.num_windows(name)
            assert epochs[name] == len(windows) / per_epoch
            for begin in range(0, len(windows), per_epoch):
                seen = Counter(np.concatenate(windows[begin : begin + per_epoch]).tolist())
                if streams[name].num_tokens >= context:
                    assert max(seen.values()) == 1, "an epoch predicts no token twice"
                whole = len(windows) - begin >= per_epoch
                if whole and streams[name].num_tokens >= context:
                    assert streams[name].num_tokens - len(seen) < context, "and leaves out less than a window"
