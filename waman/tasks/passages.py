"""Questions about prose in any language that writes spaces between words: three clusters from sentences alone.

"word_order": is this sentence in order, which one is, put it in order. "missing_words": which word comes next, which is
missing. "continuation": which sentence comes next, which came before. Yes and no are in the document's language.
"""

import itertools
import random
from collections.abc import Iterator

from waman.tasks.material import Material
from waman.tasks.question import NUM_OPTIONS, YES_NO, Question, Task, draw_options, shuffled, yes_or_no
from waman.tasks.sentences import bare, scramble

MAX_SENTENCE = 110
"""Characters of a sentence."""
WORDS = range(5, 19)
"""Words of a sentence."""
MAX_WORD = 16
"""Characters of a word that is asked for."""
BLANK = "____"
DEFAULT_LANGUAGE = "en"

_ATTEMPTS = 24


def _judge(material: Material, random: random.Random) -> Iterator[Question]:
    language = language_of(material)
    for words, wrong in _sentences_and_wrong_ones(material, random, number=1):
        holds = random.random() < 0.5
        answer, options = yes_or_no(random, holds, language)
        shown = " ".join(words) if holds else wrong[0]
        yield Question(SENTENCE_IN_ORDER.name, {"sentence": shown}, answer, options, language)


def _choose(material: Material, random: random.Random) -> Iterator[Question]:
    for words, wrong in _sentences_and_wrong_ones(material, random, number=NUM_OPTIONS - 1):
        right = " ".join(words)
        yield Question(WHICH_IN_ORDER.name, {}, right, shuffled(random, [right, *wrong]), language_of(material))


def _unscramble(material: Material, random: random.Random) -> Iterator[Question]:
    for words, (shown, *wrong) in _sentences_and_wrong_ones(material, random, number=NUM_OPTIONS):
        right = " ".join(words)
        options = shuffled(random, [right, *wrong])
        yield Question(UNSCRAMBLE.name, {"sentence": shown}, right, options, language_of(material))


def _next_word(material: Material, random: random.Random) -> Iterator[Question]:
    for words, place, options in _places(material, random):
        fields = {"sentence": " ".join(words[:place])}
        yield Question(NEXT_WORD.name, fields, bare(words[place]), options, language_of(material))


def _missing_word(material: Material, random: random.Random) -> Iterator[Question]:
    for words, place, options in _places(material, random):
        gap = words[place].replace(bare(words[place]), BLANK)
        fields = {"sentence": " ".join([*words[:place], gap, *words[place + 1 :]])}
        yield Question(MISSING_WORD.name, fields, bare(words[place]), options, language_of(material))


def _next_sentence(material: Material, random: random.Random) -> Iterator[Question]:
    pairs = _pairs(material, random)
    for index, (first, second) in enumerate(pairs):
        options = draw_options(random, [other for _, other in pairs], index)
        if options is not None and first not in options:
            yield Question(NEXT_SENTENCE.name, {"sentence": first}, second, options, language_of(material))


def _previous_sentence(material: Material, random: random.Random) -> Iterator[Question]:
    pairs = _pairs(material, random)
    for index, (first, second) in enumerate(pairs):
        options = draw_options(random, [other for other, _ in pairs], index)
        if options is not None and second not in options:
            yield Question(PREVIOUS_SENTENCE.name, {"sentence": second}, first, options, language_of(material))


SENTENCE_IN_ORDER = Task("sentence_in_order", "word_order", "say whether the words of a sentence are in order", _judge)
WHICH_IN_ORDER = Task("which_in_order", "word_order", "pick the sentence whose words are in order", _choose)
UNSCRAMBLE = Task("unscramble", "word_order", "put the words of a sentence in order", _unscramble)
NEXT_WORD = Task("next_word", "missing_words", "say which word comes next in a sentence", _next_word)
MISSING_WORD = Task("missing_word", "missing_words", "fill a gap in a sentence", _missing_word)
NEXT_SENTENCE = Task("next_sentence", "continuation", "say which sentence comes next", _next_sentence)
PREVIOUS_SENTENCE = Task("previous_sentence", "continuation", "say which sentence came before", _previous_sentence)
TASKS = (
    SENTENCE_IN_ORDER,
    WHICH_IN_ORDER,
    UNSCRAMBLE,
    NEXT_WORD,
    MISSING_WORD,
    NEXT_SENTENCE,
    PREVIOUS_SENTENCE,
)


def language_of(material: Material) -> str:
    """The language in which questions about the document are worded."""
    language = material.document.language
    return language if language is not None and language in YES_NO else DEFAULT_LANGUAGE


def _sentences(material: Material) -> list[str]:
    """Sentences of a length to be asked about."""
    return [
        sentence
        for sentence in dict.fromkeys(material.sentences)
        if len(sentence) <= MAX_SENTENCE and len(sentence.split()) in WORDS
    ]


def _sentences_and_wrong_ones(
    material: Material, random: random.Random, *, number: int
) -> Iterator[tuple[list[str], list[str]]]:
    """The words of sentences, each with `number` distinct other orders of them."""
    sentences = _sentences(material)
    for sentence in random.sample(sentences, len(sentences)):
        words = sentence.split()
        wrong: dict[str, None] = {}
        for _ in range(_ATTEMPTS):
            changed = scramble(words, random)
            if changed != sentence:
                wrong.setdefault(changed)
            if len(wrong) == number:
                yield words, list(wrong)
                break


def _places(material: Material, random: random.Random) -> Iterator[tuple[list[str], int, tuple[str, ...]]]:
    """One place in each sentence, with options for the word there."""
    sentences = _sentences(material)
    chosen = []
    for sentence in random.sample(sentences, len(sentences)):
        words = sentence.split()
        place = random.randrange(2, len(words))
        if 0 < len(bare(words[place])) <= MAX_WORD:
            chosen.append((words, place))
    answers = [bare(words[place]) for words, place in chosen]
    for index, (words, place) in enumerate(chosen):
        options = draw_options(random, answers, index)
        if options is not None:
            yield words, place, options


def _pairs(material: Material, random: random.Random) -> list[tuple[str, str]]:
    """Sentences that follow each other, in random order."""
    fitting = set(_sentences(material))
    found = [
        (first, second)
        for first, second in dict.fromkeys(itertools.pairwise(material.sentences))
        if first in fitting and second in fitting and first != second
    ]
    return random.sample(found, len(found))
