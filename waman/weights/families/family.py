"""What a family of Hugging Face checkpoints is: a config.json and names of tensors, both ways."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from waman.model.config import ModelConfig
from waman.weights.families.keys import Keys

Rows = int | Sequence[int] | None
"""How many of our rows, the next ones; or which, by number; or all that are left."""


@dataclass(frozen=True)
class Theirs:
    """One of their tensors: rows of one of ours."""

    name: str
    rows: Rows = None
    transposed: bool = False
    """whether their matrix is (inputs, outputs), ours (outputs, inputs)"""


Names = Iterator[tuple[str, list[Theirs]]]
"""Each of our tensors, with theirs that follow each other in its rows."""


@dataclass(frozen=True)
class Family:
    """One `model_type`."""

    model_type: str
    architecture: str
    """the class in transformers"""
    read: Callable[[Keys], ModelConfig]
    """config.json -> config; raises InputError that names every key our decoder would have to ignore"""
    obstacles: Callable[[ModelConfig], list[str]]
    """why a config cannot be written in this family; empty if it can"""
    write: Callable[[ModelConfig], dict[str, Any]]
    """the keys of config.json that say what the model computes"""
    names: Callable[[ModelConfig], Names]
    prefix: str = ""
    """what tensor names begin with in this family, and may lack in a checkpoint of the body alone"""
    buffers: tuple[str, ...] = ()
    """ends of names of tensors in old checkpoints that follow from the config"""


def unlike(**found: tuple[bool, str]) -> list[str]:
    """The reasons whose condition does not hold: name = (condition, what is expected)."""
    return [f"{name} {expected}" for name, (holds, expected) in found.items() if not holds]
