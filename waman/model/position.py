"""How a token knows its place: rotated queries and keys, slopes that lower far scores, learned vectors, nothing.

Every scheme is a module that is called once a pass and gives what the blocks need of it, a `Placed`. What a module
computes and does not learn are its tables: `build_tables` fills them again after a model built on the meta device
gets real memory.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from waman.model.config import Alibi, Learned, Linear, Llama3, ModelConfig, NoPosition, Ntk, Rope, Unscaled, Yarn
from waman.model.precision import product_dtype

Rotation = tuple[Tensor, Tensor]
"""cos, sin: (batch or none, 1, time, head_dim), the first half of sin negative"""


class Placed(NamedTuple):
    """Embedded tokens and what attention has to know of their places."""

    x: Tensor
    """(batch, time, model_dim)"""
    rotation: Rotation | None = None
    """how far queries and keys are turned"""
    slopes: Tensor | None = None
    """(num_heads,): by how much a token of distance lowers a score"""


class Rotary(nn.Module):
    """Tables of cos and sin for every position (Su et al. 2021), halves of a head paired as Hugging Face's LLaMA does.

    Meta's release pairs neighbours instead; its checkpoints need their query and key rows reordered.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, config: Rope, *, head_dim: int, context_length: int) -> None:
        super().__init__()
        self.config = config
        self.head_dim = head_dim
        self.longest = context_length
        self.build_tables()

    def build_tables(self, device: torch.device | None = None) -> None:
        """Fills the tables in fp32."""
        places = torch.arange(self.longest, dtype=torch.float32, device=device)
        angles = torch.outer(places, frequencies(self.config, self.head_dim, device))
        scale = rotation_scale(self.config)
        cos, sin = angles.cos() * scale, angles.sin() * scale
        self.register_buffer("cos", torch.cat((cos, cos), dim=-1), persistent=False)
        self.register_buffer("sin", torch.cat((-sin, sin), dim=-1), persistent=False)

    def forward(self, x: Tensor, places: Tensor | slice) -> Placed:
        """x: (batch, time, model_dim), unchanged; places: a slice or (batch, time)."""
        return Placed(x, rotation=self.rotation(places, product_dtype(x)))

    def rotation(self, places: Tensor | slice, dtype: torch.dtype) -> Rotation:
        """places: a slice or (batch, time) -> cos and sin for `split_and_turn`."""
        return self.cos[places].to(dtype).unsqueeze(-3), self.sin[places].to(dtype).unsqueeze(-3)


class HeadSlopes(nn.Module):
    """The slope of each head's penalty on distance (Press et al. 2021)."""

    slopes: Tensor
    longest = None

    def __init__(self, config: Alibi, *, num_heads: int, head_dim: int) -> None:
        super().__init__()
        self.values = [slope / head_dim**0.5 if config.divided_by_head_dim else slope for slope in slopes(num_heads)]
        self.build_tables()

    def build_tables(self, device: torch.device | None = None) -> None:
        """Fills the slopes in fp32."""
        table = torch.tensor(self.values, dtype=torch.float32, device=device)
        self.register_buffer("slopes", table, persistent=False)

    def forward(self, x: Tensor, places: Tensor | slice) -> Placed:
        """x: (batch, time, model_dim), unchanged. Distances follow from the mask, so places are not read."""
        return Placed(x, slopes=self.slopes)


class PositionEmbedding(nn.Module):
    """A learned vector for each position, added to the token's."""

    def __init__(self, *, context_length: int, model_dim: int) -> None:
        super().__init__()
        self.longest = context_length
        self.weight = nn.Parameter(torch.empty(context_length, model_dim).normal_())

    def build_tables(self, device: torch.device | None = None) -> None:
        """There are none: everything is learned."""

    def forward(self, x: Tensor, places: Tensor | slice) -> Placed:
        """x: (batch, time, model_dim); places: a slice or (batch, time)."""
        return Placed(x + self.weight[places])


class Unplaced(nn.Module):
    """Tokens as they are: the causal mask alone tells them apart."""

    longest = None

    def build_tables(self, device: torch.device | None = None) -> None:
        """There are none."""

    def forward(self, x: Tensor, places: Tensor | slice) -> Placed:
        """x: (batch, time, model_dim), unchanged."""
        return Placed(x)


PositionModule = Rotary | HeadSlopes | PositionEmbedding | Unplaced
"""`longest` is the number of positions that a module knows; None where it knows no end."""


def build_position(config: ModelConfig) -> PositionModule:
    """The module of the config's `position`."""
    heads = config.attention
    match config.position:
        case Rope() as rope:
            return Rotary(rope, head_dim=heads.head_dim, context_length=config.context_length)
        case Alibi() as alibi:
            return HeadSlopes(alibi, num_heads=heads.num_heads, head_dim=heads.head_dim)
        case Learned():
            return PositionEmbedding(context_length=config.context_length, model_dim=config.model_dim)
        case NoPosition():
            return Unplaced()


