"""Sequences that are read by a runner in passes of any cut."""

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from tests.model.variants import VARIANTS, build
from waman.inference.runner import Row, Runner
from waman.model.decoder import Decoder


def decoder_of(name: str, dtype: torch.dtype = torch.float64) -> Decoder:
    """A tiny decoder of the family. Weights are drawn large, so that the logits differ clearly from token to token."""
    decoder = build(VARIANTS[name])
    with torch.no_grad():
        for index, parameter in enumerate(decoder.parameters()):
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index)))
    return decoder.to(dtype)


def draw_ids(count: int, seed: int, *, vocab_size: int = 50) -> list[int]:
    return torch.randint(vocab_size, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


def read_in_passes(
    runner: Runner,
    wholes: Sequence[Sequence[int]],
    draw: random.Random,
    *,
    adapters: Sequence[int | None] | None = None,
    pages: list[int] | None = None,
) -> list[Tensor]:
    """The logits after every token of every sequence, read in random pieces beside each other, on random pages."""
    pages = list(range(runner.num_pages)) if pages is None else pages
    draw.shuffle(pages)
    held = []
    for whole in wholes:
        count = -(-len(whole) // runner.page_tokens)
        held.append(pages[:count])
        pages = pages[count:]
    done = [0] * len(wholes)
    found: list[list[Tensor]] = [[] for _ in wholes]
    while any(at < len(whole) for at, whole in zip(done, wholes, strict=True)):
        chosen = [n for n, whole in enumerate(wholes) if done[n] < len(whole) and draw.random() < 0.7]
        rows = []
        for n in chosen:
            count = min(draw.choice((1, 1, 2, 3, 7, 20)), len(wholes[n]) - done[n])
            some = wholes[n][done[n] : done[n] + count]
            adapter = None if adapters is None else adapters[n]
            rows.append(Row(some, done[n], held[n], range(count), adapter))
        if not rows:
            continue
        logits = torch.split(runner.run(rows), [len(row.token_ids) for row in rows])
        for n, row, some_logits in zip(chosen, rows, logits, strict=True):
            found[n].append(some_logits)
            done[n] += len(row.token_ids)
    return [torch.cat(parts) for parts in found]
