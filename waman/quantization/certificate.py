"""The proof: original and quantized model side by side on held-out tokens, block by block."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from waman.log import progress
from waman.quantization.layerwise import Layers, cut, run_layers
from waman.quantization.load import QuantizedCheckpoint
from waman.quantization.proof import Interval, Proven
from waman.quantization.sequences import Sequences

RESAMPLES = 2000
_PASS_BYTES = 1 << 28
"""Hidden states of one model that are kept at once; more tokens take several passes through the blocks."""
_HEAD_TOKENS = 256
"""Whose logits are in memory at once."""

Figures = npt.NDArray[np.float64]


def prove(original: Path, quantized: Path, sequences: Sequences, *, seed: int) -> Proven:
    """Both in float32, quantized matrices dequantized: what is measured is the weights, on any machine."""
    before, after = (Layers(QuantizedCheckpoint(folder)) for folder in (original, quantized))
    time = sequences.token_ids.shape[1] - 1
    rows = max(1, _PASS_BYTES // (4 * time * before.config.model_dim))
    parts = []
    with progress(len(sequences), "proof") as shown:
        for start in range(0, len(sequences), rows):
            part = sequences.part(start, start + rows)
            parts.append(_compare(before, after, part))
            shown.advance(len(part))
    return summarise(np.concatenate(parts), seed=seed)


def summarise(sums: Figures, *, seed: int) -> Proven:
    """(sequences, 5): tokens, the original's and the quantized's negative log-likelihood, divergence, agreements."""
    chosen = np.random.default_rng(seed).integers(len(sums), size=(RESAMPLES, len(sums)))
    resampled = np.stack([sums[one].sum(axis=0) for one in chosen])
    total = sums.sum(axis=0)

    def interval(column: int, *, exponential: bool = False) -> Interval:
        value, spread = total[column] / total[0], resampled[:, column] / resampled[:, 0]
        low, high = np.quantile(spread, [0.025, 0.975])
        values = np.exp([value, low, high]) if exponential else np.array([value, low, high])
        return Interval(*(float(f"{one:.6g}") for one in values))

    return Proven(
        tokens=int(total[0]),
        sequences=len(sums),
        original_perplexity=interval(1, exponential=True),
        perplexity=interval(2, exponential=True),
        kl=interval(3),
        agreement=interval(4),
    )


@torch.inference_mode()
def _compare(before: Layers, after: Layers, part: Sequences) -> Figures:
    batches = list(cut(part.token_ids[:, :-1], part.documents[:, :-1]))
    ours, theirs = (torch.cat(run_layers(layers, batches)) for layers in (after, before))
    sums = np.zeros((len(part.token_ids), 5))
    (norm, head), (their_norm, their_head) = after.finish(), before.finish()
    predicted = part.predicted
    for row, (quantized, original) in enumerate(zip(ours, theirs, strict=True)):
        places = predicted[row].nonzero()[:, 0]
        for some in torch.split(places, _HEAD_TOKENS):
            wanted = part.token_ids[row, some + 1]
            one = F.log_softmax(F.linear(their_norm(original[some]), their_head), dim=-1)
            other = F.log_softmax(F.linear(norm(quantized[some]), head), dim=-1)
            sums[row] += [
                len(some),
                -float(one.gather(1, wanted[:, None]).double().sum()),
                -float(other.gather(1, wanted[:, None]).double().sum()),
                float((one.exp() * (one - other)).sum(dim=-1).double().sum()),
                int((one.argmax(dim=-1) == other.argmax(dim=-1)).sum()),
            ]
    return sums
