"""OpenVINO decodes, again for each line read from stdin; run by the peers' Python.

    openvino_inference.py MODEL.gguf HUGGING_FACE_DIR TASK

Its own reader of GGUF files opens the weights, so that they are those of llama.cpp to the bit, and its pipeline with
continuous batching and paged attention runs all sequences at once, as it is set by default: a cache in 8 bits and
activations rounded by groups. TASK as for llama_cpp_inference.py; each pass prints a line of JSON.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino_genai as library


def main() -> None:
    model, folder, task = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    prompts, num_new = task["prompts"], task["num_new"]
    settings = library.SchedulerConfig()
    settings.cache_size = 1
    settings.max_num_batched_tokens = max(256, sum(map(len, prompts)))
    settings.enable_prefix_caching = False
    pipeline = library.ContinuousBatchingPipeline(
        model, open_tokenizer(folder), settings, "CPU", INFERENCE_NUM_THREADS=task["threads"]
    )
    asked = library.GenerationConfig()
    asked.max_new_tokens = num_new + 1
    asked.ignore_eos, asked.do_sample = True, False
    for _ in sys.stdin:
        print(json.dumps(make_pass(pipeline, prompts, asked)), flush=True)


def make_pass(pipeline: Any, prompts: list[list[int]], asked: Any) -> dict[str, Any]:
    tensors = [openvino.Tensor(np.array([ids], np.int64)) for ids in prompts]
    begun = time.perf_counter()
    handles = [pipeline.add_request(number, ids, asked) for number, ids in enumerate(tensors)]
    pipeline.step()
    read = time.perf_counter()
    steps = 0
    while pipeline.has_non_finished_requests():
        pipeline.step()
        steps += 1
    ended = time.perf_counter()
    assert steps == asked.max_new_tokens - 1, f"{steps} steps after the first: the prompts were not read in one"
    ids = [handle.read_all()[0].generated_ids for handle in handles]
    return {"prefill": read - begun, "decoding": ended - read, "ids": ids}


def open_tokenizer(folder: str) -> Any:
    """The pipeline asks for one, though it is given ids."""
    from openvino_tokenizers import convert_tokenizer
    from transformers import AutoTokenizer

    both = convert_tokenizer(AutoTokenizer.from_pretrained(folder), with_detokenizer=True)
    with tempfile.TemporaryDirectory() as place:
        for name, model in zip(("tokenizer", "detokenizer"), both, strict=True):
            openvino.save_model(model, Path(place) / f"openvino_{name}.xml")
        return library.Tokenizer(place)


if __name__ == "__main__":
    main()
