"""How fast does a model answer? `python -m benchmarks.inference`, about an hour on a machine with nothing else to do.

Prints a table, its rows each by an option (none: all of them), for models of LLaMA's shape with random weights:
--single           one sequence, int4, int8 and bf16, beside llama.cpp's Q4_0, Q8_0 and BF16;
--eight            eight sequences at once, int4 and int8, beside llama.cpp and OpenVINO;
--generate         one sequence, bf16 and int4, beside transformers' `generate` in bf16;
--prefill          512 tokens of a prompt, beside llama.cpp, transformers and OpenVINO;
--bandwidth        the share of the memory's read bandwidth that goes to the weights alone, int4;
--requests         64 requests that arrive at random, beside the same run one by one;
--without-kernels  PyTorch's own operators, one sequence, beside llama.cpp;
--deterministic    what the switch costs on PyTorch's operators;
--quality          bits per weight and KL beside llama.cpp's: the speeds above count where neither is more.

Both sides are processes of their own with two threads (`--threads`), which make passes in turn; peers run by the Python
of .venv-peers (`--peers`). The ratios are of tokens per second, ours over theirs. Models are written under `--cache`
once.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.budget import (
    Quality,
    agreement,
    bits_per_weight,
    bytes_per_token,
    divergence,
    matrix_bytes,
    share_of_bandwidth,
)
from benchmarks.pairs import Passes, ratio_of
from benchmarks.random_llama import CONFIGS, Files, make_files

PEERS_PYTHON = Path(".venv-peers/bin/python")
CACHE = Path.home() / ".cache" / "waman" / "benchmarks"
PROMPT_TOKENS = 32
PREFILL_TOKENS = 512
NEW_TOKENS = {"125m": 128, "1.1b": 64}
GGUF = {"int4": "Q4_0", "int8": "Q8_0", "bf16": "BF16"}
"""llama.cpp's type beside each of ours."""
BANDWIDTH_BYTES = 1 << 30
NUM_REQUESTS = 64
AT_ONCE = 64
"""As many as an engine takes by default."""
QUALITY_SHAPE = (16, 256)
Answers = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Setting:
    """What all measures are told."""

    model: str
    files: Files
    peers: Path
    pairs: int
    num_new: int
    threads: int


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measures: dict[str, Callable[[Setting], None]] = {
        "single": compare_single,
        "eight": compare_eight,
        "generate": compare_generate,
        "prefill": compare_prefill,
        "bandwidth": compare_bandwidth,
        "requests": compare_requests,
        "without_kernels": compare_without_kernels,
        "deterministic": compare_deterministic,
        "quality": compare_quality,
    }
    for name in measures:
        parser.add_argument(f"--{name.replace('_', '-')}", action="store_true")
    parser.add_argument("--model", choices=list(CONFIGS), action="append", help="which, may be repeated; none: both")
    parser.add_argument("--peers", type=Path, default=PEERS_PYTHON, help="the Python that has the peers")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where models are written, 5 GB in all")
    parser.add_argument("--pairs", type=int, default=7, help="passes of each side after one that warms it up")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, help="tokens to write; none: 128 with 125m, 64 with 1.1b")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # of this process, which prepares: threads that wait for each other disturb those measured
    chosen = [name for name in measures if getattr(arguments, name)] or list(measures)
    for model in arguments.model or list(CONFIGS):
        files = make_files(model, arguments.cache, arguments.peers)
        num_new = arguments.tokens or NEW_TOKENS[model]
        setting = Setting(model, files, arguments.peers, arguments.pairs, num_new, arguments.threads)
        for name in chosen:
            print(f"\n## {name.replace('_', ' ')}, {model}\n", flush=True)
            measures[name](setting)


# Rows


def compare_single(setting: Setting) -> None:
    """One sequence beside llama.cpp."""
    _print_head()
    for kind in GGUF:
        task = _task(setting)
        answers = in_turn({"llama.cpp": _llama_cpp(setting, kind, task), "ours": _ours(setting, kind, task)}, setting)
        _print_decoding(setting, f"one sequence, {kind}", answers, {"llama.cpp": GGUF[kind]})


