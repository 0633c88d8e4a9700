"""PyTorch's threads, where they would be in the way."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it PyTorch computes on the calling thread alone.

    Sums over several threads depend on their number, and short work on them waits for the slowest: on a busy machine
    that costs far more than it saves. After their work the others wait awake for milliseconds, on the processors that
    the next pass of compiled kernels needs: on two of them a fifth of the speed at eight sequences.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
