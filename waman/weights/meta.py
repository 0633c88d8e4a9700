"""Meta's original checkpoints: `params.json` and `consolidated.NN.pth`, one file per model-parallel rank; both ways.

Column-parallel matrices are cut along their outputs, row-parallel ones along their inputs (Shoeybi et al. 2019). Meta
turns neighbouring dimensions of a head together, we and Hugging Face turn the two halves: query and key rows move.
"""

import json
import math
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from waman.errors import InputError, RecipeError
from waman.manifest import to_json
from waman.model.config import (
    Attention,
    Llama3,
    ModelConfig,
    RmsNorm,
    Rope,
    Sequential,
    Swiglu,
    Unscaled,
    require_vocab_size,
)

PARAMS_FILE = "params.json"
SHARDS = "consolidated.*.pth"
_DEFAULTS: dict[str, Any] = {  # ModelArgs of the released code
    "n_kv_heads": None,
    "multiple_of": 256,
    "ffn_dim_multiplier": None,
    "norm_eps": 1e-5,
    "vocab_size": -1,
    "rope_theta": 10000.0,
    "use_scaled_rope": False,
}
_REQUIRED = ("dim", "n_layers", "n_heads")
_WHOLE = ("dim", "n_layers", "n_heads", "n_kv_heads", "multiple_of")
_FOLLOWS_FROM_PARAMS = "rope.freqs"
# use_scaled_rope comes without numbers; those of the released code. Llama 3.2 is alike but for a factor of 32.
SCALED = Llama3(original_context_length=8192, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0)


@dataclass(frozen=True)
class Part:
    """One of Meta's tensors: rows of one of ours, and how the ranks share it."""

    theirs: str
    ours: str
    rows: slice
    shape: tuple[int, int] | tuple[int]
    cut: Literal["rows", "columns", "copies"]
    num_heads: int | None = None
    """set where the rows of each head are to be reordered"""


def read_params(folder: Path, *, context_length: int, rope_factor: float = SCALED.factor) -> ModelConfig:
    """The model that params.json describes, with the vocabulary of the shards where the file says -1.

    context_length, and rope_factor where use_scaled_rope is true: params.json does not hold them.
    Raises InputError for what is missing, unknown or out of range.
    """
    path = folder / PARAMS_FILE
    table = _read_table(path)
    unknown = sorted(set(table) - set(_REQUIRED) - set(_DEFAULTS))
    problems = [f"{name} is missing" for name in _REQUIRED if table.get(name) is None]
    problems += [f"unknown key {name} = {table[name]!r}" for name in unknown]
    problems += _not_numbers(table)
    if problems:
        raise InputError(f"{path}: cannot be computed as written: {'; '.join(problems)}")
    found = {**_DEFAULTS, **{name: value for name, value in table.items() if value is not None}}
    dim, num_heads, vocab_size = found["dim"], found["n_heads"], found["vocab_size"]
    scaling = replace(SCALED, factor=rope_factor) if found["use_scaled_rope"] else Unscaled()
    if dim % num_heads:
        raise InputError(f"{path}: dim = {dim} is not a multiple of n_heads = {num_heads}")
    try:
        return ModelConfig(
            vocab_size=vocab_size if vocab_size != -1 else _num_embeddings(folder, dim),
            context_length=context_length,
            model_dim=dim,
            num_layers=found["n_layers"],
            attention=Attention(
                num_heads=num_heads, num_kv_heads=found["n_kv_heads"] or num_heads, head_dim=dim // num_heads
            ),
            feed_forward=Swiglu(hidden_dim=hidden_dim(dim, found["multiple_of"], found["ffn_dim_multiplier"])),
            norm=RmsNorm(eps=found["norm_eps"]),
            position=Rope(theta=float(found["rope_theta"]), scaling=scaling),
        )
    except RecipeError as error:
        raise InputError(f"{path}: {error}") from error


def hidden_dim(dim: int, multiple_of: int, multiplier: float | None) -> int:
    """Width of the feed-forward part: 8/3 of dim, times the multiplier, rounded up (released FeedForward)."""
    width = int(2 * (4 * dim) / 3)
    if multiplier is not None:
        width = int(multiplier * width)
    return multiple_of * math.ceil(width / multiple_of)


