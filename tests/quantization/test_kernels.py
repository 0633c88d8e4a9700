"""The compiled products against dequantize-then-multiply in float64, where they write, and that rows stand alone."""

import ctypes
import mmap
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from waman.quantization.build_kernels import FLAGS, LEVELS, SOURCES, build_kernels, processor_level
from waman.quantization.kernels import GROUP, Native, Packed
from waman.quantization.matrix import Quantized

SHAPES = ((1, 32, 32), (33, 64, 32), (100, 256, 128), (16, 96, 96), (5, 50, 50), (130, 512, 64), (17, 1, 1))
"""(outputs, inputs, group)"""
TYPES = (torch.float16, torch.bfloat16, torch.float32)


def draw(
    bits: int, shape: tuple[int, int, int], dtype: torch.dtype, *, zeros: bool, scale: float = 0.02, seed: int = 0
) -> Quantized:
    outputs, inputs, group = shape
    generator = torch.Generator().manual_seed(seed)
    low, high = -(1 << bits - 1), 1 << bits - 1

    def integers(*size: int) -> Tensor:
        return torch.randint(low, high, size, dtype=torch.int8, generator=generator)

    scales = (torch.rand(outputs, inputs // group, generator=generator) + 0.05) * scale
    zero_points = integers(outputs, inputs // group) if zeros else None
    return Quantized(bits, group, integers(outputs, inputs), scales.to(dtype), zero_points)


def rounded_to_bytes(x: Tensor) -> Tensor:
    """What the kernels make of x: in each 32 inputs, the nearest of 255 numbers evenly between -most and most."""
    rows, inputs = x.shape
    padded = torch.nn.functional.pad(x.double(), (0, -inputs % GROUP)).view(rows, -1, GROUP)
    most = padded.abs().amax(-1, keepdim=True)
    bytes_ = torch.where(most > 0, padded * 127 / most, 0.0).round()
    return (bytes_ * most / 127).view(rows, -1)[:, :inputs]


def require_close(found: Tensor, expected: Tensor, *, terms: int) -> None:
    """Within what summing `terms` products in float32, and a byte rounded the other way at a tie, may cost."""
    scale = expected.abs().max() + 1e-30
    assert float((found.double() - expected).abs().max() / scale) < 2e-3 + 1e-7 * terms


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("dtype", TYPES)
def test_integer_products_are_those_of_the_dequantized_matrix(
    library: Native, bits: int, zeros: bool, dtype: torch.dtype
) -> None:
    for number, shape in enumerate(SHAPES):
        matrix = draw(bits, shape, dtype, zeros=zeros, seed=number)
        packed = _pack(library, matrix)
        bias = torch.randn(shape[0], generator=torch.Generator().manual_seed(number))
        for rows in (1, 2, 3, 7, 8, 9, 70):
            x = torch.randn(rows, shape[1], generator=torch.Generator().manual_seed(rows))
            expected = rounded_to_bytes(x) @ matrix.dequantize(torch.float64).T + bias
            require_close(library.multiply(x, packed, bias), expected, terms=shape[1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_plain_products_are_those_of_the_matrix(library: Native, dtype: torch.dtype) -> None:
    for outputs, inputs in ((1, 1), (33, 64), (100, 50), (64, 7), (257, 129)):
        weight = torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(outputs)).to(dtype)
        for rows in (1, 5, 17):
            x = torch.randn(rows, inputs, generator=torch.Generator().manual_seed(rows))
            expected = x.to(dtype).double() @ weight.double().T
            found = library.multiply(x, _pack(library, weight))
            assert float((found.double() - expected).abs().max()) < 1e-5 * inputs


@pytest.mark.parametrize("bits", [4, 8])
def test_the_inputs_as_the_kernels_round_them_are_near_enough(library: Native, bits: int) -> None:
    """The whole error, the rounding of x to bytes included."""
    matrix = draw(bits, (64, 1024, 32), torch.float16, zeros=False)
    x = torch.randn(32, 1024, generator=torch.Generator().manual_seed(1))
    expected = x.double() @ matrix.dequantize(torch.float64).T
    found = library.multiply(x, _pack(library, matrix))
    assert float((found - expected).norm() / expected.norm()) < 0.01  # bytes of 32: 0.4% where x is normal


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e4, 1e30])
def test_extreme_scales_and_inputs_lose_nothing(library: Native, scale: float) -> None:
    matrix = draw(8, (40, 128, 32), torch.float32, zeros=True, scale=scale)
    packed = _pack(library, matrix)
    for size in (1e-20, 1.0, 1e6):
        x = torch.randn(4, 128, generator=torch.Generator().manual_seed(2)) * size
        expected = rounded_to_bytes(x) @ matrix.dequantize(torch.float64).T
        if float(expected.abs().max()) > 1e38 or float(expected.abs().max()) < 1e-37:
            continue  # beyond float32 itself
        require_close(library.multiply(x, packed), expected, terms=128)
    assert torch.equal(library.multiply(torch.zeros(3, 128), packed), torch.zeros(3, 40))


@pytest.mark.parametrize("bits", [4, 8])
def test_the_most_that_bytes_can_hold_does_not_overflow(library: Native, bits: int) -> None:
    for value in (-(1 << bits - 1), (1 << bits - 1) - 1):
        integers = torch.full((16, 64), value, dtype=torch.int8)
        matrix = Quantized(bits, 32, integers, torch.ones(16, 2))
        for sign in (-1.0, 1.0):
            found = library.multiply(torch.full((9, 64), 127 * sign), _pack(library, matrix))
            assert torch.equal(found, torch.full((9, 16), 64 * 127 * sign * value))


def test_a_row_is_the_same_alone_and_in_any_batch(library: Native) -> None:
    x = torch.randn(75, 256, generator=torch.Generator().manual_seed(3))
    weights: list[Quantized | Tensor] = [draw(bits, (90, 256, 64), torch.float16, zeros=True) for bits in (4, 8)]
    weights += [torch.randn(90, 256).to(dtype) for dtype in (torch.bfloat16, torch.float32)]
    for weight in weights:
        packed = _pack(library, weight)
        together = library.multiply(x, packed)
        for rows in (1, 2, 5, 12, 64):
            apart = torch.cat([library.multiply(part, packed) for part in torch.split(x, rows)])
            assert torch.equal(apart, together)


def test_leading_dimensions_stay(library: Native) -> None:
    packed = _pack(library, torch.randn(5, 8))
    assert library.multiply(torch.randn(2, 3, 8), packed).shape == (2, 3, 5)


def test_what_no_kernel_reads_is_not_packed(library: Native) -> None:
    assert library.pack(torch.randn(4, 32, dtype=torch.float64)) is None
    assert library.pack(draw(4, (4, 80, 40), torch.float16, zeros=False)) is None  # groups of 40
    assert library.pack(draw(4, (4, 64, 32), torch.float64, zeros=False)) is None


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_threads_gives_the_same(library: Native, threads: int) -> None:
    before = torch.get_num_threads()
    packed = _pack(library, draw(4, (200, 128, 32), torch.float16, zeros=False))
    x = torch.randn(3, 128, generator=torch.Generator().manual_seed(4))
    expected = library.multiply(x, packed)
    torch.set_num_threads(threads)
    try:
        assert torch.equal(library.multiply(x, packed), expected)
    finally:
        torch.set_num_threads(before)


def test_several_callers_at_a_time_wait_for_each_other(library: Native) -> None:
    packed = _pack(library, draw(8, (200, 256, 32), torch.float16, zeros=False))
    x = torch.randn(40, 256, generator=torch.Generator().manual_seed(6))
    expected = library.multiply(x, packed)
    with ThreadPoolExecutor(4) as pool:
        sizes = [1, 7, 40, 13] * 25
        found = list(pool.map(lambda rows: library.multiply(x[:rows], packed), sizes))
    assert all(torch.equal(one, expected[: len(one)]) for one in found)


def test_nothing_is_read_or_written_beyond_the_arrays(kernels_path: Path) -> None:
    """In a process of its own: behind every array lies a page that nobody may touch."""
    program = f"from tests.quantization.test_kernels import touch_edges; touch_edges({str(kernels_path)!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def touch_edges(path: str) -> None:
    library = Native(Path(path))
    for bits in (4, 8, 16, 32):
        for outputs, inputs in ((1, 32), (17, 64), (31, 96), (16, 33), (3, 7)):
            if bits == 4 and inputs % 32:
                continue
            group = 32 if inputs % 32 == 0 else inputs
            weight: Quantized | Tensor
            if bits <= 8:
                weight = draw(bits, (outputs, inputs, group), torch.float16, zeros=True)
            else:
                weight = torch.randn(outputs, inputs).to(torch.bfloat16 if bits == 16 else torch.float32)
            packed = _pack(library, weight)
            at_edge = Packed(
                _at_edge(packed.memory), packed.kind, packed.shape, packed.group, packed.scales, packed.has_zeros
            )
            for rows in (1, 2, 9):
                x = torch.randn(rows, inputs)
                from_edge, y = _at_edge(x), _at_edge(torch.full((rows, outputs), 7.0))
                failed = library.functions.waman_multiply(
                    library.team, at_edge.matrix(), from_edge.data_ptr(), inputs, rows, y.data_ptr()
                )
                assert failed == 0
                assert torch.equal(y, library.multiply(x, packed))


def _at_edge(values: Tensor) -> Tensor:
    """A copy that ends where a page begins that may be neither read nor written."""
    size = values.numel() * values.element_size()
    pages = -(-size // mmap.PAGESIZE)
    memory = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + pages * mmap.PAGESIZE
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), mmap.PAGESIZE, 0) == 0
    whole = torch.frombuffer(memory, dtype=values.dtype, count=values.numel(), offset=pages * mmap.PAGESIZE - size)
    whole.copy_(values.reshape(-1))
    return whole.view(values.shape)


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_every_level_of_instructions_gives_the_products(level: str, tmp_path: Path, kernels_path: Path) -> None:
    levels = list(LEVELS)
    own = processor_level()
    assert own is not None
    if levels.index(level) < levels.index(own):
        pytest.skip("the processor lacks this level of instructions")
    library = Native(build_kernels(folder=tmp_path, level=level))
    for bits in (4, 8):
        test_the_most_that_bytes_can_hold_does_not_overflow(library, bits)
        for zeros in (False, True):
            test_integer_products_are_those_of_the_dequantized_matrix(library, bits, zeros, torch.float16)
    for dtype in (torch.bfloat16, torch.float32):
        test_plain_products_are_those_of_the_matrix(library, dtype)
    test_a_row_is_the_same_alone_and_in_any_batch(library)


@pytest.mark.slow
def test_no_byte_out_of_bounds_is_touched_anywhere_in_a_pass(tmp_path: Path) -> None:
    """The compiler's sanitizers watch every access, the passes' own memory included."""
    level = processor_level()
    sanitizers = _sanitizers()
    if level is None or sanitizers is None:
        pytest.skip("no C++ compiler")
    path = tmp_path / "watched.so"
    watched = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
    command = ["g++", *FLAGS, *LEVELS[level][1], *watched, str(SOURCES / "waman.cpp"), "-o", str(path)]
    subprocess.run(command, check=True)
    program = f"from tests.quantization.test_kernels import run_watched; run_watched({str(path)!r})"
    environment = os.environ | {"LD_PRELOAD": sanitizers, "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def run_watched(path: str) -> None:
    from tests.inference import test_native_runner as passes

    library = Native(Path(path))
    for name in passes.CONFIGS:
        passes.test_a_pass_gives_the_decoders_logits(library, name, torch.bfloat16, 8)
        passes.test_a_pass_gives_the_decoders_logits(library, name, torch.float32, 16)
    passes.test_however_texts_are_cut_and_batched_every_bit_is_the_same(library, "window", 16)
    passes.test_each_row_has_its_own_adapter(library)
    for bits in (4, 8):
        test_integer_products_are_those_of_the_dequantized_matrix(library, bits, True, torch.float16)


def _sanitizers() -> str | None:
    """The compiler's libraries that have to be loaded first."""
    if shutil.which("g++") is None:
        return None
    names = ("libasan.so", "libubsan.so")
    told = [
        subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
        for name in names
    ]
    paths = [one.stdout.strip() for one in told]
    return " ".join(paths) if all(Path(path).is_absolute() for path in paths) else None


def _pack(library: Native, matrix: Quantized | Tensor) -> Packed:
    packed = library.pack(matrix)
    assert packed is not None
    return packed
