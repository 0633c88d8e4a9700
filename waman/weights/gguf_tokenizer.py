"""tokenizer.json as llama.cpp's metadata, with proof that it gives the same ids, or the reasons why it cannot.

llama.cpp runs two kinds of byte-pair encoding that matter here. "llama" is SentencePiece's: no words, any two pieces
that spell a token may be joined, the token of the highest score first. "gpt2" is byte-level, with words cut by one of
the regular expressions built into llama.cpp, chosen by name.
"""

import itertools
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waman.errors import InputError, RecipeError
from waman.tokens.bpe import CHUNKS, SPACE
from waman.weights.configuration import read_json

KEY_OF_TOKENIZER_JSON = "tokenizer.huggingface.json"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
_QWEN_2 = _LLAMA_3.replace(r"\p{N}{1,3}", r"\p{N}")
_WORDS = {_LLAMA_3: "llama-bpe", _QWEN_2: "qwen2"}
"""How llama.cpp calls the regular expressions that cut words."""


@dataclass(frozen=True)
class Entry:
    """The tokenizer's part of a GGUF file's metadata."""

    model: str
    pre: str | None = None
    tokens: tuple[str, ...] = ()
    types: tuple[int, ...] = ()
    scores: tuple[float, ...] | None = None
    merges: tuple[str, ...] | None = None
    flags: dict[str, bool] = field(default_factory=dict)
    special_ids: dict[str, int] = field(default_factory=dict)
    """by role: bos, eos, unknown, padding"""
    chat_template: str | None = None
    tokenizer_json: str | None = None
    """kept whole, under the key that the format names for it: with it the way back loses nothing"""

    @classmethod
    def none(cls) -> "Entry":
        """For weights without a tokenizer."""
        return cls("none")

    def padded(self, vocab_size: int) -> "Entry":
        """With tokens that are never used for what the model knows beyond the tokenizer."""
        missing = range(len(self.tokens), vocab_size)
        if len(self.tokens) > vocab_size:
            raise InputError(
                f"the tokenizer has {len(self.tokens)} tokens, but the model knows {vocab_size}; "
                "it is the tokenizer of another model"
            )
        lowest = min(self.scores, default=0.0) if self.scores is not None else 0.0
        return Entry(
            self.model,
            self.pre,
            (*self.tokens, *(f"[PAD{number}]" for number in missing)),
            (*self.types, *(UNUSED for _ in missing)),
            None if self.scores is None else (*self.scores, *(lowest - 1 for _ in missing)),
            self.merges,
            self.flags,
            self.special_ids,
            self.chat_template,
            self.tokenizer_json,
        )

    def add_to(self, writer: Any) -> None:
        """Adds it to a `gguf.GGUFWriter`."""
        writer.add_tokenizer_model(self.model)
        if self.pre is not None:
            writer.add_tokenizer_pre(self.pre)
        if self.tokens:
            writer.add_token_list(list(self.tokens))
            writer.add_token_types(list(self.types))
        if self.scores is not None:
            writer.add_token_scores(list(self.scores))
        if self.merges is not None:
            writer.add_token_merges(list(self.merges))
        for name, value in self.flags.items():
            writer.add_bool(f"tokenizer.ggml.{name}", value)
        for role, index in self.special_ids.items():
            writer.add_uint32(f"tokenizer.ggml.{role}_token_id", index)
        if self.chat_template is not None:
            writer.add_chat_template(self.chat_template)
        if self.tokenizer_json is not None:
            writer.add_string(KEY_OF_TOKENIZER_JSON, self.tokenizer_json)