def to_params(config: ModelConfig) -> dict[str, Any]:
    """The content of params.json. Raises RecipeError for a model that Meta's code does not compute."""
    _require_llama(config)
    assert isinstance(config.position, Rope)
    dim, wanted = config.model_dim, config.feed_forward.hidden_dim
    table = {
        "dim": dim,
        "n_layers": config.num_layers,
        "n_heads": config.attention.num_heads,
        "n_kv_heads": config.attention.num_kv_heads,
        "norm_eps": config.norm.eps,
        "vocab_size": require_vocab_size(config),
        "rope_theta": config.position.theta,
        "use_scaled_rope": _is_scaled(config.position),
    }
    for multiple_of in (256, 128, 64, 32, 16, 8, 4, 2, 1):
        if hidden_dim(dim, multiple_of, None) == wanted:
            return table | {"multiple_of": multiple_of}
    # half a unit more: the product is rounded down, and must not fall below for a last bit
    multiplier = (wanted + 0.5) / int(2 * (4 * dim) / 3)
    assert hidden_dim(dim, 1, multiplier) == wanted
    return table | {"multiple_of": 1, "ffn_dim_multiplier": multiplier}


def load_meta(
    folder: Path, *, context_length: int, rope_factor: float = SCALED.factor
) -> tuple[ModelConfig, dict[str, Tensor]]:
    """The config and a decoder's state, in the dtype in which the shards hold it.

    Arguments as in `read_params`. Raises InputError for pickles that ask for more than tensors, and for weights that
    do not fit params.json: every missing, extra and mis-shaped tensor is named.
    """
    config = read_params(folder, context_length=context_length, rope_factor=rope_factor)
    shards = [_read_shard(path) for path in _shard_files(folder)]
    _require_fit(shards, config, folder)
    pieces: dict[str, list[Tensor]] = {}
    for part in parts(config):
        merged = _merge([shard[part.theirs] for shard in shards], part, folder)
        if part.num_heads is not None:
            merged = to_halves(merged, part.num_heads)
        pieces.setdefault(part.ours, []).append(merged)
    return config, {name: some[0] if len(some) == 1 else torch.cat(some) for name, some in pieces.items()}


def save_meta(state: Mapping[str, Tensor], config: ModelConfig, folder: Path, *, num_shards: int = 1) -> None:
    """Writes params.json and one consolidated.NN.pth per model-parallel rank, in the dtype of `state`.

    state: a decoder's, under our names. Raises RecipeError for a model that Meta's code does not compute, and where
    heads or widths are no multiples of `num_shards`.
    """
    table = to_params(config)
    divided = {
        "num_kv_heads": config.attention.num_kv_heads,
        "feed_forward.hidden_dim": config.feed_forward.hidden_dim,
        "model_dim": config.model_dim,
        "vocab_size": require_vocab_size(config),
    }
    for name, size in divided.items():
        if num_shards < 1 or size % num_shards:
            raise RecipeError(f"num_shards = {num_shards}: {name} = {size} cannot be divided by it; choose a divisor")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PARAMS_FILE).write_text(to_json(table), encoding="utf-8")
    for rank in range(num_shards):
        shard = {}
        for part in parts(config):
            tensor = _source(state, part)[part.rows]
            if part.num_heads is not None:
                tensor = to_neighbours(tensor, part.num_heads)
            dim = {"rows": 0, "columns": 1, "copies": None}[part.cut]
            share = tensor if dim is None else tensor.chunk(num_shards, dim=dim)[rank]
            shard[part.theirs] = share.detach().cpu().clone()  # a view would be saved with all that it views
        _save_whole(shard, folder / f"consolidated.{rank:02d}.pth")


def _save_whole(shard: dict[str, Tensor], path: Path) -> None:
    """Writes a file whole or not at all. Raises OSError where the disk is full, which torch.save alone calls by another
    name."""
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            try:
                torch.save(shard, file)
            except RuntimeError:
                file.flush()
                raise
        partial.replace(path)
    except (OSError, RuntimeError):
        partial.unlink(missing_ok=True)
        raise


