"""How well and how fast is the main text of a page found? Beside trafilatura, by cross-validation over sites.

`python -m benchmarks.extraction table FILES...` prints the table, `fit FILES...` grows the weights that are shipped.
FILES: archives of pages (.warc.gz), each followed by its annotations (.jsonl.zst, joined by `url`): strings that must
(`with`) and must not (`without`) stand in the main text, or the text itself (`articleBody`). Some 5 minutes.
"""

import argparse
import gc
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.block_labels import Example, label, plain, read_examples, shingles
from benchmarks.longer_pages import copies_of, lengthen
from benchmarks.tree_kernels import grow
from waman.crawl.block_features import CONTEXT_NAMES, NAMES, Measured
from waman.crawl.block_judge import Judge, Scores, Trees, prior, to_json
from waman.crawl.blocks import Blocks, read_blocks
from waman.crawl.html import by_trafilatura, decode, extract_page
from waman.crawl.main_text import choose, write

NUM_FOLDS = 5
NUM_TIMED = 60
DEPTH = 3
FIRST_TREES, SECOND_TREES = 250, 200
WEIGHTS = Path(__file__).parents[1] / "waman" / "crawl" / "block_weights.json"


@dataclass
class Case:
    """An example on its way: its blocks, labelled, and its scores."""

    example: Example
    blocks: Blocks
    page: Measured | None
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    """(blocks,): 1 main text, 0 not, -1 not known."""
    weights: np.ndarray = field(default_factory=lambda: np.zeros(0))


def main() -> None:
    """Prints the table, or writes the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("table", "fit"))
    parser.add_argument("files", type=Path, nargs="+")
    arguments = parser.parse_args()
    cases = [prepare(example) for example in read_examples(arguments.files)]
    if arguments.what == "fit":
        WEIGHTS.write_text(to_json(train(cases)), encoding="utf-8")
        print(f"{WEIGHTS}: {FIRST_TREES} and {SECOND_TREES} trees of {DEPTH} questions from {len(cases)} pages")
    else:
        print_table(cases)


def prepare(example: Example) -> Case:
    """The blocks of a page, with what is known of them."""
    blocks = read_blocks(decode(example.body, example.charset))
    case = Case(example, blocks, Measured(blocks) if blocks.texts else None)
    if blocks.texts:
        case.labels, case.weights = label(example, blocks)
    return case


# Training


def with_longer(cases: Sequence[Case]) -> list[Case]:
    """The cases, and behind them the same pages made longer; the two of a page share its weight."""
    kept: list[Case] = []
    longer: list[Case] = []
    for case in cases:
        likely = np.flatnonzero(case.labels == 1).tolist()
        found = lengthen(case.blocks, likely, copies_of(case.example.url)) if likely else None
        if found is None:
            kept.append(case)
            continue
        kept.append(replace(case, weights=case.weights / 2))
        blocks, old = found
        labels, weights = np.append(case.labels, -1)[old], np.append(case.weights / 2, 0.0)[old]
        longer.append(Case(case.example, blocks, Measured(blocks), labels, weights))
    return kept + longer


def train(cases: Sequence[Case]) -> Judge:
    """Grows both rounds; the second learns from first scores by trees that had not seen the page's site."""
    cases = with_longer(cases)
    folds = [one.example.fold(NUM_FOLDS) for one in cases]
    first = grow_trees(cases, FIRST_TREES, len(NAMES))
    for fold in range(NUM_FOLDS):
        apart = grow_trees([one for one, its in zip(cases, folds, strict=True) if its != fold], FIRST_TREES, len(NAMES))
        for one, its in zip(cases, folds, strict=True):
            if its == fold and one.page is not None:
                one.page.put_context(apart.score(one.page.matrix, prior(one.page.matrix)))
    return Judge(first, grow_trees(cases, SECOND_TREES, len(NAMES) + len(CONTEXT_NAMES)))


def grow_trees(cases: Sequence[Case], num_trees: int, num_features: int) -> Trees:
    """Trees from the labelled blocks of the cases, by their first features."""
    known = [(one.page, one.labels >= 0, one) for one in cases if one.page is not None]
    matrix = np.concatenate([page.matrix[told] for page, told, _ in known])
    labels = np.concatenate([one.labels[told] for _, told, one in known])
    weights = np.concatenate([one.weights[told] for _, told, one in known])
    before = prior(matrix)
    grown = grow(matrix[:, :num_features], labels, weights, before, num_trees=num_trees, depth=DEPTH, seed=0)
    return Trees(*grown)


