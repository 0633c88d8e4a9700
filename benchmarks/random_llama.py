"""Models of LLaMA's shape with random weights, in every form that `benchmarks/inference.py` measures."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.deduplication import draw_texts, written
from waman.artifact import open_input
from waman.model.config import Attention, ModelConfig, Rope, Swiglu
from waman.model.decoder import Decoder
from waman.quantization.quantize import quantize
from waman.quantization.recipe import Int4, Int8, QuantizeRecipe
from waman.tokens import bpe
from waman.tokens.tokenizer import own_tokenizer
from waman.weights.convert import GGUF_FILE
from waman.weights.huggingface import save_weights

VOCAB_SIZE = 32_000
SPREAD = 0.02
QUANTIZED = ("Q4_0", "Q8_0")
SCHEMES: dict[str, Int4 | Int8] = {"int4": Int4(group=32), "int8": Int8(group=32), "int8-rows": Int8(group=None)}
"""Groups are as in llama.cpp's Q4_0 and Q8_0, and head and embedding like the rest; int8-rows: a scale an output."""
CONFIGS = {
    "125m": ModelConfig(
        vocab_size=VOCAB_SIZE,
        context_length=2048,
        model_dim=768,
        num_layers=12,
        attention=Attention(num_heads=12, num_kv_heads=12, head_dim=64),
        feed_forward=Swiglu(hidden_dim=2048),
        position=Rope(),
    ),
    "1.1b": ModelConfig(
        vocab_size=VOCAB_SIZE,
        context_length=2048,
        model_dim=2048,
        num_layers=22,
        attention=Attention(num_heads=32, num_kv_heads=4, head_dim=64),
        feed_forward=Swiglu(hidden_dim=5632),
        position=Rope(),
    ),
}
"""125 million parameters beside a tied head's (134 million with its own), and TinyLlama's shape."""


@dataclass(frozen=True)
class Files:
    """The same weights in several forms."""

    folder: Path

    @property
    def hugging_face(self) -> Path:
        """A directory that transformers opens, bfloat16."""
        return self.folder / "hugging_face"

    def gguf(self, kind: str) -> Path:
        """A file for llama.cpp: BF16, Q4_0, Q8_0."""
        return self.folder / "BF16" / GGUF_FILE if kind == "BF16" else self.folder / f"{kind}.gguf"

    def ours(self, kind: str) -> Path:
        """A directory that waman opens: bf16, or one of `SCHEMES`."""
        return self.hugging_face if kind == "bf16" else self.folder / kind


def make_files(name: str, cache: Path, peers: Path) -> Files:
    """The files of a model under a cache folder, those that are missing made: minutes for the larger model."""
    files = Files(cache / name)
    _once(files.hugging_face, lambda out: _write_weights(CONFIGS[name], out))
    if not files.gguf("BF16").exists():
        options = ("--set", "format.kind=gguf", "--set", "format.type=BF16", "--out", str(files.gguf("BF16").parent))
        _call(
            sys.executable,
            "-c",
            "from waman.cli.main import main; main()",
            "convert",
            str(files.hugging_face),
            *options,
        )
    for kind in QUANTIZED:
        source = str(files.gguf("BF16"))
        _once(
            files.gguf(kind),
            lambda out, kind=kind, source=source: _call(  # type: ignore[misc]
                str(peers), "benchmarks/peers/llama_cpp_inference.py", "quantize", source, str(out), kind
            ),
        )
    for kind, scheme in SCHEMES.items():
        recipe = QuantizeRecipe(layers=scheme, head=scheme, embeddings=scheme)
        quantize(recipe, weights=open_input(files.hugging_face), out=files.ours(kind))
    return files


def _write_weights(config: ModelConfig, folder: Path) -> None:
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Decoder(config).state_dict().items()}
    draw = torch.Generator().manual_seed(0)
    state = {
        name: torch.ones(shape, dtype=torch.bfloat16)
        if len(shape) == 1
        else torch.empty(shape, dtype=torch.bfloat16).normal_(0, SPREAD, generator=draw)
        for name, shape in shapes.items()
    }
    with tempfile.TemporaryDirectory() as scratch:
        _write_tokenizer(Path(scratch))
        save_weights(state, config, Path(scratch), folder, torch.bfloat16)


def _write_tokenizer(folder: Path) -> None:
    """Of made-up words: no program opens a model without one."""
    texts = [written(words) for words in draw_texts(2000, num_words=300, seed=0)]
    pieces = bpe.learn_pieces(texts, vocab_size=VOCAB_SIZE, character_coverage=1.0)
    own_tokenizer(bpe.build(pieces)).save(folder)


def _once(path: Path, make: Callable[[Path], object]) -> None:
    """Makes it under another name, so that what is there is whole."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    make(partial)
    partial.rename(path)


def _call(*command: str) -> None:
    subprocess.run(command, check=True)
