"""Our side of `benchmarks/inference.py`: a process that makes a pass for each line it reads.

Run as `python -m benchmarks.inference_passes PROGRAM TASK` with the task as JSON; answers lines of JSON.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from benchmarks.random_llama import Files
from waman.inference.engine import Engine, Limits
from waman.inference.generation import Request
from waman.inference.native_runner import NativeRunner
from waman.inference.recipe import Sampling
from waman.inference.runner import PAGE_TOKENS, Row, Runner, page_bytes
from waman.inference.torch_runner import TorchRunner
from waman.model.config import require_vocab_size
from waman.model.decoder import Decoder
from waman.quantization import kernels
from waman.quantization.load import load_any
from waman.tokens.tokenizer import Tokenizer

KV_BITS = 16


def main() -> None:
    """Runs a program."""
    torch.set_grad_enabled(False)
    program, task = sys.argv[1], json.loads(sys.argv[2])
    torch.set_num_threads(task["threads"])
    programs = {"decode": _decode, "requests": _requests, "bandwidth": _bandwidth}
    if program == "logits":
        write_logits(task)
        return
    with mock.patch.object(kernels, "native", kernels.native if task["runner"] == "native" else lambda: None):
        make_pass = programs[program](task)
        for _ in sys.stdin:
            print(json.dumps(make_pass()), flush=True)


# Models


def open_decoder(task: dict[str, Any]) -> Decoder:
    """kind: bf16, one of the schemes, or float32: the bf16 weights, computed with in float32."""
    return load_any(_folder(task), torch.float32 if task["kind"] == "float32" else torch.bfloat16).eval()


def _folder(task: dict[str, Any]) -> Path:
    return Files(Path(task["files"])).ours("bf16" if task["kind"] == "float32" else task["kind"])


def build(decoder: Decoder, runner: str, *, num_pages: int) -> Runner:
    """runner: native, torch, deterministic."""
    if runner == "native":
        library = kernels.native()
        assert library is not None, "no compiled kernels: run waman build-kernels first"
        return NativeRunner(decoder, library, num_pages=num_pages, kv_bits=KV_BITS)
    return TorchRunner(decoder, num_pages=num_pages, kv_bits=KV_BITS, deterministic=runner == "deterministic")


# Decoding


def _decode(task: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Prompts read in one pass, then tokens written greedily, all sequences at once."""
    prompts, num_new = task["prompts"], task["num_new"]
    pages_each = -(-(len(prompts[0]) + num_new) // PAGE_TOKENS)
    runner = build(open_decoder(task), task["runner"], num_pages=pages_each * len(prompts))
    pages = [range(number * pages_each, (number + 1) * pages_each) for number in range(len(prompts))]

    def step(parts: Sequence[Sequence[int]], cached: int) -> list[int]:
        rows = [Row(part, cached, held, (len(part) - 1,)) for part, held in zip(parts, pages, strict=True)]
        found: list[int] = runner.run(rows).numpy().argmax(axis=1).tolist()  # in this thread, as the engine chooses
        return found

    def make_pass() -> dict[str, Any]:
        begun = time.perf_counter()
        written = [step(prompts, 0)]
        read = time.perf_counter()
        for number in range(num_new):
            written.append(step([[token] for token in written[-1]], len(prompts[0]) + number))
        ended = time.perf_counter()
        return {"prefill": read - begun, "decoding": ended - read, "ids": list(zip(*written, strict=True))}

    return make_pass


# Bandwidth


def _bandwidth(task: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """The fastest of several ways to read memory that no cache holds: bytes per second."""
    library = kernels.native()
    assert library is not None, "no compiled kernels: run waman build-kernels first"
    matrix = library.pack(torch.ones(task["bytes"] // 2 // 4096, 4096, dtype=torch.bfloat16))
    assert matrix is not None
    flat, x = matrix.memory.view(-1), torch.ones(1, 4096)
    ways: dict[str, Callable[[], object]] = {
        "sum of float32": lambda: flat.view(torch.float32).sum(),
        "sum of int64": lambda: flat.view(torch.int64).sum(),
        "product with bfloat16": lambda: library.multiply(x, matrix),
    }

    def make_pass() -> dict[str, Any]:
        found = {name: flat.numel() / min(_seconds(way) for _ in range(3)) for name, way in ways.items()}
        best = max(found, key=lambda name: found[name])
        return {"bytes_per_second": found[best], "way": best}

    return make_pass


def _seconds(do: Callable[[], object]) -> float:
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun


# Requests


def _requests(task: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    """Requests that arrive at given seconds; at once as many as the engine takes, or one by one."""
    files = Files(Path(task["files"]))
    decoder = open_decoder(task)
    config = decoder.config
    length = max(len(one["prompt"]) + one["num_new"] for one in task["requests"])
    at_once = task["at_once"]
    num_pages = (at_once + 1) * -(-length // PAGE_TOKENS)
    runner = build(decoder, task["runner"], num_pages=num_pages)
    size = page_bytes(config, page_tokens=PAGE_TOKENS, kv_bits=KV_BITS)
    limits = Limits(config.context_length, require_vocab_size(config), size, max_rows=at_once)
    tokenizer = Tokenizer.load(files.hugging_face)

    def make_pass() -> dict[str, Any]:
        engine = Engine(runner, tokenizer, limits)
        waiting = [(one["arrives"], _request(one)) for one in task["requests"]]
        running: dict[int, float] = {}
        tokens, latencies = 0, []
        begun = time.perf_counter()
        while waiting or running:
            now = time.perf_counter() - begun
            while waiting and waiting[0][0] <= now and len(running) < at_once:
                arrived, request = waiting.pop(0)
                running[engine.submit(request)] = arrived
            if not running:
                time.sleep(max(0.0, waiting[0][0] - now))
                continue
            for event in engine.step():
                if event.completion is not None:
                    tokens += len(event.completion.token_ids)
                    latencies.append(time.perf_counter() - begun - running.pop(event.request))
        return {
            "seconds": time.perf_counter() - begun,
            "tokens": tokens,
            "median_latency": float(np.median(latencies)),
        }

    return make_pass


def _request(asked: dict[str, Any]) -> Request:
    return Request(asked["prompt"], Sampling(max_tokens=asked["num_new"]), frozenset(), begins_text=False)


# Quality


def write_logits(task: dict[str, Any]) -> None:
    """Writes the logits after every token: (rows, time) ids in a file -> (rows, time, vocab) float32 in another.

    kind `float32`: the bfloat16 weights computed with in float32, what everything is measured against.
    """
    ids = np.load(task["tokens"])
    decoder = open_decoder(task)
    num_pages = -(-ids.shape[1] // PAGE_TOKENS)
    runner = build(decoder, task["runner"], num_pages=num_pages)
    shape = (*ids.shape, require_vocab_size(decoder.config))
    found = np.lib.format.open_memmap(task["out"], "w+", np.float32, shape)
    for number, row in enumerate(ids.tolist()):
        found[number] = runner.run([Row(row, 0, range(num_pages), range(len(row)))]).numpy()
    found.flush()


if __name__ == "__main__":
    main()
