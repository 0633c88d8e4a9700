"""More tokens for a byte-pair tokenizer, learned from text, without any change to what it did before.

New merges come after all old ones and make new tokens only. So a text is first encoded as before, and then old tokens
are joined: if a text's new encoding holds no new token, no new merge was made, and its ids are the old ones.
"""

import heapq
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tokenizers
from tokenizers import pre_tokenizers

from waman.errors import InputError
from waman.tokens.bpe import MAX_PIECE_CHARACTERS, MIN_PAIR_COUNT, WORDS, covered_characters

Table = Mapping[str, Any]
"""The content of a `tokenizer.json`."""
Pair = tuple[str, str]

BYTES_PER_CHARACTER = 3
"""Of most scripts beside Latin, in UTF-8: how much longer a byte-level token may be."""


@dataclass(frozen=True)
class Extension:
    """What is added to a tokenizer."""

    characters: tuple[str, ...]
    """Characters that were spelt in bytes, or unknown, and get a token of their own; the commonest first."""
    merged: tuple[str, ...]
    """What the new merges make, in the order learned."""
    merges: tuple[Pair, ...]
    """Pairs to be joined after all old ones, in order of precedence."""

    @property
    def tokens(self) -> tuple[str, ...]:
        """All new tokens, in the order of their ids."""
        return (*self.characters, *self.merged)


def learn_extension(
    table: Table,
    texts: Iterable[str],
    *,
    num_tokens: int,
    character_coverage: float,
    max_character_share: float,
) -> Extension:
    """Learns `num_tokens` new tokens for a tokenizer from text.

    Raises InputError where the tokenizer is no byte-pair encoding of the known kinds, and where the text is too small:
    it says how many tokens can be made.
    """
    require_extensible(table)
    lessons = _Lessons(table, texts, character_coverage=character_coverage)
    found = lessons.learn(num_tokens, max_character_share)
    if len(found.tokens) == num_tokens:
        return found
    possible = len(found.tokens)
    raise InputError(
        f"the text is too small for {num_tokens} new tokens: {possible} can be made of it; "
        f"give more text, or ask for {possible} or fewer"
    )


def extend(table: Table, extension: Extension) -> dict[str, Any]:
    """The `tokenizer.json` with the new tokens, whose ids follow the old ones; all else stays as it is.

    Added tokens that only stand beside the vocabulary are written into it: the library numbers them anew otherwise,
    behind what is new.
    """
    model = dict(table["model"])
    first = num_ids(table)
    new = {token: first + place for place, token in enumerate(extension.tokens)}
    model["vocab"] = model["vocab"] | _beside(table) | new
    merges = list(model["merges"])
    as_text = bool(merges) and isinstance(merges[0], str)
    merges += [f"{left} {right}" if as_text else [left, right] for left, right in extension.merges]
    return {**table, "model": {**model, "merges": merges}}


def new_tokens(old: Table, new: Table) -> list[str]:
    """The tokens that a tokenizer has beyond another which it extends, in the order of their ids.

    Raises InputError where it does not extend the other: where an old text's ids could mean something else.
    """
    reasons = []
    for part in sorted((old.keys() | new.keys()) - {"model", "truncation", "padding", "version"}):
        if old.get(part) != new.get(part):
            reasons.append(f"{part} differs")
    before, after = {**old["model"], "vocab": old["model"]["vocab"] | _beside(old)}, new["model"]
    for part in sorted((before.keys() | after.keys()) - {"vocab", "merges"}):
        if before.get(part) != after.get(part):
            reasons.append(f"model.{part} differs")
    if any((after["vocab"] | _beside(new)).get(token) != index for token, index in before["vocab"].items()):
        reasons.append("tokens are missing or have other ids")
    merges, grown = pairs(old), pairs(new)
    if grown[: len(merges)] != merges:
        reasons.append("the old merges do not come first")
    added = sorted(after["vocab"].keys() - before["vocab"].keys(), key=after["vocab"].__getitem__)
    if added and [after["vocab"][token] for token in added] != list(range(num_ids(old), num_ids(old) + len(added))):
        reasons.append("the new tokens' ids do not follow the old ones")
    elif any(left + right in before["vocab"] for left, right in grown[len(merges) :]):
        reasons.append("a new merge makes an old token")
    if reasons:
        raise InputError(f"it does not extend the other tokenizer: {'; '.join(reasons)}")
    return added


def spell(table: Table, tokens: Sequence[str]) -> list[list[int]]:
    """The ids by which a tokenizer spells each of these pieces, which are written as its own vocabulary is."""
    backend = _model_alone(table)
    return [one.ids for one in backend.encode_batch(list(tokens), add_special_tokens=False)]


def num_ids(table: Table) -> int:
    """One more than the greatest id."""
    ids = [*table["model"]["vocab"].values(), *(token["id"] for token in table.get("added_tokens", []))]
    return max(ids, default=-1) + 1


