"""Bytes on one device while a model is trained or served, by part, after Korthikanti et al. 2022.

Counted is what has to be there: the weights of the device's share of the model, what stands beside each weight, and
the activations that the backward pass reads. What a library keeps for itself is `workspace`, by a rule of thumb.
"""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from waman.errors import RecipeError
from waman.model.config import Geglu, ModelConfig, Parallel, Swiglu, require_vocab_size
from waman.model.count import kv_bytes_per_token, num_parameters

Recomputation = Literal["none", "selective", "full"]
"""What the backward pass computes again: nothing, so that even attention's probabilities are kept; attention alone, as
blockwise attention does by itself; every layer from its input."""

ZeroStage = Literal[0, 1, 2, 3]
"""What the data axis shares out in place of repeating: nothing; the optimizer; gradients too; weights too."""

RESERVED_BYTES = 2**30
"""A device's context, its libraries' workspaces and communication buffers: a rule of thumb."""
FRAGMENTED_SHARE = 0.05
"""Memory lost between blocks of unequal size, of all other: a rule of thumb."""


@dataclass(frozen=True)
class Mesh:
    """How many devices share the work along each axis."""

    data: int = 1
    """copies of the model, each with its own sequences"""
    tensor: int = 1
    """devices that share every matrix"""
    pipeline: int = 1
    """devices that share the layers"""
    zero_stage: ZeroStage = 1
    """what the data axis shares out (Rajbhandari et al. 2020)"""
    sequence_parallel: bool = True
    """whether the tensor axis shares what lies between the matrices too (Korthikanti et al. 2022, section 4.2.2)"""

    @property
    def num_devices(self) -> int:
        """All of them."""
        return self.data * self.tensor * self.pipeline


@dataclass(frozen=True)
class Numbers:
    """Bytes that stand for one weight, and for one activation."""

    weights: int = 2
    """what the products read"""
    gradients: int = 4
    """sums over micro-batches"""
    optimizer: int = 12
    """the weight in float32 and Adam's two moments"""
    activations: int = 2
    """what the backward pass reads"""
    logits: int = 8
    """a logit and its gradient"""


MIXED = Numbers()
"""bfloat16 products; gradients, optimizer and loss in float32: 18 bytes a weight, as Megatron-LM. ZeRO's paper counts
16, its gradients in half precision."""


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes on the fullest device of a mesh."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    workspace: int

    @property
    def total(self) -> int:
        """All parts."""
        return sum(dataclasses.astuple(self))


@dataclass(frozen=True)
class ServingMemory:
    """Bytes to answer from a model on one device."""

    weights: int
    cache: int
    """keys and values of all tokens in flight"""

    @property
    def total(self) -> int:
        """Both."""
        return self.weights + self.cache


def training_memory(
    config: ModelConfig,
    mesh: Mesh,
    *,
    context: int | None = None,
    micro_batch_sequences: int = 1,
    recomputation: Recomputation = "selective",
    numbers: Numbers = MIXED,
) -> TrainingMemory:
    """Bytes on the fullest device: of a pipeline, the first stage, which waits for all others, or the last.

    Raises RecipeError where the mesh cannot cut the model.
    """
    require_fit(config, mesh)
    tokens = micro_batch_sequences * (context or config.context_length)
    per_layer = layer_bytes(config, mesh, context or config.context_length, recomputation, numbers)
    working = layer_bytes(config, mesh, context or config.context_length, "selective", numbers)
    layers = config.num_layers // mesh.pipeline
    stages = []
    for first, last in ((True, mesh.pipeline == 1), (mesh.pipeline == 1, True)):
        in_flight = mesh.pipeline if first else 1  # one forward, one backward in turn (Narayanan et al. 2021)
        held = _stage_weights(config, mesh, first=first, last=last)
        activations = tokens * (layers * in_flight * per_layer + (working if recomputation == "full" else 0))
        logits = tokens * require_vocab_size(config) * numbers.logits / mesh.tensor if last else 0.0
        stages.append(_with_workspace(_states(held, mesh, numbers), activations=activations, logits=logits))
    return max(stages, key=lambda one: one.total)


