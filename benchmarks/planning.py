"""Does a plan hold? `python -m benchmarks.planning`, about three minutes on two cores.

Measures this machine for ten seconds, foretells eight trainings of different size, precision, length and recomputation
that the measuring has not seen, then lets `pretrain` do each on random tokens, in a process of its own. Prints plan and
outcome: tokens per second, peak memory, and their ratios.

Other load on the machine slows the runs but not the plan, which counts processor seconds; so the ratio of processor
seconds, the run's to the plan's, stands beside that of time.
"""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

import numpy as np
import tokenizers
from tokenizers import decoders, models

from waman.artifact import Artifact
from waman.document import Document
from waman.model.config import Alibi, Attention, Gelu, LayerNorm, Learned, ModelConfig, Swiglu
from waman.model.count import num_parameters
from waman.model.recipe import Bfloat16, Float32, Precision
from waman.planning.machine import foretell, measure_machine
from waman.tokens.shards import ShardWriter, TokensInfo, write_info
from waman.tokens.tokenizer import Tokenizer
from waman.training.loop import StepInfo
from waman.training.pretrain import pretrain
from waman.training.recipe import Evenly, PretrainRecipe

VOCAB_SIZE, DOCUMENT_TOKENS, NUM_DOCUMENTS = 6000, 2000, 100
STEPS = 8
WARM = 2
"""First steps that are left out: the kernels of every shape are compiled in them."""


