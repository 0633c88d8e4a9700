"""`waman convert`: a model in one form in, the same model in another out; an adapter merged on the way."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from waman.artifact import Artifact
from waman.dataflow import Counts
from waman.draft import begin
from waman.errors import InputError
from waman.model.config import ModelConfig
from waman.model.count import num_parameters
from waman.tokens.sentencepiece import MODEL_FILE, convert_model
from waman.weights import safetensors
from waman.weights.adapters import merge, read_adapter
from waman.weights.gguf import Stored, exact_dtype, load_gguf, save_gguf
from waman.weights.gguf_tokenizer import read_entry, restore_tokenizer
from waman.weights.huggingface import (
    TOKENIZER_FILES,
    load_config,
    load_decoder,
    save_weights,
    to_hugging_face,
    write_back,
)
from waman.weights.meta import PARAMS_FILE, SHARDS, load_meta, save_meta
from waman.weights.recipe import ConvertRecipe, Dtype, Gguf, HuggingFace, Meta, TokenizerJson

VERSION = 1
KINDS = ("weights", "meta", "gguf", "tokenizer", "files", "file")
"""What may be a source."""
GGUF_FILE = "model.gguf"


@dataclass(frozen=True)
class Source:
    """A model as it was found: a decoder's state, in the type in which it is stored."""

    config: ModelConfig
    state: Mapping[str, Tensor]
    tokenizer: Path | None
    """a directory with tokenizer.json, where the model brings a tokenizer"""
    stored: Stored | None = None
    """how a quantized source holds its matrices"""


ReadQuantized = Callable[[Path], Source | None]
"""Opens a Hugging Face directory whose weights are quantized; None where they are not."""


def convert(
    recipe: ConvertRecipe,
    *,
    model: Artifact,
    adapter: Sequence[Artifact] = (),
    out: Path,
    replace: bool = False,
    read_quantized: ReadQuantized | None = None,
) -> Artifact:
    """Writes a model in the form that the recipe names: kind weights, meta, gguf or tokenizer.

    model: a Hugging Face directory, a directory of Meta's, a GGUF file or a SentencePiece `.model`; adapter: PEFT LoRA
    directories, merged in this order. Raises InputError for a source that cannot be read whole, RecipeError for a model
    that the form cannot express, ExtraError where a package for it is not installed.
    """
    kind = _kind_written(recipe)
    inputs = {"model": [model], "adapter": list(adapter)}
    draft = begin(out, kind=kind, version=VERSION, recipe=recipe, inputs=inputs, replace=replace)
    if draft.finished is not None:
        return draft.finished
    with draft, ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if isinstance(recipe.format, TokenizerJson):
            nearest = recipe.format.ids == "nearest"
            return draft.finish(counts=convert_model(_model_file(model.path), draft.path, nearest=nearest))
        source = _read(model, recipe, scratch, read_quantized)
        if adapter and source.stored is not None:
            raise InputError(
                f"{model.path}: its weights are quantized, an adapter merged into them would be rounded away; merge it "
                "into the original and quantize that"
            )
        for one in adapter:
            named = to_hugging_face(source.state, source.config)
            merge(read_adapter(one.path), named)
            write_back(source.state, named, source.config)
        return draft.finish(counts=_write(recipe, source, draft.path))


def _kind_written(recipe: ConvertRecipe) -> str:
    match recipe.format:
        case HuggingFace():
            return "weights"
        case Meta():
            return "meta"
        case Gguf():
            return "gguf"
        case TokenizerJson():
            return "tokenizer"


# Reading


def _read(model: Artifact, recipe: ConvertRecipe, scratch: Path, read_quantized: ReadQuantized | None) -> Source:
    """The form is read off the files."""
    path = model.path
    if path.suffix == ".gguf" and path.is_file():
        return _read_gguf(path, scratch)
    if (path / "config.json").is_file():
        quantized = read_quantized(path) if read_quantized is not None else None
        return quantized or _read_hugging_face(path)
    if (path / PARAMS_FILE).is_file() or any(path.glob(SHARDS)):
        return _read_meta(path, recipe, scratch)
    files = sorted(path.glob("*.gguf")) if path.is_dir() else []
    if len(files) == 1:
        return _read_gguf(files[0], scratch)
    raise InputError(
        f"{path}: expected a model: config.json with safetensors, {PARAMS_FILE} with consolidated.NN.pth, or one .gguf"
    )


