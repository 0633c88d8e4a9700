"""Byte-pair encoding by LLaMA's rules, learned and laid out with the `tokenizers` library.

Spaces are written ▁ by the normaliser, one of them before the text; a word is cut so that no token joins two words, a
digit and anything, or a letter and a sign; what has no token of its own is spelt in bytes.
"""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from waman.errors import InputError
from waman.tokens.recipe import NUM_FIXED_TOKENS

UNK, BOS, EOS = "<unk>", "<s>", "</s>"
USER, ASSISTANT = "<|user|>", "<|assistant|>"
UNK_ID, BOS_ID, EOS_ID, FIRST_BYTE_ID, USER_ID, ASSISTANT_ID = 0, 1, 2, 3, 259, 260
SPACE = "▁"

WORDS = r"▁?[\p{L}\p{M}]+|▁?[^\p{L}\p{M}\p{N}\t\r\n▁]+|[\r\n]+|▁+(?=▁[^\p{N}\t\r\n▁])|▁+|\p{N}|\t+"
"""What pieces are learned from: words with the space before them, signs, line ends, runs of spaces, digits one by one.

SentencePiece cuts likewise between words, kinds of letters and digits.
"""
CHUNKS = r"[\r\n▁]*[\p{L}\p{M}]+|[\r\n▁]*[^\p{L}\p{M}\p{N}\t\r\n▁]+|[\r\n▁]+|\p{N}|\t+"
"""Any cut that no piece crosses: how a text is cut for speed; the merges give the same without."""
MAX_PIECE_CHARACTERS = 16
"""SentencePiece's default `max_sentencepiece_length`."""
MIN_PAIR_COUNT = 2
"""A pair seen once teaches nothing."""
_INDENTATIONS = tuple("\n" + SPACE * spaces for spaces in range(1, MAX_PIECE_CHARACTERS))
"""A line end and the spaces after it are one token, by their number; SentencePiece gives them two at least."""
_ALWAYS = (SPACE, "\n")
"""Characters with a token in any case."""


@dataclass(frozen=True)
class Pieces:
    """What was learned from text, fixed tokens left out."""

    characters: tuple[str, ...]
    """Characters with a token of their own, the commonest first."""
    merges: tuple[tuple[str, str], ...]
    """Pairs to be joined, in order of precedence."""
    merged: tuple[str, ...]
    """What the merges make, in the order learned."""
    split_digits: bool = True
    """Whether texts are cut between digits, so that no piece joins two."""

    @property
    def number(self) -> int:
        """How many tokens they are."""
        return len(self.characters) + len(self.merged)


def fixed_tokens() -> list[str]:
    """The tokens with ids 0 to 260."""
    return [UNK, BOS, EOS, *(f"<0x{byte:02X}>" for byte in range(256)), USER, ASSISTANT]


def words(split_digits: bool) -> str:
    """`WORDS`, or the same with numbers whole."""
    return WORDS if split_digits else WORDS.replace(r"|\p{N}|", r"|\p{N}+|")


def chunks(split_digits: bool) -> str:
    """`CHUNKS`, or the same with numbers whole."""
    return CHUNKS if split_digits else CHUNKS.replace(r"|\p{N}|", r"|\p{N}+|")


def covered_characters(counts: Counter[str], coverage: float) -> list[str]:
    """The commonest characters that make up a share `coverage` of the text; equals go by code point."""
    wanted, kept, seen = coverage * counts.total(), [], 0
    for character, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if seen >= wanted:
            break
        kept.append(character)
        seen += count
    return kept


def learn_pieces(
    texts: Sequence[str],
    *,
    vocab_size: int,
    character_coverage: float,
    max_character_share: float = 1.0,
    split_digits: bool = True,
) -> Pieces:
    """Learns characters and merges for a vocabulary of exactly `vocab_size`, fixed tokens included.

    The merges of line ends come first, so that indentation goes to its line end; those of runs of spaces come last, so
    that a word has taken the space before it by then. Any two pieces that spell a token are merged, as SentencePiece
    merges them: that is why llama.cpp, which knows no rule for words, gives the same ids.

    Raises InputError where the text is empty, too small or of too many characters for it.
    """
    counts = Counter(itertools.chain.from_iterable(texts))
    if not counts:
        raise InputError("the sample holds no text: expected documents of the train split with text in them")
    counts[SPACE] += counts.pop(" ", 0) + len(texts)
    sample = _Sample(texts, counts, character_coverage, max_character_share, split_digits)
    wanted = vocab_size - NUM_FIXED_TOKENS
    characters = sample.characters(wanted)
    if len(characters) > wanted - len(_INDENTATIONS):
        raise InputError(
            f"the text has {len(characters)} characters to cover, the vocabulary has room for "
            f"{max(0, wanted - len(_INDENTATIONS))} ({NUM_FIXED_TOKENS} tokens are fixed, {len(_INDENTATIONS)} are for "
            f"indentation): set vocab_size to {len(characters) + len(_INDENTATIONS) + NUM_FIXED_TOKENS}, or a lower "
            "max_character_share, with --replace"
        )
    pieces = sample.learn(wanted)
    if pieces.number < wanted:
        enough = sample.most_pieces(pieces.number) + NUM_FIXED_TOKENS
        raise InputError(
            f"the text is too small for the vocabulary: found {pieces.number} pieces, expected {wanted} "
            f"(vocab_size {vocab_size} less {NUM_FIXED_TOKENS} fixed tokens): give more text, or set vocab_size to "
            f"{enough}, with --replace"
        )
    assert pieces.number == wanted
    return pieces