def pairs(table: Table) -> list[Pair]:
    """The merges in order; older files write a pair as one text."""
    found = (merge.split(" ") if isinstance(merge, str) else merge for merge in table["model"]["merges"])
    return [(left, right) for left, right in found]


def require_extensible(table: Table) -> None:
    """Raises InputError for a tokenizer to which no merges can be added, with the reasons."""
    model = table.get("model", {})
    kind = model.get("type") or ("BPE" if "merges" in model else None)
    if kind != "BPE":
        raise InputError(f"the tokenizer is of type {kind!r}: only byte-pair encoding ('BPE') can be extended")
    odd = ("dropout", "continuing_subword_prefix", "end_of_word_suffix")
    found = [f"{name} = {model[name]!r}" for name in odd if model.get(name)]
    if found:
        raise InputError(f"the tokenizer has {', '.join(found)}: with these, new merges cannot be told apart from old")
    letters = sorted(token for token in _beside(table) if len(token) == 1)
    if letters:
        raise InputError(
            f"the tokenizer has the added tokens {', '.join(map(repr, letters))} beside its vocabulary: written into "
            "it, as an extension must, they would be found inside words"
        )


def is_byte_level(table: Table) -> bool:
    """Whether it writes each byte as a letter before it merges (Radford et al. 2019)."""
    return any(part["type"] == "ByteLevel" for name in ("pre_tokenizer", "decoder") for part in _parts(table.get(name)))


def is_complete(table: Table) -> bool:
    """Whether any two tokens that spell a token are merged, as SentencePiece and llama.cpp merge them."""
    vocab, known = table["model"]["vocab"], set(pairs(table))
    made = {left + right for left, right in known}
    return all(pair in known for token in made for pair in _cuts(token) if pair[0] in vocab and pair[1] in vocab)


# Learning


class _Lessons:
    """The words of a sample, from which extensions of any size are learned."""

    def __init__(self, table: Table, texts: Iterable[str], *, character_coverage: float) -> None:
        self._table = table
        self._byte_level, self._complete = is_byte_level(table), is_complete(table)
        self._words = self._count_words(texts)
        self._missing = [] if self._byte_level else self._missing_characters(character_coverage)
        forbidden = {*table["model"]["vocab"], *(token["content"] for token in table.get("added_tokens", []))}
        if self._complete:
            # Half of an old token must stay no token: SentencePiece would join it to the whole, whose merge is old.
            forbidden |= {half for token in table["model"]["vocab"] for cut in _cuts(token) for half in cut}
        self._forbidden = forbidden

    def learn(self, num_tokens: int, max_character_share: float) -> Extension:
        """An extension of so many tokens, or of as many as the sample has.

        Where merges run short, more characters than their share make up for it.
        """
        limit = max(int(max_character_share * num_tokens), 1)
        while True:
            found = self._learn(num_tokens, self._missing[: min(limit, num_tokens)])
            lacking = num_tokens - len(found.tokens)
            if lacking == 0 or limit >= len(self._missing):
                return found
            limit += lacking

    def _learn(self, num_tokens: int, characters: Sequence[str]) -> Extension:
        merger = _Merger(
            self._spelt(characters),
            forbidden=self._forbidden,
            max_length=MAX_PIECE_CHARACTERS * (BYTES_PER_CHARACTER if self._byte_level else 1),
        )
        merged, merges = merger.merge(num_tokens - len(characters))
        if self._complete:
            known = {*self._table["model"]["vocab"], *characters, *merged}
            merges = [pair for piece in merged for pair in _completed(piece, known, merges_first=set(merges))]
        return Extension(tuple(characters), tuple(merged), tuple(merges))

    def _count_words(self, texts: Iterable[str]) -> Counter[str]:
        backend = tokenizers.Tokenizer.from_str(json.dumps(dict(self._table)))
        cutters = [] if backend.pre_tokenizer is None else [backend.pre_tokenizer]
        if not self._byte_level:
            cutters.append(pre_tokenizers.Split(tokenizers.Regex(WORDS), "isolated"))
        cutter = pre_tokenizers.Sequence(cutters)
        counts: Counter[str] = Counter()
        for text in texts:
            normalised = text if backend.normalizer is None else backend.normalizer.normalize_str(text)
            counts.update(word for word, _ in cutter.pre_tokenize_str(normalised))
        return counts

    def _missing_characters(self, coverage: float) -> list[str]:
        counts: Counter[str] = Counter()
        for word, number in self._words.items():
            for character in word:
                counts[character] += number
        vocab = self._table["model"]["vocab"]
        return [character for character in covered_characters(counts, coverage) if character not in vocab]

    def _spelt(self, characters: Sequence[str]) -> Iterator[tuple[list[str], int]]:
        """The words as old tokens and new characters, cut where something is spelt in bytes or unknown."""
        table = extend(self._table, Extension(tuple(characters), (), ()))
        backend, words = _model_alone(table), sorted(self._words)
        token_of = {index: token for token, index in table["model"]["vocab"].items()}
        alone = {index for index, token in token_of.items() if _is_byte(token)}
        alone.add(table["model"]["vocab"].get(table["model"].get("unk_token"), -1))
        for word, encoded in zip(words, backend.encode_batch(words, add_special_tokens=False), strict=True):
            for apart, part in itertools.groupby(encoded.ids, key=lambda index: index in alone):
                if not apart:
                    yield [token_of[index] for index in part], self._words[word]


