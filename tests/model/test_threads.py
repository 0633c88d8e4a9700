"""PyTorch has its threads back, whatever happens."""

import pytest
import torch

from waman.model.threads import one_thread


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_one_thread_lasts_as_long_as_its_block(threads: int) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        with pytest.raises(ZeroDivisionError):
            _divide_in_one_thread()
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def _divide_in_one_thread() -> None:
    with one_thread():
        assert torch.get_num_threads() == 1
        1 / 0  # noqa: B018
