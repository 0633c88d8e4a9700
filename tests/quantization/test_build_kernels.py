"""Compiling the kernels once, finding them again, and what is said where that cannot be."""

from pathlib import Path

import pytest

from waman.errors import InputError
from waman.quantization import build_kernels as building
from waman.quantization.build_kernels import build_kernels, find_library


def test_a_library_is_compiled_once_and_found(kernels_path: Path) -> None:
    before = kernels_path.stat().st_mtime_ns
    assert build_kernels(folder=kernels_path.parent) == kernels_path
    assert kernels_path.stat().st_mtime_ns == before
    assert find_library(folder=kernels_path.parent) == kernels_path


def test_a_library_of_another_source_is_not_taken(
    kernels_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / kernels_path.name).write_bytes(kernels_path.read_bytes())
    monkeypatch.setattr(building, "source_hash", lambda: "0" * 16)
    monkeypatch.setattr(building, "BUILT", tmp_path / "none")
    assert find_library(folder=tmp_path) is None


def test_a_processor_without_the_instructions_is_told_that_nothing_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "processor_level", lambda: None)
    assert find_library(folder=tmp_path) is None
    with pytest.raises(InputError, match="PyTorch's own operators serve"):
        build_kernels(folder=tmp_path)


def test_a_missing_compiler_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no C\+\+ compiler: looked for no-such-compiler; install one"):
        build_kernels(folder=tmp_path, compiler="no-such-compiler", level="avx2")


def test_what_the_compiler_says_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="could not compile the kernels"):
        build_kernels(folder=tmp_path, compiler="false", level="avx2")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_level_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="level: found 'sse', expected one of avx512_bf16"):
        build_kernels(folder=tmp_path, level="sse")
