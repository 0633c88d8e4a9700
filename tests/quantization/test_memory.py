"""A model is quantized, and opened again, in less memory than its weights take: sampled in a fresh process."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.loading import write_random
from waman.model.config import Attention, ModelConfig, Swiglu

MODEL = ModelConfig(
    vocab_size=8000,
    model_dim=1024,
    num_layers=4,
    attention=Attention(num_heads=16, num_kv_heads=16, head_dim=64),
    feed_forward=Swiglu(hidden_dim=2816),
)
"""68 million parameters; embedding and head are a quarter of the whole, more than of a 7B."""
_PROGRAM = """
import sys, tempfile
from pathlib import Path
import torch
from benchmarks.loading import Sampler, anonymous_bytes, write_random
from waman.artifact import open_input
from waman.model.config import ModelConfig, Swiglu
from waman.quantization.load import load_quantized
from waman.quantization.quantize import quantize
from waman.quantization.recipe import Int8, QuantizeRecipe
recipe = QuantizeRecipe(head=Int8(), embeddings=Int8())
torch.set_num_threads(1)
step, source, out = sys.argv[1], *map(Path, sys.argv[2:])
with tempfile.TemporaryDirectory() as folder:  # what PyTorch brings up on first use is not the model's
    tiny = ModelConfig(vocab_size=64, num_layers=1)
    write_random(tiny, Path(folder) / "tiny")
    load_quantized(quantize(recipe, weights=open_input(Path(folder) / "tiny"), out=Path(folder) / "out").path)
before = anonymous_bytes()
with Sampler(anonymous_bytes) as sampler:
    if step == "quantize":
        kept = quantize(recipe, weights=open_input(source), out=out)
    else:
        kept = load_quantized(out, torch.bfloat16)
print(sampler.most - before)
"""


@pytest.mark.slow
def test_a_model_is_quantized_and_opened_in_less_memory_than_its_weights_take(tmp_path: Path) -> None:
    write_random(MODEL, tmp_path / "source", max_shard_bytes=5 * 10**7)
    weights = sum(file.stat().st_size for file in (tmp_path / "source").glob("*.safetensors"))
    most = {}
    for step in ("quantize", "open"):
        command = [sys.executable, "-c", _PROGRAM, step, str(tmp_path / "source"), str(tmp_path / "out")]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        most[step] = int(ran.stdout.splitlines()[-1])
    written = sum(file.stat().st_size for file in (tmp_path / "out").glob("*.safetensors"))
    shown = ", ".join(f"to {step} {size / 1e6:.0f} MB" for step, size in most.items())
    print(f"weights {weights / 1e6:.0f} MB, quantized {written / 1e6:.0f} MB; at most {shown}")
    assert written < 0.4 * weights
    assert most["quantize"] < 0.9 * weights
    assert most["open"] < 0.9 * weights
