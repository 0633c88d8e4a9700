"""What `benchmarks/inference.py` reckons: bits of a weight, bytes that a token reads, divergence, and what counts."""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from waman.model.config import ModelConfig
from waman.model.decoder import Decoder
from waman.weights.gguf import library

_TOKENS_AT_ONCE = 64


@dataclass(frozen=True)
class Quality:
    """What a form of a model's weights is worth."""

    bits: float
    """of a weight, scales included, over all matrices"""
    divergence: float
    """mean KL of its distributions from those of the bfloat16 weights, nats per token"""

    def counts_beside(self, peer: "Quality") -> bool:
        """Whether a comparison of speed is fair: no more bits and no more divergence than the peer."""
        return self.bits <= peer.bits and self.divergence <= peer.divergence


def matrix_elements(config: ModelConfig) -> dict[str, int]:
    """Elements of the matrices of the blocks, of the head (also where it is tied), and of the embedding."""
    with torch.device("meta"):
        decoder = Decoder(config)
    blocks = sum(one.numel() for one in decoder.blocks.parameters() if one.dim() == 2)
    table = decoder.embedding.weight.numel()
    return {"blocks": blocks, "head": table, "embedding": table}


def bits_per_weight(num_bytes: int, config: ModelConfig) -> float:
    """Of matrices that take so many bytes in all, the embedding's included; a tied head is one with it."""
    elements = matrix_elements(config)
    count = elements["blocks"] + elements["embedding"] + (0 if config.tie_embeddings else elements["head"])
    return 8 * num_bytes / count


def matrix_bytes(path: Path) -> int:
    """Bytes that a GGUF file, or a directory of safetensors, holds of matrices and their scales; not of vectors."""
    if path.is_file():
        return sum(int(one.n_bytes) for one in library().GGUFReader(path).tensors if len(one.shape) > 1)
    total = 0
    for file in sorted(path.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118  it is no dict
                tensor = opened.get_tensor(name)
                total += tensor.nbytes if tensor.dim() > 1 else 0
    return total


def bytes_per_token(config: ModelConfig, bits: float) -> float:
    """Bytes of weights that a decoded token reads: every matrix once, of the embedding a row, which does not count."""
    elements = matrix_elements(config)
    return (elements["blocks"] + elements["head"]) * bits / 8


def share_of_bandwidth(bytes_each: float, tokens_per_second: float, bytes_per_second: float) -> float:
    """How much of what the memory can deliver goes to the weights alone."""
    return bytes_each * tokens_per_second / bytes_per_second


def divergence(reference: Tensor, other: Tensor) -> float:
    """Mean KL(reference || other) in nats. Both: (tokens, vocab_size) logits."""
    total = 0.0
    parts = zip(torch.split(reference, _TOKENS_AT_ONCE), torch.split(other, _TOKENS_AT_ONCE), strict=True)
    for one, two in parts:
        first, second = torch.log_softmax(one.double(), dim=-1), torch.log_softmax(two.double(), dim=-1)
        total += float((first.exp() * (first - second)).sum())
    return total / len(reference)


def agreement(reference: Tensor, other: Tensor) -> float:
    """Share of tokens after which both find the same one likeliest."""
    return float((reference.argmax(dim=-1) == other.argmax(dim=-1)).double().mean())