class _Merger:
    """Counts pairs in words and joins the commonest, over and over (Sennrich et al. 2016, algorithm 1)."""

    def __init__(self, words: Iterable[tuple[list[str], int]], *, forbidden: set[str], max_length: int) -> None:
        self._forbidden, self._max_length = forbidden, max_length
        self._words: list[list[str]] = []
        self._numbers: list[int] = []
        self._counts: dict[Pair, int] = defaultdict(int)
        self._places: dict[Pair, set[int]] = defaultdict(set)
        for tokens, number in words:
            if len(tokens) > 1:
                self._words.append(tokens)
                self._numbers.append(number)
                self._count(len(self._words) - 1, 1)
        self._heap = [(-count, pair) for pair, count in self._counts.items() if self._may_be_made(pair)]
        heapq.heapify(self._heap)

    def merge(self, num_tokens: int) -> tuple[list[str], list[Pair]]:
        """New tokens, at most so many, and the merges that make them; equal counts go in the order of the pairs."""
        made: dict[str, None] = {}
        merges: list[Pair] = []
        while len(made) < num_tokens and self._heap:
            count, pair = heapq.heappop(self._heap)
            if -count != self._counts[pair]:
                continue  # it was counted anew since
            if -count < MIN_PAIR_COUNT:
                break
            made["".join(pair)] = None
            merges.append(pair)
            self._join(pair)
        return list(made), merges

    def _may_be_made(self, pair: Pair) -> bool:
        piece = "".join(pair)
        return len(piece) <= self._max_length and piece not in self._forbidden

    def _count(self, place: int, sign: int) -> set[Pair]:
        found = set(itertools.pairwise(self._words[place]))
        for pair in itertools.pairwise(self._words[place]):
            self._counts[pair] += sign * self._numbers[place]
        for pair in found:
            (self._places[pair].add if sign > 0 else self._places[pair].discard)(place)
        return found

    def _join(self, pair: Pair) -> None:
        changed: set[Pair] = set()
        for place in sorted(self._places[pair]):
            changed |= self._count(place, -1)
            self._words[place] = _joined(self._words[place], pair)
            changed |= self._count(place, 1)
        for one in changed:
            if self._counts[one] and self._may_be_made(one):
                heapq.heappush(self._heap, (-self._counts[one], one))


def _joined(tokens: list[str], pair: Pair) -> list[str]:
    found: list[str] = []
    waiting = iter(range(len(tokens)))
    for place in waiting:
        if tuple(tokens[place : place + 2]) == pair:
            found.append("".join(pair))
            next(waiting)
        else:
            found.append(tokens[place])
    return found


def _beside(table: Table) -> dict[str, int]:
    """Added tokens that the vocabulary does not hold."""
    vocab = table["model"]["vocab"]
    return {one["content"]: one["id"] for one in table.get("added_tokens", []) if one["content"] not in vocab}


def _completed(piece: str, known: set[str], *, merges_first: set[Pair]) -> list[Pair]:
    """All pairs of tokens that spell a piece, those that were learned first."""
    spelling = [pair for pair in _cuts(piece) if pair[0] in known and pair[1] in known]
    return sorted(spelling, key=lambda pair: pair not in merges_first)


def _cuts(token: str) -> list[Pair]:
    return [(token[:cut], token[cut:]) for cut in range(1, len(token))]


def _model_alone(table: Table) -> tokenizers.Tokenizer:
    """Its merges without what comes before and after them: it encodes a word that is cut and normalised already."""
    parts = ("normalizer", "pre_tokenizer", "post_processor", "truncation", "padding")
    return tokenizers.Tokenizer.from_str(json.dumps({**table, **dict.fromkeys(parts), "added_tokens": []}))


def _is_byte(token: str) -> bool:
    return len(token) == 6 and token.startswith("<0x") and token.endswith(">")


def _parts(table: Any) -> list[dict[str, Any]]:
    if not isinstance(table, dict):
        return []
    inner = table.get("pretokenizers") or table.get("decoders") or table.get("normalizers")
    return [part for one in inner for part in _parts(one)] if inner else [table]