def frequencies(config: Rope, head_dim: int, device: torch.device | None = None) -> Tensor:
    """Radians by which each pair of a head turns per position: (head_dim / 2,), fp32."""
    plain = _powers(config.theta, head_dim, device)
    match config.scaling:
        case Unscaled():
            return plain
        case Linear(factor=factor):
            return plain / factor
        case Ntk(factor=factor):
            return _powers(config.theta * factor ** (head_dim / (head_dim - 2)), head_dim, device)
        case Yarn() as yarn:
            kept = 1 - _yarn_ramp(yarn, config.theta, head_dim, device)
        case Llama3() as llama3:
            kept = _llama3_share_kept(llama3, plain)
    return plain / config.scaling.factor * (1 - kept) + plain * kept


def rotation_scale(config: Rope) -> float:
    """By how much cos and sin are multiplied; scores grow by its square (Peng et al. 2023, section 3.4)."""
    match config.scaling:
        case Yarn(attention_factor=None, factor=factor):
            return 0.1 * math.log(factor) + 1.0 if factor > 1 else 1.0
        case Yarn(attention_factor=float(given)):
            return given
        case _:
            return 1.0


def slopes(num_heads: int) -> list[float]:
    """2^(-8 i / n) for head i = 1 to n; between powers of two, every other slope of twice as many heads joins them.

    After the code of Press et al. 2021, whose paper gives powers of two only.
    """
    power = 2 ** int(math.log2(num_heads))
    own = [2 ** (-8 * i / power) for i in range(1, power + 1)]
    between = [2 ** (-8 * i / (2 * power)) for i in range(1, 2 * power + 1, 2)]
    return own + between[: num_heads - power]


def _powers(theta: float, head_dim: int, device: torch.device | None) -> Tensor:
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32, device=device) / head_dim
    return 1.0 / (theta**exponents)


def _yarn_ramp(config: Yarn, theta: float, head_dim: int, device: torch.device | None) -> Tensor:
    """0 for pairs that turn more than beta_fast times in the original context, 1 below beta_slow, linear between."""

    def pair_that_turns(times: float) -> float:
        return head_dim * math.log(config.original_context_length / (times * 2 * math.pi)) / (2 * math.log(theta))

    low, high = pair_that_turns(config.beta_fast), pair_that_turns(config.beta_slow)
    if config.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, head_dim - 1)
    if low == high:
        high += 0.001  # a step, without dividing by zero, as the authors' code has it
    pairs = torch.arange(head_dim // 2, dtype=torch.float32, device=device)
    return ((pairs - low) / (high - low)).clamp(0, 1)


def _llama3_share_kept(config: Llama3, plain: Tensor) -> Tensor:
    """1 for wavelengths below the shorter bound, 0 above the longer, linear in the frequency between."""
    turns = config.original_context_length / (2 * math.pi / plain)
    return ((turns - config.low_freq_factor) / (config.high_freq_factor - config.low_freq_factor)).clamp(0, 1)


def split_and_turn(
    heads: Tensor, rotation: Rotation | None, *, num_heads: int, num_kv_heads: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of a fused product, queries and keys turned by their position where there is a rotation.

    heads: (batch, time, num_heads + 2 * num_kv_heads, head_dim)
    -> (batch, num_heads, time, head_dim), and twice (batch, num_kv_heads, time, head_dim); contiguous.
    """
    sizes = (num_heads, num_kv_heads, num_kv_heads)
    if rotation is None:
        queries, keys, values = torch.split(heads.transpose(1, 2), list(sizes), dim=1)
        return queries.contiguous(), keys.contiguous(), values.contiguous()
    queries, keys, values = _SplitAndTurn.apply(heads, *rotation, sizes)  # type: ignore[no-untyped-call]
    return queries, keys, values


class _SplitAndTurn(torch.autograd.Function):
    """Writes each part once, in the layout that attention reads; keeps no activation."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, heads: Tensor, cos: Tensor, sin: Tensor, sizes: tuple[int, int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(cos, sin)
        ctx.sizes = sizes  # type: ignore[attr-defined]
        queries, keys, values = torch.split(heads.transpose(1, 2), list(sizes), dim=1)
        return _turn(queries, cos, sin), _turn(keys, cos, sin), values.contiguous()

    @staticmethod
    @once_differentiable
    def backward(
        ctx: FunctionCtx, grad_queries: Tensor, grad_keys: Tensor, grad_values: Tensor
    ) -> tuple[Tensor, None, None, None]:
        """The gradient turns back: by the negative angle."""
        cos, sin = ctx.saved_tensors  # type: ignore[attr-defined]
        batch, _, time, head_dim = grad_queries.shape
        sizes = ctx.sizes  # type: ignore[attr-defined]
        gradient = grad_queries.new_empty(batch, time, sum(sizes), head_dim)
        queries, keys, values = torch.split(gradient.transpose(1, 2), list(sizes), dim=1)
        queries.copy_(_turn(grad_queries, cos, -sin))
        keys.copy_(_turn(grad_keys, cos, -sin))
        values.copy_(grad_values)
        return gradient, None, None, None


def _turn(x: Tensor, cos: Tensor, signed_sin: Tensor) -> Tensor:
    """x: (batch, heads, time, head_dim) -> the same, contiguous."""
    turned = x.new_empty(x.shape)
    torch.mul(x, cos, out=turned)
    first, second = x.chunk(2, dim=-1)
    return turned.addcmul_(torch.cat((second, first), dim=-1), signed_sin)
