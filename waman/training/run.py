"""A run: steps with checkpoints, metrics and hooks, taken up where it was left. Pretraining and tuning share it."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch

from waman import dataflow
from waman.dataflow import Counts
from waman.draft import Draft
from waman.errors import NoSpaceError
from waman.log import MetricsFile, get_logger, progress
from waman.model.count import num_parameters
from waman.training.checkpoint import Checkpoints, restore, save_state, write_folder
from waman.training.loop import AfterStep, StepInfo, Trainer
from waman.training.recipe import Checkpointing
from waman.training.schedule import checkpoint_steps
from waman.training.throughput import matrix_flops_per_second, throughput
from waman.weights.huggingface import save_weights

OnCheckpoint = Callable[[Path], None]


class Seal(Protocol):
    """`draft.seal` with kind, version, recipe and inputs bound: makes a folder of the run an artifact of its own."""

    def __call__(self, folder: Path, *, part: str, counts: Counts, lineage_from: Path) -> object:
        """Writes the manifest of `folder`, which will lie at `lineage_from`."""
        ...


class Run:
    """The folders `checkpoints/` and `final/` and the file `metrics.jsonl` of a draft."""

    def __init__(self, trainer: Trainer, draft: Draft, *, seal: Seal, tokenizer_folder: Path, keep: int | None) -> None:
        """Takes up the newest checkpoint in the draft, if there is one."""
        self._trainer, self._draft, self._seal, self._tokenizer = trainer, draft, seal, tokenizer_folder
        self._checkpoints = Checkpoints(draft.path / "checkpoints", keep=keep)
        latest = self._checkpoints.latest()
        if latest is not None:
            restore(trainer, latest)
            get_logger().info("goes on from step %d of %d", trainer.steps_done, trainer.num_steps)

    def train(
        self,
        checkpointing: Checkpointing,
        *,
        after_step: AfterStep | None = None,
        on_checkpoint: OnCheckpoint | None = None,
    ) -> Counts:
        """Takes the steps that are left and writes `final/`; gives the run's counts.

        on_checkpoint is called at least once for every checkpoint, that of the untrained model included: after a resume
        again for the one resumed from. Raises NoSpaceError at the end if the last checkpoint could not be saved.
        """
        trainer, due = self._trainer, set(checkpoint_steps(checkpointing, self._trainer.num_steps))
        first_step, tokens, seconds = trainer.steps_done, 0, 0.0
        with MetricsFile(self._draft.path / "metrics.jsonl", keep_until=first_step) as metrics:
            saved = self._checkpoints.latest() or self._save(metrics)
            if saved is not None and on_checkpoint is not None:
                on_checkpoint(saved)
            with progress(trainer.num_steps, "train") as shown:
                shown.advance(first_step)
                while trainer.steps_done < trainer.num_steps:
                    info = trainer.step()
                    _record(metrics, info)
                    tokens, seconds = tokens + info.step_tokens, seconds + info.seconds
                    shown.advance(note=f"loss {info.loss:.3f}")
                    if after_step is not None:
                        after_step(info)
                    if info.step in due:
                        saved = self._save(metrics)
                        if saved is not None and on_checkpoint is not None:
                            on_checkpoint(saved)
            self._require_last()
        if not (self._draft.path / "final").exists():
            write_folder(self._draft.path / "final", lambda folder: self._write_weights(folder, "final"))
        return self._counts(tokens, seconds)

    def _save(self, metrics: MetricsFile) -> Path | None:
        part = f"step-{self._trainer.steps_done}"

        def write(folder: Path) -> None:
            metrics.sync()  # a run that goes on from here must find the lines before it
            save_state(self._trainer, folder)
            self._write_weights(folder, f"checkpoints/{part}")

        return self._checkpoints.save(self._trainer.steps_done, write)

    def _write_weights(self, folder: Path, part: str) -> None:
        decoder = self._trainer.decoder
        save_weights(decoder, decoder.config, self._tokenizer, folder, torch.float32)
        self._seal(folder, part=part, counts=self._weights_counts(), lineage_from=self._draft.out / part)

    def _weights_counts(self) -> Counts:
        trainer = self._trainer
        return {
            "steps": trainer.steps_done,
            "tokens": trainer.tokens_read,
            "parameters": num_parameters(trainer.decoder.config),
        }

    def _require_last(self) -> None:
        latest, last = self._checkpoints.latest(), f"step-{self._trainer.num_steps}"
        if latest is None or latest.name != last:
            kept = f"{latest.name} is kept" if latest is not None else "there is none before it"
            again = "it goes on from there" if latest is not None else "it begins anew"
            raise NoSpaceError(
                f"no space left in {self._draft.path} for the last checkpoint, {last}; {kept}: free some and run the "
                f"same command again, {again}"
            )

    def _counts(self, tokens: int, seconds: float) -> Counts:
        """The counts, with the speed of this process's steps if it took any."""
        trainer = self._trainer
        counts = self._weights_counts() | {"precision": str(trainer.dtype).removeprefix("torch.")}
        if tokens == 0:
            return counts
        speed = throughput(
            trainer.decoder.config,
            tokens=tokens,
            seconds=seconds,
            matrix_flops=matrix_flops_per_second(trainer.dtype, trainer.device),
        )
        return counts | {"tokens_per_second": round(speed.tokens_per_second), "flop_share": round(speed.flop_share, 3)}


def _record(metrics: MetricsFile, info: StepInfo) -> None:
    """On a full disk the line waits for the next: training goes on."""
    line = {
        "step": info.step,
        "loss": info.loss,
        "learning_rate": info.learning_rate,
        "gradient_norm": info.gradient_norm,
        "tokens": info.tokens,
        "tokens_per_second": round(info.tokens_per_second, 1),
    }
    try:
        metrics.write(line)
    except OSError as error:
        if dataflow.no_space(error) is None:
            raise
