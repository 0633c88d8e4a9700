"""`waman quantize`: a model in, the same model with fewer bits out, with the proof of what it lost."""

import itertools
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from waman.artifact import Artifact
from waman.dataflow import Counts
from waman.draft import Draft, begin, seal
from waman.errors import InputError
from waman.manifest import IDENTITY, LOCK, UNITS
from waman.model.count import num_parameters
from waman.quantization.calibrate import Calibration
from waman.quantization.certificate import prove
from waman.quantization.proof import NO_PROOF
from waman.quantization.recipe import AtMost, Gptq, QuantizeRecipe
from waman.quantization.sequences import calibrating, held_out, open_tokens
from waman.quantization.write import Writer
from waman.weights.checkpoint import Checkpoint
from waman.weights.huggingface import weight_bytes

VERSION = 1


def quantize(
    recipe: QuantizeRecipe,
    *,
    weights: Artifact,
    tokens: Artifact | None = None,
    out: Path,
    replace: bool = False,
) -> Artifact:
    """Quantizes a Hugging Face directory, shard by shard; gives a weights artifact that transformers opens.

    tokens: the train split calibrates (`gptq`), the held-out split proves; without them there is no proof, which the
    artifact says. Raises RecipeError for a recipe that does not fit the model, InputError for weights that are
    quantized or not finite, for tokens of another tokenizer or too few of them, and for a divergence above `max_kl`.
    """
    inputs: dict[str, Artifact | Sequence[Artifact]] = {"weights": weights}
    if tokens is not None:
        inputs["tokens"] = tokens
    draft = begin(out, kind="weights", version=VERSION, recipe=recipe, inputs=inputs, replace=replace)
    if draft.finished is not None:
        return draft.finished
    with draft:
        source = Checkpoint(weights.path)
        source.require_plain()
        writer = Writer(source, recipe)
        shards = None if tokens is None else open_tokens(tokens, weights.path, source.config)
        sequences = None if shards is None else held_out(shards, source.config, recipe.proof)
        calibration = Calibration(draft.path / UNITS / "gptq")
        if isinstance(recipe.gptq, Gptq):
            if shards is None:
                raise InputError("gptq calibrates on the train split of tokens: give --tokens DIR, or gptq off")
            chosen = calibrating(shards, source.config, recipe.gptq)
            calibration.run(weights.path, writer.plan, chosen, damping=recipe.gptq.damping)
        writer.write(draft.path, calibrated=calibration.tensors)
        counts = _counts(source, weights, draft.path)
        if sequences is None:
            return draft.finish(counts=counts | {"proof": NO_PROOF})
        proven = prove(weights.path, draft.path, sequences, seed=recipe.proof.seed)
        counts |= {"proof": proven.to_table()}
        if isinstance(recipe.max_kl, AtMost) and proven.kl.value > recipe.max_kl.nats:
            place = _set_aside(draft, recipe, inputs, counts)
            raise InputError(
                f"{out}: the quantized model diverges from the original by {proven.kl.shown('{:.5f}')} nats per token, "
                f"at most {recipe.max_kl.nats} are taken (max_kl): take more bits, smaller groups or gptq; what was "
                f"made lies in {place} with its proof, and --set max_kl.nats=N takes more"
            )
        return draft.finish(counts=counts)


def _set_aside(
    draft: Draft, recipe: QuantizeRecipe, inputs: Mapping[str, Artifact | Sequence[Artifact]], counts: Counts
) -> Path:
    """Makes what was refused an artifact of its own, under another name: nothing is lost."""
    names = (
        draft.out.with_name(f"{draft.out.name}.refused{end}")
        for end in itertools.chain([""], map(str, itertools.count(2)))
    )
    place = next(name for name in names if not name.exists())
    seal(
        draft.path,
        kind="weights",
        version=VERSION,
        recipe=recipe,
        inputs=inputs,
        part="refused",
        counts=counts,
        lineage_from=place,
    )
    shutil.rmtree(draft.path / UNITS, ignore_errors=True)
    for name in (IDENTITY, LOCK):
        (draft.path / name).unlink(missing_ok=True)
    draft.path.rename(place)
    return place


def _counts(source: Checkpoint, weights: Artifact, folder: Path) -> Counts:
    parameters = num_parameters(source.config)
    size = weight_bytes(folder)
    counts: Counts = {"parameters": parameters, "bytes": size, "bits_per_weight": round(8 * size / parameters, 4)}
    return counts | {name: weights.counts[name] for name in ("tokens",) if name in weights.counts}