def _model(model_dim: int, num_layers: int, context: int, *, num_heads: int, num_kv_heads: int) -> ModelConfig:
    return ModelConfig(
        vocab_size=VOCAB_SIZE,
        context_length=context,
        model_dim=model_dim,
        num_layers=num_layers,
        attention=Attention(num_heads=num_heads, num_kv_heads=num_kv_heads, head_dim=model_dim // num_heads),
        feed_forward=Swiglu(hidden_dim=round(model_dim * 8 / 3 / 32) * 32),
        tie_embeddings=True,
    )


def _recipe(
    model: ModelConfig,
    precision: Precision,
    *,
    batch: int,
    micro_batch: int,
    recomputation: Literal["selective", "full"] = "selective",
) -> PretrainRecipe:
    batch_tokens = batch * model.context_length
    return PretrainRecipe(
        model=model,
        num_tokens=STEPS * batch_tokens,
        batch_tokens=batch_tokens,
        micro_batch_sequences=micro_batch,
        precision=precision,
        recomputation=recomputation,
        checkpoints=Evenly(1),
    )


_GPT = dataclasses.replace(
    _model(416, 6, 320, num_heads=13, num_kv_heads=13),
    feed_forward=Gelu(hidden_dim=4 * 416),
    norm=LayerNorm(),
    position=Learned(),
    tie_embeddings=False,
)
_LONG = dataclasses.replace(_model(176, 3, 1280, num_heads=4, num_kv_heads=2), position=Alibi())
_LONG_ROPE = _model(256, 8, 1024, num_heads=4, num_kv_heads=4)
_DEEP = _model(192, 12, 256, num_heads=6, num_kv_heads=2)
RECIPES: dict[str, PretrainRecipe] = {
    "small, short": _recipe(_model(144, 6, 128, num_heads=3, num_kv_heads=3), Bfloat16(), batch=32, micro_batch=8),
    "laptop": _recipe(_model(240, 5, 256, num_heads=5, num_kv_heads=1), Bfloat16(), batch=16, micro_batch=4),
    "laptop, float32": _recipe(_model(240, 5, 256, num_heads=5, num_kv_heads=1), Float32(), batch=8, micro_batch=2),
    "GPT's parts": _recipe(_GPT, Bfloat16(), batch=8, micro_batch=2),
    "long, ALiBi": _recipe(_LONG, Float32(), batch=4, micro_batch=1),
    "deep, layers again": _recipe(_DEEP, Bfloat16(), batch=32, micro_batch=8, recomputation="full"),
    "long, layers again": _recipe(_LONG_ROPE, Float32(), batch=8, micro_batch=2, recomputation="full"),
    "wide": _recipe(_model(832, 5, 224, num_heads=13, num_kv_heads=1), Bfloat16(), batch=8, micro_batch=4),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", nargs=2, metavar=("FOLDER", "NAME"), help="one training; used by this program itself")
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(_train(Path(arguments.run[0]), arguments.run[1])))
        return
    started = time.perf_counter()
    machines = {precision: measure_machine(precision) for precision in ("bfloat16", "float32")}
    print(f"measured in {time.perf_counter() - started:.0f} s, bfloat16 and float32; load {os.getloadavg()[0]:.1f}\n")
    print("| recipe | parameters | tokens/s: plan | outcome | ratio | processor s | peak MiB: plan | outcome | ratio |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        _write_tokens(Path(folder))
        for name, recipe in RECIPES.items():
            assert recipe.model is not None
            plan = foretell(machines["float32" if recipe.precision == Float32() else "bfloat16"], recipe, recipe.model)
            done = _outcome(Path(folder), name)
            cells = [
                name,
                f"{num_parameters(recipe.model) / 1e6:.1f} M",
                *_compared(plan.tokens_per_second, done["tokens_per_second"]),
                f"{done['processor_seconds'] / plan.processor_seconds:.2f}",
                *_compared(plan.memory.total / 2**20, done["peak_memory_bytes"] / 2**20),
            ]
            print(f"| {' | '.join(cells)} |", flush=True)
    print(f"\nload {os.getloadavg()[0]:.1f}")


def _compared(plan: float, outcome: float) -> tuple[str, str, str]:
    return f"{plan:,.0f}", f"{outcome:,.0f}", f"{outcome / plan:.2f}"


def _outcome(folder: Path, name: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.planning", "--run", str(folder), name]
    found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


def _train(folder: Path, name: str) -> dict[str, float]:
    """One training: the median of its later steps."""
    steps: list[tuple[StepInfo, float]] = []
    run = pretrain(
        RECIPES[name],
        tokens=Artifact(folder / "tokens", "tokens", "random tokens"),
        tokenizer=Artifact(folder / "tokenizer", "tokenizer", "a tokenizer"),
        out=folder / name.replace(" ", "-"),
        after_step=lambda info: steps.append((info, time.process_time())),
    )
    assert run.manifest is not None
    later = list(zip(steps[WARM - 1 :], steps[WARM:], strict=False))
    return {
        "tokens_per_second": statistics.median(info.tokens_per_second for _, (info, _) in later),
        "processor_seconds": statistics.median(after - before for (_, before), (_, after) in later),
        "peak_memory_bytes": run.manifest.peak_memory_bytes,
    }


def _write_tokens(folder: Path) -> None:
    """Random tokens in documents of one length, and a tokenizer of as many letters."""
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2} | {chr(0x4E00 + number): number for number in range(3, VOCAB_SIZE)}
    backend = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>"))
    backend.add_special_tokens(["<unk>", "<s>", "</s>"])
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    (folder / "tokenizer").mkdir()
    backend.save(str(folder / "tokenizer" / "tokenizer.json"))
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **names}
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(config))
    random = np.random.default_rng(0)
    with ShardWriter(folder / "tokens" / "train", 0, dtype="uint16") as shard:
        for number in range(NUM_DOCUMENTS):
            inner = random.integers(3, VOCAB_SIZE, size=DOCUMENT_TOKENS - 2)
            shard.add(Document(f"{number}", "x", "random", f"{number}"), [1, *inner.tolist(), 2])
    identity = Tokenizer.load(folder / "tokenizer").identity
    write_info(folder / "tokens", TokensInfo("uint16", VOCAB_SIZE, 1, 2, identity))
    (folder / "tokens" / "mixture.json").write_text(json.dumps({"sources": {"random": {"proportion": 1.0}}}))


if __name__ == "__main__":
    main()
