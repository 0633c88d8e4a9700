"""Text to token ids and back. Opens our own tokenizers and those of any Hugging Face directory of LLaMA's kin."""

import codecs
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import tokenizers

from waman.errors import InputError
from waman.manifest import read_table, write_whole
from waman.tokens.bpe import SPACE
from waman.tokens.chat_template import CHAT_TEMPLATE

TOKENIZER_FILE, CONFIG_FILE, TEMPLATE_FILE = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"


class Tokenizer:
    """Encodes with special tokens off: a text that contains `</s>` yields ordinary pieces."""

    def __init__(self, backend: tokenizers.Tokenizer, *, identity: str, config: dict[str, Any], template: str | None):
        self._backend = backend
        self._backend.encode_special_tokens = True
        self._config = config
        self.identity = identity
        """sha256 of `tokenizer.json`: the same wherever the file was copied to."""
        self.chat_template = template
        """Jinja source, where the tokenizer brings one."""
        self._special = {token.content: index for index, token in _added(backend) if token.special}
        self._bytes, self._strips_space = _token_bytes(backend)
        for index in self._special.values():
            self._bytes[index] = b""

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Opens the tokenizer in an artifact or a Hugging Face directory.

        Raises InputError where there is none, or one that cannot be read.
        """
        path = Path(folder) / TOKENIZER_FILE
        if not path.is_file():
            raise InputError(
                f"{folder} holds no tokenizer: expected {TOKENIZER_FILE} in it; "
                "give what `waman train-tokenizer` made, or a Hugging Face directory"
            )
        data = path.read_bytes()
        try:
            backend = tokenizers.Tokenizer.from_str(data.decode())
        except Exception as error:  # the library raises no narrower one
            raise InputError(f"{path} is not a tokenizer that can be read: {error}; make or fetch it again") from error
        template_path = path.with_name(TEMPLATE_FILE)
        config = read_settings(path.parent, backend.id_to_token)
        template = template_path.read_text(encoding="utf-8") if template_path.is_file() else config.get("chat_template")
        identity = hashlib.sha256(data).hexdigest()
        return cls(backend, identity=identity, config=config, template=template if isinstance(template, str) else None)

    @property
    def vocab_size(self) -> int:
        """Number of token ids, special ones included."""
        return len(self._bytes)

    @property
    def bos_id(self) -> int:
        """Id of the token that begins a text. Raises InputError where the tokenizer names none."""
        return self._named("bos_token")

    @property
    def eos_id(self) -> int:
        """Id of the token that ends a text. Raises InputError where the tokenizer names none."""
        return self._named("eos_token")

    @property
    def unk_id(self) -> int:
        """Id of the unknown token. Raises InputError where the tokenizer names none."""
        return self._named("unk_token")

    @property
    def begins_with_bos(self) -> bool:
        """Whether a plain text is given to the model with the beginning token before it."""
        ids = self._backend.encode("a").ids
        return "bos_token" in self._config and bool(ids) and ids[0] == self.special_ids.get(self._name("bos_token"))

    @property
    def special_ids(self) -> dict[str, int]:
        """Id by name of every special token."""
        return dict(self._special)

    @property
    def special_names(self) -> dict[str, str]:
        """Name by role (bos_token, eos_token, ...) of the special tokens that the tokenizer names."""
        return {role: self._name(role) for role in self._config if role.endswith("_token") and self._name(role)}

    @property
    def token_bytes(self) -> tuple[bytes, ...]:
        """The bytes that each token stands for: joined, a text with one space before it. Special tokens give none."""
        return tuple(self._bytes)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, with neither beginning nor end token."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text. Raises InputError where one holds a lone surrogate, which UTF-8 cannot express."""
        try:
            encoded = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        except (UnicodeEncodeError, TypeError) as error:
            raise _unencodable(texts) from error
        return [one.ids for one in encoded]

    def encode_marked(self, text: str) -> list[int]:
        """Token ids of a text in which special tokens are written out, as a rendered chat template is."""
        self._backend.encode_special_tokens = False
        try:
            return list(self._backend.encode(text, add_special_tokens=False).ids)
        finally:
            self._backend.encode_special_tokens = True

    def decode(self, token_ids: Iterable[int]) -> str:
        """The text of tokens: `decode(encode(text)) == text` for every text without ▁ (U+2581).

        Special tokens give nothing; bytes that are no UTF-8 give U+FFFD.
        """
        data = b"".join(self._bytes[index] for index in token_ids)
        return data.removeprefix(b" " if self._strips_space else b"").decode(errors="replace")

    def continuation(self, *, begins_text: bool) -> "Continuation":
        """A decoder of tokens as they come, after a prompt, or as a text of their own where `begins_text`."""
        return Continuation(self._bytes, strip=begins_text and self._strips_space)

    def save(self, folder: Path) -> None:
        """Writes the files with which transformers opens the same tokenizer."""
        write_whole(folder / TOKENIZER_FILE, self._backend.to_str(pretty=True) + "\n")
        write_whole(folder / CONFIG_FILE, json.dumps(self._config, indent=1, ensure_ascii=False) + "\n")
        if self.chat_template is not None:
            write_whole(folder / TEMPLATE_FILE, self.chat_template)

    def _name(self, role: str) -> str:
        value = self._config.get(role)
        name = value.get("content") if isinstance(value, dict) else value
        return name if isinstance(name, str) else ""

    def _named(self, role: str) -> int:
        index = self._backend.token_to_id(self._name(role))
        if index is None:
            raise InputError(
                f"the tokenizer has no {role}: expected its name in {CONFIG_FILE}, or its id in config.json"
            )
        return int(index)


