"""Modules that compute with quantized matrices, in place of `nn.Linear` and `nn.Embedding`."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from waman.quantization import kernels
from waman.quantization.matrix import Matrix, Quantized, Table4, join_rows, pack_nibbles, unpack_nibbles
from waman.quantization.operators import Product, product

FEW_ROWS = 48
"""Up to so many rows PyTorch's low-bit operators are faster than to dequantize and multiply, measured in bfloat16."""
TILE_ROWS = 32
"""Rows that are multiplied at once where results must not depend on how many there are."""
_SLAB_ELEMENTS = 1 << 18


class Compact(nn.Module):
    """A quantized matrix in as few bytes as it has: codes of 4 bits lie in pairs."""

    codes: Tensor
    scales: Tensor
    zeros: Tensor | None
    table: Tensor | None

    def __init__(self, matrix: Matrix) -> None:
        super().__init__()
        self.shape, self.group = matrix.shape, matrix.group
        if isinstance(matrix, Quantized):
            self.bits = matrix.bits
            codes = pack_nibbles(matrix.integers) if self.bits == 4 and self.shape[1] % 2 == 0 else matrix.integers
            self._fill(codes, matrix.scales, matrix.zeros, None)
        else:
            self.bits = 4
            codes = pack_nibbles(matrix.codes.view(torch.int8) - 8)
            self._fill(codes, matrix.absmax, None, matrix.table)

    def matrix(self, rows: slice | Tensor | None = None) -> Matrix:
        """The matrix, or some of its rows."""
        chosen = slice(None) if rows is None else rows
        codes, scales = self.codes[chosen], self.scales[chosen]
        integers = unpack_nibbles(codes) if codes.dtype == torch.uint8 else codes
        if self.table is not None:
            return Table4(self.group, (integers + 8).view(torch.uint8), scales, self.table)
        zeros = None if self.zeros is None else self.zeros[chosen]
        return Quantized(self.bits, self.group, integers, scales, zeros)

    def dequantize(self, dtype: torch.dtype) -> Tensor:
        """(outputs, inputs), in slabs that stay in the cache."""
        outputs, inputs = self.shape
        found = torch.empty(outputs, inputs, dtype=dtype, device=self.codes.device)
        step = max(1, _SLAB_ELEMENTS // inputs)
        for start in range(0, outputs, step):
            rows = slice(start, min(start + step, outputs))
            found[rows] = self.matrix(rows).dequantize(dtype)
        return found

    def _fill(self, codes: Tensor, scales: Tensor, zeros: Tensor | None, table: Tensor | None) -> None:
        for name, tensor in (("codes", codes), ("scales", scales), ("zeros", zeros), ("table", table)):
            self.register_buffer(name, tensor)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Compact":
        """Moves to another device, but never to another type: scales are as stored, whatever a model computes in."""
        for name, tensor in self._buffers.items():
            if tensor is not None:
                self._buffers[name] = tensor.to(fn(tensor[:0]).device)
        return self


class QuantizedLinear(nn.Module):
    """x -> x W^T + b. The rows of W may be several matrices, of one scheme or of several, or plain ones."""

    bias: Tensor | None

    def __init__(self, parts: Sequence[Matrix | Tensor], bias: Tensor | None = None) -> None:
        """parts: one below the other, equal inputs each."""
        super().__init__()
        parts = _joined(parts)
        self.in_features = int(parts[0].shape[1])
        self.out_features = sum(int(part.shape[0]) for part in parts)
        self.parts = nn.ModuleList(_Plain(part) if isinstance(part, Tensor) else Compact(part) for part in parts)
        self.register_buffer("bias", bias)
        self.deterministic = False
        """Whether a row's result must not depend on the rows beside it, nor on their number."""
        self.exact = False
        """Whether it multiplies with the dequantized matrix, in x's type, where kernels and operators round x."""
        self._native: list[tuple[kernels.Native, kernels.Packed]] | None = None
        self._products: list[Product | None] | None = None

    def matrices(self) -> list[Matrix | Tensor]:
        """What it multiplies with, one below the other."""
        return [part.matrix() for part in self.parts]  # type: ignore[operator]

    def dequantize(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """(outputs, inputs)"""
        return torch.cat([part.dequantize(dtype) for part in self.parts])  # type: ignore[operator]

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., inputs) -> (..., outputs), in x's type."""
        found = self.multiply(x.reshape(-1, self.in_features))
        return found.to(x.dtype).view(*x.shape[:-1], self.out_features)

    def multiply(self, x: Tensor) -> Tensor:
        """x: (rows, inputs) -> (rows, outputs), float32 where kernels or operators compute, else in x's type."""
        found = None if self.exact else self._by_kernels(x)
        if found is None and not self.exact:
            found = self._by_operators(x)
        return self._dequantized(x) if found is None else found

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "QuantizedLinear":
        """Moves to another device: what was packed for the one before is forgotten."""
        self._native = self._products = None
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _by_kernels(self, x: Tensor) -> Tensor | None:
        library = kernels.native() if x.device.type == "cpu" else None
        if library is None:
            return None
        if self._native is None:
            packed = [_pack(library, matrix) for matrix in self.matrices()]
            self._native = [(library, one) for one in packed if one is not None]
        if len(self._native) < len(self.parts):
            return None
        parts = [by.multiply(x, matrix, None) for by, matrix in self._native]
        return self._with_bias(parts[0] if len(parts) == 1 else torch.cat(parts, dim=1))

    def _by_operators(self, x: Tensor) -> Tensor | None:
        """For few rows; in bfloat16 also for many, where results must not depend on their number."""
        on_cpu = x.device.type == "cpu"
        if not (on_cpu or (x.is_cuda and not self.deterministic)) or (torch.is_grad_enabled() and x.requires_grad):
            return None
        if x.dtype != torch.bfloat16 if self.deterministic else len(x) > FEW_ROWS:
            return None
        if self._products is None:
            self._products = [product(part.matrix()) if isinstance(part, Compact) else None for part in self.parts]
        if not all(self._products):
            return None
        rounded = x.to(torch.bfloat16)
        parts = [multiply(rounded) for multiply in self._products if multiply is not None]
        return self._with_bias(parts[0] if len(parts) == 1 else torch.cat(parts, dim=1))

    def _dequantized(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(x.dtype)
        weight = self.dequantize(x.dtype)
        return _in_tiles(x, weight, bias) if self.deterministic else F.linear(x, weight, bias)

    def _with_bias(self, found: Tensor) -> Tensor:
        return found if self.bias is None else found + self.bias.float()


class QuantizedEmbedding(nn.Module):
    """Token ids to their vectors, dequantized when they are looked up."""

    def __init__(self, matrix: Matrix, dtype: torch.dtype) -> None:
        """dtype: of the vectors."""
        super().__init__()
        self.num_embeddings, self.embedding_dim = matrix.shape
        self.part = Compact(matrix)
        self.dtype = dtype

    @property
    def weight(self) -> Tensor:
        """The codes, for where they lie: not the vectors."""
        return self.part.codes

    def forward(self, token_ids: Tensor) -> Tensor:
        """token_ids: (...) -> (..., embedding_dim)."""
        found = self.part.matrix(token_ids.reshape(-1)).dequantize(self.dtype)
        return found.view(*token_ids.shape, self.embedding_dim)


def set_deterministic(module: nn.Module, deterministic: bool) -> None:
    """Sets the switch of every quantized linear layer in a model."""
    for one in module.modules():
        if isinstance(one, QuantizedLinear):
            one.deterministic = deterministic


def set_exact(module: nn.Module, exact: bool) -> None:
    """Sets how every quantized linear layer in a model multiplies."""
    for one in module.modules():
        if isinstance(one, QuantizedLinear):
            one.exact = exact


class _Plain(nn.Module):
    """Rows that were kept."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def matrix(self) -> Tensor:
        return self.weight

    def dequantize(self, dtype: torch.dtype) -> Tensor:
        return self.weight.to(dtype)


def _pack(library: kernels.Native, matrix: Matrix | Tensor) -> kernels.Packed | None:
    if isinstance(matrix, Table4) or (isinstance(matrix, Tensor) and matrix.dtype != torch.bfloat16):
        return None
    return library.pack(matrix)


def _joined(parts: Sequence[Matrix | Tensor]) -> list[Matrix | Tensor]:
    """Neighbours of one form become one matrix."""
    found: list[Matrix | Tensor] = []
    for part in parts:
        last = found[-1] if found else None
        if isinstance(part, Quantized) and isinstance(last, Quantized) and _alike(last, part):
            found[-1] = join_rows([last, part])
        elif isinstance(part, Table4) and isinstance(last, Table4) and part.group == last.group:
            codes, absmax = torch.cat([last.codes, part.codes]), torch.cat([last.absmax, part.absmax])
            found[-1] = Table4(part.group, codes, absmax, part.table)
        elif isinstance(part, Tensor) and isinstance(last, Tensor) and part.dtype == last.dtype:
            found[-1] = torch.cat([last, part])
        else:
            found.append(part)
    return found


def _alike(one: Quantized, other: Quantized) -> bool:
    return (one.bits, one.group, one.zeros is None) == (other.bits, other.group, other.zeros is None)


def _in_tiles(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Every product has the same shape, the last rows filled up with zeros."""
    padded = F.pad(x, (0, 0, 0, -len(x) % TILE_ROWS))
    found = [F.linear(tile, weight, bias) for tile in torch.split(padded, TILE_ROWS)]
    return torch.cat(found)[: len(x)]