def _read_hugging_face(folder: Path) -> Source:
    config = load_config(folder)
    found: set[torch.dtype] = set()
    for file in sorted(folder.glob("*.safetensors")):
        found |= safetensors.dtypes(file)
    dtype = found.pop() if len(found) == 1 else torch.float32
    state = load_decoder(folder, dtype=dtype).state_dict()
    return Source(config, state, folder if (folder / "tokenizer.json").is_file() else None)


def _read_meta(folder: Path, recipe: ConvertRecipe, scratch: Path) -> Source:
    config, state = load_meta(folder, context_length=recipe.context_length, rope_factor=recipe.rope_factor)
    tokenizer: Path | None = folder if (folder / "tokenizer.json").is_file() else None
    if tokenizer is None and (folder / MODEL_FILE).is_file():
        try:
            convert_model(folder / MODEL_FILE, scratch)
        except InputError as error:
            raise InputError(f"{error}; of Llama 3 on it is of another kind: put tokenizer.json beside it") from error
        tokenizer = scratch
    return Source(config, state, tokenizer)


def _read_gguf(path: Path, scratch: Path) -> Source:
    opened = load_gguf(path)
    dtype = exact_dtype(opened.state)
    state = {name: tensor.to(dtype) for name, tensor in opened.state.items()}
    if opened.tokenizer_json is None:
        return Source(opened.config, state, None)
    restore_tokenizer(opened.tokenizer_json, opened.metadata, scratch)
    return Source(opened.config, state, scratch)


def _model_file(path: Path) -> Path:
    file = path / MODEL_FILE if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{path}: no {MODEL_FILE} in it; expected a SentencePiece model")
    return file


# Writing


def _write(recipe: ConvertRecipe, source: Source, folder: Path) -> Counts:
    counts: Counts = {"parameters": num_parameters(source.config)}
    match recipe.format:
        case HuggingFace(dtype=name):
            dtype = _dtype(source, name)
            save_weights(source.state, source.config, source.tokenizer, folder, dtype)
            return counts | {"dtype": _name(dtype)}
        case Meta(num_shards=num_shards, dtype=name):
            dtype = _dtype(source, name)
            state = {key: tensor.to(dtype) for key, tensor in source.state.items()}
            save_meta(state, source.config, folder, num_shards=num_shards)
            _copy_tokenizer(source, folder)
            return counts | {"dtype": _name(dtype), "shards": num_shards}
        case Gguf(type=kind, tokenizer=wanted):
            entry = None
            if source.tokenizer is not None:
                entry = read_entry(source.tokenizer, nearest=wanted == "nearest")
                entry = entry.padded(source.config.vocab_size or 0)
            label = f"{counts['parameters'] / 1e6:.1f}M"
            types = save_gguf(
                folder / GGUF_FILE,
                source.state,
                source.config,
                kind=kind,
                tokenizer=entry,
                name=label,
                stored=source.stored,
            )
            return counts | {"tensors": types}
    raise AssertionError(recipe.format)


def _dtype(source: Source, name: Dtype) -> torch.dtype:
    if name != "stored":
        found = getattr(torch, name)
        assert isinstance(found, torch.dtype)
        return found
    found_all = {tensor.dtype for tensor in source.state.values()}
    return found_all.pop() if len(found_all) == 1 else torch.float32


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _copy_tokenizer(source: Source, folder: Path) -> None:
    """Beside Meta's files, for the way back; Meta's own code reads SentencePiece models only."""
    if source.tokenizer is not None:
        for name in TOKENIZER_FILES:
            if (source.tokenizer / name).is_file():
                shutil.copyfile(source.tokenizer / name, folder / name)
