"""llama.cpp decodes, again for each line read from stdin; run by the peers' Python.

    llama_cpp_inference.py quantize MODEL.gguf OUT.gguf Q4_0|Q8_0     every matrix in that type
    llama_cpp_inference.py pass MODEL.gguf TASK                       prefill and decoding, timed
    llama_cpp_inference.py logits MODEL.gguf TOKENS.npy OUT.npy N     ids (rows, time) to float32 logits, N threads

TASK, as JSON: the prompts' ids, how many tokens to write after each, and the number of threads. Each pass prints a line
of JSON: seconds of the prefill, seconds of the decoding alone, and the ids.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import llama_cpp as library
import numpy as np


def main() -> None:
    programs: dict[str, Callable[..., None]] = {"quantize": quantize, "pass": make_passes, "logits": write_logits}
    programs[sys.argv[1]](*sys.argv[2:])


def quantize(source: str, out: str, kind: str) -> None:
    parameters = library.llama_model_quantize_default_params()
    parameters.ftype = getattr(library, f"LLAMA_FTYPE_MOSTLY_{kind}")
    parameters.pure = True
    parameters.nthread = 2
    failed = library.llama_model_quantize(source.encode(), out.encode(), parameters)
    assert not failed, f"llama.cpp could not quantize {source}"


def make_passes(model: str, task: str) -> None:
    asked = json.loads(task)
    prompts, num_new = asked["prompts"], asked["num_new"]
    context = Context(model, len(prompts), max(map(len, prompts)) + num_new + 1, asked["threads"])
    for _ in sys.stdin:
        context.clear()
        begun = time.perf_counter()
        tokens = context.read(
            [(row, place, token) for row, ids in enumerate(prompts) for place, token in enumerate(ids)]
        )
        read = time.perf_counter()
        written = [tokens]
        for step in range(num_new):
            places = [len(ids) + step for ids in prompts]
            tokens = context.read(list(zip(range(len(prompts)), places, tokens, strict=True)))
            written.append(tokens)
        ended = time.perf_counter()
        found = {"prefill": read - begun, "decoding": ended - read, "ids": list(zip(*written, strict=True))}
        print(json.dumps(found), flush=True)


def write_logits(model: str, tokens: str, out: str, threads: str) -> None:
    rows = np.load(tokens)
    context = Context(model, 1, rows.shape[1], int(threads))
    found = np.empty((*rows.shape, context.vocab_size), np.float32)
    for number, row in enumerate(rows.tolist()):
        context.clear()
        found[number] = context.logits([(0, place, token) for place, token in enumerate(row)], wanted="all")
    np.save(out, found)


class Context:
    """A model and room for sequences of at most so many tokens."""

    def __init__(self, model: str, num_sequences: int, num_tokens: int, threads: int) -> None:
        self._silent = library.llama_log_callback(lambda level, text, data: None)
        library.llama_log_set(self._silent, None)
        library.llama_backend_init()
        self._model = library.llama_model_load_from_file(model.encode(), library.llama_model_default_params())
        assert self._model, f"llama.cpp cannot open {model}"
        parameters = library.llama_context_default_params()
        parameters.n_ctx = num_sequences * -(-num_tokens // 256) * 256
        parameters.n_batch = parameters.n_ctx
        parameters.n_seq_max = num_sequences
        parameters.n_threads = parameters.n_threads_batch = threads
        self._context = library.llama_init_from_model(self._model, parameters)
        assert self._context, "llama.cpp has no room for the context"
        self._batch = library.llama_batch_init(parameters.n_batch, 0, 1)
        self.vocab_size = library.llama_vocab_n_tokens(library.llama_model_get_vocab(self._model))

    def clear(self) -> None:
        library.llama_memory_clear(library.llama_get_memory(self._context), False)

    def read(self, tokens: list[tuple[int, int, int]]) -> list[int]:
        """(sequence, position, id) of each token -> the likeliest id after each sequence, by its number."""
        found: list[int] = self.logits(tokens, wanted="last").argmax(axis=1).tolist()
        return found

    def logits(self, tokens: list[tuple[int, int, int]], *, wanted: str) -> Any:
        """(wanted, vocab_size), valid until the next call."""
        batch, count = self._batch, 0
        batch.n_tokens = len(tokens)
        for number, (row, place, token) in enumerate(tokens):
            batch.token[number], batch.pos[number] = token, place
            batch.n_seq_id[number], batch.seq_id[number][0] = 1, row
            is_last = number + 1 == len(tokens) or tokens[number + 1][0] != row
            batch.logits[number] = wanted == "all" or is_last
            count += wanted == "all" or is_last
        failed = library.llama_decode(self._context, batch)
        assert not failed, f"llama_decode: {failed}"
        library.llama_synchronize(self._context)
        return np.ctypeslib.as_array(library.llama_get_logits(self._context), (count, self.vocab_size))


if __name__ == "__main__":
    main()
