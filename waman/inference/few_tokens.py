"""A pass of one token for each row on a CPU, by plain operations.

So few numbers take less time than the calls of the modules that would compute them, and PyTorch's attention kernel is
made for many queries: two small products are several times as fast for one. Sums and the residual stream are float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from waman.inference.flat_rows import RowGroup
from waman.inference.page_store import PageStore
from waman.model.attention import one_query_bias
from waman.model.block import Block, Part, put_together
from waman.model.config import Parallel, Sequential
from waman.model.decoder import Decoder
from waman.model.feed_forward import GatedFeedForward, PlainFeedForward, activate_gate
from waman.model.norm import MeanVarianceNorm, RootMeanSquareNorm
from waman.model.position import Rotation
from waman.model.precision import at_least_fp32
from waman.quantization.linear import QuantizedLinear

MAX_KEPT_NUMBERS = 2**22
"""Keys of a group that are widened to float32 at once: more would leave the cache and the memory at hand."""


class FewTokens:
    """A decoder's layers as plain functions, from embedded tokens to the last norm."""

    def __init__(self, decoder: Decoder, store: PageStore) -> None:
        self._config = decoder.config.attention
        self._wide = at_least_fp32(next(decoder.blocks.parameters()))
        self._store = store
        self._layers = [_Layer.of(block, self._wide) for block in decoder.blocks if isinstance(block, Block)]
        self._norm = _norm(decoder.norm, self._wide)

    def takes(self, groups: Sequence[RowGroup]) -> bool:
        """Whether the keys of each group are few enough."""
        heads = self._config
        return all(
            len(one.tables) * one.longest * heads.num_kv_heads * heads.head_dim <= MAX_KEPT_NUMBERS for one in groups
        )

    def run(
        self, x: Tensor, rotation: Rotation | None, slopes: Tensor | None, *, slots: Tensor, groups: Sequence[RowGroup]
    ) -> Tensor:
        """x: (tokens, model_dim), embedded, a token of each row -> the same shape, normalised.

        slots: (tokens,), where each is kept.
        """
        x = x.to(self._wide)
        if rotation is not None:
            rotation = tuple(part.to(self._wide).view(len(x), 1, -1) for part in rotation)  # type: ignore[assignment]
        biases = [self._bias(one, slopes) for one in groups]
        attend = partial(self._attend, rotation=rotation, slots=slots, groups=groups, biases=biases)
        for number, layer in enumerate(self._layers):
            x = layer.apply(x, partial(attend, number))
        return self._norm(x)

    def _attend(
        self,
        number: int,
        fused: Tensor,
        *,
        rotation: Rotation | None,
        slots: Tensor,
        groups: Sequence[RowGroup],
        biases: Sequence[Tensor | None],
    ) -> Tensor:
        """fused: (tokens, (num_heads + 2 num_kv_heads) head_dim), changed -> (tokens, num_heads head_dim)."""
        heads, kv_heads, dim = self._config.num_heads, self._config.num_kv_heads, self._config.head_dim
        parts = fused.to(self._wide).reshape(len(fused), -1, dim)
        if rotation is not None:
            turned = parts[:, : heads + kv_heads]
            torch.addcmul(turned * rotation[0], turned.roll(dim // 2, -1), rotation[1], out=turned)
        self._store.write(number, slots, parts[:, heads:].transpose(0, 1))
        found = []
        for group, bias in zip(groups, biases, strict=True):
            rows = len(group.tables)
            kept = self._store.read(number, group.span or group.tables, self._wide)
            keys, values = kept.flatten(0, 1)[:, : group.longest].chunk(2)  # (num_kv_heads * rows, time, head_dim)
            queries = parts[group.tokens, :heads].reshape(rows, kv_heads, -1, dim).transpose(0, 1)
            scores = torch.bmm(queries.reshape(kv_heads * rows, -1, dim), keys.transpose(1, 2)).mul_(dim**-0.5)
            if bias is not None:
                scores = (scores.view(kv_heads, rows, -1, group.longest) + bias).flatten(0, 1)
            read = torch.bmm(scores.softmax(-1), values)
            found.append(read.view(kv_heads, rows, -1).transpose(0, 1).reshape(rows, -1))
        return found[0] if len(found) == 1 else torch.cat(found)

    def _bias(self, group: RowGroup, slopes: Tensor | None) -> Tensor | None:
        """What is added to scores: (num_kv_heads or 1, rows or 1, queries of a kv head or 1, time); None: nothing."""
        bias = one_query_bias(
            group.mask, group.longest, group.tables.device, self._wide, window=self._config.window, slopes=slopes
        )
        if slopes is None and not bool(bias.any()):
            return None
        kv_heads = self._config.num_kv_heads if slopes is not None else 1
        return bias.view(len(bias), kv_heads, -1, group.longest).transpose(0, 1)


@dataclass(frozen=True)
class _Layer:
    layout: Sequential | Parallel
    attention_norm: Part
    feed_forward_norm: Part | None
    query_key_value: Part
    output: Part
    feed_forward: Part

    @classmethod
    def of(cls, block: Block, wide: torch.dtype) -> "_Layer":
        """The functions of a block."""
        second = block.feed_forward_norm
        return cls(
            block.layout,
            _norm(block.attention_norm, wide),
            None if second is None else _norm(second, wide),
            _product(block.attention.query_key_value),
            _product(block.attention.output),
            _feed_forward(block.feed_forward),
        )

    def apply(self, x: Tensor, attend: Part) -> Tensor:
        """As `Block.forward`."""
        return put_together(
            self.layout,
            x,
            attention_norm=self.attention_norm,
            attention=lambda normed: self.output(attend(self.query_key_value(normed))),
            feed_forward_norm=self.feed_forward_norm,
            feed_forward=self.feed_forward,
        )


def _norm(module: nn.Module, wide: torch.dtype) -> Part:
    match module:
        case RootMeanSquareNorm():
            weight, dim = module.weight.detach().to(wide), len(module.weight)
            return partial(_root_mean_square, weight=weight, share=1 / dim, eps=weight.new_tensor(module.eps))
        case MeanVarianceNorm():
            bias = None if module.bias is None else module.bias.detach().to(wide)
            return partial(
                F.layer_norm,
                normalized_shape=module.weight.shape,
                weight=module.weight.detach().to(wide),
                bias=bias,
                eps=module.eps,
            )
        case _:
            assert isinstance(module, nn.Identity)
            return module


def _root_mean_square(x: Tensor, *, weight: Tensor, share: float, eps: Tensor) -> Tensor:
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return (x * torch.rsqrt(torch.addcmul(eps, length, length, value=share))).mul_(weight)


def _product(module: nn.Linear | nn.Module) -> Part:
    if isinstance(module, QuantizedLinear):
        return module.multiply
    assert isinstance(module, nn.Linear)
    return partial(_multiply, weight=module.weight.detach(), bias=module.bias)


def _multiply(x: Tensor, *, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.linear(x.to(weight.dtype), weight, bias)


def _feed_forward(module: nn.Module) -> Part:
    assert isinstance(module, GatedFeedForward | PlainFeedForward)
    down = _product(module.down)
    if isinstance(module, GatedFeedForward):
        return partial(_gated, up=_product(module.gate_up), down=down, approximation=module.gelu_approximation)
    return partial(_plain, up=_product(module.up), down=down, activate=module.activate)


def _gated(x: Tensor, *, up: Part, down: Part, approximation: str | None) -> Tensor:
    gate, other = up(x).chunk(2, dim=-1)
    return down(activate_gate(gate, approximation).mul_(other))


def _plain(x: Tensor, *, up: Part, down: Part, activate: Part) -> Tensor:
    return down(activate(up(x)))
