"""Opens quantized weights: matrices stay as they are stored, and no part of the model is ever whole in 16 bits."""

from pathlib import Path

import torch
from torch import Tensor, nn

from waman.errors import InputError
from waman.model.config import ModelConfig
from waman.model.decoder import Decoder
from waman.quantization.compressed import Layout, read_layout
from waman.quantization.matrix import Matrix
from waman.quantization.rewrite import replace
from waman.weights.checkpoint import Checkpoint
from waman.weights.configuration import parse_config, read_json
from waman.weights.huggingface import load_decoder, weight_bytes

_WEIGHT = ".weight"


def look_at(folder: Path) -> tuple[ModelConfig, int | None]:
    """The model of a directory, and the bytes of its weights where they are quantized; None where they are not.

    Raises InputError for a config that our decoder cannot compute.
    """
    table = read_json(folder / "config.json")
    quantized = table.pop("quantization_config", None) is not None
    config, _ = parse_config(folder / "config.json", table)
    return config, weight_bytes(folder) if quantized else None


def load_any(folder: Path, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu") -> Decoder:
    """The model of a directory, quantized or not. Raises InputError as `load_decoder` does."""
    quantized = look_at(folder)[1] is not None
    return (load_quantized if quantized else load_decoder)(folder, dtype, device)


@torch.no_grad()
def load_quantized(folder: Path, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu") -> Decoder:
    """The model of a directory whose weights are whole numbers (compressed-tensors) or NF4 (bitsandbytes).

    dtype: of what was kept, and of the activations. Raises InputError for a layout that is not read, and names every
    tensor that is missing, extra or of another shape.
    """
    opened = QuantizedCheckpoint(folder)
    with torch.device("meta"):
        decoder = Decoder(opened.checkpoint.config)
    opened.fill(decoder, prefix="", dtype=dtype)
    decoder.position.build_tables()
    return decoder.to(device)


class QuantizedCheckpoint:
    """A directory of which matrices may be quantized, opened module by module. A plain one is the same without."""

    def __init__(self, folder: Path) -> None:
        """Raises InputError as `load_quantized` does."""
        self.checkpoint = Checkpoint(folder)
        self._layout: Layout | None = None
        if self.checkpoint.quantization is None:
            self.checkpoint.require_plain()
        else:
            self._layout = read_layout(self.checkpoint.quantization, str(folder))
            self._require_fit()

    def matrix(self, name: str) -> Matrix | Tensor:
        """A tensor by its name there: quantized, or as it was kept."""
        found = None
        if self._layout is not None and name.endswith(_WEIGHT):
            found = self._layout.matrix(name.removesuffix(_WEIGHT), self.checkpoint.shapes, self.checkpoint.read)
        return self.checkpoint.read(name) if found is None else found

    @torch.no_grad()
    def fill(self, module: nn.Module, *, prefix: str, dtype: torch.dtype) -> None:
        """Gives the parameters of a module on the meta device their values, and replaces quantized layers.

        prefix: the module's place in a decoder, such as "blocks.3."
        """
        for name in [name for name, _ in module.named_parameters()]:
            parts = [(place, self.matrix(theirs)) for theirs, place in self.checkpoint.parts(prefix + name)]
            if all(isinstance(part, Tensor) for _, part in parts):
                set_parameter(module, name, self.checkpoint.assemble(prefix + name).to(dtype, copy=True))
        for name in [name for name, one in module.named_parameters() if one.is_meta]:
            parts = [(place, self.matrix(theirs)) for theirs, place in self.checkpoint.parts(prefix + name)]
            for place, part in parts:
                wanted = place.shape[::-1] if place.transposed else place.shape
                if tuple(part.shape) != wanted:
                    raise InputError(
                        f"{self.checkpoint.folder}: {prefix}{name} has a part of shape {tuple(part.shape)}, expected "
                        f"{wanted}; fetch it again"
                    )
            kept = [(place, part.to(dtype) if isinstance(part, Tensor) else part) for place, part in parts]
            bias = getattr(module.get_submodule(name.removesuffix(_WEIGHT)), "bias", None)
            replace(module, name, kept, bias)

    @torch.no_grad()
    def plain(self, ours: str) -> Tensor:
        """One of our tensors in float32, dequantized."""
        parts = [(place, self.matrix(theirs)) for theirs, place in self.checkpoint.parts(ours)]
        if all(isinstance(part, Tensor) for _, part in parts):
            return self.checkpoint.assemble(ours).to(torch.float32, copy=True)
        found = torch.empty(sum(int(part.shape[0]) for _, part in parts), int(parts[0][1].shape[1]))
        for place, part in parts:
            place.write(found, part.float() if isinstance(part, Tensor) else part.dequantize())
        return found

    def _require_fit(self) -> None:
        """Every place of the model is there, plain or quantized, and nothing else."""
        shapes, problems, used = self.checkpoint.shapes, [], set()
        for name, place in self.checkpoint.places.items():
            module = name.removesuffix(_WEIGHT)
            own = {one for one in shapes if one == name or one.startswith((f"{module}.weight_", f"{name}."))}
            used |= own
            packed = f"{module}.weight_packed" in own and f"{module}.weight_scale" in own
            if name not in own and not packed:
                problems.append(f"missing {name}")
            elif own == {name} and shapes[name] != place.shape:
                problems.append(f"{name} has shape {shapes[name]}, expected {place.shape}")
        problems += [f"extra {name}" for name in sorted(shapes.keys() - used)]
        if problems:
            raise InputError(f"{self.checkpoint.folder}: the weights do not fit config.json: {'; '.join(problems)}")


def set_parameter(module: nn.Module, name: str, value: Tensor) -> None:
    """Gives a parameter, by its path, a value of its own."""
    *path, last = name.split(".")
    setattr(module.get_submodule(".".join(path)), last, nn.Parameter(value, requires_grad=False))
