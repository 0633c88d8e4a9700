"""A Hugging Face model directory as the form in which weights are kept: our names <-> theirs, both ways."""

import math
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from waman.errors import InputError
from waman.manifest import to_json
from waman.model.config import ModelConfig
from waman.model.decoder import Decoder
from waman.tokens.tokenizer import read_settings
from waman.weights import safetensors
from waman.weights.configuration import family_of, load_config, read_config, read_json, to_table
from waman.weights.families.family import Family

__all__ = ["from_hugging_face", "load_config", "load_decoder", "save_weights", "to_hugging_face"]

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
GENERATION_FILE = "generation_config.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
HEAD = "lm_head.weight"
MAX_SHARD_BYTES = 5 * 10**9
SLAB_BYTES = 2**24


@dataclass(frozen=True)
class Place:
    """Where one of their tensors lies: rows of one of ours."""

    name: str
    rows: slice | Tensor
    """which rows, or the numbers of them in their order"""
    transposed: bool
    shape: tuple[int, ...]
    """of their tensor"""

    def read(self, ours: Tensor) -> Tensor:
        """Their tensor; a view where the rows follow each other."""
        found = ours[self.rows]
        return found.T if self.transposed else found

    def write(self, ours: Tensor, theirs: Tensor) -> None:
        """Puts their tensor into ours, in slabs: what another type, device or order makes a copy of stays small."""
        value = theirs.T if self.transposed else theirs
        into = ours[self.rows] if isinstance(self.rows, slice) else ours
        for start, stop in _slabs(value):
            part = value[start:stop]
            if isinstance(self.rows, slice):
                into[start:stop].copy_(part)
            else:
                into[self.rows[start:stop]] = part.to(device=ours.device, dtype=ours.dtype)


def places(config: ModelConfig, family: Family | None = None) -> dict[str, Place]:
    """For every tensor of a checkpoint of the family, by its name there, its place in a `Decoder`'s state."""
    ours = {name: tensor.shape for name, tensor in _on_meta(config).state_dict().items()}
    found: dict[str, Place] = {}
    for name, parts in (family or family_of(config)).names(config):
        start = 0
        for part in parts:
            if isinstance(part.rows, Sequence):
                rows: slice | Tensor = torch.tensor(part.rows)
                size, start = len(part.rows), len(part.rows)
            else:
                stop = ours[name][0] if part.rows is None else start + part.rows
                rows, size, start = slice(start, stop), stop - start, stop
            shape = (size, *ours[name][1:])
            found[part.name] = Place(name, rows, part.transposed, shape[::-1] if part.transposed else shape)
        assert start == ours[name][0], f"{name}: {start} of {ours[name][0]} rows have a name"
    assert {place.name for place in found.values()} == set(ours)
    return found


def to_hugging_face(
    state: Mapping[str, Tensor], config: ModelConfig, family: Family | None = None
) -> dict[str, Tensor]:
    """A decoder's state (or its gradients) under the family's names; views where they can be, not copies."""
    return {theirs: place.read(state[place.name]) for theirs, place in places(config, family).items()}


def from_hugging_face(
    state: Mapping[str, Tensor], config: ModelConfig, family: Family | None = None
) -> dict[str, Tensor]:
    """The tensors of a checkpoint under our names.

    Raises InputError that names every missing, extra and mis-shaped tensor.
    """
    family = family or family_of(config)
    renamed = full_names(state, family)
    require_fit({name: tuple(state[old].shape) for name, old in renamed.items()}, config, family, "checkpoint")
    known = places(config, family)
    kinds = {known[name].name: state[old].dtype for name, old in renamed.items() if name in known}
    found = {
        name: torch.empty(tensor.shape, dtype=kinds[name]) for name, tensor in _on_meta(config).state_dict().items()
    }
    for theirs, place in known.items():
        place.write(found[place.name], state[renamed[theirs]])
    return found


