"""Checkpoints: everything that the next step depends on, in one file that is complete or not there."""

from __future__ import annotations

import os
import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from tracker.errors import mendable_reason
from trainer.errors import CheckpointError

FORMAT: Final = "facestream-trainer"
VERSION: Final = 1


@dataclass(slots=True)
class Checkpoint:
    """A run after ``step`` steps."""

    method: str
    settings: dict[str, Any]
    """``RunSettings`` and, under ``method``, the method's own, as plain values."""
    step: int
    images: int
    elapsed_s: float
    best: float
    """The best score so far; infinite before the first evaluation."""
    module: dict[str, Any]
    optimiser: dict[str, Any]
    average: dict[str, Any] | None
    """The moving average's weights."""
    precision: dict[str, Any]
    """Of the gradient scaler; empty without one."""
    random: list[dict[str, Any]]
    """Random states, one for each process."""


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint; what was at ``path`` stays until the new one is complete.

    Raises:
        CheckpointError: the disk is full or does not take it.
    """
    values = {"format": FORMAT, "version": VERSION}
    values |= {name: getattr(checkpoint, name) for name in Checkpoint.__slots__}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            torch.save(values, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except (OSError, RuntimeError) as error:  # torch's writer turns some OSErrors into RuntimeErrors
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__cause__ or cause.__context__
        reason = mendable_reason(cause) if isinstance(cause, OSError) else None
        if reason is None:
            raise
        raise CheckpointError(f"cannot write the checkpoint {path}: {reason}") from None
    finally:
        unfinished.unlink(missing_ok=True)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU. Only tensors and plain values are read: nothing in the file is executed.

    Raises:
        CheckpointError: it is missing, damaged, of another program or of a later version.
    """
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"cannot read the checkpoint {path}: {error.strerror or error}") from None
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError):
        raise CheckpointError(f"{path} is no checkpoint of the trainer, or is damaged") from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise CheckpointError(f"{path} is a checkpoint of another program; give one that `trainer fit` has written")
    if values["version"] != VERSION:
        raise CheckpointError(f"{path} has checkpoint version {values['version']}, this trainer reads {VERSION}")
    return Checkpoint(**{name: values[name] for name in Checkpoint.__slots__})


def random_state() -> dict[str, Any]:
    """The states of all generators that training may draw from, as tensors and plain values."""
    version, internal, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()
    return {
        "python": [version, list(internal), gauss],
        "numpy": [kind, torch.from_numpy(np.array(keys, dtype=np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Undo what was drawn since ``random_state``."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


@contextmanager
def untouched_random_state() -> Iterator[None]:
    """Whatever is drawn inside was never drawn."""
    state = random_state()
    try:
        yield
    finally:
        set_random_state(state)
