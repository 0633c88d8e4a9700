"""`waman tokenize`: documents in, token shards out, in units of rows of the files of documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from waman.artifact import Artifact
from waman.dataflow import Counts, Executor, Job
from waman.document import Document
from waman.draft import begin
from waman.errors import InputError
from waman.manifest import write_whole
from waman.mixture import HELD_OUT, MIXTURE_FILE, SPLITS, TRAIN, SplitRows, split_units
from waman.tokens.recipe import TokenizeRecipe
from waman.tokens.shards import ShardWriter, TokensInfo, dtype_for, write_info
from waman.tokens.tokenizer import Tokenizer

VERSION = 1
DOCUMENTS_AT_ONCE = 256


def tokenize(
    recipe: TokenizeRecipe,
    *,
    documents: Sequence[Artifact],
    mixture: Artifact,
    tokenizer: Artifact,
    out: Path,
    replace: bool = False,
    executor: Executor | None = None,
) -> Artifact:
    """Encodes every document as beginning token, text, end token, the train split apart from the held-out one.

    Raises InputError where the train split is empty or the mixture does not know a document's group.
    """
    inputs = {"documents": documents, "mixture": [mixture], "tokenizer": [tokenizer]}
    draft = begin(out, kind="tokens", version=VERSION, recipe=recipe, inputs=inputs, replace=replace)
    if draft.finished is not None:
        return draft.finished
    with draft:
        loaded = Tokenizer.load(tokenizer.path)
        parts = split_units(documents, mixture)
        jobs = [Job(f"{n:05d}", _TokenizeJob(part, n, tokenizer.path)) for n, part in enumerate(parts)]
        counts = _sum(draft.run_units(_tokenize_unit, jobs, executor=executor))
        if not counts[TRAIN]:
            raise InputError(
                f"no document of the train split in {len(parts)} units: expected at least one; "
                "make the mixture with a smaller held-out share, or give more documents"
            )
        write_whole(draft.path / MIXTURE_FILE, (mixture.path / MIXTURE_FILE).read_bytes())
        dtype = dtype_for(loaded.vocab_size)
        write_info(
            draft.path, TokensInfo(dtype, loaded.vocab_size, loaded.bos_id, loaded.eos_id, tokenizer=loaded.identity)
        )
        return draft.finish(counts=counts)


@dataclass(frozen=True)
class _TokenizeJob:
    part: SplitRows
    number: int
    tokenizer: Path


def _tokenize_unit(job: _TokenizeJob, folder: Path) -> Counts:
    tokenizer = Tokenizer.load(job.tokenizer)
    dtype = dtype_for(tokenizer.vocab_size)
    with (
        ShardWriter(folder / TRAIN, job.number, dtype=dtype) as train,
        ShardWriter(folder / HELD_OUT, job.number, dtype=dtype) as held_out,
    ):
        writers = {TRAIN: train, HELD_OUT: held_out}
        batch = []
        for pair in job.part.read():
            batch.append(pair)
            if len(batch) == DOCUMENTS_AT_ONCE:
                _encode(batch, tokenizer, writers)
                batch = []
        _encode(batch, tokenizer, writers)
    return {split: writer.counts for split, writer in writers.items()}


def _encode(batch: Sequence[tuple[Document, str]], tokenizer: Tokenizer, writers: Mapping[str, ShardWriter]) -> None:
    """Encodes some documents and hands each to its split's writer."""
    encoded = tokenizer.encode_batch([document.text for document, _ in batch])
    for (document, split), ids in zip(batch, encoded, strict=True):
        writers[split].add(document, [tokenizer.bos_id, *ids, tokenizer.eos_id])


def _sum(units: Sequence[Counts]) -> Counts:
    """Counts per split and source over all units, sources in order of name."""
    totals: Counts = {}
    for split in SPLITS:
        sources = sorted({source for unit in units for source in unit[split]})
        totals[split] = {
            source: {
                name: sum(unit[split][source][name] for unit in units if source in unit[split])
                for name in ("documents", "tokens", "bytes")
            }
            for source in sources
        }
    return totals
