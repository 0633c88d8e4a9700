"""`waman quantize`: a model in, the same model with fewer bits out, with the proof of what it lost."""

from collections.abc import Sequence
from pathlib import Path

from waman.artifact import Artifact
from waman.dataflow import Counts
from waman.draft import begin
from waman.model.count import num_parameters
from waman.quantization.recipe import QuantizeRecipe
from waman.quantization.write import Writer
from waman.weights.checkpoint import Checkpoint
from waman.weights.huggingface import weight_bytes

VERSION = 1
NO_PROOF = "no tokens were given to prove it on"


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
        writer.write(draft.path)
        counts = _counts(source, weights, draft.path)
        return draft.finish(counts=counts)


def _counts(source: Checkpoint, weights: Artifact, folder: Path) -> Counts:
    parameters = num_parameters(source.config)
    size = weight_bytes(folder)
    counts: Counts = {"parameters": parameters, "bytes": size, "bits_per_weight": round(8 * size / parameters, 4)}
    return counts | {name: weights.counts[name] for name in ("tokens",) if name in weights.counts}