def read_entry(folder: Path, *, nearest: bool = False) -> Entry:
    """The tokenizer of a Hugging Face directory.

    Raises RecipeError with the reasons where llama.cpp cannot give the same ids, unless `nearest`, and InputError for
    a tokenizer of another kind than byte-pair encoding.
    """
    path = folder / "tokenizer.json"
    table = read_json(path)
    settings = read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    if table.get("model", {}).get("type") != "BPE":
        kind = table.get("model", {}).get("type")
        raise InputError(f"{path}: the tokenizer is of type {kind!r}; GGUF is written for 'BPE' only")
    level = any(part.get("type") == "ByteLevel" for part in _parts(table.get("pre_tokenizer"), "pretokenizers"))
    entry, reasons = _byte_level(table) if level else _sentencepiece(table)
    if reasons and not nearest:
        raise RecipeError(
            f"{path}: llama.cpp cannot run this tokenizer id for id: {'; '.join(reasons)}. Train one with "
            "waman train-tokenizer, or take the most alike: --set format.tokenizer=nearest"
        )
    template = folder / "chat_template.jinja"
    chat = template.read_text(encoding="utf-8") if template.is_file() else settings.get("chat_template")
    return Entry(
        entry.model,
        entry.pre,
        entry.tokens,
        entry.types,
        entry.scores,
        entry.merges,
        {**entry.flags, "add_bos_token": _begins_with_bos(table, settings), "add_eos_token": False},
        _special_ids(entry.tokens, settings),
        chat if isinstance(chat, str) else None,
        path.read_text(encoding="utf-8"),
    )


# SentencePiece's kind


def _sentencepiece(table: Mapping[str, Any]) -> tuple[Entry, list[str]]:
    vocab: dict[str, int] = table["model"]["vocab"]
    tokens, types, reasons = _tokens_and_types(table)
    order, unlike = _order(vocab, _pairs(table))
    reasons += unlike
    for token, index in vocab.items():
        if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            types[index] = BYTE
    if types.count(BYTE) != 256 or not table["model"].get("byte_fallback"):
        reasons.append("it does not spell unknown characters in bytes")
    prefix, unlike = _space_prefix(table)
    reasons += unlike + _unlike_words(table)
    # Single characters come first: they are found as they are, and nothing is joined into them.
    scores = [0.0] * len(tokens)
    for rank, token in enumerate(order, start=1):
        scores[vocab[token]] = float(-rank)
    flags = {"add_space_prefix": prefix, "remove_extra_whitespaces": False}
    return Entry("llama", "default", tuple(tokens), tuple(types), tuple(scores), None, flags), reasons


def _order(vocab: Mapping[str, int], pairs: list[tuple[str, str]]) -> tuple[list[str], list[str]]:
    """Tokens in the order in which they are made, and why scores for tokens are not as good as ranks for pairs."""
    ranks: dict[str, list[int]] = defaultdict(list)
    for rank, (left, right) in enumerate(pairs):
        ranks[left + right].append(rank)
    order = sorted(ranks, key=lambda token: ranks[token][0])
    reasons = []
    interleaved = [later for earlier, later in itertools.pairwise(order) if ranks[earlier][-1] > ranks[later][0]]
    if interleaved:
        reasons.append(f"{len(interleaved)} tokens are made by pairs of which another token's stand between")
    known, lacking = set(pairs), []
    for token in vocab:
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in vocab and right in vocab and (left, right) not in known:
                lacking.append((left, right))
    if lacking:
        example = " + ".join(map(repr, lacking[0]))
        reasons.append(f"{len(lacking)} pairs that spell a token are not to be joined ({example})")
    return order, reasons