def compare_eight(setting: Setting) -> None:
    """Eight sequences beside llama.cpp and OpenVINO."""
    _print_head()
    for kind in ("int4", "int8"):
        task = _task(setting, num_sequences=8)
        commands = {
            "llama.cpp": _llama_cpp(setting, kind, task),
            "OpenVINO": _openvino(setting, kind, task),
            "ours": _ours(setting, kind, task),
        }
        modes = {"llama.cpp": GGUF[kind], "OpenVINO": f"{GGUF[kind]}, continuous batching"}
        _print_decoding(setting, f"eight sequences, {kind}", in_turn(commands, setting), modes, num_sequences=8)


def compare_generate(setting: Setting) -> None:
    """One sequence beside transformers' `generate`."""
    _print_head()
    for kind in ("bf16", "int4"):
        task = _task(setting)
        commands = {"transformers": _transformers(setting, task), "ours": _ours(setting, kind, task)}
        _print_decoding(
            setting, f"one sequence, {kind}", in_turn(commands, setting), {"transformers": "generate, bf16"}
        )


def compare_prefill(setting: Setting) -> None:
    """A prompt of 512 tokens beside each peer; the best of them is what counts."""
    _print_head()
    for kind in GGUF:
        task = _task(setting, num_prompt=PREFILL_TOKENS, num_new=1)
        commands = {"llama.cpp": _llama_cpp(setting, kind, task), "transformers": _transformers(setting, task)}
        modes = {"llama.cpp": GGUF[kind], "transformers": "bf16"}
        if kind != "bf16":  # its reader knows no bfloat16
            commands["OpenVINO"], modes["OpenVINO"] = _openvino(setting, kind, task), GGUF[kind]
        answers = in_turn({**commands, "ours": _ours(setting, kind, task)}, setting)
        best = min(modes, key=lambda name: statistics.median(_seconds(answers, "prefill")[name]))
        modes[best] += ", the best"
        seconds = _seconds(answers, "prefill")
        _print_rows(f"prefill of {PREFILL_TOKENS}, {kind}", seconds, PREFILL_TOKENS, modes, "native kernels")


def compare_bandwidth(setting: Setting) -> None:
    """The share of the read bandwidth that decoding one sequence spends on weights."""
    task = _task(setting)
    reading = _ours(setting, "int4", {**task, "bytes": BANDWIDTH_BYTES}, program="bandwidth")
    answers = in_turn({"reading": reading, "ours": _ours(setting, "int4", task)}, setting)
    each = bytes_per_token(CONFIGS[setting.model], _bits(setting, setting.files.ours("int4")))
    speeds = [setting.num_new / one["decoding"] for one in answers["ours"]]
    widths = [one["bytes_per_second"] for one in answers["reading"]]
    shares = [share_of_bandwidth(each, speed, width) for speed, width in zip(speeds, widths, strict=True)]
    share, speed = told(shares, [1.0] * len(shares)), statistics.median(speeds)
    found = f"{min(widths) / 1e9:.1f} to {max(widths) / 1e9:.1f} GB/s ({_ways(answers['reading'])})"
    print("| what | share | tokens/s | bytes a token | read bandwidth |\n|---|---|---|---|---|")
    print(
        f"| one sequence, int4, {setting.model} | {share} | {speed:.1f} | {each / 1e6:.0f} MB | {found} |", flush=True
    )


