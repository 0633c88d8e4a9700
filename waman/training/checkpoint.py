"""Checkpoints: folders, whole or absent, each a weights artifact with the training state in it."""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from waman import dataflow
from waman.errors import InputError
from waman.log import get_logger
from waman.manifest import to_json
from waman.training.loop import Trainer
from waman.training.optimizer import moments, restore_moments
from waman.weights import safetensors
from waman.weights.huggingface import load_decoder

STATE_FOLDER = "training_state"
_STATE, _MOMENTS = "state.json", "moments.safetensors"
_DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


class Checkpoints:
    """The folders `step-N` of a run, the newest `keep` of them (None: all)."""

    def __init__(self, folder: Path, *, keep: int | None) -> None:
        """Removes what a kill left unfinished."""
        self._folder, self._keep = folder, keep
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob("*.partial"):
            shutil.rmtree(leftover)

    def latest(self) -> Path | None:
        """The newest whole checkpoint."""
        found = self._all()
        return found[-1] if found else None

    def save(self, step: int, write: Callable[[Path], None]) -> Path | None:
        """Has `write` fill a new checkpoint and removes the oldest; on a full disk there is no new one, and None."""
        place = self._folder / f"step-{step}"
        try:
            write_folder(place, write)
        except OSError as error:
            if dataflow.no_space(error) is None:
                raise
            latest = self.latest()
            get_logger().warning(
                "no space left for the checkpoint of step %d: dropped, %s is kept; training goes on",
                step,
                latest.name if latest is not None else "none",
            )
            return None
        for old in self._all()[: -self._keep] if self._keep is not None else []:
            shutil.rmtree(old)
        return place

    def _all(self) -> list[Path]:
        numbered = [(re.fullmatch(r"step-(\d+)", path.name), path) for path in self._folder.iterdir()]
        return [path for _, path in sorted((int(match[1]), path) for match, path in numbered if match)]


def write_folder(place: Path, write: Callable[[Path], None]) -> None:
    """Has `write` fill PLACE.partial, brings it to the disk and renames it; on an error nothing stays behind."""
    partial = place.with_name(place.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        write(partial)
        for path in [*partial.rglob("*"), partial]:
            _sync(path)
        os.replace(partial, place)
        _sync(place.parent)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def save_state(trainer: Trainer, folder: Path) -> None:
    """Writes all that the next step depends on beside weights and data: the moments and the position.

    There is no random state: a step draws nothing, its data and its learning rate follow from its number.
    """
    state = {
        "steps_done": trainer.steps_done,
        "tokens_read": trainer.tokens_read,
        "optimizer_steps": trainer.earlier_steps + trainer.steps_done,
        "precision": str(trainer.dtype).removeprefix("torch."),
    }
    (folder / STATE_FOLDER).mkdir()
    (folder / STATE_FOLDER / _STATE).write_text(to_json(state), encoding="utf-8")
    safetensors.write(folder / STATE_FOLDER / _MOMENTS, moments(trainer.decoder, trainer.optimizer))


def restore(trainer: Trainer, checkpoint: Path) -> None:
    """Puts the trainer where it was when it saved the checkpoint; it computes in the precision it had then.

    Raises InputError where the training state is missing or damaged.
    """
    folder = checkpoint / STATE_FOLDER
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        trainer.dtype = _DTYPES[state["precision"]]
        trainer.steps_done, trainer.tokens_read = int(state["steps_done"]), int(state["tokens_read"])
        trainer.earlier_steps = _put_moments(trainer, folder) - trainer.steps_done
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{folder} is missing or damaged ({error!r}); remove {checkpoint} to go on from the one before it"
        ) from error
    trainer.decoder.load_state_dict(load_decoder(checkpoint).state_dict())


def restore_moments_of(trainer: Trainer, weights: Path) -> None:
    """Gives the trainer the moments of another run's checkpoint; its own steps are counted from 0.

    Raises InputError where the directory has no training state, or a damaged one.
    """
    folder = weights / STATE_FOLDER
    if not folder.is_dir():
        raise InputError(
            f"{weights} has no {STATE_FOLDER} to restore the optimizer from: give a checkpoint of a run "
            '(RUN/checkpoints/step-N), or set optimizer_state = "fresh"'
        )
    try:
        trainer.earlier_steps = _put_moments(trainer, folder)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f'{folder} is damaged ({error!r}); set optimizer_state = "fresh"') from error


def _put_moments(trainer: Trainer, folder: Path) -> int:
    """Puts a training state's moments into the optimizer; gives how many steps they remember."""
    state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    num_steps = int(state.get("optimizer_steps", state["steps_done"]))
    saved = dict(safetensors.read(folder / _MOMENTS))
    restore_moments(trainer.decoder, trainer.optimizer, saved, num_steps_done=num_steps)
    return num_steps


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
