"""Small trainings that are timed, in processor seconds: what other programs take of the machine does not count."""

import gc
import statistics
import time

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from waman.costing.calibrate import Trial, Update
from waman.model.config import require_vocab_size
from waman.model.count import num_parameters
from waman.model.decoder import Decoder
from waman.model.initialize import initialize
from waman.model.threads import one_thread
from waman.tokens.shards import Stream
from waman.training.batches import Batches
from waman.training.optimizer import build_optimizer
from waman.training.parallel import Lanes
from waman.training.recipe import AdamW

_DOCUMENT_TOKENS = 2000


def time_micro_batch(trial: Trial, dtype: torch.dtype, *, lanes: int, repeats: int = 3) -> float:
    """Seconds that a lane takes for a micro-batch while all lanes are busy: the median, the first time left out."""
    decoder = _decoder(trial)
    side_by_side = Lanes(decoder, num_micro_batches=lanes)
    vocab_size = require_vocab_size(trial.config)
    batches = _synthetic(trial.context, vocab_size=vocab_size, batch_sequences=trial.sequences)
    parts = [batches.batch(number) for number in range(side_by_side.num_lanes)]
    found = []
    for _ in range(repeats + 1):
        side_by_side.accumulate(parts, divisor=1.0, dtype=dtype)
        found.append(side_by_side.busy_seconds)
        decoder.zero_grad(set_to_none=True)
    return statistics.median(seconds for round_ in found[1:] for seconds in round_)


def time_update(trial: Trial, *, repeats: int = 3) -> Update:
    """What follows the micro-batches of a step."""
    decoder = _decoder(trial)
    optimizer = build_optimizer(decoder, AdamW())
    gradients = [torch.ones_like(weight) for weight in decoder.parameters()]
    adds, updates = [], []
    with one_thread():
        for _ in range(repeats + 1):
            for weight in decoder.parameters():
                weight.grad = torch.zeros_like(weight)
            started = time.thread_time()
            for weight, gradient in zip(decoder.parameters(), gradients, strict=True):
                assert weight.grad is not None
                weight.grad.add_(gradient)
            added = time.thread_time()
            float(nn.utils.clip_grad_norm_(decoder.parameters(), 1.0, foreach=True))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            adds.append(added - started)
            updates.append(time.thread_time() - added)
    return Update(num_parameters(decoder.config), len(gradients), min(adds[1:]), min(updates[1:]))


def time_sequence(context: int, *, repeats: int = 20) -> float:
    """Seconds to read a sequence from token shards."""
    batches = _synthetic(context, vocab_size=1000, batch_sequences=8)
    started = time.thread_time()
    for number in range(repeats):
        batches.batch(number)
    return (time.thread_time() - started) / repeats / 8


def _decoder(trial: Trial) -> Decoder:
    gc.collect()
    decoder = Decoder(trial.config)
    initialize(decoder, 0)
    return decoder


def _synthetic(context: int, *, vocab_size: int, batch_sequences: int) -> Batches:
    """Random tokens in documents of one length."""
    documents = 2 + 64 * context // _DOCUMENT_TOKENS
    tokens = np.random.default_rng(0).integers(vocab_size, size=documents * _DOCUMENT_TOKENS, dtype=np.uint32)
    lengths = np.full(documents, _DOCUMENT_TOKENS)
    rows = {"shard": np.zeros(documents, int), "start": np.arange(documents) * _DOCUMENT_TOKENS}
    names = {"id": [str(one) for one in range(documents)], "group": ["random"] * documents}
    table = pa.table(rows | names | {"num_tokens": lengths, "num_bytes": lengths})
    return Batches(
        {"random": Stream([tokens], table)},
        proportions={"random": 1.0},
        context_length=context,
        batch_sequences=batch_sequences,
        seed=0,
    )
