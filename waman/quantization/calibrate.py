"""GPTQ: whole numbers chosen column by column, the columns that follow making up for the error (Frantar et al. 2022).

Layer by layer: a block is read, its inputs' second moments are gathered on the activations of the blocks before it,
quantized, and its matrices are chosen; the activations go on through the quantized block.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from waman.errors import InputError
from waman.log import progress
from waman.model.block import Block
from waman.quantization.compressed import COMPRESSED, Layout, to_tensors
from waman.quantization.layerwise import Layers, cut, run_layers
from waman.quantization.load import QuantizedCheckpoint
from waman.quantization.matrix import Quantized
from waman.quantization.plan import Plan
from waman.quantization.recipe import Int4, Int8
from waman.quantization.schemes import int4, int8
from waman.quantization.schemes.grid import Search, round_to, scale_dtype
from waman.quantization.schemes.scheme import finite
from waman.quantization.sequences import Sequences
from waman.weights import safetensors

PANEL = 128
"""Columns after which the error goes to all that follow at once; every group of ours ends with one."""
_DAMPINGS = 6
"""Times that the damping is made ten times larger, where the moments have no inverse."""


@torch.no_grad()
def gptq(weight: Tensor, moments: Tensor, scheme: Int4 | Int8, *, damping: float) -> Quantized:
    """weight: (outputs, inputs); moments: (inputs, inputs), of the inputs, not centred."""
    outputs, inputs = weight.shape
    factor, dead = _inverse_factor(moments, damping)
    left = weight.float().clone()
    left[:, dead] = 0
    bits, group, search = _parts(scheme, inputs)
    dtype = scale_dtype(left.abs().amax() / (1 << (bits - 1)))
    integers = torch.empty(outputs, inputs, dtype=torch.int8)
    scales, zeros = torch.empty(outputs, inputs // group), torch.zeros(outputs, inputs // group)
    for start in range(0, inputs, PANEL):
        stop = min(start + PANEL, inputs)
        errors = torch.empty(outputs, stop - start)
        for column in range(start, stop):
            number = column // group
            if column % group == 0:
                found, shift = search(left[:, column : column + group])
                scales[:, number] = found.to(dtype).float()
                if shift is not None:
                    zeros[:, number] = shift
            scale, zero = scales[:, number], zeros[:, number]
            chosen = round_to(left[:, column], scale, zero, bits)
            integers[:, column] = chosen.to(torch.int8)
            error = (left[:, column] - (chosen - zero) * scale) / factor[column, column]
            left[:, column + 1 : stop] -= error[:, None] * factor[column, column + 1 : stop]
            errors[:, column - start] = error
        left[:, stop:] -= errors @ factor[start:stop, stop:]
    shifted = isinstance(scheme, Int4) and scheme.zeros
    return Quantized(bits, group, integers, scales.to(dtype), zeros.to(torch.int8) if shifted else None)


class Calibration:
    """The chosen matrices, a file for each block: what was finished before an interruption is not done again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._where: dict[str, Path] = {}

    def tensors(self, module: str) -> dict[str, Tensor] | None:
        """The tensors of a module, as they are written; None where calibration had nothing to choose."""
        if module not in self._where:
            return None
        own = f"{module}.weight_"
        return {name: tensor for name, tensor in safetensors.read(self._where[module]) if name.startswith(own)}

    def run(self, source: Path, plan: Plan, sequences: Sequences, *, damping: float) -> None:
        """Goes through all blocks. Raises InputError where activations or weights are not finite."""
        self._folder.mkdir(parents=True, exist_ok=True)
        layers = Layers(QuantizedCheckpoint(source))
        batches = list(cut(sequences.token_ids[:, :-1], sequences.documents[:, :-1]))
        with progress(layers.config.num_layers, "gptq") as shown:

            def visit(layer: int, block: Block, run: Callable[[Block], None]) -> Block:
                file = self._folder / f"layer-{layer:05d}.safetensors"
                names = [name for name, place in plan.places.items() if place.name.startswith(f"blocks.{layer}.")]
                names = [name for name in names if isinstance(plan.scheme(name), Int4 | Int8)]
                if names and not file.is_file():
                    self._choose(file, layer, names, plan, block, run, damping)
                for name in names:
                    self._where[name.removesuffix(".weight")] = file
                self._put(file, layer, names, plan, block)
                shown.advance()
                return block

            run_layers(layers, batches, visit=visit)

    def _choose(
        self,
        file: Path,
        layer: int,
        names: list[str],
        plan: Plan,
        block: Block,
        run: Callable[[Block], None],
        damping: float,
    ) -> None:
        with _gathered(block) as moments:
            run(block)
        tensors: dict[str, Tensor] = {}
        for name in names:
            place, scheme = plan.places[name], plan.scheme(name)
            assert isinstance(scheme, Int4 | Int8)
            ours = place.name.removeprefix(f"blocks.{layer}.").removesuffix(".weight")
            weight = finite(place.read(_linear(block, ours).weight), name)
            if not bool(moments[ours].isfinite().all()):
                raise InputError(
                    f"{name}: its inputs are not finite on the tokens given; expected a model that computes: take "
                    "another checkpoint"
                )
            tensors |= to_tensors(gptq(weight, moments[ours], scheme, damping=damping), name.removesuffix(".weight"))
        safetensors.write(file, tensors)

    def _put(self, file: Path, layer: int, names: list[str], plan: Plan, block: Block) -> None:
        """Gives the block the weights that were chosen."""
        for name in names:
            module, place = name.removesuffix(".weight"), plan.places[name]
            stored = self.tensors(module) or {}
            shapes = {one: tuple(tensor.shape) for one, tensor in stored.items()}
            matrix = Layout(COMPRESSED, str(file)).matrix(module, shapes, stored.__getitem__)
            assert matrix is not None
            ours = place.name.removeprefix(f"blocks.{layer}.").removesuffix(".weight")
            place.write(_linear(block, ours).weight, matrix.dequantize())


