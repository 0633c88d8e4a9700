"""Held-out instructions: the choice of questions, how an answer is scored, and what needs no model.

A row with options is answered by rank: the option whose text has the highest log-likelihood per character as the
assistant's answer. A row without options is answered by generating, and compared with its target.
"""

import math
import re
import string
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from waman.errors import InputError
from waman.evaluation.cloze import word_overlap
from waman.evaluation.metrics import Floats

_COLUMNS = ("id", "task", "cluster", "template", "prompt", "target", "options", "answer", "group")
_WORD = re.compile(r"\w+|[^\w\s]")
_PRIOR_WORDS = 50.0  # weight, in words, of a task's common words against those of one answer


@dataclass(frozen=True, slots=True)
class Row:
    """One instruction. `options` is empty, and `answer` None, where the answer is to be generated."""

    id: str
    task: str
    cluster: str
    template: str
    prompt: str
    target: str
    options: tuple[str, ...]
    answer: int | None
    group: str


def read_rows(folder: Path) -> list[Row]:
    """The rows of every Parquet file in `folder`, in order; InputError where a column is missing or a file damaged."""
    rows: list[Row] = []
    for path in sorted(folder.glob("*.parquet")):
        try:
            table = pq.read_table(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{path} cannot be read as Parquet: {error}; make or fetch it again") from error
        missing = [name for name in _COLUMNS if name not in table.column_names]
        if missing:
            raise InputError(
                f"{path} is not a file of instructions: no column {', '.join(missing)}; give what `waman compose` made"
            )
        rows += [
            Row(**{**record, "options": tuple(record["options"] or ())})
            for record in table.select(list(_COLUMNS)).to_pylist()
        ]
    return rows


def draw_rows(rows: Sequence[Row], *, trained_clusters: frozenset[str], num_questions: int, seed: int) -> list[Row]:
    """`num_questions` rows of trained clusters and as many of the others, taken in turn from each task.

    Rows of a task are drawn by `seed` from the order of their ids; fewer are returned where there are no more.
    """
    by_task: dict[tuple[bool, str, str], list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.id):
        by_task[row.cluster in trained_clusters, row.cluster, row.task].append(row)
    chosen: list[Row] = []
    for trained in (True, False):
        random = np.random.default_rng([seed, int(trained)])
        tasks = [by_task[key] for key in sorted(by_task) if key[0] is trained]
        orders = [random.permutation(len(task)) for task in tasks]
        longest = max((len(task) for task in tasks), default=0)
        turns = [
            task[order[turn]]
            for turn in range(longest)
            for task, order in zip(tasks, orders, strict=True)
            if turn < len(task)
        ]
        chosen += turns[:num_questions]
    return sorted(chosen, key=lambda row: (row.cluster, row.task, row.id))


class Majority:
    """The answer that is commonest among the training rows of the task (of all tasks, for one never trained on)."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._by_task: dict[str, Counter[str]] = defaultdict(Counter)
        self._all: Counter[str] = Counter()
        for row in rows:
            self._by_task[row.task][row.target] += 1
            self._all[row.target] += 1

    def scores(self, row: Row) -> Floats:
        """How often each option was the answer in training (options,)."""
        counts = self._by_task.get(row.task, self._all)
        return np.array([counts[option] for option in row.options], dtype=np.float64)


class Unigram:
    """Naive Bayes over the prompt's words, one class per training answer, and the answer's own words.

    score(option) = ln prior(option) + sum over the prompt's distinct words of ln P(word | option) / P(word)
    + mean over the option's words of ln P(word in answers). An option that was never an answer has the prior of one
    row and no say in the prompt's words. P(word | option) is smoothed towards the task's P(word), answers' words by
    adding one. The counts are those of the task's training rows, of all of them for a task never trained on.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        by_task: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            by_task[row.task].append(row)
        self._by_task = {task: _WordCounts(many) for task, many in by_task.items()}
        self._all = _WordCounts(rows)

    def scores(self, row: Row) -> Floats:
        """Log-odds in nats, up to a constant, of each option (options,)."""
        counts = self._by_task.get(row.task, self._all)
        words = sorted(set(split_words(row.prompt)))
        return np.array([counts.score(words, option) for option in row.options], dtype=np.float64)


def overlap_scores(row: Row) -> Floats:
    """Share of each option's words that stand in the prompt (options,)."""
    return np.array([word_overlap(row.prompt, option) for option in row.options], dtype=np.float64)


def exact_match(answer: str, target: str) -> float:
    """1 where both are the same words but for case, punctuation and articles (Rajpurkar et al. 2016, section 6.1)."""
    return float(_plain(answer) == _plain(target))


def token_f1(answer: str, target: str) -> float:
    """F1 of the words of both, counted with repetition (Rajpurkar et al. 2016, section 6.1); 1 where both have none."""
    given, wanted = _plain(answer).split(), _plain(target).split()
    if not given or not wanted:
        return float(given == wanted)
    shared = (Counter(given) & Counter(wanted)).total()
    return 2 * shared / (len(given) + len(wanted))


def split_words(text: str) -> list[str]:
    """Lower-case words, and every other sign that is not a space alone."""
    return _WORD.findall(text.lower())


class _WordCounts:
    """What the rows of a task say about their prompts' and answers' words."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows: Counter[str] = Counter(row.target for row in rows)
        self._prompt_words: Counter[str] = Counter()
        self._by_answer: dict[str, Counter[str]] = defaultdict(Counter)
        self._answer_words: Counter[str] = Counter()
        for row in rows:
            words = set(split_words(row.prompt))
            self._prompt_words.update(words)
            self._by_answer[row.target].update(words)
            self._answer_words.update(split_words(row.target))
        self._num_prompt_words = self._prompt_words.total()
        self._num_answer_words = self._answer_words.total()

    def score(self, prompt_words: Sequence[str], option: str) -> float:
        prior = math.log(max(self._rows[option], 1))
        words = split_words(option)
        own = sum(math.log((self._answer_words[word] + 1) / (self._num_answer_words + 1)) for word in words)
        total = prior + own / max(len(words), 1)
        seen = self._by_answer.get(option)
        if seen is None:
            return total
        weight = seen.total() + _PRIOR_WORDS
        for word in prompt_words:
            usual = self._prompt_words[word] / self._num_prompt_words
            if usual > 0:
                total += math.log((seen[word] / usual + _PRIOR_WORDS) / weight)
        return total


def _plain(text: str) -> str:
    without_signs = "".join(sign for sign in text.lower() if sign not in string.punctuation)
    return " ".join(word for word in without_signs.split() if word not in ("a", "an", "the"))
