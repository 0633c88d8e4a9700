"""Opens a model for answering."""

from pathlib import Path

import torch

from waman.errors import InputError
from waman.inference.about import read_about
from waman.inference.llm import LLM
from waman.inference.memory import free_bytes, require_room
from waman.model.count import num_parameters
from waman.quantization.load import load_any, look_at
from waman.tokens.tokenizer import Tokenizer
from waman.weights.configuration import read_json

GENERATION_CONFIG_FILE = "generation_config.json"


def load(
    folder: Path | str,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    cache_bytes: int | None = None,
    kv_bits: int | None = None,
    deterministic: bool = False,
) -> LLM:
    """The model of a weights artifact, of a run (its `final`) or of a Hugging Face directory of a family that we know.

    Weights that `waman quantize` made stay quantized; `dtype` is then that of what it kept, and of the activations.
    cache_bytes, kv_bits, deterministic: as `LLM` has them. Raises InputError where a part is missing or unreadable,
    the tokenizer belongs to another model, or the weights do not fit into the memory that is free.
    """
    place = _weights_folder(Path(folder))
    tokenizer = Tokenizer.load(place)
    config, stored = look_at(place)
    require_room(config, dtype=dtype, free=free_bytes(torch.device(device)), where=str(place), stored=stored)
    decoder = load_any(place, dtype=dtype, device=device)
    num_entries = decoder.embedding.num_embeddings
    if tokenizer.vocab_size > num_entries:
        raise InputError(
            f"{place}: the tokenizer has {tokenizer.vocab_size} tokens, the model {num_entries}: it is the tokenizer "
            "of another model; put the files of the model's own tokenizer there"
        )
    about = read_about(place, parameters=num_parameters(decoder.config))
    return LLM(
        decoder,
        tokenizer,
        end_ids=_end_ids(place, tokenizer),
        about=about,
        cache_bytes=cache_bytes,
        kv_bits=kv_bits,
        deterministic=deterministic,
    )


def _weights_folder(folder: Path) -> Path:
    if not folder.exists():
        raise InputError(
            f"{folder} does not exist: expected a weights artifact or a Hugging Face directory; check the path"
        )
    if not (folder / "config.json").is_file() and (folder / "final" / "config.json").is_file():
        return folder / "final"
    return folder


def _end_ids(folder: Path, tokenizer: Tokenizer) -> frozenset[int]:
    """The tokens that end a completion: as generation_config.json names them, else the tokenizer."""
    path = folder / GENERATION_CONFIG_FILE
    named = read_json(path).get("eos_token_id") if path.is_file() else None
    if named is None:
        return frozenset([tokenizer.eos_id])
    return frozenset(named if isinstance(named, list) else [named])
