"""Batches kept on disk: data that is slow to make, made once and read many times."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from tracker.cache import atomic_target
from tracker.errors import ConfigError
from trainer.data.batch import Batch
from trainer.data.stream import Stream

_LABELS: Final = tuple(field.name for field in fields(Batch) if field.name not in ("image", "source"))


def store(
    batches: Iterable[Batch], folder: Path, about: dict[str, Any], progress: Callable[[int], None] = lambda count: None
) -> int:
    """Write batches: ``images.npy`` with uint8 crops, ``labels.npz``, and last ``about.json``, without which nothing is
    there.

    Args:
        batches: a finite number of them, of one crop size and landmark set.
        folder: made if it is not there; what it holds is replaced.
        about: ``landmark_set``, ``face_model`` and ``crop_size`` of the stream, and whatever tells what this is.
        progress: told how many crops each batch added.

    Returns:
        How many crops there are.

    Raises:
        ConfigError: there is none.
    """
    images: list[NDArray[np.uint8]] = []
    labels: dict[str, list[NDArray[np.float32]]] = {name: [] for name in _LABELS}
    sources: list[str] = []
    for batch in batches:
        crops = (batch.image.clamp(0.0, 1.0) * 255.0).round().byte()
        images.append(crops.permute(0, 2, 3, 1).numpy(force=True))
        for name in _LABELS:
            labels[name].append(getattr(batch, name).float().numpy(force=True))
        sources.extend(batch.source)
        progress(len(batch))
    if not images:
        raise ConfigError(f"there are no crops to store in {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "about.json").unlink(missing_ok=True)
    with atomic_target(folder / "images.npy") as partial, partial.open("wb") as stream:
        np.save(stream, np.concatenate(images))
    with atomic_target(folder / "labels.npz") as partial, partial.open("wb") as stream:
        columns: dict[str, NDArray[Any]] = {name: np.concatenate(parts) for name, parts in labels.items()}
        np.savez(stream, allow_pickle=False, source=np.array(sources), **columns)
    with atomic_target(folder / "about.json") as partial:
        partial.write_text(json.dumps(about | {"crops": len(sources)}, indent=1) + "\n", encoding="utf-8")
    return len(sources)


class StoredStream(Stream):
    """Batches out of crops that ``store`` wrote.

    Args:
        folder: what it wrote.
        batch_size: crops in a batch.
        seed: of the order, another in each pass; None: as stored, one pass of full batches and a rest.

    Raises:
        ConfigError: there is nothing stored, it is not complete, or fewer crops than one batch.
    """

    def __init__(self, folder: Path, batch_size: int, seed: int | None = None) -> None:
        try:
            about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
            self._images = np.load(folder / "images.npy", mmap_mode="r")
            with np.load(folder / "labels.npz", allow_pickle=False) as labels:
                self._labels = {name: labels[name] for name in (*_LABELS, "source")}
            self.landmark_set = str(about["landmark_set"])
            self.face_model = str(about["face_model"])
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"{folder} holds no stored crops ({error}): prepare the data again") from None
        if len(self._images) != len(self._labels["source"]):
            raise ConfigError(f"{folder} holds {len(self._images)} crops but {len(self._labels['source'])} labels")
        if len(self._images) < batch_size:
            raise ConfigError(f"{folder} holds {len(self._images)} crops, fewer than one batch of {batch_size}")
        self.crop_size = int(self._images.shape[1])
        self.about = about
        self._batch_size, self._seed = batch_size, seed
        whole, rest = divmod(len(self._images), batch_size)
        self.length = whole if seed is not None else whole + bool(rest)

    @property
    def crops(self) -> int:
        return len(self._images)

    def batch(self, index: int) -> Batch:
        assert self.length is not None
        turn, place = divmod(index, self.length)
        order = (
            np.arange(self.crops)
            if self._seed is None
            else np.random.default_rng((self._seed, turn)).permutation(self.crops)
        )
        rows = order[place * self._batch_size : (place + 1) * self._batch_size]
        # Memory-mapped: in the file's order they are read faster.
        rows = np.sort(rows)
        image = torch.from_numpy(np.ascontiguousarray(self._images[rows])).permute(0, 3, 1, 2).float() / 255.0
        labels = {name: torch.from_numpy(self._labels[name][rows]) for name in _LABELS}
        return Batch(image=image, source=tuple(self._labels["source"][rows].tolist()), **labels)
