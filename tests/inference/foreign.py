"""Model directories as the hub has them: each family with tokenizer files of the published kind, weights random."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
import torch
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from tests.tokens import material

VOCAB_SIZE = 420
CONTEXT_LENGTH = 96
_END = "<|endoftext|>"
_LLAMA = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT_LENGTH,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_LLAMA3_SCALING = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 48,
    "rope_theta": 500000.0,
}
_FALCON = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": CONTEXT_LENGTH,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
MODELS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", _LLAMA),
    "llama3": ("llama", _LLAMA | {"bos_token_id": 0, "eos_token_id": 1, "rope_parameters": _LLAMA3_SCALING}),
    "mistral": ("mistral", _LLAMA | {"sliding_window": 9}),
    "falcon-7b": ("falcon", _FALCON),
    "falcon-40b": ("falcon", _FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "falcon-rw": ("falcon", _FALCON | {"alibi": True, "bias": True, "multi_query": False, "parallel_attn": False}),
    "gpt2": (
        "gpt2",
        {"vocab_size": VOCAB_SIZE, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT_LENGTH}
        | {"bos_token_id": 0, "eos_token_id": 0},
    ),
}


def write_model(name: str, folder: Path) -> Path:
    """A directory of the family; weights are drawn large, so that logits differ clearly.

    Not those of the embedding: where it is the head too, a token would be followed by itself.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    model_type, table = MODELS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **table))  # type: ignore[no-untyped-call]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight_name, parameter in model.named_parameters():
            if "embed" not in weight_name and "wte" not in weight_name:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(folder)
    if name in ("llama", "mistral"):
        _write_pieces(folder, metaspace=name == "mistral")
    else:
        _write_byte_level(name, folder)
    return folder


def _write_pieces(folder: Path, *, metaspace: bool) -> None:
    """LLaMA's: pieces with ▁ for spaces, bytes for the rest. The space before a text is Metaspace's in newer files."""
    special, of_bytes = ["<unk>", "<s>", "</s>"], [f"<0x{byte:02X}>" for byte in range(256)]
    backend = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB_SIZE, special_tokens=special + of_bytes, show_progress=False)
    backend.train_from_iterator([material.PROSE, *material.sources()[0].splitlines()[:80]], trainer)
    if metaspace:
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        backend.pre_tokenizer = None
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    table = json.loads(backend.to_str())
    table["added_tokens"] = [token for token in table["added_tokens"] if token["content"] in special]
    (folder / "tokenizer.json").write_text(json.dumps(table))
    names = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    as_tables = {role: {"__type": "AddedToken", "content": name} for role, name in names.items()}
    _write_settings(folder, (names if metaspace else as_tables) | {"add_bos_token": True})


def _write_byte_level(name: str, folder: Path) -> None:
    """GPT-2's: bytes as letters. Its settings name no special token, Falcon's the last one only."""
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"] if name == "llama3" else [_END]
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator([material.PROSE, material.sources()[0]], trainer)
    if name == "llama3":
        template = {"single": f"{special[0]} $A", "special_tokens": [(special[0], 0)]}
        backend.post_processor = processors.TemplateProcessing(**template)
    else:
        backend.post_processor = processors.ByteLevel(trim_offsets=False)
    backend.save(str(folder / "tokenizer.json"))
    settings: dict[str, Any]
    match name:
        case "gpt2":
            settings = {"model_max_length": CONTEXT_LENGTH}
        case "llama3":
            settings = {"bos_token": special[0], "eos_token": special[1]}
            # As for the instructed models: two tokens end an answer.
            (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": 0, "eos_token_id": [1, 2]}))
        case _:
            settings = {"eos_token": _END}
    _write_settings(folder, settings)


def _write_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    table = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(table))
