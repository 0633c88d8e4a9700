"""How much memory does loading take beside the model itself? Run as `python -m benchmarks.loading`, a few minutes.

Writes a random LLaMA of 3 billion parameters in bf16 to a temporary folder (7 GB), in shards, and loads it in fresh
processes as bf16 and as fp32 (14 GB), on a CUDA device too where there is one. A thread reads the process's anonymous
memory every few milliseconds; pages of the mapped files are the kernel's to take back and do not count. Prints the
most that was used over what stays loaded. The limit to hold: 1.1.
"""

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from waman.model.config import Attention, ModelConfig, Swiglu
from waman.model.decoder import Decoder
from waman.weights.huggingface import load_decoder, save_weights

# OpenLLaMA's shape of 3 billion parameters.
CONFIG = ModelConfig(
    vocab_size=32000,
    context_length=2048,
    model_dim=3200,
    num_layers=26,
    attention=Attention(num_heads=32, num_kv_heads=32, head_dim=100),
    feed_forward=Swiglu(hidden_dim=8640),
)
SECONDS_BETWEEN_SAMPLES = 0.002


@dataclass(frozen=True)
class Taken:
    """What one loading took, in bytes, beyond what the process had before."""

    loaded: int
    """parameters and tables"""
    most: int
    """the largest sample, plus the most that the device held"""
    after: int
    """the last sample, plus what the device holds"""

    @property
    def ratio(self) -> float:
        """The most that was used over what stays loaded."""
        return self.most / self.loaded


def main() -> None:
    """Prints one line per dtype and device."""
    with tempfile.TemporaryDirectory() as folder:
        write_random(CONFIG, Path(folder))
        devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
        for device in devices:
            for dtype in ("bfloat16", "float32"):
                taken = measure_in_child(Path(folder), dtype=dtype, device=device)
                print(
                    f"{device} {dtype}: {taken.loaded / 1e9:.2f} GB loaded, at most {taken.most / 1e9:.2f} GB used, "
                    f"{taken.after / 1e9:.2f} GB afterwards: {taken.ratio:.3f}"
                )


def write_random(config: ModelConfig, folder: Path, *, max_shard_bytes: int = 5 * 10**9) -> None:
    """A model of random bf16 weights as a Hugging Face directory."""
    with torch.device("meta"):
        decoder = Decoder(config)
    decoder = decoder.to(torch.bfloat16).to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.normal_(0, 0.02, generator=generator)
    save_weights(decoder, config, None, folder, torch.bfloat16, max_shard_bytes=max_shard_bytes)


def measure_in_child(folder: Path, *, dtype: str, device: str = "cpu") -> Taken:
    """Loads in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.loading", str(folder), dtype, device]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return Taken(**json.loads(printed.splitlines()[-1]))


def measure(folder: Path, *, dtype: torch.dtype, device: str) -> Taken:
    """Loads in this process."""
    _load_tiny(device)
    before = anonymous_bytes() + _device_bytes(most=False)
    with Sampler(anonymous_bytes) as sampler:
        decoder = load_decoder(folder, dtype=dtype, device=device)
    loaded = sum(tensor.nbytes for tensor in (*decoder.parameters(), *decoder.buffers()))
    return Taken(
        loaded=loaded,
        most=sampler.most + _device_bytes(most=True) - before,
        after=anonymous_bytes() + _device_bytes(most=False) - before,
    )


def _load_tiny(device: str) -> None:
    """What PyTorch brings up on first use is not the model's: 70 MB on a CPU."""
    with tempfile.TemporaryDirectory() as folder:
        write_random(ModelConfig(vocab_size=8, num_layers=1), Path(folder))
        for dtype in (torch.bfloat16, torch.float32):
            load_decoder(Path(folder), dtype=dtype, device=device)


class Sampler:
    """Reads a number again and again in a thread of its own, and keeps the largest."""

    def __init__(self, read: Callable[[], int]) -> None:
        self.most = 0
        self._read = read
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.most = max(self.most, self._read())

    def _sample(self) -> None:
        while not self._done.wait(SECONDS_BETWEEN_SAMPLES):
            self.most = max(self.most, self._read())


def anonymous_bytes() -> int:
    """This process's memory that no file stands behind (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "RssAnon":
            return int(value.split()[0]) * 1024
    raise OSError("/proc/self/status has no RssAnon: this needs Linux")


def _device_bytes(*, most: bool) -> int:
    if not torch.cuda.is_available():
        return 0
    return torch.cuda.max_memory_allocated() if most else torch.cuda.memory_allocated()


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        place, dtype_name, device_name = sys.argv[1:]
        print(json.dumps(asdict(measure(Path(place), dtype=getattr(torch, dtype_name), device=device_name))))
