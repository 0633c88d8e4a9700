"""A Hugging Face model directory as the form in which weights are kept: our names <-> theirs, both ways."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from waman.errors import InputError
from waman.manifest import to_json
from waman.model.config import ModelConfig
from waman.model.decoder import Decoder
from waman.weights import safetensors
from waman.weights.configuration import load_config, read_json, to_table

__all__ = ["from_hugging_face", "load_config", "load_decoder", "save_weights", "to_hugging_face"]

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
HEAD = "lm_head.weight"
EMBEDDING = "model.embed_tokens.weight"


@dataclass(frozen=True)
class Place:
    """Where one of their tensors lies: rows of one of ours."""

    name: str
    rows: slice
    shape: tuple[int, ...]


def places(config: ModelConfig) -> dict[str, Place]:
    """For every tensor of a `llama` checkpoint, by its name there, its place in a `Decoder`'s state."""
    decoder = _on_meta(config)
    ours = {name: tensor.shape for name, tensor in decoder.state_dict().items()}
    found = {}
    for name, parts in _split_names(config):
        start = 0
        for theirs, num_rows in parts:
            stop = ours[name][0] if num_rows is None else start + num_rows
            found[theirs] = Place(name, slice(start, stop), (stop - start, *ours[name][1:]))
            start = stop
        assert start == ours[name][0], f"{name}: {start} of {ours[name][0]} rows have a name"
    assert {place.name for place in found.values()} == set(ours)
    return found