@contextmanager
def _gathered(block: Block) -> Iterator[dict[str, Tensor]]:
    """Adds up x^T x of the inputs of every linear layer, by its name, while the block runs."""
    moments: dict[str, Tensor] = {}

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def add(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0].reshape(-1, inputs[0].shape[-1]).float()
            if name not in moments:
                moments[name] = torch.zeros(x.shape[1], x.shape[1])
            moments[name].addmm_(x.T, x)

        return add

    linears = [(name, one) for name, one in block.named_modules() if isinstance(one, nn.Linear)]
    handles = [one.register_forward_pre_hook(hook(name)) for name, one in linears]
    try:
        yield moments
    finally:
        for handle in handles:
            handle.remove()


def _linear(block: Block, name: str) -> nn.Linear:
    found = block.get_submodule(name)
    assert isinstance(found, nn.Linear)
    return found


def _parts(scheme: Int4 | Int8, inputs: int) -> tuple[int, int, Search]:
    if isinstance(scheme, Int4):
        return int4.BITS, scheme.group, int4.search(scheme)
    return int8.BITS, scheme.group or inputs, int8.search()


def _inverse_factor(moments: Tensor, damping: float) -> tuple[Tensor, Tensor]:
    """The upper Cholesky factor of the inverse of the damped moments, and the inputs that never were other than 0."""
    moments = moments.float().clone()
    diagonal = moments.diagonal()
    dead = diagonal == 0
    diagonal[dead] = 1.0
    share = damping
    for _ in range(_DAMPINGS):
        damped = moments + share * diagonal.mean() * torch.eye(len(moments))
        lower, failed = torch.linalg.cholesky_ex(damped)
        if not int(failed):
            upper, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
            if not int(failed):
                return upper, dead
        share *= 10
    raise InputError(
        f"gptq: the second moments of {len(moments)} inputs have no inverse, damped by up to {share / 10:g} of their "
        "mean; expected activations that differ: give more sequences (gptq.num_sequences)"
    )