def serving_memory(
    config: ModelConfig, *, context: int | None = None, sequences: int = 1, bytes_per_weight: float = 2
) -> ServingMemory:
    """Bytes of the weights and of the keys and values of `sequences`, each `context` tokens long, in bfloat16."""
    length = context or config.context_length
    seen = length if config.attention.window is None else min(length, config.attention.window)
    return ServingMemory(
        weights=round(num_parameters(config) * bytes_per_weight), cache=sequences * seen * kv_bytes_per_token(config)
    )


def obstacle(config: ModelConfig, mesh: Mesh) -> str | None:
    """Why the mesh cannot cut the model, if it cannot."""
    heads, layers = config.attention.num_heads, config.num_layers
    if heads % mesh.tensor:
        return f"{heads} heads do not share out over {mesh.tensor} devices"
    if config.feed_forward.hidden_dim % mesh.tensor:
        return f"a feed-forward width of {config.feed_forward.hidden_dim} does not share out over {mesh.tensor} devices"
    if layers % mesh.pipeline:
        return f"{layers} layers do not share out over {mesh.pipeline} stages"
    return None


def require_fit(config: ModelConfig, mesh: Mesh) -> None:
    """Raises RecipeError where the mesh cannot cut the model."""
    reason = obstacle(config, mesh)
    if reason is not None:
        raise RecipeError(f"mesh {mesh.tensor} x {mesh.pipeline} x {mesh.data} (tensor, pipeline, data): {reason}")


def _stage_weights(config: ModelConfig, mesh: Mesh, *, first: bool, last: bool) -> float:
    """Numbers of one device's share of a stage. Keys and values of fewer heads than devices are repeated."""
    table = require_vocab_size(config) * config.model_dim
    tables = 1 if config.tie_embeddings else 2
    blocks = (num_parameters(config) - tables * table) / mesh.pipeline
    repeated = max(mesh.tensor - config.attention.num_kv_heads, 0)
    again = 2 * repeated * config.attention.head_dim * config.model_dim * config.num_layers / mesh.pipeline
    own_tables = tables if first and last else 1
    return (blocks + again + own_tables * table) / mesh.tensor


def _states(held: float, mesh: Mesh, numbers: Numbers) -> tuple[float, float, float]:
    """Bytes of weights, gradients and optimizer of so many weights."""
    shared = [mesh.data if mesh.zero_stage >= stage else 1 for stage in (3, 2, 1)]
    weights, gradients, optimizer = (
        held * each / by
        for each, by in zip((numbers.weights, numbers.gradients, numbers.optimizer), shared, strict=True)
    )
    return weights, gradients, optimizer


def _with_workspace(states: tuple[float, float, float], *, activations: float, logits: float) -> TrainingMemory:
    workspace = RESERVED_BYTES + FRAGMENTED_SHARE * (sum(states) + activations + logits)
    return TrainingMemory(*(round(part) for part in (*states, activations, logits, workspace)))


def layer_bytes(config: ModelConfig, mesh: Mesh, context: int, recomputation: Recomputation, numbers: Numbers) -> float:
    """Bytes that one layer keeps per token on one device.

    Without dropout, which none of our parts has: Korthikanti et al.'s 34 bytes of a GPT layer are 32 here, and their
    5 per head and key are 2.
    """
    between = mesh.tensor if mesh.sequence_parallel else 1
    if recomputation == "full":
        return numbers.activations * config.model_dim / between
    heads = config.attention
    inner = heads.num_heads * heads.head_dim
    keys_values = 2 * max(heads.num_kv_heads, mesh.tensor) * heads.head_dim
    # query, key, value; what attention gives; gate, up and their product, or before and after the activation
    ways = 3 if isinstance(config.feed_forward, Swiglu | Geglu) else 2
    sharded = 2 * inner + keys_values + ways * config.feed_forward.hidden_dim
    kept = numbers.activations * (_num_between(config) * config.model_dim / between + sharded / mesh.tensor)
    if recomputation == "none":
        kept += numbers.activations * heads.num_heads * context / mesh.tensor
    return kept


def _num_between(config: ModelConfig) -> int:
    """Tensors of model_dim that a block keeps: inputs of its norms, and what they give to the matrices."""
    match config.block:
        case Parallel(num_norms=1):
            return 2
        case Parallel(num_norms=2):
            return 3
        case _:
            return 4
