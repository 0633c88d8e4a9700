"""Windows of a tokens artifact, drawn by a seed: what calibrates and what proves."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from waman.artifact import Artifact
from waman.errors import InputError
from waman.model.config import ModelConfig
from waman.quantization.recipe import Gptq, Proof
from waman.tokens.shards import Stream, TokenShards
from waman.tokens.tokenizer import TOKENIZER_FILE, Tokenizer


@dataclass(frozen=True)
class Sequences:
    """Windows of a split, each one token longer than what is read of it."""

    token_ids: Tensor
    """(sequences, length + 1)"""
    documents: Tensor
    """(sequences, length + 1)"""

    @property
    def predicted(self) -> Tensor:
        """(sequences, length): whether the next token belongs to the same document."""
        return self.documents[:, 1:] == self.documents[:, :-1]

    def __len__(self) -> int:
        return len(self.token_ids)

    def part(self, start: int, stop: int) -> "Sequences":
        """Some of them."""
        return Sequences(self.token_ids[start:stop], self.documents[start:stop])


def open_tokens(tokens: Artifact, weights: Path, config: ModelConfig) -> TokenShards:
    """The shards. Raises InputError where they were made with another tokenizer than the model's."""
    shards = TokenShards.open(tokens)
    known = Tokenizer.load(weights).identity if (weights / TOKENIZER_FILE).is_file() else None
    if known is not None and shards.info.tokenizer != known:
        raise InputError(
            f"{tokens.path}: made with the tokenizer {shards.info.tokenizer[:16]}, the model's is {known[:16]}: its "
            f"ids mean other tokens; tokenize again with --tokenizer {weights}"
        )
    if shards.info.vocab_size > (config.vocab_size or 0):
        raise InputError(
            f"{tokens.path}: token ids up to {shards.info.vocab_size - 1}, but the model knows {config.vocab_size}: "
            "they are another model's; tokenize again with its own tokenizer"
        )
    return shards


def held_out(shards: TokenShards, config: ModelConfig, recipe: Proof) -> Sequences:
    """Windows in which so many tokens are predicted. Raises InputError where there are fewer, or none."""
    found: list[tuple[Tensor, Tensor]] = []
    predicted = 0
    for token_ids, documents in _windows(shards, "held_out", min(recipe.length, config.context_length), recipe.seed):
        found.append((token_ids, documents))
        predicted += int((documents[1:] == documents[:-1]).sum())
        if predicted >= recipe.num_tokens:
            return _stacked(found)
    if predicted and recipe.fewer == "take":
        return _stacked(found)
    raise InputError(
        f"{shards.path}: {predicted:,} held-out tokens to predict, expected {recipe.num_tokens:,} (proof.num_tokens): "
        f"hold out more (waman mix), or take fewer and wider intervals: --set proof.num_tokens={max(predicted, 1)}"
    )


def calibrating(shards: TokenShards, config: ModelConfig, recipe: Gptq) -> Sequences:
    """Windows of the train split. Raises InputError where there are too few."""
    found: list[tuple[Tensor, Tensor]] = []
    length = min(recipe.length, config.context_length)
    for window in _windows(shards, "train", length, recipe.seed):
        found.append(window)
        if len(found) == recipe.num_sequences:
            return _stacked(found)
    raise InputError(
        f"{shards.path}: {len(found)} sequences of {length} tokens in the train split, expected "
        f"{recipe.num_sequences} (gptq.num_sequences): tokenize more text, or take fewer"
    )


def _windows(shards: TokenShards, split: str, length: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Those next to each other in the streams of all sources, in an order drawn by the seed; read one by one."""
    places: list[tuple[Stream, int]] = []
    for stream in shards.streams[split].values():
        places += [(stream, start) for start in range(0, stream.num_tokens - length, length)]
    for index in torch.randperm(len(places), generator=torch.Generator().manual_seed(seed)).tolist():
        stream, start = places[index]
        token_ids, documents = stream.read(start, start + length + 1)
        yield torch.from_numpy(token_ids), torch.from_numpy(documents)


def _stacked(found: list[tuple[Tensor, Tensor]]) -> Sequences:
    return Sequences(torch.stack([ids for ids, _ in found]), torch.stack([documents for _, documents in found]))
