"""`waman build-kernels`: compiles the kernels in `native/` for this machine, once; finds what was compiled.

A library is known by its source, the processor's level of instructions and the compiler. It lies in the user's cache
folder, or in the package where a wheel brought it.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from waman.errors import InputError

SOURCES = Path(__file__).parent / "native"
BUILT = SOURCES / "built"
"""Where a wheel has its libraries."""
COMPILERS = ("g++", "clang++", "c++")
_AVX2 = frozenset({"avx2", "fma", "f16c"})
_AVX512 = _AVX2 | {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"}
_OF_AVX512 = ("-march=x86-64-v4", "-mavx512vnni", "-mprefer-vector-width=512")
LEVELS: Mapping[str, tuple[frozenset[str], tuple[str, ...]]] = {
    "avx512_bf16": (_AVX512 | {"avx512_bf16"}, (*_OF_AVX512, "-mavx512bf16")),
    "avx512": (_AVX512, _OF_AVX512),
    "avx2": (_AVX2, ("-march=x86-64-v3",)),
}
"""From the best: what the processor must have, and what the compiler is told."""
FLAGS = (
    *("-std=c++17", "-O3", "-fPIC", "-shared", "-pthread", "-ffp-contract=fast", "-fno-math-errno"),
    *("-fvisibility=hidden", "-Wno-psabi"),
)


def find_library(*, folder: Path | None = None, level: str | None = None) -> Path | None:
    """The library for this source and the level (the processor's best); the one compiled here before the wheel's."""
    level = level or processor_level()
    if level is None:
        return None
    pattern = f"{source_hash()}-{level}-*.so"
    found = [path for place in (folder or cache_folder(), BUILT) for path in sorted(place.glob(pattern))]
    return found[0] if found else None


def build_kernels(*, folder: Path | None = None, compiler: str | None = None, level: str | None = None) -> Path:
    """Compiles the library into the folder (the user's cache) and returns its path; at once where it is there.

    Raises InputError where there is no compiler, or none of the levels is the processor's, or compiling fails.
    """
    folder, level = folder or cache_folder(), level or processor_level()
    if level is None:
        raise InputError(
            "the kernels are for Linux on x86-64 processors with AVX2, which this machine is not; "
            "nothing needs to be done: PyTorch's own operators serve"
        )
    if level not in LEVELS:
        raise InputError(f"level: found {level!r}, expected one of {', '.join(LEVELS)}")
    command = _find_compiler(compiler)
    path = folder / f"{source_hash()}-{level}-{_compiler_hash(command)}.so"
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = Path(scratch) / path.name
        done = subprocess.run(
            [command, *FLAGS, *LEVELS[level][1], str(SOURCES / "waman.cpp"), "-o", str(made)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise InputError(
                f"{command} could not compile the kernels; take another compiler with --compiler, or do without: "
                f"PyTorch's own operators serve. It said:\n{done.stderr.strip()[-2000:]}"
            )
        os.replace(made, path)
    return path


def machine() -> dict[str, str | int]:
    """What models are computed with on this machine, by name."""
    library = find_library()
    return {
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "instructions": processor_level() or "no level that the kernels know",
        "kernels": str(library) if library else f"none: PyTorch's own operators serve; {_advice()}",
    }


def _advice() -> str:
    if processor_level() is None:
        return "nothing needs to be done"
    return "`waman build-kernels` compiles them, in half a minute"


def build_every_level(folder: Path, *, compiler: str | None = None) -> list[Path]:
    """The libraries of all levels, as a wheel brings them. Raises InputError as `build_kernels` does."""
    return [build_kernels(folder=folder, compiler=compiler, level=level) for level in LEVELS]


def cache_folder() -> Path:
    """Where libraries compiled for this user lie."""
    return Path.home() / ".cache" / "waman" / "kernels"


@cache
def source_hash() -> str:
    """Of every file of the source."""
    digest = hashlib.sha256()
    for path in sorted((*SOURCES.glob("*.h"), *SOURCES.glob("*.cpp"))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def processor_level() -> str | None:
    """The best level that this processor has; None where it has none, or is of another kind."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return None
    if platform.machine() != "x86_64":
        return None
    lines = (line for line in told.splitlines() if line.startswith("flags"))
    flags = frozenset(next(lines, "").partition(":")[2].split())
    return next((level for level, (needed, _) in LEVELS.items() if needed <= flags), None)


def _find_compiler(named: str | None) -> str:
    names = COMPILERS if named is None else (named,)
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        raise InputError(
            f"no C++ compiler: looked for {', '.join(names)}; install one (Debian: apt install g++), name one with "
            "--compiler, or do without: PyTorch's own operators serve"
        )
    return found


def _compiler_hash(command: str) -> str:
    told = subprocess.run([command, "--version"], capture_output=True, text=True, check=False).stdout
    return hashlib.sha256(told.encode()).hexdigest()[:8]
