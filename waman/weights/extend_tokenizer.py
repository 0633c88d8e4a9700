"""`waman extend-tokenizer`: a model in, the same model with more tokens out, learned from documents."""

from collections.abc import Sequence
from pathlib import Path

import torch

from waman.artifact import Artifact
from waman.dataflow import Counts, Executor, Job
from waman.draft import begin
from waman.errors import InputError
from waman.manifest import read_table, to_json, write_whole
from waman.mixture import HELD_OUT
from waman.model.count import num_parameters
from waman.tokens.extending import LearnJob, MeasureJob, learn_unit, measure_unit, sample_jobs, sample_unit
from waman.tokens.extension import new_tokens, num_ids, require_extensible, spell
from waman.tokens.recipe import ExtendTokenizerRecipe
from waman.tokens.tokenizer import TOKENIZER_FILE, Tokenizer
from waman.weights import safetensors
from waman.weights.huggingface import load_config, load_decoder, save_weights
from waman.weights.vocabulary import add_rows

VERSION = 1
MEASURE_FILE = "measure.json"


def extend_tokenizer(
    recipe: ExtendTokenizerRecipe,
    *,
    weights: Artifact,
    documents: Sequence[Artifact],
    mixture: Artifact | None = None,
    out: Path,
    replace: bool = False,
    executor: Executor | None = None,
) -> Artifact:
    """Adds tokens to a model's tokenizer and their rows to its weights; gives a weights artifact.

    Learned from the train split where there is a mixture, else from nine documents in ten. A text that needs no new
    token keeps its ids, and the model's logits over the old vocabulary. `measure.json` holds tokens per character
    before and after, by source, on held-out text. Raises InputError for a tokenizer that cannot be extended, one of
    another model, and text too small for so many tokens.
    """
    inputs: dict[str, Artifact | Sequence[Artifact]] = {"weights": weights, "documents": documents}
    if mixture is not None:
        inputs["mixture"] = mixture
    draft = begin(out, kind="weights", version=VERSION, recipe=recipe, inputs=inputs, replace=replace)
    if draft.finished is not None:
        return draft.finished
    with draft:
        _require_fit(weights.path)
        jobs = [Job(f"{n:05d}", job) for n, job in enumerate(sample_jobs(documents, mixture, recipe))]
        sampled = draft.run_units(sample_unit, jobs, executor=executor, stage="sample", scratch=True)
        samples = draft.unit_folders("sample")
        learn = [Job("tokenizer", LearnJob(samples, weights.path, recipe))]
        learned = draft.run_units(learn_unit, learn, executor=executor, stage="learn", scratch=True)[0]
        place = draft.unit_folders("learn")[0]
        sources = sorted({source for counts in sampled for source in counts["sources"]})
        measure = [
            Job(f"{n:05d}", MeasureJob(samples, source, weights.path, place, recipe))
            for n, source in enumerate(sources)
        ]
        measured = draft.run_units(measure_unit, measure, executor=executor, stage="measure", scratch=True)
        by_source = dict(zip(sources, measured, strict=True))
        write_whole(draft.path / MEASURE_FILE, to_json({"split": HELD_OUT, "sources": by_source}))
        counts = _write_weights(weights, place, draft.path)
        return draft.finish(counts=learned | counts | {HELD_OUT: by_source})


def _require_fit(folder: Path) -> None:
    """Before anything is learned: a tokenizer that can be extended, of this model."""
    Tokenizer.load(folder)
    table = read_table(folder / TOKENIZER_FILE)
    require_extensible(table)
    known = load_config(folder).vocab_size or 0
    if num_ids(table) > known:
        raise InputError(
            f"{folder}: the tokenizer has {num_ids(table)} tokens, the model {known}: it is the tokenizer of another "
            "model; put the files of the one it was trained with there"
        )


def _write_weights(weights: Artifact, tokenizer: Path, folder: Path) -> Counts:
    old, new = (read_table(place / TOKENIZER_FILE) for place in (weights.path, tokenizer))
    dtype = _stored_dtype(weights.path)
    decoder = load_decoder(weights.path, dtype=dtype)
    pieces = spell(old, new_tokens(old, new))
    state, config = add_rows(decoder.state_dict(), decoder.config, first=num_ids(old), pieces=pieces)
    save_weights(state, config, tokenizer, folder, dtype)
    counts: Counts = {"parameters": num_parameters(config), "vocab_size": config.vocab_size}
    return counts | {name: weights.counts[name] for name in ("tokens",) if name in weights.counts}


def _stored_dtype(folder: Path) -> torch.dtype:
    """The type in which the weights lie there, so that nothing is lost; float32 where they lie in several."""
    found = set[torch.dtype]().union(*(safetensors.dtypes(file) for file in folder.glob("*.safetensors")))
    return found.pop() if len(found) == 1 else torch.float32


def read_measure(extended: Artifact) -> Counts:
    """Source to its tokens per character before and after, on held-out text."""
    return dict(read_table(extended.path / MEASURE_FILE)["sources"])


def render_measure(measured: Counts) -> str:
    """A line per source."""
    lines = []
    for source, found in measured.items():
        before, after = (found[name].get("tokens_per_character") for name in ("before", "after"))
        if before is None:
            lines.append(f"{source}: no held-out text to measure on\n")
        else:
            lines.append(f"{source}: {before:.3f} tokens per character before, {after:.3f} after (held-out text)\n")
    return "".join(lines)