def parts(config: ModelConfig) -> Iterator[Part]:
    """Every tensor of a checkpoint of Meta's."""
    heads, dim, vocab = config.attention, config.model_dim, require_vocab_size(config)
    queries, keys = heads.num_heads * heads.head_dim, heads.num_kv_heads * heads.head_dim
    hidden = config.feed_forward.hidden_dim
    yield Part("tok_embeddings.weight", "embedding.weight", slice(0, vocab), (vocab, dim), "columns")
    for layer in range(config.num_layers):
        ours, theirs = f"blocks.{layer}", f"layers.{layer}"
        fused = f"{ours}.attention.query_key_value.weight"
        for name, start, size, turned in (
            ("wq", 0, queries, heads.num_heads),
            ("wk", queries, keys, heads.num_kv_heads),
            ("wv", queries + keys, keys, None),
        ):
            rows = slice(start, start + size)
            yield Part(f"{theirs}.attention.{name}.weight", fused, rows, (size, dim), "rows", turned)
        output = f"{ours}.attention.output.weight"
        yield Part(f"{theirs}.attention.wo.weight", output, slice(0, dim), (dim, queries), "columns")
        gate_up = f"{ours}.feed_forward.gate_up.weight"
        for name, start in (("w1", 0), ("w3", hidden)):
            rows = slice(start, start + hidden)
            yield Part(f"{theirs}.feed_forward.{name}.weight", gate_up, rows, (hidden, dim), "rows")
        down = f"{ours}.feed_forward.down.weight"
        yield Part(f"{theirs}.feed_forward.w2.weight", down, slice(0, dim), (dim, hidden), "columns")
        for name in ("attention_norm", "ffn_norm"):
            norm = f"{ours}.{name.replace('ffn', 'feed_forward')}.weight"
            yield Part(f"{theirs}.{name}.weight", norm, slice(0, dim), (dim,), "copies")
    yield Part("norm.weight", "norm.weight", slice(0, dim), (dim,), "copies")
    yield Part("output.weight", "unembedding.weight", slice(0, vocab), (vocab, dim), "rows")


def to_halves(weight: Tensor, num_heads: int) -> Tensor:
    """Rows of queries or keys, neighbours turned together -> the same with the halves of a head turned together."""
    return weight.view(num_heads, -1, 2, *weight.shape[1:]).transpose(1, 2).reshape(weight.shape)


def to_neighbours(weight: Tensor, num_heads: int) -> Tensor:
    """The way back of `to_halves`."""
    return weight.view(num_heads, 2, -1, *weight.shape[1:]).transpose(1, 2).reshape(weight.shape)


def _require_llama(config: ModelConfig) -> None:
    """Raises RecipeError that names every part which Meta's code does not have."""
    heads = config.attention
    problems = []
    if not isinstance(config.norm, RmsNorm):
        problems.append(f"norm is {type(config.norm).__name__}, expected RmsNorm")
    if not isinstance(config.feed_forward, Swiglu) or config.feed_forward.bias:
        problems.append("feed_forward is not a Swiglu without bias")
    position = config.position
    if not isinstance(position, Rope) or not (position.scaling == Unscaled() or _is_scaled(position)):
        problems.append(f"position is not Rope, unscaled or scaled as in Llama 3.1 ({SCALED}, any factor)")
    if config.block != Sequential():
        problems.append("block is not Sequential with norms before")
    if heads.window is not None or heads.bias or heads.output_bias:
        problems.append("attention has a window or a bias")
    if heads.num_heads * heads.head_dim != config.model_dim:
        problems.append(f"num_heads * head_dim = {heads.num_heads * heads.head_dim}, model_dim = {config.model_dim}")
    if problems:
        raise RecipeError(f"Meta's format holds LLaMA models only: {'; '.join(problems)}")


def _is_scaled(position: Rope) -> bool:
    return isinstance(position.scaling, Llama3) and replace(position.scaling, factor=SCALED.factor) == SCALED


def _read_table(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); expected it beside consolidated.*.pth") from error
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(table, dict):
        raise InputError(f"{path}: found a {type(table).__name__}, expected a table")
    return table


def _not_numbers(table: Mapping[str, Any]) -> list[str]:
    problems = []
    for name in _WHOLE:
        value = table.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value <= 0):
            problems.append(f"{name} = {value!r}, expected a whole number above 0")
    for name in ("norm_eps", "rope_theta", "ffn_dim_multiplier"):
        value = table.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value <= 0):
            problems.append(f"{name} = {value!r}, expected a number above 0")
    vocab_size = table.get("vocab_size")
    if vocab_size is not None and (type(vocab_size) is not int or (vocab_size < 1 and vocab_size != -1)):
        problems.append(f"vocab_size = {vocab_size!r}, expected a whole number above 0, or -1: that of the weights")
    if not isinstance(table.get("use_scaled_rope", False), bool):
        problems.append(f"use_scaled_rope = {table['use_scaled_rope']!r}, expected true or false")
    return problems


