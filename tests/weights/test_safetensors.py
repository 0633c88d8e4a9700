from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from waman.errors import InputError
from waman.weights.safetensors import read, shapes, write


def some_tensors() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "ß.weight": torch.randn(3, 5, generator=generator),
        "b": torch.randn(7, generator=generator).bfloat16(),
        "a": torch.randn(2, 3, generator=generator).bfloat16().T,
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "count": torch.tensor([1, 2**40]),
    }


def test_the_bytes_are_those_of_the_library(tmp_path: Path) -> None:
    tensors = some_tensors()
    write(tmp_path / "ours", tensors)
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    assert (tmp_path / "ours").read_bytes() == safetensors.torch.save(contiguous, metadata={"format": "pt"})


def test_the_bytes_do_not_depend_on_the_order_of_the_tensors(tmp_path: Path) -> None:
    tensors = some_tensors()
    write(tmp_path / "one", tensors)
    write(tmp_path / "other", dict(reversed(tensors.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    tensors = some_tensors()
    write(tmp_path / "file", tensors)
    found = dict(read(tmp_path / "file"))
    assert set(found) == set(tensors)
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    assert shapes(tmp_path / "file") == {name: tuple(tensor.shape) for name, tensor in tensors.items()}


@pytest.mark.parametrize("kept", [0, 5, 60, -1])
def test_a_file_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    write(tmp_path / "whole", some_tensors())
    cut = tmp_path / "cut"
    cut.write_bytes((tmp_path / "whole").read_bytes()[:kept])
    with pytest.raises(
        InputError, match=r"cut: cut short or not in safetensors format \(.+\); fetch or write it again"
    ):
        list(read(cut))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing: no such file; expected weights"):
        shapes(tmp_path / "nothing")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_raises_oserror_and_leaves_the_old_file(tmp_path: Path) -> None:
    write(tmp_path / "file", {"a": torch.ones(3)})
    (tmp_path / "file.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        write(tmp_path / "file", some_tensors())
    assert shapes(tmp_path / "file") == {"a": (3,)}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_may_be_replaced_by_tensors_read_from_it(tmp_path: Path) -> None:
    tensors = some_tensors()
    write(tmp_path / "file", tensors)
    write(tmp_path / "file", {**dict(read(tmp_path / "file")), "more": torch.ones(1000)})
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in read(tmp_path / "file") if name != "more")