def compare_requests(setting: Setting) -> None:
    """Requests of mixed lengths through the engine, many at once or one by one; answers twice as long as prompts."""
    print("| what | ratio | at once | median wait | one by one | median wait | mode |\n|---|---|---|---|---|---|---|")
    draw = random.Random(1)
    arrives, requests = 0.0, []
    for _ in range(NUM_REQUESTS):
        arrives += draw.expovariate(1 / _gap_seconds(setting))
        requests.append(
            {
                "arrives": arrives,
                "prompt": _draw_ids(draw, draw.randrange(8, max(10, setting.num_new // 2))),
                "num_new": draw.randrange(max(2, setting.num_new // 4), setting.num_new + 1),
            }
        )
    commands = {
        name: _ours(setting, "int4", {**_task(setting), "requests": requests, "at_once": at_once}, program="requests")
        for name, at_once in (("one by one", 1), ("at once", AT_ONCE))
    }
    answers = in_turn(commands, setting)
    seconds = _seconds(answers, "seconds")
    cells = [f"{NUM_REQUESTS} requests, {setting.model}", told(seconds["one by one"], seconds["at once"])]
    for name in ("at once", "one by one"):
        cells.append(f"{answers[name][0]['tokens'] / statistics.median(seconds[name]):.1f} tokens/s")
        cells.append(f"{statistics.median(_seconds(answers, 'median_latency')[name]):.1f} s")
    print(f"| {' | '.join(cells)} | int4, engine, up to {AT_ONCE} rows, native kernels |", flush=True)


def compare_without_kernels(setting: Setting) -> None:
    """One sequence with PyTorch's own operators beside llama.cpp."""
    _print_head()
    for kind in ("int4", "int8", "int8-rows"):
        task, theirs = _task(setting), kind.partition("-")[0]
        commands = {
            "llama.cpp": _llama_cpp(setting, theirs, task),
            "ours": _ours(setting, kind, task, runner="torch"),
        }
        modes = {"llama.cpp": GGUF[theirs]}
        _print_decoding(setting, f"one sequence, {kind}", in_turn(commands, setting), modes, ours="PyTorch's operators")


def compare_deterministic(setting: Setting) -> None:
    """PyTorch's operators with the switch and without."""
    _print_head()
    for kind in ("int4", "bf16"):
        for num_sequences in (1, 8):
            task = _task(setting, num_sequences=num_sequences)
            commands = {
                "without the switch": _ours(setting, kind, task, runner="torch"),
                "ours": _ours(setting, kind, task, runner="deterministic"),
            }
            _print_decoding(
                setting,
                f"{num_sequences} sequences, {kind}",
                in_turn(commands, setting),
                {"without the switch": "PyTorch's operators"},
                ours="deterministic",
                num_sequences=num_sequences,
            )


def compare_quality(setting: Setting) -> None:
    """Bits and KL from the bf16 weights of ours and of llama.cpp's, on random tokens."""
    folder = setting.files.folder / f"logits-{QUALITY_SHAPE[0]}x{QUALITY_SHAPE[1]}"
    folder.mkdir(exist_ok=True)
    tokens = folder / "tokens.npy"
    np.save(tokens, np.random.default_rng(2).integers(300, 32_000, QUALITY_SHAPE))
    reference = folder / "float32.npy"
    if not reference.exists():
        _write_ours(setting, "float32", "torch", tokens, reference)
    expected = torch.from_numpy(np.load(reference)).flatten(0, 1)
    print(
        "| form | bits a weight | KL, nats a token | same likeliest token | its speed counts |\n|---|---|---|---|---|"
    )
    for name, peer in GGUF.items():
        out = folder / "other.npy"
        path = setting.files.gguf(peer)
        script = [
            "benchmarks/peers/llama_cpp_inference.py",
            "logits",
            str(path),
            str(tokens),
            str(out),
            str(setting.threads),
        ]
        subprocess.run([str(setting.peers), *script], check=True)
        theirs = _quality(f"llama.cpp {peer}", _bits(setting, path), expected, out)
        for kind in SIDE_BY_SIDE[name]:
            _write_ours(setting, kind, "native", tokens, out)
            bits = _bits(setting, setting.files.ours(kind))
            _quality(f"ours {kind}", bits, expected, out, beside=theirs)


SIDE_BY_SIDE = {"int4": ("int4",), "int8": ("int8", "int8-rows"), "bf16": ("bf16",)}


def _quality(label: str, bits: float, expected: torch.Tensor, path: Path, *, beside: Quality | None = None) -> Quality:
    found = torch.from_numpy(np.load(path)).flatten(0, 1)
    quality = Quality(bits, divergence(expected, found))
    counts = "" if beside is None else ("yes" if quality.counts_beside(beside) else "no")
    print(
        f"| {label} | {bits:.4f} | {quality.divergence:.3e} | {100 * agreement(expected, found):.2f}% | {counts} |",
        flush=True,
    )
    path.unlink()
    return quality


def _write_ours(setting: Setting, kind: str, runner: str, tokens: Path, out: Path) -> None:
    task = {"files": str(setting.files.folder), "threads": setting.threads, "kind": kind, "runner": runner}
    command = [*OURS, "logits", json.dumps({**task, "tokens": str(tokens), "out": str(out)})]
    subprocess.run(command, check=True)


def _bits(setting: Setting, path: Path) -> float:
    return bits_per_weight(matrix_bytes(path), CONFIGS[setting.model])


# Programs

OURS = (sys.executable, "-m", "benchmarks.inference_passes")


def _ours(
    setting: Setting, kind: str, task: Mapping[str, Any], *, program: str = "decode", runner: str = "native"
) -> list[str]:
    told_more = {**task, "files": str(setting.files.folder), "kind": kind, "runner": runner}
    return [*OURS, program, json.dumps(told_more)]


def _llama_cpp(setting: Setting, kind: str, task: Mapping[str, Any]) -> list[str]:
    model = setting.files.gguf(GGUF[kind])
    return [str(setting.peers), "benchmarks/peers/llama_cpp_inference.py", "pass", str(model), json.dumps(task)]


def _openvino(setting: Setting, kind: str, task: Mapping[str, Any]) -> list[str]:
    model, folder = setting.files.gguf(GGUF[kind]), setting.files.hugging_face
    return [str(setting.peers), "benchmarks/peers/openvino_inference.py", str(model), str(folder), json.dumps(task)]


def _transformers(setting: Setting, task: Mapping[str, Any]) -> list[str]:
    script = "benchmarks/peers/transformers_inference.py"
    return [str(setting.peers), script, str(setting.files.hugging_face), json.dumps(task)]


def _task(
    setting: Setting, *, num_sequences: int = 1, num_prompt: int = PROMPT_TOKENS, num_new: int | None = None
) -> dict[str, Any]:
    draw = random.Random(0)
    prompts = [_draw_ids(draw, num_prompt) for _ in range(num_sequences)]
    return {"prompts": prompts, "num_new": num_new or setting.num_new, "threads": setting.threads}


def _draw_ids(draw: random.Random, count: int) -> list[int]:
    return [draw.randrange(300, 32_000) for _ in range(count)]


def _gap_seconds(setting: Setting) -> float:
    """Mean time between two requests: they come faster than one by one can serve them."""
    return {"125m": 0.02, "1.1b": 0.1}[setting.model]


def in_turn(commands: Mapping[str, Sequence[str]], setting: Setting) -> Answers:
    """The answers of each program, which make passes in turn, after one that warms it up."""
    with ExitStack() as stack:
        passes = {name: stack.enter_context(Passes(command)) for name, command in commands.items()}
        for one in passes.values():
            one.run()
        rounds = [{name: one.run() for name, one in passes.items()} for _ in range(setting.pairs)]
    return {name: [answer[name] for answer in rounds] for name in commands}


# Telling


def told(theirs: Sequence[float], ours: Sequence[float]) -> str:
    """The ratio with its interval; where there are too few pairs for one, their median alone."""
    if len(ours) >= 6:
        return str(ratio_of(theirs, ours))
    ratios = [their / our for their, our in zip(theirs, ours, strict=True)]
    return f"{statistics.median(ratios):.2f}x of {len(ours)} pairs, too few for an interval"


def _print_head() -> None:
    print("| what | ratio | ours, tokens/s | theirs, tokens/s | mode |\n|---|---|---|---|---|", flush=True)


def _print_decoding(
    setting: Setting,
    label: str,
    answers: Answers,
    modes: Mapping[str, str],
    *,
    ours: str = "native kernels",
    num_sequences: int = 1,
) -> None:
    seconds = _seconds(answers, "decoding")
    mode = f"{ours}, {PROMPT_TOKENS} + {setting.num_new} tokens, greedy, {setting.threads} threads"
    _print_rows(f"{label}, {setting.model}", seconds, num_sequences * setting.num_new, modes, mode)


def _print_rows(
    label: str, seconds: Mapping[str, Sequence[float]], tokens: int, modes: Mapping[str, str], ours: str
) -> None:
    speed = tokens / statistics.median(seconds["ours"])
    for name, mode in modes.items():
        theirs = tokens / statistics.median(seconds[name])
        ratio = told(seconds[name], seconds["ours"])
        print(f"| {label} | {ratio} | {speed:.1f} | {theirs:.1f} | {ours}; {name} {mode} |", flush=True)


def _seconds(answers: Answers, what: str) -> dict[str, list[float]]:
    return {name: [float(one[what]) for one in found] for name, found in answers.items()}


def _ways(answers: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(sorted({str(one["way"]) for one in answers}))


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
