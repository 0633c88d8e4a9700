"""Which row comes when, and which rows share a sequence: functions of the seed and of numbers alone."""

import math
from collections.abc import Mapping, Sequence

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

    def __init__(self, rows: Mapping[str, Sequence[Rendered]], *, mixing: Mixing, seed: int) -> None:
        """`rows` by task, none of them empty."""
        self._rows, self._seed = rows, seed
        self._turns = Turns(mixing_rates(rows, mixing))

    def row(self, index: int) -> Rendered:
        """The row that comes at place `index`, counted from 0."""
        task, turn = self._turns.turn(index)
        size = len(self._rows[task])
        epoch, number = divmod(turn, size)
        return self._rows[task][permute(number, size=size, key=derive_key(self._seed, task, epoch))]

    def epochs(self, num_rows: int) -> dict[str, float]:
        """How many times over the first `num_rows` places take the rows of each task."""
        return {task: number / len(self._rows[task]) for task, number in self._turns.num_turns(num_rows).items()}


class PackedBatches:
    """Batches of sequences, each of several rows that do not see each other: a `BatchSource`.

    Rows go, in the mixture's order, each into the first sequence with room for it; the first that finds none begins
    the next batch. What is left of a sequence is padding, outside the loss.
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

    def _pack(self, start: int) -> tuple[list[list[Rendered]], int]:
        """The rows of a batch, sequence by sequence, and the place of the first row of the next."""
        sequences: list[list[Rendered]] = [[] for _ in range(self._batch_sequences)]
        room = [self._context_length] * self._batch_sequences
        while True:
            row = self._mixture.row(start)
            chosen = next((place for place, left in enumerate(room) if row.num_positions <= left), None)
            if chosen is None:
                return sequences, start
            sequences[chosen].append(row)
            room[chosen] -= row.num_positions
            start += 1


def _to_batch(sequences: Sequence[Sequence[Rendered]], *, context_length: int, padding_id: int) -> Batch:
    shape = (len(sequences), context_length)
    token_ids = torch.full(shape, padding_id)
    targets = torch.full(shape, padding_id)
    in_loss = torch.zeros(shape, dtype=torch.bool)
    document_ids = torch.zeros(shape, dtype=torch.int64)
    for number, rows in enumerate(sequences):
        end = 0
        for document, row in enumerate(rows):
            place = slice(end, end + row.num_positions)
            token_ids[number, place] = torch.tensor(row.token_ids[:-1])
            targets[number, place] = torch.tensor(row.token_ids[1:])
            in_loss[number, place] = torch.tensor(row.is_answer[1:])
            document_ids[number, place] = document
            end = place.stop
        document_ids[number, end:] = len(rows)
    return Batch(token_ids, targets, in_loss, document_ids)
