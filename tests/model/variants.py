"""Tiny decoders that between them have every part."""

import dataclasses

import torch
from torch import Tensor

from waman.model.config import (
    Alibi,
    Attention,
    FanIn,
    Geglu,
    Gelu,
    LayerNorm,
    Learned,
    Linear,
    Llama3,
    ModelConfig,
    NoPosition,
    Normal,
    Ntk,
    Parallel,
    Relu,
    RmsNorm,
    Rope,
    Sequential,
    SquaredRelu,
    Swiglu,
    Yarn,
)
from waman.model.decoder import Decoder
from waman.model.initialize import initialize

TINY = ModelConfig(
    vocab_size=50,
    context_length=64,
    model_dim=32,
    num_layers=2,
    attention=Attention(num_heads=4, num_kv_heads=2, head_dim=8),
    feed_forward=Swiglu(hidden_dim=48),
    norm=RmsNorm(),
)
MANY = dataclasses.replace(TINY.attention, num_kv_heads=4)
ONE = dataclasses.replace(TINY.attention, num_kv_heads=1)
BIASED = dataclasses.replace(MANY, bias=True, output_bias=True)

VARIANTS = {
    "llama": TINY,
    "llama 3": dataclasses.replace(TINY, position=Rope(500000.0, Llama3(original_context_length=16))),
    "mistral": dataclasses.replace(TINY, attention=dataclasses.replace(TINY.attention, window=5)),
    "gpt-1": dataclasses.replace(
        TINY,
        attention=BIASED,
        feed_forward=Gelu(hidden_dim=64, bias=True, approximation="tanh"),
        norm=LayerNorm(),
        block=Sequential(norm="after"),
        position=Learned(),
        tie_embeddings=True,
        initialization=Normal(),
    ),
    "gpt-2": dataclasses.replace(
        TINY,
        attention=BIASED,
        feed_forward=Gelu(hidden_dim=64, bias=True, approximation="tanh"),
        norm=LayerNorm(),
        position=Learned(),
        tie_embeddings=True,
    ),
    "opt": dataclasses.replace(
        TINY, attention=BIASED, feed_forward=Relu(hidden_dim=64, bias=True), norm=LayerNorm(), position=Learned()
    ),
    "falcon 7b": dataclasses.replace(
        TINY, attention=ONE, feed_forward=Gelu(hidden_dim=64), norm=LayerNorm(), block=Parallel(), tie_embeddings=True
    ),
    "falcon 40b": dataclasses.replace(
        TINY, feed_forward=Gelu(hidden_dim=64), norm=LayerNorm(), block=Parallel(num_norms=2), tie_embeddings=True
    ),
    "falcon rw": dataclasses.replace(
        TINY,
        attention=BIASED,
        feed_forward=Gelu(hidden_dim=64, bias=True),
        norm=LayerNorm(),
        position=Alibi(divided_by_head_dim=True),
    ),
    "palm": dataclasses.replace(
        TINY, attention=ONE, norm=LayerNorm(bias=False), block=Parallel(), initialization=FanIn()
    ),
    "alibi with three heads and a window": dataclasses.replace(
        TINY, attention=Attention(num_heads=3, num_kv_heads=1, head_dim=8, window=6), position=Alibi()
    ),
    "no position": dataclasses.replace(TINY, feed_forward=SquaredRelu(hidden_dim=64), position=NoPosition()),
    "geglu": dataclasses.replace(
        TINY, feed_forward=Geglu(hidden_dim=48, bias=True), position=Rope(scaling=Linear(factor=2.0))
    ),
    "geglu by tanh, after": dataclasses.replace(
        TINY,
        feed_forward=Geglu(hidden_dim=48, approximation="tanh"),
        block=Sequential(norm="after"),
        position=Rope(scaling=Ntk(factor=4.0)),
    ),
    "squared relu with biases, yarn": dataclasses.replace(
        TINY,
        feed_forward=SquaredRelu(hidden_dim=64, bias=True),
        position=Rope(scaling=Yarn(original_context_length=16, factor=4.0)),
    ),
}


def build(config: ModelConfig = TINY, seed: int = 0) -> Decoder:
    decoder = Decoder(config)
    initialize(decoder, seed)
    return decoder


def tokens(batch: int, time: int, vocab_size: int = 50) -> Tensor:
    return torch.randint(vocab_size, (batch, time), generator=torch.Generator().manual_seed(batch * time))


class ListCache:
    """Rows of any length: new tokens are written behind each row's own."""

    def __init__(self, num_layers: int, batch: int) -> None:
        self.rows: list[list[tuple[Tensor, Tensor] | None]] = [[None] * batch for _ in range(num_layers)]

    @property
    def lengths(self) -> Tensor:
        return torch.tensor([0 if row is None else row[0].shape[1] for row in self.rows[0]])

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        rows = self.rows[layer]
        for index, row in enumerate(rows):
            new = (keys[index], values[index])
            rows[index] = new if row is None else (torch.cat((row[0], new[0]), 1), torch.cat((row[1], new[1]), 1))
        return self._padded(layer, 0), self._padded(layer, 1)

    def truncate(self, lengths: list[int]) -> None:
        for rows in self.rows:
            for index, length in enumerate(lengths):
                row = rows[index]
                assert row is not None
                rows[index] = (row[0][:, :length], row[1][:, :length])

    def _padded(self, layer: int, part: int) -> Tensor:
        found = [row[part].transpose(0, 1) for row in self.rows[layer] if row is not None]
        return torch.nn.utils.rnn.pad_sequence(found, batch_first=True, padding_value=1000.0).transpose(1, 2)