class Continuation:
    """Tokens to text as they come: a character is given out when its last byte is there."""

    def __init__(self, token_bytes: Sequence[bytes], *, strip: bool) -> None:
        self._bytes = token_bytes
        self._strip = strip
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def add(self, token_id: int) -> str:
        """The characters that this token completes."""
        data = self._bytes[token_id]
        if self._strip and data:
            data, self._strip = data.removeprefix(b" "), False
        return self._decoder.decode(data)


def own_tokenizer(backend: tokenizers.Tokenizer) -> Tokenizer:
    """A tokenizer that was just learned, with the names and the chat form of ours."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "add_bos_token": True,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
    }
    identity = hashlib.sha256((backend.to_str(pretty=True) + "\n").encode()).hexdigest()
    return Tokenizer(backend, identity=identity, config=config, template=CHAT_TEMPLATE)


def read_settings(folder: Path, name_of: Callable[[int], str | None]) -> dict[str, Any]:
    """A tokenizer's settings; a special token that they do not name is named as elsewhere in the directory.

    Published GPT-2 names its tokens in config.json alone, by their ids; old directories in special_tokens_map.json.
    """
    settings, names, model = (
        read_table(folder / file) if (folder / file).is_file() else {}
        for file in (CONFIG_FILE, "special_tokens_map.json", "config.json")
    )
    for role in ("bos_token", "eos_token", "unk_token"):
        index = model.get(f"{role}_id")
        index = index[0] if isinstance(index, list) and index else index
        found = names.get(role) or (name_of(index) if isinstance(index, int) else None)
        if not settings.get(role) and found:
            settings[role] = found
    return settings


def require_same(tokenizer: Tokenizer, made_with: str, *, what: str) -> None:
    """Raises InputError where `what` was made with a tokenizer of another identity."""
    if tokenizer.identity != made_with:
        raise InputError(
            f"{what}: made with tokenizer {made_with[:16]}, the one given is {tokenizer.identity[:16]}: "
            "give the tokenizer it was made with, or tokenize again"
        )


def _added(backend: tokenizers.Tokenizer) -> list[tuple[int, Any]]:
    return list(backend.get_added_tokens_decoder().items())


def _unencodable(texts: Sequence[str]) -> InputError:
    for number, text in enumerate(texts):
        for position, character in enumerate(text):
            if "\ud800" <= character <= "\udfff":
                return InputError(
                    f"text {number} has a lone surrogate (U+{ord(character):04X}) at character {position}, "
                    "which UTF-8 cannot express: decode its source with errors='replace'"
                )
    return InputError("expected texts, found something else")


def _token_bytes(backend: tokenizers.Tokenizer) -> tuple[list[bytes], bool]:
    """The bytes that each token stands for, and whether a text loses the space before it."""
    table = json.loads(backend.to_str())
    kinds = {part["type"]: part for part in _parts(table.get("decoder"))}
    tokens = [backend.id_to_token(index) or "" for index in range(max(backend.get_vocab().values()) + 1)]
    added = {index: token.content for index, token in _added(backend)}
    if "ByteLevel" in kinds:
        letters = _byte_letters()
        return [
            added[index].encode() if index in added else bytes(letters[letter] for letter in token)
            for index, token in enumerate(tokens)
        ], False
    if "ByteFallback" in kinds and "Replace" in kinds:
        return [_piece_bytes(token) for token in tokens], "Strip" in kinds
    raise InputError(
        f"the tokenizer's decoder is {', '.join(kinds) or 'absent'}: "
        "expected LLaMA's (Replace and ByteFallback) or a ByteLevel one"
    )


def _piece_bytes(token: str) -> bytes:
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes([int(token[3:5], 16)])
    return token.replace(SPACE, " ").encode()


def _parts(table: Any) -> list[dict[str, Any]]:
    if not isinstance(table, dict):
        return []
    return [part for inner in table["decoders"] for part in _parts(inner)] if "decoders" in table else [table]


def _byte_letters() -> dict[str, int]:
    """The letters by which byte-level tokenizers write the 256 bytes (Radford et al. 2019, the released encoder)."""
    shown = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + number): byte for number, byte in enumerate(hidden)}
