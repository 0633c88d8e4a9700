"""A config.json that is read key by key: what is left over at the end is refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from waman.errors import InputError

# Keys that say nothing about the logits of a forward pass.
_BOOKKEEPING = frozenset(
    (
        "_attn_implementation",
        "_attn_implementation_autoset",
        "_commit_hash",
        "_flash_attn_2_enabled",
        "_name_or_path",
        "architectures",
        "auto_map",
        "bos_token_id",
        "chunk_size_feed_forward",
        "cross_attention_hidden_size",
        "dtype",
        "eos_token_id",
        "finetuning_task",
        "id2label",
        "is_llama_config",
        "label2id",
        "max_sequence_length",
        "model_type",
        "output_attentions",
        "output_hidden_states",
        "pad_token_id",
        "prefix",
        "pretraining_tp",
        "problem_type",
        "return_dict",
        "sep_token_id",
        "task_specific_params",
        "tokenizer_class",
        "torch_dtype",
        "torchscript",
        "transformers.js_config",
        "transformers_version",
        "use_cache",
    )
)
# What transformers before version 5 kept in config.json of how to sample: nothing that a forward pass reads.
_SAMPLING = frozenset(
    (
        "bad_words_ids",
        "begin_suppress_tokens",
        "decoder_start_token_id",
        "diversity_penalty",
        "do_sample",
        "early_stopping",
        "encoder_no_repeat_ngram_size",
        "exponential_decay_length_penalty",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "length_penalty",
        "max_length",
        "max_new_tokens",
        "min_length",
        "no_repeat_ngram_size",
        "num_beam_groups",
        "num_beams",
        "num_return_sequences",
        "output_scores",
        "remove_invalid_values",
        "repetition_penalty",
        "return_dict_in_generate",
        "suppress_tokens",
        "temperature",
        "top_k",
        "top_p",
        "typical_p",
    )
)
# Keys of every family that would change the computation, with the values that mean what our decoder does.
_FIXED: dict[str, tuple[Any, ...]] = {
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "is_decoder": (False, True),
    "tie_encoder_decoder": (False,),
    "pruned_heads": ({}, None),
}


class Keys:
    """The table of one config.json. Each method takes keys away; `close` refuses what nobody took."""

    def __init__(self, path: Path, table: Mapping[str, Any]) -> None:
        self.path = path
        self._left = {name: value for name, value in table.items() if name not in _BOOKKEEPING | _SAMPLING}
        self.problems: list[str] = []
        for name, values in _FIXED.items():
            self.fixed(name, *values)

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number above 0; required without a default."""
        value = self._take(name, default)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        self._wrong(name, value, "a whole number above 0")
        return 1

    def whole_or_none(self, name: str, *, absent: int | None = None) -> int | None:
        """A whole number above 0, or null; `absent` where the key is not there."""
        if name not in self._left:
            return absent
        if self.has(name):
            return self.whole(name)
        self.unread(name)
        return None

    def real(self, name: str, default: float | None = None) -> float:
        """A number above 0; required without a default."""
        value = self._take(name, default)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return float(value)
        self._wrong(name, value, "a number above 0")
        return 1.0

    def flag(self, name: str, default: bool) -> bool:
        """true or false."""
        value = self._take(name, default)
        if not isinstance(value, bool):
            self.problems.append(f"{name} = {value!r}, expected true or false")
        return bool(value)

    def choice(self, name: str, default: str | None, known: Mapping[str, Any]) -> Any:
        """What a name stands for."""
        value = self._take(name, default)
        if value not in known:
            self.problems.append(f"{name} = {value!r}, ours computes {', '.join(map(repr, known))}")
            return next(iter(known.values()))
        return known[value]

    def fixed(self, name: str, *values: Any) -> None:
        """A key that may only say what our decoder does anyway."""
        value = self._left.pop(name, values[0])
        if value not in values:
            self.problems.append(f"{name} = {value!r}, ours computes {values[0]!r}")

    def has(self, name: str) -> bool:
        """Whether a key is there with a value."""
        return self._left.get(name) is not None

    def unread(self, *names: str) -> None:
        """Keys of this family that say nothing about the logits."""
        for name in names:
            self._left.pop(name, None)

    def tables(self, *names: str) -> list[tuple[str, dict[str, Any]]]:
        """Those of the keys that hold a table, with their names."""
        found = []
        for name in names:
            value = self._left.pop(name, None)
            if isinstance(value, dict):
                found.append((name, dict(value)))
            elif value is not None:
                self.problems.append(f"{name} = {value!r}, expected a table")
        return found

    def close(self) -> None:
        """Raises InputError that names every problem and every key that nobody took."""
        problems = self.problems + [f"unknown key {name} = {value!r}" for name, value in sorted(self._left.items())]
        if problems:
            raise InputError(f"{self.path}: cannot be computed as written: {'; '.join(problems)}")

    def _take(self, name: str, default: Any) -> Any:
        value = self._left.pop(name, None)
        return default if value is None else value

    def _wrong(self, name: str, value: Any, expected: str) -> None:
        found = f"{name} is missing" if value is None else f"{name} = {value!r}, expected {expected}"
        self.problems.append(found)
