"""Byte-pair encoding by LLaMA's rules, learned and laid out with the `tokenizers` library.

Spaces are written ▁ by the normaliser, one of them before the text; a word is cut so that no token joins two words, a
digit and anything, or a letter and a sign; what has no token of its own is spelt in bytes.
"""

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from waman.errors import InputError
from waman.tokens.recipe import NUM_FIXED_TOKENS

UNK, BOS, EOS = "<unk>", "<s>", "</s>"
USER, ASSISTANT = "<|user|>", "<|assistant|>"
UNK_ID, BOS_ID, EOS_ID, FIRST_BYTE_ID, USER_ID, ASSISTANT_ID = 0, 1, 2, 3, 259, 260
SPACE = "▁"

WORDS = r"▁?[\p{L}\p{M}]+|▁?[^\p{L}\p{M}\p{N}\t\r\n▁]+|[\r\n]+▁*|▁+(?=▁[^\p{N}\t\r\n▁])|▁+|\p{N}|\t+"
"""A space belongs to the word or sign after it, line ends keep the indentation that follows, digits stand alone.

SentencePiece cuts likewise between words, kinds of letters and digits; it never sees a line end, which costs LLaMA a
byte token and the indentation's token for every line of code.
"""
COUNTED_WORDS = WORDS.replace(r"[\r\n]+▁*", r"[\r\n]+")
"""What pieces are learned from where indentation is counted."""
PLAIN_CHUNKS = (
    r"[\r\n▁]*[\p{L}\p{M}]+|[\r\n▁]*[^\p{L}\p{M}\p{N}\t\r\n▁]+|[\r\n▁]+|\p{N}|\t+"  # any cut that no piece crosses
)
"""How a text is cut where indentation is counted: only for speed, the merges give the same without."""
MAX_PIECE_CHARACTERS = 16
"""SentencePiece's default `max_sentencepiece_length`."""
MIN_PAIR_COUNT = 2
"""A pair seen once teaches nothing."""


@dataclass(frozen=True)
class Pieces:
    """What was learned from text, fixed tokens left out."""

    characters: tuple[str, ...]
    """Characters with a token of their own, the commonest first."""
    merges: tuple[tuple[str, str], ...]
    """Pairs to be joined, in order of precedence."""
    merged: tuple[str, ...]
    """What the merges make, in the order learned."""
    chunks: str = WORDS
    """The regular expression that cuts a text before the merges."""


def fixed_tokens() -> list[str]:
    """The tokens with ids 0 to 260."""
    return [UNK, BOS, EOS, *(f"<0x{byte:02X}>" for byte in range(256)), USER, ASSISTANT]


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
    texts: Sequence[str], *, vocab_size: int, character_coverage: float, max_character_share: float = 1.0
) -> Pieces:
    """Learns characters and merges for a vocabulary of exactly `vocab_size`, fixed tokens included.

    Raises InputError where the text is empty, too small or of too many characters for it.
    """
    return _learn(
        texts,
        vocab_size=vocab_size,
        character_coverage=character_coverage,
        max_character_share=max_character_share,
        always=(SPACE,),
        words=(None, WORDS),
    )