def save_weights(
    weights: Decoder | Mapping[str, Tensor],
    config: ModelConfig,
    tokenizer_dir: Path | None,
    folder: Path,
    dtype: torch.dtype,
    *,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Writes a directory that transformers opens: config, weights, tokenizer files, generation config.

    `weights`: the decoder or its state under our names. Weights of more than `max_shard_bytes` go to several files with
    an index. Files are equal for equal weights. Raises InputError for a tokenizer that does not fit, OSError where the
    disk is full.
    """
    state = weights.state_dict() if isinstance(weights, Decoder) else weights
    family = family_of(config)
    table = to_table(config, dtype, family)
    token_ids: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None}
    if tokenizer_dir is not None:
        token_ids = _special_ids(tokenizer_dir, table["vocab_size"])
    folder.mkdir(parents=True, exist_ok=True)
    _write_text(folder / "config.json", to_json({**table, **token_ids, "pad_token_id": None}))
    _write_text(folder / GENERATION_FILE, to_json({**token_ids, **_other_ends(tokenizer_dir)}))
    if tokenizer_dir is not None:
        for name in TOKENIZER_FILES:
            if (tokenizer_dir / name).is_file():
                shutil.copyfile(tokenizer_dir / name, folder / name)
    known = places(config, family)
    shards = _shards({name: place.shape for name, place in known.items()}, dtype.itemsize, max_shard_bytes)
    for file, names in shards.items():
        safetensors.write(folder / file, {name: known[name].read(state[known[name].name]) for name in names}, dtype)
    if len(shards) > 1:
        size = sum(math.prod(place.shape) for place in known.values()) * dtype.itemsize
        files = {name: file for file, names in shards.items() for name in names}
        _write_text(folder / INDEX_FILE, to_json({"metadata": {"total_size": size}, "weight_map": files}))


def _shards(shapes: Mapping[str, tuple[int, ...]], bytes_each: int, max_shard_bytes: int) -> dict[str, list[str]]:
    """File -> names, in the model's order; a tensor larger than a shard has one of its own."""
    groups: list[list[str]] = [[]]
    used = 0
    for name, shape in shapes.items():
        size = math.prod(shape) * bytes_each
        if groups[-1] and used + size > max_shard_bytes:
            groups.append([])
            used = 0
        groups[-1].append(name)
        used += size
    if len(groups) == 1:
        return {WEIGHTS_FILE: groups[0]}
    return {f"model-{number:05d}-of-{len(groups):05d}.safetensors": names for number, names in enumerate(groups, 1)}


def load_decoder(folder: Path, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu") -> Decoder:
    """The model of a Hugging Face directory of a family that we know, its weights in `dtype` on `device`.

    The files are mapped, and each tensor goes straight to its place: no second copy of the model is made. Raises
    InputError for a config that our decoder cannot compute, and for weights that are missing, cut short, or do not fit
    the config: every missing, extra and mis-shaped tensor is named.
    """
    config, family = read_config(folder)
    promised = weight_files(folder)
    files = list(promised)
    found: dict[str, tuple[int, ...]] = {}
    for file, names in promised.items():
        there = safetensors.shapes(file)
        require_promised(file, names - there.keys())
        found |= there
    require_fit({name: found[old] for name, old in full_names(found, family).items()}, config, family, str(folder))
    _require_floating(files, config, family)
    decoder = _on_meta(config).to(dtype).to_empty(device=device)
    decoder.position.build_tables(torch.device(device))
    _fill(decoder, family, files)
    return decoder


@torch.no_grad()
def write_back(state: Mapping[str, Tensor], named: Mapping[str, Tensor], config: ModelConfig) -> None:
    """Puts what was changed in `to_hugging_face(state, config)` into the state where it was a copy, not a view."""
    for theirs, place in places(config).items():
        if not isinstance(place.rows, slice):
            place.write(state[place.name], named[theirs])


@torch.no_grad()
def _fill(decoder: Decoder, family: Family, files: list[Path]) -> None:
    known, state = places(decoder.config, family), decoder.state_dict()
    tied_head: Tensor | None = None
    for file in files:
        for name, tensor in safetensors.read(file):
            full = full_name(name, family)
            if full in known:
                known[full].write(state[known[full].name], tensor)
            elif name == HEAD:
                tied_head = tensor
    if tied_head is not None and not _equal(tied_head, state["embedding.weight"]):
        raise InputError(
            f"{files[0].parent}: tie_word_embeddings is true, but {HEAD} differs from the embedding; fetch it again"
        )


def _on_meta(config: ModelConfig) -> Decoder:
    with torch.device("meta"):
        return Decoder(config)


def full_name(name: str, family: Family) -> str:
    """Its name in a whole checkpoint. A checkpoint of the body alone leaves out what all its names begin with."""
    own = name.startswith((family.prefix, HEAD.removesuffix("weight")))
    return name if own else family.prefix + name


def full_names(names: Iterable[str], family: Family) -> dict[str, str]:
    """Full name -> the name in the checkpoint."""
    return {full_name(name, family): name for name in names}


def require_fit(found: Mapping[str, tuple[int, ...]], config: ModelConfig, family: Family, where: str) -> None:
    """Raises InputError that names every missing, extra and mis-shaped tensor; `found` by full names."""
    expected = {name: place.shape for name, place in places(config, family).items()}
    problems = [f"missing {name}" for name in expected if name not in found]
    problems += [f"extra {name}" for name in found if name not in expected and not _harmless(name, config, family)]
    problems += [
        f"{name} has shape {found[name]}, expected {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    if problems:
        raise InputError(f"{where}: the weights do not fit config.json: {'; '.join(problems)}")


def _harmless(name: str, config: ModelConfig, family: Family) -> bool:
    """Old checkpoints carry what follows from the config, such as rotary frequencies; tied ones may repeat the head."""
    return name.endswith(family.buffers) or (config.tie_embeddings and name == HEAD)


def weight_files(folder: Path) -> dict[Path, set[str]]:
    """The files, each with the tensors that an index promises in it. Raises InputError where they are not there."""
    if (folder / WEIGHTS_FILE).is_file():
        return {folder / WEIGHTS_FILE: set()}
    if not (folder / INDEX_FILE).is_file():
        pickled = sorted(path.name for path in folder.glob("pytorch_model*.bin"))
        found = f", but {', '.join(pickled)}: save it again from transformers 5, which writes safetensors"
        other = "; weights in other formats are not read: convert them to safetensors (waman convert)"
        raise InputError(f"{folder}: no {WEIGHTS_FILE} and no {INDEX_FILE}{found if pickled else other}")
    index = folder / INDEX_FILE
    table = read_json(index).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise InputError(f"{index}: no weight_map; expected tensor names with their file")
    files: dict[Path, set[str]] = {}
    for name, file in sorted(table.items(), key=lambda item: (str(item[1]), item[0])):
        if not isinstance(file, str) or not file or Path(file).name != file:
            raise InputError(f"{index}: {name} is said to be in {file!r}; expected the name of a file beside the index")
        files.setdefault(folder / file, set()).add(name)
    absent = [file.name for file in files if not file.is_file()]
    if absent:
        raise InputError(f"{index}: names shards that are not there: {', '.join(absent)}; fetch them again")
    return files


def weight_bytes(folder: Path) -> int:
    """Bytes of all weight files, headers included. Raises InputError where they are not there."""
    return sum(file.stat().st_size for file in weight_files(folder))


def require_promised(file: Path, lacking: set[str]) -> None:
    """Raises InputError where a shard lacks what the index says."""
    if lacking:
        raise InputError(
            f"{file}: lacks what {INDEX_FILE} promises: missing {', '.join(sorted(lacking))}; fetch both again"
        )


def _require_floating(files: Iterable[Path], config: ModelConfig, family: Family) -> None:
    known = places(config, family)
    for file in files:
        stored = {
            name: kind for name, kind in safetensors.not_floating(file).items() if full_name(name, family) in known
        }
        if stored:
            listed = ", ".join(f"{name} as {kind}" for name, kind in stored.items())
            raise InputError(f"{file}: quantized weights are not read, found {listed}; fetch the unquantized model")


def _slabs(tensor: Tensor) -> Iterator[tuple[int, int]]:
    """Ranges of rows of at most SLAB_BYTES in the widest type; at least one row each."""
    rows = max(1, SLAB_BYTES // (8 * max(1, tensor[0].numel())))
    for start in range(0, len(tensor), rows):
        yield start, min(start + rows, len(tensor))


def _equal(theirs: Tensor, ours: Tensor) -> bool:
    same_shape = theirs.shape == ours.shape
    return same_shape and all(torch.equal(theirs[a:b].to(ours), ours[a:b]) for a, b in _slabs(theirs))


def _special_ids(tokenizer_dir: Path, vocab_size: int) -> dict[str, Any]:
    """The ids of the tokenizer's beginning and end of a document."""
    tokenizer = read_json(tokenizer_dir / "tokenizer.json")
    vocabulary = tokenizer.get("model", {}).get("vocab", {})
    # Unigram models list their pieces with scores.
    ids = dict(vocabulary) if isinstance(vocabulary, dict) else {one[0]: n for n, one in enumerate(vocabulary)}
    ids |= {token["content"]: token["id"] for token in tokenizer.get("added_tokens", [])}
    if ids and max(ids.values()) >= vocab_size:
        raise InputError(
            f"{tokenizer_dir}: token ids up to {max(ids.values())}, but the model knows {vocab_size} (vocab_size); "
            "it is the tokenizer of another model"
        )
    settings = read_settings(tokenizer_dir, {index: name for name, index in ids.items()}.get)
    return {f"{name}_id": ids.get(_content(settings.get(name))) for name in ("bos_token", "eos_token")}


def _other_ends(tokenizer_dir: Path | None) -> dict[str, Any]:
    """A tokenizer that comes with its model may end an answer with any of several tokens."""
    if tokenizer_dir is None or not (tokenizer_dir / GENERATION_FILE).is_file():
        return {}
    ends = read_json(tokenizer_dir / GENERATION_FILE).get("eos_token_id")
    return {"eos_token_id": ends} if isinstance(ends, list) else {}


def _content(token: Any) -> Any:
    """Special tokens stand in tokenizer_config.json as text or as a table with their text."""
    return token.get("content") if isinstance(token, dict) else token


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
