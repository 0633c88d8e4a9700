"""What a micro-batch of our own training makes a processor do, in counts that each take about the same time apiece."""

import math
from dataclasses import dataclass
from typing import Literal

from waman.model.config import Alibi, Geglu, ModelConfig, Swiglu, require_vocab_size
from waman.model.count import num_parameters


@dataclass(frozen=True)
class Blocking:
    """How training cuts what it does not hold at once."""

    panel_queries: int
    """queries of a panel of attention"""
    logits_at_once: int
    """numbers"""


@dataclass(frozen=True)
class Work:
    """One micro-batch on one thread, forward and backward, weights cast and gradients given."""

    products: float
    """floating-point operations of the blocks' matrix products"""
    matrices: float
    """numbers of those matrices, which are packed and written anew for each micro-batch"""
    activations: float
    """numbers that parts between the products read and write"""
    attention_products: float
    """floating-point operations of scores and what they weigh, those computed again included"""
    scores: float
    """numbers that pass through the softmax"""
    slopes: float
    """those that are lowered by distance"""
    head_products: float
    """floating-point operations of the head"""
    logits: float
    """numbers"""
    head_gradients: float
    """numbers of the head's gradient, once for each slice of the logits"""
    weights: float
    """numbers that are cast, and whose gradients are"""
    layers: float
    """whose operations each take a call"""
    panels: float
    """of attention, each a few calls"""
    fresh_bytes: float
    """of tensors so large that the system gives them new memory each time, page by page"""
    passes: float = 1.0
    """what a micro-batch takes however small it is"""


FRESH_FROM_BYTES = 32 * 2**20
"""Larger blocks glibc's malloc never keeps for the next (mallopt(3), M_MMAP_THRESHOLD's upper limit)."""


def micro_batch_work(
    config: ModelConfig,
    *,
    sequences: int,
    context: int,
    blocking: Blocking,
    bytes_per_number: int,
    recomputation: Literal["selective", "full"] = "selective",
) -> Work:
    """The work of so many sequences of `context` tokens, computed in float32 (4 bytes) or bfloat16 (2).

    Documents within them are taken to be long. With full recomputation the blocks' forward pass, a third of what they
    do, comes twice.
    """
    again = 1 if recomputation == "full" else 0
    heads, tokens, vocab_size = config.attention, sequences * context, require_vocab_size(config)
    gated = isinstance(config.feed_forward, Swiglu | Geglu)
    inner, kept = heads.num_heads * heads.head_dim, heads.num_kv_heads * heads.head_dim
    hidden = config.feed_forward.hidden_dim
    shapes = [inner + 2 * kept, inner, (2 if gated else 1) * hidden, hidden]
    matrices = config.num_layers * config.model_dim * sum(shapes)
    num_panels = math.ceil(context / blocking.panel_queries)
    pairs = sequences * _pairs(context, heads.window or context, blocking.panel_queries)
    scores = config.num_layers * heads.num_heads * pairs
    slices = math.ceil(tokens / max(blocking.logits_at_once // vocab_size, 1))
    width = 8 * config.model_dim + 3 * inner + 2 * kept + (3 if gated else 2) * hidden
    passes = (3 + again) / 3
    return Work(
        products=(6 + 2 * again) * tokens * matrices,
        matrices=passes * matrices,
        activations=passes * config.num_layers * tokens * width,
        attention_products=(14 + 4 * again) * scores * heads.head_dim,
        scores=passes * scores,
        slopes=passes * scores if isinstance(config.position, Alibi) else 0,
        head_products=6 * tokens * vocab_size * config.model_dim,
        logits=tokens * vocab_size,
        head_gradients=slices * vocab_size * config.model_dim,
        weights=num_parameters(config),
        layers=passes * config.num_layers,
        panels=passes * config.num_layers * num_panels,
        fresh_bytes=_fresh_bytes(
            config, shapes, tokens=tokens, slices=slices, bytes_per_number=bytes_per_number, again=again
        ),
    )


def _fresh_bytes(
    config: ModelConfig, shapes: list[int], *, tokens: int, slices: int, bytes_per_number: int, again: int
) -> float:
    """shapes: widths that model_dim is multiplied to or from, in a block."""
    narrow, dim, layers = bytes_per_number, config.model_dim, config.num_layers
    # A narrow copy of each weight and of its gradient, and the gradient in float32.
    copies = [narrow, narrow, 4] if narrow < 4 else [4]
    table = require_vocab_size(config) * dim
    tensors = [(layers, each * width * dim) for width in shapes for each in copies]
    tensors += [(slices + 1, each * table) for each in copies]  # of the head and of the embedding
    tensors += [  # what came, once or again, and two gradients
        ((3 + again) * layers, narrow * tokens * width) for width in (*shapes, dim, dim)
    ]
    return math.fsum(number * size for number, size in tensors if size > FRESH_FROM_BYTES)


def _pairs(context: int, window: int, panel: int) -> int:
    """Queries times keys of a sequence's panels: each reads to its last query, from its first query's window on."""
    return sum(
        (stop - start) * (stop - max(0, start + 1 - window))
        for start, stop in ((first, min(first + panel, context)) for first in range(0, context, panel))
    )