def _learn(
    texts: Sequence[str],
    *,
    vocab_size: int,
    character_coverage: float,
    max_character_share: float,
    always: tuple[str, ...],
    words: tuple[str | None, str],
) -> Pieces:
    """`always`: characters with a token in any case; `words`: what to leave out of the text, what to cut it into."""
    counts = Counter(itertools.chain.from_iterable(texts))
    if not counts:
        raise InputError("the sample holds no text: expected documents of the train split with text in them")
    counts[SPACE] += counts.pop(" ", 0) + len(texts)
    wanted = vocab_size - NUM_FIXED_TOKENS
    covered = covered_characters(counts, character_coverage)
    covered = covered[: max(1, int(max_character_share * wanted))] if max_character_share < 1 else covered
    characters = [*covered, *(one for one in always if one not in covered)]
    if len(characters) > wanted:
        raise InputError(
            f"the text has {len(characters)} characters to cover, the vocabulary has room for {wanted}: "
            f"set vocab_size to more than {len(characters) + NUM_FIXED_TOKENS}, or a lower max_character_share"
        )
    rare = sorted(counts.keys() - set(characters))
    learned = json.loads(_train(texts, rare, wanted, alphabet=always, words=words).to_str())["model"]
    found = sorted(learned["vocab"], key=learned["vocab"].__getitem__)
    if len(found) < wanted:
        raise InputError(
            f"the text is too small for the vocabulary: found {len(found)} pieces, expected {wanted} "
            f"(vocab_size {vocab_size} less {NUM_FIXED_TOKENS} fixed tokens): give more text, or set vocab_size to "
            f"{len(found) + NUM_FIXED_TOKENS} or less"
        )
    assert len(found) == wanted
    assert {piece for piece in found if len(piece) == 1} == set(characters)
    merges = tuple((left, right) for left, right in learned["merges"])
    return Pieces(tuple(characters), merges, tuple(piece for piece in found if len(piece) > 1))


def learn_counted_pieces(
    texts: Sequence[str], *, vocab_size: int, character_coverage: float, max_character_share: float = 1.0
) -> Pieces:
    """As `learn_pieces`, but a line end with the spaces after it, up to 15, is one token, and no word rule is needed.

    The merges of line ends come first, so that indentation goes to its line end; those of runs of spaces come last, so
    that a word has taken the space before it by then. Any two pieces that spell a token are merged, as SentencePiece
    merges them.
    """
    lines = tuple("\n" + SPACE * spaces for spaces in range(1, MAX_PIECE_CHARACTERS))
    learned = _learn(
        texts,
        vocab_size=vocab_size - len(lines),
        character_coverage=character_coverage,
        max_character_share=max_character_share,
        always=(SPACE, "\n"),
        words=(rf"\n{SPACE}{{1,{len(lines)}}}", COUNTED_WORDS),
    )
    made = {left + right: None for left, right in learned.merges}
    order = [*lines, *sorted(made, key=lambda piece: not piece.strip(SPACE))]  # stable: the rest as learned
    known = {*learned.characters, *order}
    first = {left + right: (left, right) for left, right in reversed(learned.merges)}
    merges = []
    for piece in order:
        pairs = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        pairs = [pair for pair in pairs if pair[0] in known and pair[1] in known]
        merges += sorted(pairs, key=lambda pair: pair != first.get(pair[0] + pair[1]))
    return Pieces(learned.characters, tuple(merges), (*lines, *learned.merged), PLAIN_CHUNKS)


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
    tokenizer.pre_tokenizer = pre_tokenizers.Split(tokenizers.Regex(pieces.chunks), "isolated")
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


def _train(
    texts: Iterable[str],
    rare: Sequence[str],
    num_pieces: int,
    *,
    alphabet: tuple[str, ...],
    words: tuple[str | None, str],
) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.normalizer = _normalizer()
    left_out, kept = words
    cutters: list[pre_tokenizers.PreTokenizer] = []
    if rare:
        any_rare = tokenizers.Regex("[" + "".join(f"\\x{{{ord(character):X}}}" for character in rare) + "]")
        cutters.append(pre_tokenizers.Split(any_rare, "removed"))
    if left_out is not None:
        cutters.append(pre_tokenizers.Split(tokenizers.Regex(left_out), "removed"))
    cutters.append(pre_tokenizers.Split(tokenizers.Regex(kept), "isolated"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(cutters)
    trainer = trainers.BpeTrainer(
        vocab_size=num_pieces,
        min_frequency=MIN_PAIR_COUNT,
        max_token_length=MAX_PIECE_CHARACTERS,
        initial_alphabet=list(alphabet),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
