"""Which row comes when, and which rows share a sequence: functions of the seed and of numbers alone."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from waman.instruction.recipe import ByAnswers, ByRows, Mixing
from waman.instruction.render import Rendered
from waman.training.batches import Batch
from waman.training.sampling import Turns, derive_key, permute


def mixing_rates(rows: Mapping[str, Sequence[Rendered]], mixing: Mixing) -> dict[str, float]:
    """Share of each task among the rows that are drawn.

    ByRows: r_m = min(e_m, K) / sum over n of min(e_n, K) for tasks of e_m rows and a cap of K (Wei et al. 2022, 2.1).
    ByAnswers: min(e_m, K) / t_m in its place, t_m the mean number of answer tokens of task m.
    """
    match mixing:
        case ByRows(cap=cap):
            weights = {task: float(min(len(many), cap)) for task, many in rows.items()}
        case ByAnswers(cap=cap):
            weights = {task: min(len(many), cap) / _mean_answer(many) for task, many in rows.items()}
    total = math.fsum(weights.values())
    return {task: weight / total for task, weight in weights.items()}


def _mean_answer(rows: Sequence[Rendered]) -> float:
    """Tokens of an answer, its end token included."""
    return sum(sum(row.is_answer) for row in rows) / len(rows)


class Mixture:
    """Rows of the tasks in their rates; each epoch takes every row of a task once, in its own order."""

    def __init__(
        self, rows: Mapping[str, Sequence[Rendered]], *, mixing: Mixing, seed: int, later_turns: float = 0.0
    ) -> None:
        """`rows` by task, none of them empty. `later_turns`: share of rows that go on with a conversation."""
        self._rows, self._seed, self._later_turns = rows, seed, later_turns
        self._turns = Turns(mixing_rates(rows, mixing))

    def row(self, index: int) -> Rendered:
        """The row that comes at place `index`, counted from 0."""
        task, turn = self._turns.turn(index)
        size = len(self._rows[task])
        epoch, number = divmod(turn, size)
        return self._rows[task][permute(number, size=size, key=derive_key(self._seed, task, epoch))]

    def is_later_turn(self, index: int) -> bool:
        """Whether the row at place `index` goes on with the conversation before it in its sequence, if there is one."""
        return derive_key(self._seed, "later turn", index) < self._later_turns * 2**64

    def epochs(self, num_rows: int) -> dict[str, float]:
        """How many times over the first `num_rows` places take the rows of each task."""
        return {task: number / len(self._rows[task]) for task, number in self._turns.num_turns(num_rows).items()}


@dataclass(frozen=True, slots=True)
class _Turn:
    row: Rendered
    goes_on: bool
    """Whether it stands in one conversation with the row before it."""


class PackedBatches:
    """Batches of sequences, each of several conversations that do not see each other: a `BatchSource`.

    Rows go, in the mixture's order, each into the first sequence with room for it; the first that finds none begins
    the next batch. A later turn sees the row before it in its sequence. What is left is padding, outside the loss.
    """

    def __init__(self, mixture: Mixture, *, context_length: int, batch_sequences: int, padding_id: int) -> None:
        """Every row of the mixture fits into `context_length` positions."""
        self._mixture, self._padding_id = mixture, padding_id
        self._context_length, self._batch_sequences = context_length, batch_sequences
        self._starts = [0]

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        sequences, _ = self._pack(self.first_row(step))
        return _to_batch(sequences, context_length=self._context_length, padding_id=self._padding_id)

    def first_row(self, step: int) -> int:
        """The place in the mixture of a step's first row."""
        while len(self._starts) <= step:
            self._starts.append(self._pack(self._starts[-1])[1])
        return self._starts[step]

    def _pack(self, start: int) -> tuple[list[list[_Turn]], int]:
        """The rows of a batch, sequence by sequence, and the place of the first row of the next."""
        sequences: list[list[_Turn]] = [[] for _ in range(self._batch_sequences)]
        room = [self._context_length] * self._batch_sequences
        while True:
            row = self._mixture.row(start)
            chosen = next((place for place, left in enumerate(room) if row.num_positions <= left), None)
            if chosen is None:
                return sequences, start
            goes_on = bool(sequences[chosen]) and self._mixture.is_later_turn(start)
            sequences[chosen].append(_Turn(row, goes_on))
            room[chosen] -= row.num_positions
            start += 1


def _to_batch(sequences: Sequence[Sequence[_Turn]], *, context_length: int, padding_id: int) -> Batch:
    shape = (len(sequences), context_length)
    token_ids = torch.full(shape, padding_id)
    targets = torch.full(shape, padding_id)
    in_loss = torch.zeros(shape, dtype=torch.bool)
    document_ids = torch.zeros(shape, dtype=torch.int64)
    for number, turns in enumerate(sequences):
        end = document = 0
        for before, turn in itertools.pairwise([None, *turns]):
            assert turn is not None
            row, place = turn.row, slice(end, end + turn.row.num_positions)
            token_ids[number, place] = torch.tensor(row.token_ids[:-1])
            targets[number, place] = torch.tensor(row.token_ids[1:])
            in_loss[number, place] = torch.tensor(row.is_answer[1:])
            if turn.goes_on and before is not None:
                # A conversation begins once: where the row would, the end of the answer before it is read.
                token_ids[number, end] = before.row.token_ids[-1]
            elif before is not None:
                document += 1
            document_ids[number, place] = document
            end = place.stop
        document_ids[number, end:] = document + 1
    return Batch(token_ids, targets, in_loss, document_ids)