def _space_prefix(table: Mapping[str, Any]) -> tuple[bool, list[str]]:
    """Whether a space is put before a text, and what else the normaliser does."""
    normalizers = _parts(table.get("normalizer"), "normalizers")
    metaspace = [part for part in _parts(table.get("pre_tokenizer"), "pretokenizers") if part["type"] == "Metaspace"]
    known = [
        {"type": "Prepend", "prepend": SPACE},
        {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
    ]
    others = [part["type"] for part in normalizers if part not in known]
    reasons = [f"it changes the text first ({', '.join(others)})"] if others else []
    if known[1] not in normalizers and not metaspace:
        reasons.append(f"it does not write spaces as {SPACE}")
    prefix = known[0] in normalizers or any(part.get("prepend_scheme") == "always" for part in metaspace)
    return prefix, reasons


def _unlike_words(table: Mapping[str, Any]) -> list[str]:
    """Why words are cut, where that is not known to change nothing."""
    reasons = []
    for part in _parts(table.get("pre_tokenizer"), "pretokenizers"):
        if part["type"] == "Metaspace" and not part.get("split", True):
            continue
        if part["type"] == "Split" and part["pattern"] == {"Regex": CHUNKS}:
            continue
        rule = part.get("pattern", {}).get("Regex", part["type"])
        reasons.append(f"it cuts words by a rule that llama.cpp lacks ({rule})")
    return reasons


# The byte-level kind


def _byte_level(table: Mapping[str, Any]) -> tuple[Entry, list[str]]:
    tokens, types, reasons = _tokens_and_types(table)
    cutters = _parts(table.get("pre_tokenizer"), "pretokenizers")
    rules = [part["pattern"].get("Regex") for part in cutters if part["type"] == "Split"]
    others = [part["type"] for part in cutters if part["type"] not in ("Split", "ByteLevel")]
    level = next(part for part in cutters if part["type"] == "ByteLevel")
    pre = "gpt-2" if level.get("use_regex", True) and not rules else _WORDS.get(rules[0]) if len(rules) == 1 else None
    if pre is None or others or level.get("add_prefix_space"):
        reasons.append(f"it cuts words by a rule that llama.cpp lacks ({', '.join([*map(str, rules), *others])})")
    if table.get("normalizer") is not None:
        reasons.append(f"it changes the text first ({table['normalizer']['type']})")
    if bool(table["model"].get("ignore_merges")) != (pre == "llama-bpe"):
        reasons.append("whole words that are tokens are taken as llama.cpp does not take them (ignore_merges)")
    merges = tuple(f"{left} {right}" for left, right in _pairs(table))
    return Entry("gpt2", pre or "gpt-2", tuple(tokens), tuple(types), None, merges), reasons


# Both


def _tokens_and_types(table: Mapping[str, Any]) -> tuple[list[str], list[int], list[str]]:
    ids = {**table["model"]["vocab"], **{one["content"]: one["id"] for one in table.get("added_tokens", [])}}
    size = max(ids.values()) + 1
    tokens, types = [f"[PAD{index}]" for index in range(size)], [UNUSED] * size
    for token, index in ids.items():
        tokens[index], types[index] = token, NORMAL
    reasons = []
    for one in table.get("added_tokens", []):
        types[one["id"]] = CONTROL if one.get("special") else USER_DEFINED
        if one.get("lstrip") or one.get("rstrip") or one.get("single_word"):
            reasons.append(f"the token {one['content']!r} takes the spaces beside it")
    unknown = table["model"].get("unk_token")
    if unknown in ids:
        types[ids[unknown]] = UNKNOWN
    return tokens, types, reasons


def _pairs(table: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Merges in order; older files write a pair as one text."""
    found = []
    for merge in table["model"]["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        found.append((left, right))
    return found


def _parts(table: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(table, dict):
        return []
    return [part for inner in table[name] for part in _parts(inner, name)] if name in table else [table]


def _begins_with_bos(table: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    template = table.get("post_processor")
    first = [part.get("single", [{}])[0] for part in _parts(template, "processors") if part.get("single")]
    return bool(settings.get("add_bos_token")) or any("SpecialToken" in part for part in first)


def _special_ids(tokens: tuple[str, ...], settings: Mapping[str, Any]) -> dict[str, int]:
    ids = {token: index for index, token in enumerate(tokens)}
    found = {}
    for role, name in (("bos", "bos_token"), ("eos", "eos_token"), ("unknown", "unk_token"), ("padding", "pad_token")):
        value = settings.get(name)
        content = value.get("content") if isinstance(value, dict) else value
        if content in ids:
            found[role] = ids[content]
    return found


def restore_tokenizer(content: str, metadata: Mapping[str, Any], folder: Path) -> None:
    """Writes the tokenizer's files again that `read_entry` read: tokenizer.json as it was, settings as far as kept."""
    tokens = metadata.get("tokenizer.ggml.tokens", [])
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": bool(metadata.get("tokenizer.ggml.add_bos_token", False)),
        "add_eos_token": bool(metadata.get("tokenizer.ggml.add_eos_token", False)),
        "clean_up_tokenization_spaces": False,
    }
    for role, name in (("bos", "bos_token"), ("eos", "eos_token"), ("unknown", "unk_token"), ("padding", "pad_token")):
        index = metadata.get(f"tokenizer.ggml.{role}_token_id")
        if index is not None and index < len(tokens):
            settings[name] = tokens[index]
    (folder / "tokenizer.json").write_text(content, encoding="utf-8", newline="\n")
    text = json.dumps(settings, indent=1, ensure_ascii=False) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8", newline="\n")
    template = metadata.get("tokenizer.chat_template")
    if template is not None:
        (folder / "chat_template.jinja").write_text(str(template), encoding="utf-8", newline="\n")
