"""Cloze questions made from held-out documents, and what can be scored on them without a model.

A question is a context, its true continuation and three distractors taken from later in the same document (a
distractor from another document is told by its words alone). Every option begins at the same kind of boundary, a
line's first word or a word inside a line, and ends before another; all have about the same number of tokens; none
overlaps or repeats another.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from waman.evaluation.metrics import Floats

Ids = NDArray[np.int64]
Boundary = Literal["line", "word"]
NUM_DISTRACTORS = 3
_TRIES_PER_QUESTION = 12
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class TokenizedDocument:
    """A document's tokens, without `<s>` and `</s>`."""

    id: str
    source: str
    group: str
    ids: Ids


@dataclass(frozen=True, slots=True)
class Question:
    """A context and four options, of which `options[answer]` is the text's own continuation.

    `context` and `options` are token ids; the context begins with `<s>` where it reaches back to the document's
    beginning. `context_text` and `option_texts` are what they spell.
    """

    document: str
    source: str
    group: str
    place: int
    """Token of the document at which the true continuation begins."""
    boundary: Boundary
    context: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]
    answer: int
    context_text: str
    option_texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens of a context (its `<s>` counts) and of an option, both ends included."""

    min_context: int
    max_context: int
    min_option: int
    max_option: int


def make_questions(
    documents: Sequence[TokenizedDocument],
    *,
    pieces: Sequence[bytes],
    lengths: Lengths,
    num_questions: int,
    max_per_document: int,
    bos_id: int,
    seed: int,
) -> list[Question]:
    """At most `num_questions` questions, taken in turn from each document until none has another to give.

    `pieces[i]` are the bytes that token i spells. Sorted by document and place; a pure function of its arguments, in
    which a document's own questions depend on no other document.
    """
    made: list[list[Question]] = []
    for document in sorted(documents, key=lambda document: document.id):
        digest = hashlib.sha1(document.id.encode(), usedforsecurity=False).digest()
        random = np.random.default_rng([seed, *digest])
        maker = _Maker(document, pieces, lengths, bos_id, random)
        made.append(maker.questions(max_per_document))
    shuffled = np.random.default_rng(seed).permutation(len(made))
    taken: list[Question] = []
    for turn in range(max_per_document):
        taken += [made[i][turn] for i in shuffled if turn < len(made[i])]
    return sorted(taken[:num_questions], key=lambda question: (question.document, question.place))


def boundaries(ids: Ids, pieces: Sequence[bytes]) -> list[Boundary | None]:
    """What begins at each token: a line's first word or sign, one after a space inside a line, or neither (None).

    A line's indentation, and the line end itself, belong to what stands before.
    """
    found: list[Boundary | None] = [None] * len(ids)
    line_is_blank = True
    for i, token in enumerate(ids):
        piece = pieces[token]
        shown = piece.lstrip()
        if i > 0 and shown and shown[0] & 0xC0 != 0x80 and b"\n" not in piece[: len(piece) - len(shown)]:
            if line_is_blank:
                found[i] = "line"
            elif piece.startswith(b" "):
                found[i] = "word"
        *ended, last = piece.split(b"\n")
        line_is_blank = (line_is_blank or bool(ended)) and not last.strip()
    return found


def spell(ids: Sequence[int], pieces: Sequence[bytes]) -> str:
    """The text of some tokens; a character cut in two becomes U+FFFD."""
    return b"".join(pieces[i] for i in ids).decode("utf-8", errors="replace")


def word_overlap(context: str, option: str) -> float:
    """Share of the option's distinct words that stand in the context, 0 to 1 (0 for an option without words)."""
    words = set(_WORD.findall(option.lower()))
    return len(words & set(_WORD.findall(context.lower()))) / len(words) if words else 0.0