@dataclass(frozen=True)
class _Sample:
    """Texts to learn from, and which of their characters may have a token."""

    texts: Sequence[str]
    counts: Counter[str]
    """Characters of the texts, spaces as ▁."""
    coverage: float
    max_share: float
    split_digits: bool

    def characters(self, num_pieces: int) -> list[str]:
        """The characters with a token of their own in a vocabulary of so many pieces: fewer in a smaller one."""
        covered = covered_characters(self.counts, self.coverage)
        if self.max_share < 1:
            covered = covered[: max(1, int(self.max_share * (num_pieces - len(_INDENTATIONS))))]
        return [*covered, *(one for one in _ALWAYS if one not in covered)]

    def learn(self, num_pieces: int) -> Pieces:
        """Characters and merges: so many pieces, or as many as the texts give for a vocabulary of this size."""
        characters = self.characters(num_pieces)
        rare = sorted(self.counts.keys() - set(characters))
        num_learned = max(num_pieces - len(_INDENTATIONS), len(characters))
        learned = json.loads(_train(self.texts, rare, num_learned, words(self.split_digits)).to_str())["model"]
        found = sorted(learned["vocab"], key=learned["vocab"].__getitem__)
        assert {piece for piece in found if len(piece) == 1} == set(characters)
        merged = tuple(piece for piece in found if len(piece) > 1)
        return Pieces(
            tuple(characters),
            tuple(_all_merges(characters, [(left, right) for left, right in learned["merges"]])),
            (*_INDENTATIONS, *merged),
            self.split_digits,
        )

    def most_pieces(self, num_pieces: int) -> int:
        """A number of pieces, at most `num_pieces`, that the texts do give for a vocabulary of that very size.

        A smaller vocabulary has fewer characters, so that its words fall apart and give fewer merges.
        """
        while (found := self.learn(num_pieces).number) < num_pieces:
            num_pieces = found
        return num_pieces


def _all_merges(characters: Sequence[str], learned: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The merges in their order, and with each every other pair that spells the same piece."""
    made = {left + right: None for left, right in learned}
    order = [*_INDENTATIONS, *sorted(made, key=lambda piece: not piece.strip(SPACE))]  # stable: the rest as learned
    known = {*characters, *order}
    first = {left + right: (left, right) for left, right in reversed(learned)}
    for piece in order:
        pairs = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        pairs = [pair for pair in pairs if known.issuperset(pair)]
        yield from sorted(pairs, key=lambda pair: pair != first.get(pair[0] + pair[1]))


def build(pieces: Pieces) -> tokenizers.Tokenizer:
    """The tokenizer: fixed tokens, then what the merges make, then the characters, as SentencePiece lays them out.

    The bytes are plain vocabulary. As added tokens they would be found in text, and a literal `<0x41>` become `A`.
    """
    tokens = [*fixed_tokens(), *pieces.merged, *pieces.characters]
    vocab = {token: index for index, token in enumerate(tokens)}
    assert len(vocab) == len(tokens), "a piece is spelt like a fixed token"
    model = models.BPE(vocab, list(pieces.merges), unk_token=UNK, fuse_unk=True, byte_fallback=True)
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = _normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(tokenizers.Regex(chunks(pieces.split_digits)), "isolated")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS}:1 $B:1", special_tokens=[(BOS, BOS_ID)]
    )
    special = [tokenizers.AddedToken(name, special=True, normalized=False) for name in (UNK, BOS, EOS, USER, ASSISTANT)]
    tokenizer.add_special_tokens(special)
    assert tokenizer.get_vocab_size() == len(tokens)
    return tokenizer


def _normalizer() -> normalizers.Normalizer:
    return normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])


def _train(texts: Iterable[str], rare: Sequence[str], num_pieces: int, cut: str) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.normalizer = _normalizer()
    cutters: list[pre_tokenizers.PreTokenizer] = []
    if rare:
        any_rare = tokenizers.Regex("[" + "".join(f"\\x{{{ord(character):X}}}" for character in rare) + "]")
        cutters.append(pre_tokenizers.Split(any_rare, "removed"))
    indentation = tokenizers.Regex(rf"\n{SPACE}{{1,{len(_INDENTATIONS)}}}")
    cutters.append(pre_tokenizers.Split(indentation, "removed"))
    cutters.append(pre_tokenizers.Split(tokenizers.Regex(cut), "isolated"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(cutters)
    trainer = trainers.BpeTrainer(
        vocab_size=num_pieces,
        min_frequency=MIN_PAIR_COUNT,
        max_token_length=MAX_PIECE_CHARACTERS,
        initial_alphabet=list(_ALWAYS),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
