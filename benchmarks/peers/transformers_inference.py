"""transformers' `generate` in bfloat16, again for each line read from stdin; run by the peers' Python.

    transformers_inference.py HUGGING_FACE_DIR TASK

TASK as for llama_cpp_inference.py; each pass prints a line of JSON.
"""

import json
import sys
import time
from typing import Any

import torch
from transformers import AutoModelForCausalLM


def main() -> None:
    folder, task = sys.argv[1], json.loads(sys.argv[2])
    torch.set_num_threads(task["threads"])
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    model.generation_config.eos_token_id = None
    ids = torch.tensor(task["prompts"])
    num_new = task["num_new"] + 1
    for _ in sys.stdin:
        clock = Clock()
        begun = time.perf_counter()
        found = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=num_new, do_sample=False, streamer=clock
        )
        first, last = clock.times[1], clock.times[-1]  # the prompt itself is put first
        print(
            json.dumps({"prefill": first - begun, "decoding": last - first, "ids": found[:, ids.shape[1] :].tolist()})
        )
        sys.stdout.flush()


class Clock:
    """A streamer that notes when tokens come."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: Any) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None:
        pass


if __name__ == "__main__":
    main()
