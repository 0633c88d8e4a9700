"""Rotary positions as Hugging Face configs write them."""

from typing import Any

from waman.errors import RecipeError
from waman.model.config import Linear, Llama3, Ntk, Rope, RopeScaling, Unscaled, Yarn
from waman.weights.families.keys import Keys

_DEFAULT_THETA = 10000.0
_COMMON = {"rope_type", "type", "rope_theta", "partial_rotary_factor"}
_KNOWN = {
    "factor",
    "original_max_position_embeddings",
    "low_freq_factor",
    "high_freq_factor",
    "beta_fast",
    "beta_slow",
    "attention_factor",
    "truncate",
}


def read_rope(keys: Keys, *, context_length: int, default_theta: float = _DEFAULT_THETA) -> Rope:
    """The keys rope_theta, rope_scaling (transformers 4) and rope_parameters (5); problems are noted in `keys`."""
    keys.fixed("partial_rotary_factor", 1, None)
    keys.fixed("rope_interleaved", False)
    thetas = [keys.real("rope_theta")] if keys.has("rope_theta") else []
    keys.unread("rope_theta")
    scalings: list[RopeScaling] = []
    for name, table in keys.tables("rope_parameters", "rope_scaling"):
        if table.get("rope_theta") is not None:
            theta = table["rope_theta"]
            if isinstance(theta, int | float) and not isinstance(theta, bool) and theta > 0:
                thetas.append(float(theta))
            else:
                keys.problems.append(f"{name}.rope_theta = {theta!r}, expected a number above 0")
        if table.get("partial_rotary_factor", 1) != 1:
            keys.problems.append(f"{name}.partial_rotary_factor = {table['partial_rotary_factor']}, ours computes 1.0")
        scaling = _read_scaling(keys, name, table, context_length)
        if scaling is not None:
            scalings.append(scaling)
    if len(set(thetas)) > 1:
        keys.problems.append(f"rope_theta is given as {' and as '.join(map(str, thetas))}")
    if len(set(scalings)) > 1:
        keys.problems.append("rope_parameters and rope_scaling differ")
    return Rope(theta=thetas[0] if thetas else default_theta, scaling=scalings[0] if scalings else Unscaled())


def write_rope(config: Rope, *, head_dim: int) -> dict[str, Any]:
    """The keys for transformers 5 (rope_parameters) and 4 (rope_theta, rope_scaling)."""
    theta = config.theta
    match config.scaling:
        case Unscaled():
            scaling: dict[str, Any] = {"rope_type": "default"}
        case Linear(factor=factor):
            scaling = {"rope_type": "linear", "factor": factor}
        case Ntk(factor=factor):
            # A larger theta is all it is.
            theta *= factor ** (head_dim / (head_dim - 2))
            scaling = {"rope_type": "default"}
        case Yarn() as yarn:
            scaling = {
                "rope_type": "yarn",
                "factor": yarn.factor,
                "original_max_position_embeddings": yarn.original_context_length,
                "beta_fast": yarn.beta_fast,
                "beta_slow": yarn.beta_slow,
                "truncate": yarn.truncate,
            }
            if yarn.attention_factor is not None:
                scaling["attention_factor"] = yarn.attention_factor
        case Llama3() as llama3:
            scaling = {
                "rope_type": "llama3",
                "factor": llama3.factor,
                "low_freq_factor": llama3.low_freq_factor,
                "high_freq_factor": llama3.high_freq_factor,
                "original_max_position_embeddings": llama3.original_context_length,
            }
    keys: dict[str, Any] = {"rope_parameters": {**scaling, "rope_theta": theta}, "rope_theta": theta}
    return keys if scaling["rope_type"] == "default" else {**keys, "rope_scaling": scaling}


def _read_scaling(keys: Keys, name: str, table: dict[str, Any], context_length: int) -> RopeScaling | None:
    kind = table.get("rope_type", table.get("type", "default"))
    given = {key: value for key, value in table.items() if key not in _COMMON and value is not None}
    wrong = [
        f"{name}.{key} = {value!r}, expected {'true or false' if key == 'truncate' else 'a number'}"
        for key, value in given.items()
        if key in _KNOWN and (isinstance(value, bool) != (key == "truncate") or not isinstance(value, int | float))
    ]
    if wrong:
        keys.problems += wrong
        return None
    try:
        match kind:
            case "default":
                made: RopeScaling = Unscaled()
            case "linear":
                made = Linear(factor=float(given.pop("factor")))
            case "yarn":
                made = Yarn(
                    original_context_length=int(given.pop("original_max_position_embeddings", context_length)),
                    factor=float(given.pop("factor")),
                    beta_fast=float(given.pop("beta_fast", 32.0)),
                    beta_slow=float(given.pop("beta_slow", 1.0)),
                    attention_factor=given.pop("attention_factor", None),
                    truncate=bool(given.pop("truncate", True)),
                )
            case "llama3":
                made = Llama3(
                    original_context_length=int(given.pop("original_max_position_embeddings")),
                    factor=float(given.pop("factor")),
                    low_freq_factor=float(given.pop("low_freq_factor")),
                    high_freq_factor=float(given.pop("high_freq_factor")),
                )
            case _:
                keys.problems.append(f"{name} of type {kind!r}, ours computes 'default', 'linear', 'yarn' and 'llama3'")
                return None
    except KeyError as error:
        keys.problems.append(f"{name} of type {kind!r} without {error.args[0]}")
        return None
    except RecipeError as error:
        keys.problems.append(f"{name}: {error}")
        return None
    if given:
        keys.problems.append(f"{name}: unknown keys {', '.join(sorted(given))}")
    return made