def to_hugging_face(state: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """A decoder's state (or its gradients) under the names of a `llama` checkpoint; views, not copies."""
    return {theirs: state[place.name][place.rows] for theirs, place in places(config).items()}


def from_hugging_face(state: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """The tensors of a `llama` checkpoint under our names.

    Raises InputError that names every missing, extra and mis-shaped tensor.
    """
    _require_fit({name: tuple(tensor.shape) for name, tensor in state.items()}, config, "checkpoint")
    parts: dict[str, list[Tensor]] = {}
    for theirs, place in places(config).items():
        parts.setdefault(place.name, []).append(state[theirs])
    return {name: tensors[0] if len(tensors) == 1 else torch.cat(tensors) for name, tensors in parts.items()}


def save_weights(
    weights: Decoder | Mapping[str, Tensor],
    config: ModelConfig,
    tokenizer_dir: Path | None,
    folder: Path,
    dtype: torch.dtype,
) -> None:
    """Writes a directory that transformers opens: config, weights, tokenizer files, generation config.

    `weights`: the decoder or its state under our names. Files are equal for equal weights.
    Raises RecipeError for a shape that `llama` cannot express, InputError for a tokenizer that does not fit, OSError
    where the disk is full.
    """
    state = weights.state_dict() if isinstance(weights, Decoder) else weights
    table = to_table(config, dtype)
    token_ids: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None}
    if tokenizer_dir is not None:
        token_ids = _special_ids(tokenizer_dir, table["vocab_size"])
    folder.mkdir(parents=True, exist_ok=True)
    _write_text(folder / "config.json", to_json({**table, **token_ids, "pad_token_id": None}))
    _write_text(folder / "generation_config.json", to_json(token_ids))
    if tokenizer_dir is not None:
        for name in TOKENIZER_FILES:
            if (tokenizer_dir / name).is_file():
                shutil.copyfile(tokenizer_dir / name, folder / name)
    named = to_hugging_face(state, config)
    safetensors.write(folder / WEIGHTS_FILE, {name: tensor.to(dtype) for name, tensor in named.items()})


def load_decoder(folder: Path, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu") -> Decoder:
    """The model of a Hugging Face directory of the `llama` family, its weights in `dtype` on `device`.

    Raises InputError for a config that our decoder cannot compute, and for weights that are missing, cut short, or do
    not fit the config: every missing, extra and mis-shaped tensor is named.
    """
    config = load_config(folder)
    files = _weight_files(folder)
    found: dict[str, tuple[int, ...]] = {}
    for file in files:
        found |= safetensors.shapes(file)
    _require_fit(found, config, str(folder))
    decoder = _on_meta(config).to(dtype).to_empty(device=device)
    decoder.position.build_tables(torch.device(device))
    _fill(decoder, files)
    return decoder


@torch.no_grad()
def _fill(decoder: Decoder, files: list[Path]) -> None:
    known, state = places(decoder.config), decoder.state_dict()
    tied_head: Tensor | None = None
    for file in files:
        for name, tensor in safetensors.read(file):
            if name in known:
                place = known[name]
                state[place.name][place.rows].copy_(tensor)
            elif name == HEAD:
                tied_head = tensor
    if tied_head is not None and not torch.equal(tied_head.to(state["embedding.weight"]), state["embedding.weight"]):
        raise InputError(
            f"{files[0].parent}: tie_word_embeddings is true, but {HEAD} differs from {EMBEDDING}; "
            "one of them is wrong: fetch both files again"
        )


def _split_names(config: ModelConfig) -> Iterator[tuple[str, list[tuple[str, int | None]]]]:
    """Each of our tensors with theirs that follow each other in its rows; None: all rows that are left."""
    heads = config.attention
    queries, keys = heads.num_heads * heads.head_dim, heads.num_kv_heads * heads.head_dim
    yield "embedding.weight", [(EMBEDDING, None)]
    for layer in range(config.num_layers):
        ours, theirs = f"blocks.{layer}", f"model.layers.{layer}"
        yield f"{ours}.attention_norm.weight", [(f"{theirs}.input_layernorm.weight", None)]
        yield (
            f"{ours}.attention.query_key_value.weight",
            [
                (f"{theirs}.self_attn.q_proj.weight", queries),
                (f"{theirs}.self_attn.k_proj.weight", keys),
                (f"{theirs}.self_attn.v_proj.weight", keys),
            ],
        )
        yield f"{ours}.attention.output.weight", [(f"{theirs}.self_attn.o_proj.weight", None)]
        yield f"{ours}.feed_forward_norm.weight", [(f"{theirs}.post_attention_layernorm.weight", None)]
        hidden_dim = config.feed_forward.hidden_dim
        yield (
            f"{ours}.feed_forward.gate_up.weight",
            [(f"{theirs}.mlp.gate_proj.weight", hidden_dim), (f"{theirs}.mlp.up_proj.weight", hidden_dim)],
        )
        yield f"{ours}.feed_forward.down.weight", [(f"{theirs}.mlp.down_proj.weight", None)]
    yield "norm.weight", [("model.norm.weight", None)]
    if not config.tie_embeddings:
        yield "unembedding.weight", [(HEAD, None)]


def _on_meta(config: ModelConfig) -> Decoder:
    with torch.device("meta"):
        return Decoder(config)


def _require_fit(found: Mapping[str, tuple[int, ...]], config: ModelConfig, where: str) -> None:
    expected = {name: place.shape for name, place in places(config).items()}
    problems = [f"missing {name}" for name in expected if name not in found]
    problems += [f"extra {name}" for name in found if name not in expected and not _harmless(name, config)]
    problems += [
        f"{name} has shape {found[name]}, expected {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    if problems:
        raise InputError(f"{where}: the weights do not fit config.json: {'; '.join(problems)}")


def _harmless(name: str, config: ModelConfig) -> bool:
    """Old checkpoints carry the rotary frequencies, which follow from the config; tied ones may repeat the head."""
    return name.endswith(".rotary_emb.inv_freq") or (config.tie_embeddings and name == HEAD)


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS_FILE).is_file():
        return [folder / WEIGHTS_FILE]
    if (folder / INDEX_FILE).is_file():
        table = read_json(folder / INDEX_FILE).get("weight_map")
        if not isinstance(table, dict) or not table:
            raise InputError(f"{folder / INDEX_FILE}: no weight_map; expected tensor names with their file")
        return [folder / name for name in sorted(set(table.values()))]
    raise InputError(
        f"{folder}: no {WEIGHTS_FILE} and no {INDEX_FILE}; weights in other formats are not read: "
        "convert them to safetensors"
    )


def _special_ids(tokenizer_dir: Path, vocab_size: int) -> dict[str, Any]:
    """The ids of the tokenizer's beginning and end of a document."""
    settings = read_json(tokenizer_dir / "tokenizer_config.json")
    tokenizer = read_json(tokenizer_dir / "tokenizer.json")
    ids = {**tokenizer.get("model", {}).get("vocab", {})}
    ids |= {token["content"]: token["id"] for token in tokenizer.get("added_tokens", [])}
    if ids and max(ids.values()) >= vocab_size:
        raise InputError(
            f"{tokenizer_dir}: token ids up to {max(ids.values())}, but the model knows {vocab_size} (vocab_size); "
            "it is the tokenizer of another model"
        )
    return {f"{name}_id": ids.get(_content(settings.get(name))) for name in ("bos_token", "eos_token")}


def _content(token: Any) -> Any:
    """Special tokens stand in tokenizer_config.json as text or as a table with their text."""
    return token.get("content") if isinstance(token, dict) else token


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
