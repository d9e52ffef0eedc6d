"""Checkpoints: written beside and renamed, so that a kill leaves the old one or the new one, never half of one."""

import fcntl
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recsys.errors import TrainingError
from recsys.private_files import FOLDER, open_private


@dataclass(frozen=True, slots=True)
class Resumed:
    """Where a run stood when its checkpoint was written; `best_weights` are those of the best epoch."""

    epoch: int
    step: int
    best: int
    best_figure: float
    best_weights: dict[str, Tensor] | None


@contextmanager
def exclusive_lock(checkpoint: Path | None) -> Iterator[None]:
    """A run's checkpoint for this process alone, which gives it back however it ends.

    Raises:
        TrainingError: another process is at work on the same run.
    """
    if checkpoint is None:
        yield
        return
    checkpoint.parent.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    with open_private(checkpoint.with_suffix(".lock")) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TrainingError(
                f"the same run is at work already, with {checkpoint}: wait for it, or choose another --seed"
            ) from None
        yield


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: Resumed,
) -> None:
    """Writes everything that the next epoch depends on; randomness comes from the seed and the epoch's number.

    Raises:
        TrainingError: it cannot be written.
    """
    try:
        _write(
            path,
            {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "epoch": state.epoch,
                "step": state.step,
                "best": state.best,
                "best_figure": state.best_figure,
                "best_weights": state.best_weights,
            },
        )
    except (OSError, RuntimeError) as error:  # torch gives what its writer meets as a RuntimeError
        raise TrainingError(
            f"checkpoint not written to {path}: {error}; free space or set RECSYS_CHECKPOINTS, then train with --resume"
        ) from error


def _write(path: Path, state: dict[str, Any]) -> None:
    path.parent.mkdir(mode=FOLDER, parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with open_private(partial, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load_checkpoint(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> Resumed:
    """Puts weights and optimizer back as they were.

    Raises:
        TrainingError: the checkpoint is damaged or belongs to another model.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)  # each tensor goes where its model is
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
    except (RuntimeError, KeyError, EOFError, ValueError, TypeError, pickle.UnpicklingError) as error:
        raise TrainingError(f"{path} does not fit this run ({error}); delete it or train without --resume") from error
    return Resumed(saved["epoch"], saved["step"], saved["best"], saved["best_figure"], saved["best_weights"])