def _shard_files(folder: Path) -> list[Path]:
    files = sorted(folder.glob(SHARDS))
    wanted = [folder / f"consolidated.{rank:02d}.pth" for rank in range(len(files))]
    if not files:
        raise InputError(f"{folder}: no consolidated.00.pth; expected one file per model-parallel rank")
    if files != wanted:
        missing = ", ".join(sorted(path.name for path in set(wanted) - set(files)))
        raise InputError(f"{folder}: {len(files)} shards, but no {missing}; fetch what is missing")
    return files


def _read_shard(path: Path) -> dict[str, Tensor]:
    """The tensors of a pickle, memory-mapped where its layout allows."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols: what cannot be read is refused below
            shard = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: its pickle asks for more than tensors, which could run foreign code, or is no pickle "
            f"({str(error).splitlines()[0]}); fetch it from its publisher, or convert it where you trust it"
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        raise InputError(f"{path}: cut short or not a PyTorch file ({error}); fetch it again") from error
    if not isinstance(shard, dict):
        raise InputError(f"{path}: found a {type(shard).__name__}, expected a table of tensors")
    others = [f"{name!r} ({type(value).__name__})" for name, value in shard.items() if not isinstance(value, Tensor)]
    if others:
        raise InputError(f"{path}: expected tensors only, found {', '.join(others)}")
    return shard


def _num_embeddings(folder: Path, dim: int) -> int:
    shards = [_read_shard(path).get("tok_embeddings.weight") for path in _shard_files(folder)]
    first = shards[0]
    if first is None or first.dim() != 2:
        raise InputError(f"{folder}: vocab_size is -1 and tok_embeddings.weight is missing or no matrix")
    return first.shape[0] * (len(shards) if first.shape[1] == dim else 1)


def _require_fit(shards: list[dict[str, Tensor]], config: ModelConfig, folder: Path) -> None:
    """Raises InputError that names every missing, extra and mis-shaped tensor."""
    known = {part.theirs: part for part in parts(config)}
    problems = []
    for rank, shard in enumerate(shards):
        where = f" in consolidated.{rank:02d}.pth" if len(shards) > 1 else ""
        problems += [f"missing {name}{where}" for name in known if name not in shard]
        problems += [f"extra {name}{where}" for name in shard if name not in known and name != _FOLLOWS_FROM_PARAMS]
        for name, part in known.items():
            found = tuple(shard[name].shape) if name in shard else None
            if found is not None and found not in _shares(part, len(shards)):
                expected = " or ".join(map(str, _shares(part, len(shards))))
                problems.append(f"{name}{where} has shape {found}, expected {expected}")
    if problems:
        raise InputError(f"{folder}: the weights do not fit {PARAMS_FILE}: {'; '.join(problems)}")


def _shares(part: Part, num_shards: int) -> list[tuple[int, ...]]:
    """The shapes that a rank's share may have; Llama 3 cuts the embedding by rows, LLaMA and Llama 2 by columns."""
    if part.cut == "copies" or len(part.shape) == 1:
        return [part.shape]
    rows, columns = part.shape
    by_rows, by_columns = (rows // num_shards, columns), (rows, columns // num_shards)
    if part.theirs == "tok_embeddings.weight" and num_shards > 1:
        return [by_columns, by_rows]
    return [by_rows if part.cut == "rows" else by_columns]


def _merge(shares: list[Tensor], part: Part, folder: Path) -> Tensor:
    if len(shares) == 1:
        return shares[0]
    if part.cut == "copies":
        if not all(torch.equal(share, shares[0]) for share in shares[1:]):
            raise InputError(f"{folder}: {part.theirs} differs between the shards, expected copies of one tensor")
        return shares[0]
    by_rows = part.cut == "rows" or shares[0].shape[1] == part.shape[-1]
    return torch.cat(shares, dim=0 if by_rows else 1)


def _source(state: Mapping[str, Tensor], part: Part) -> Tensor:
    """A tied head is written out: the format knows none."""
    return state[part.ours] if part.ours in state else state["embedding.weight"]
