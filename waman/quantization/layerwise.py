"""A model run block by block: one block and the activations are in memory, never the model."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from waman.model.attention import MaskedAttention
from waman.model.block import Block
from waman.model.config import ModelConfig, Sequential
from waman.model.masks import Document
from waman.model.norm import build_norm
from waman.model.position import PositionModule, build_position
from waman.quantization.load import QuantizedCheckpoint, set_parameter
from waman.quantization.plan import EMBEDDING, HEAD

BATCH_TOKENS = 4096
"""Tokens that go through a block at once."""


@dataclass(frozen=True)
class Batch:
    """Sequences of one length; tokens of different documents do not see each other."""

    token_ids: Tensor
    """(batch, time)"""
    documents: Tensor
    """(batch, time)"""


class Layers:
    """The parts of a checkpoint in float32, quantized matrices dequantized, each read when it is asked for."""

    def __init__(self, opened: QuantizedCheckpoint) -> None:
        self._opened = opened
        self.config: ModelConfig = opened.checkpoint.config

    def block(self, layer: int) -> Block:
        """One block."""
        with torch.device("meta"):
            block = Block(self.config)
        self._fill(block, f"blocks.{layer}.")
        return block.eval()

    def position(self) -> PositionModule:
        """How a token knows its place."""
        position = build_position(self.config)
        self._fill(position, "position.")
        return position

    def embedding(self, token_ids: Tensor) -> Tensor:
        """(...) -> (..., model_dim)."""
        return self._opened.plain(EMBEDDING)[token_ids]

    def finish(self) -> tuple[nn.Module, Tensor]:
        """The norm before the head, and the head's matrix."""
        norm: nn.Module = nn.Identity()
        if self.config.block != Sequential(norm="after"):
            with torch.device("meta"):
                norm = build_norm(self.config.norm, self.config.model_dim)
            self._fill(norm, "norm.")
        return norm, self._opened.plain(EMBEDDING if self.config.tie_embeddings else HEAD)

    def _fill(self, module: nn.Module, prefix: str) -> None:
        for name in [name for name, _ in module.named_parameters()]:
            set_parameter(module, name, self._opened.plain(prefix + name))


Visit = Callable[[int, Block, Callable[[Block], None]], Block]
"""(layer, block, run) -> the block that the activations go on from; run(block) sends them through without keeping."""


def as_it_is(layer: int, block: Block, run: Callable[[Block], None]) -> Block:
    """Every block as it was read."""
    return block


@torch.inference_mode()
def run_layers(layers: Layers, batches: Sequence[Batch], *, visit: Visit = as_it_is) -> list[Tensor]:
    """The hidden states before the last norm, (batch, time, model_dim) for each batch."""
    position = layers.position()
    states = [position(layers.embedding(batch.token_ids), slice(0, batch.token_ids.shape[1])) for batch in batches]
    hidden = [placed.x for placed in states]
    attentions = [
        MaskedAttention(Document(batch.documents), window=layers.config.attention.window, slopes=placed.slopes)
        for batch, placed in zip(batches, states, strict=True)
    ]

    def through(block: Block, n: int) -> Tensor:
        found: Tensor = block(hidden[n], attention=attentions[n], rotation=states[n].rotation, layer=0, cache=None)
        return found

    def run(block: Block) -> None:
        for n in range(len(batches)):
            through(block, n)

    for layer in range(layers.config.num_layers):
        block = visit(layer, layers.block(layer), run)
        for n in range(len(batches)):
            hidden[n] = through(block, n)
    return hidden


def cut(token_ids: Tensor, documents: Tensor) -> Iterator[Batch]:
    """(sequences, time) -> batches of at most BATCH_TOKENS, one sequence at least."""
    rows = max(1, BATCH_TOKENS // token_ids.shape[1])
    for start in range(0, len(token_ids), rows):
        yield Batch(token_ids[start : start + rows], documents[start : start + rows])
