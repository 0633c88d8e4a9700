"""What can be set of a tokenizer and of token shards. Imports no library beside the standard one."""

from dataclasses import dataclass

from waman.errors import RecipeError

NUM_FIXED_TOKENS = 261
"""Unknown, beginning and end of text, the 256 bytes, and the two tokens of the chat form."""


@dataclass(frozen=True)
class TokenizerRecipe:
    """Byte-pair encoding by LLaMA's rules (Touvron et al. 2023, section 2.1): digits one by one, byte fallback."""

    vocab_size: int = 4096
    """Tokens in all, the 261 fixed ones included."""
    character_coverage: float = 0.9995
    """Share of the sample's characters that get a token of their own; the rarer ones are spelt in bytes."""
    max_character_share: float = 0.35
    """Share of the learned tokens that single characters may take at most: more leaves too few for Korean's words."""
    split_digits: bool = True
    """Whether each digit is a token of its own, as LLaMA's are; else a run of them may become one."""
    sample_bytes: int = 64_000_000
    """UTF-8 bytes of text per source to learn from; documents are drawn by a hash of `seed` and their id."""
    measure_bytes: int = 2_000_000
    """UTF-8 bytes of held-out text per source on which tokens per character are measured."""
    seed: int = 0
    """Draws the documents."""

    def __post_init__(self) -> None:
        if self.vocab_size <= NUM_FIXED_TOKENS:
            raise RecipeError(
                f"vocab_size: found {self.vocab_size}, expected more than the {NUM_FIXED_TOKENS} fixed tokens "
                "(3 for text ends and the unknown, 256 bytes, 2 for chat)"
            )
        for name in ("character_coverage", "max_character_share"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise RecipeError(f"{name}: found {getattr(self, name)}, expected above 0, at most 1")
        for name in ("sample_bytes", "measure_bytes"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name}: found {getattr(self, name)}, expected at least 1")


@dataclass(frozen=True)
class TokenizeRecipe:
    """Nothing to set: the tokenizer and the mixture decide all."""


@dataclass(frozen=True)
class ExtendTokenizerRecipe:
    """New tokens for a language, learned from text and added behind those that a tokenizer has."""

    num_tokens: int = 1024
    """New tokens, single characters included; `--tokens N` on the command line."""
    character_coverage: float = 0.9995
    """Share of the sample's characters that have a token of their own in the end; the rarer ones stay as they are."""
    max_character_share: float = 0.5
    """Share of the new tokens that single characters may take at most; byte-level tokenizers need none."""
    sample_bytes: int = 64_000_000
    """UTF-8 bytes of text per source to learn from; documents are drawn by a hash of `seed` and their id."""
    measure_bytes: int = 2_000_000
    """UTF-8 bytes of held-out text per source on which tokens per character are measured."""
    seed: int = 0
    """Draws the documents."""

    def __post_init__(self) -> None:
        for name in ("num_tokens", "sample_bytes", "measure_bytes"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name}: found {getattr(self, name)}, expected at least 1")
        for name in ("character_coverage", "max_character_share"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise RecipeError(f"{name}: found {getattr(self, name)}, expected above 0, at most 1")