def cross_validate(cases: Sequence[Case]) -> tuple[list[Scores], list[Scores]]:
    """Scores of each page by judges that never saw its site, and by the judge of the first fold (seen by it, mostly).

    The first round is grown once for each pair of folds left out, so that the second learns from pages not seen either.
    """
    num_judged = len(cases)
    cases = with_longer(cases)
    folds = [one.example.fold(NUM_FOLDS) for one in cases]
    first: dict[tuple[int, int], Trees] = {}
    for one, other in itertools.combinations_with_replacement(range(NUM_FOLDS), 2):
        rest = [case for case, its in zip(cases, folds, strict=True) if its not in (one, other)]
        first[one, other] = grow_trees(rest, FIRST_TREES, len(NAMES))
    unseen: list[Scores] = [np.zeros(0)] * num_judged
    seen: list[Scores] = [np.zeros(0)] * num_judged
    for fold in range(NUM_FOLDS):
        for case, its in zip(cases, folds, strict=True):
            if its != fold and case.page is not None:
                trees = first[min(fold, its), max(fold, its)]
                case.page.put_context(trees.score(case.page.matrix, prior(case.page.matrix)))
        rest = [case for case, its in zip(cases, folds, strict=True) if its != fold]
        judge = Judge(first[fold, fold], grow_trees(rest, SECOND_TREES, len(NAMES) + len(CONTEXT_NAMES)))
        for place, (case, its) in enumerate(zip(cases[:num_judged], folds, strict=False)):
            if case.page is not None and its == fold:
                unseen[place] = judge.score(case.page)
            elif case.page is not None and fold == 0:
                seen[place] = judge.score(case.page)
    return unseen, seen


# Figures


@dataclass
class Figures:
    """Strings found and not found, and shared runs of four words, over pages."""

    found: int = 0
    missed: int = 0
    wrong: int = 0
    precisions: list[float] = field(default_factory=list)
    recalls: list[float] = field(default_factory=list)

    def add(self, example: Example, text: str) -> None:
        """Takes in a page: trafilatura's own counting; white space counts as one space."""
        spaced = plain(text)
        found = sum(plain(one) in spaced for one in example.wanted)
        self.found += found
        self.missed += len(example.wanted) - found
        self.wrong += sum(plain(one) in spaced for one in example.unwanted)
        if example.gold is not None:
            gold, ours = shingles(example.gold), shingles(text)
            shared = sum((gold & ours).values())
            self.precisions.append(shared / max(1, sum(ours.values())))
            self.recalls.append(shared / max(1, sum(gold.values())))

    def row(self) -> str:
        """The strings' precision, recall and F1, and those of runs of words (means over pages)."""
        parts = []
        if self.found:
            parts.append(_three(self.found / (self.found + self.wrong), self.found / (self.found + self.missed)))
        parts += ["-" * 5] * (not parts)
        if self.precisions:
            parts.append(_three(float(np.mean(self.precisions)), float(np.mean(self.recalls))))
        return "   ".join(parts)


def _three(precision: float, recall: float) -> str:
    return f"{precision:.4f} {recall:.4f} {2 * precision * recall / (precision + recall):.4f}"


def print_table(cases: Sequence[Case]) -> None:
    """A row for each set and way: precision, recall, F1 of strings, then of runs of four words; then the time."""
    unseen, seen = cross_validate(cases)
    print("set, way: precision, recall, F1 of strings; the same of runs of four words")
    for name in dict.fromkeys(one.example.set for one in cases):
        ways = {way: Figures() for way in ("own, sites not seen", "own, sites seen", "trafilatura")}
        for case, score, known in zip(cases, unseen, seen, strict=True):
            if case.example.set != name:
                continue
            ways["own, sites not seen"].add(case.example, _text(case, score))
            if len(known):
                ways["own, sites seen"].add(case.example, _text(case, known))
            raw = case.example.body, case.example.charset
            ways["trafilatura"].add(case.example, by_trafilatura(decode(*raw), include_tables=True))
        for way, figures in ways.items():
            print(f"{name:<32} {way:<20} {figures.row()}")
        own, theirs = _milliseconds([one.example for one in cases if one.example.set == name])
        print(
            f"{name:<32} ms a page            own {own:.2f}   trafilatura {theirs:.2f}   ratio {theirs / own:.1f}",
            flush=True,
        )


def _milliseconds(examples: Sequence[Example]) -> tuple[float, float]:
    """Processor time of ours (title, licence, robots words included) and of trafilatura: the best of three passes."""
    gc.collect()
    gc.freeze()  # what the table holds would be looked through at every collection
    some = examples[:: max(1, len(examples) // NUM_TIMED)]
    best = [float("inf")] * 2
    functions: tuple[Callable[[str], object], ...] = (
        partial(extract_page, include_tables=True),
        partial(by_trafilatura, include_tables=True),
    )
    for _ in range(3):
        for place, function in enumerate(functions):
            start = time.process_time()
            for one in some:
                function(decode(one.body, one.charset))
            best[place] = min(best[place], (time.process_time() - start) / len(some) * 1000)
    return best[0], best[1]


def _text(case: Case, scores: Scores) -> str:
    return write(case.blocks, choose(case.blocks, scores), include_tables=True) if len(scores) else ""


if __name__ == "__main__":
    main()