def per_character(log_likelihoods: Floats, option_texts: Sequence[str]) -> Floats:
    """Log-likelihoods (options,) in nats -> nats per character of each option (Touvron et al. 2023, section 3)."""
    return log_likelihoods / np.array([max(len(text), 1) for text in option_texts], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _Segment:
    start: int
    stop: int


class _Maker:
    """Draws the questions of one document."""

    def __init__(
        self,
        document: TokenizedDocument,
        pieces: Sequence[bytes],
        lengths: Lengths,
        bos_id: int,
        random: np.random.Generator,
    ) -> None:
        self._document, self._pieces, self._lengths, self._bos_id = document, pieces, lengths, bos_id
        self._random = random
        kinds = boundaries(document.ids, pieces)
        self._kinds = kinds
        self._ends = np.array([i for i, kind in enumerate(kinds) if kind is not None] + [len(kinds)], dtype=np.int64)
        self._starts = {
            kind: np.array([i for i, found in enumerate(kinds) if found == kind], dtype=np.int64)
            for kind in ("line", "word")
        }

    def questions(self, most: int) -> list[Question]:
        """Up to `most` questions whose true continuations do not overlap, in the order they were drawn."""
        room = len(self._document.ids) - (1 + NUM_DISTRACTORS) * self._lengths.min_option
        places = [int(i) for i in self._ends if self._lengths.min_context <= i <= room]
        made: list[Question] = []
        used: list[_Segment] = []
        tries = min(len(places), most * _TRIES_PER_QUESTION)
        for place in self._random.permutation(places)[:tries] if places else ():
            if len(made) == most:
                break
            segments = self._segments(int(place))
            if segments is None or any(_overlap(segments[0], other) for other in used):
                continue
            made.append(self._question(segments))
            used.append(segments[0])
        return made

    def _segments(self, place: int) -> list[_Segment] | None:
        """The true continuation at `place` and three distractors after it, or None where they cannot be had."""
        kind = self._kinds[place]
        assert kind is not None
        wanted = int(self._random.integers(self._lengths.min_option, self._lengths.max_option + 1))
        truth = self._segment(place, wanted)
        if truth is None:
            return None
        chosen = [truth]
        texts = {self._text(truth).strip()}
        starts = self._starts[kind]
        later = starts[starts >= truth.stop]
        for start in self._random.permutation(later)[: 4 * _TRIES_PER_QUESTION]:
            segment = self._segment(int(start), wanted)
            if segment is None or any(_overlap(segment, other) for other in chosen):
                continue
            text = self._text(segment).strip()
            if text in texts:
                continue
            texts.add(text)
            chosen.append(segment)
            if len(chosen) == 1 + NUM_DISTRACTORS:
                return chosen
        return None

    def _segment(self, start: int, wanted: int) -> _Segment | None:
        """From `start` to the boundary nearest to `wanted` tokens later within the allowed lengths."""
        low = np.searchsorted(self._ends, start + self._lengths.min_option)
        high = np.searchsorted(self._ends, start + self._lengths.max_option, side="right")
        stops = self._ends[low:high]
        if len(stops) == 0:
            return None
        return _Segment(start, int(stops[np.argmin(np.abs(stops - start - wanted))]))

    def _question(self, segments: list[_Segment]) -> Question:
        order = self._random.permutation(len(segments))
        truth = segments[0]
        ids = self._document.ids
        reaches_beginning = truth.start < self._lengths.max_context
        begin = 0 if reaches_beginning else truth.start - self._lengths.max_context
        opening = [self._bos_id] if reaches_beginning else []
        shown = [segments[i] for i in order]
        kind = self._kinds[truth.start]
        assert kind is not None
        return Question(
            document=self._document.id,
            source=self._document.source,
            group=self._document.group,
            place=truth.start,
            boundary=kind,
            context=(*opening, *ids[begin : truth.start].tolist()),
            options=tuple(tuple(ids[segment.start : segment.stop].tolist()) for segment in shown),
            answer=int(np.flatnonzero(order == 0)[0]),
            context_text=spell(ids[begin : truth.start].tolist(), self._pieces),
            option_texts=tuple(self._text(segment) for segment in shown),
        )

    def _text(self, segment: _Segment) -> str:
        return spell(self._document.ids[segment.start : segment.stop].tolist(), self._pieces)


def _overlap(one: _Segment, other: _Segment) -> bool:
    return one.start < other.stop and other.start < one.stop
