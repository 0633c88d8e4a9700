"""PyTorch's threads, where others compute."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch computes in the calling thread alone.

    Its threads wait awake for milliseconds after their work, on the processors that the next pass of the compiled
    kernels needs: on two of them that costs a fifth of the speed at eight sequences, for less than they save here.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
