"""The method's data: crops labelled with all 1609 landmarks, rendered once and kept; smaller sets pick rows of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor
from torch.nn import functional

from tracker.cache import cache_dir, sha256_of
from tracker.errors import ConfigError
from tracker.face_model.store import load_face_model
from trainer.data.augment.augmenter import Augmenter
from trainer.data.augment.config import AugmentConfig
from trainer.data.augment.mirror import Mirror
from trainer.data.batch import Batch
from trainer.data.stored import StoredStream, store
from trainer.data.stream import Stream
from trainer.data.synthetic.config import SyntheticConfig
from trainer.data.synthetic.stream import SyntheticStream
from trainer.methods.dense_landmarks.settings import DataSettings
from trainer.networks.landmark_mesh import builtin_mesh

FULL_SET: Final = "dense1609"
_SEED_STEP: Final = 1_000_003
_RENDERED_AT_ONCE: Final = 16
_VALIDATION_SEED: Final = 900_001
"""Far from any seed that one trains with."""
PARTS: Final = ("train", "validation")


class _Source(Protocol):
    landmark_set: str

    def batch(self, index: int, /) -> Batch: ...


class LandmarkRows(Stream):
    """A stream of crops with all dense landmarks, seen as crops of another size with a smaller dense set.

    Raises:
        ConfigError: the source has other landmarks.
    """

    face_model = "builtin"

    def __init__(
        self,
        source: _Source,
        length: int | None,
        landmark_set: str,
        crop_size: int,
        augmenter: Augmenter | None = None,
        seed: int = 0,
    ) -> None:
        if source.landmark_set != FULL_SET:
            raise ConfigError(f"expected crops with the landmarks {FULL_SET}, got {source.landmark_set}")
        self._source, self.length = source, length
        self.landmark_set, self.crop_size = landmark_set, crop_size
        self._rows = torch.as_tensor(rows_of(landmark_set))
        self._augmenter, self._seed = augmenter, seed

    def batch(self, index: int) -> Batch:
        batch = self._source.batch(index)
        rows = self._rows
        chosen = replace(
            batch,
            image=resized(batch.image, self.crop_size),
            points=batch.points[:, rows],
            weight=batch.weight[:, rows],
            visible=batch.visible[:, rows],
        )
        if self._augmenter is None:
            return chosen
        return self._augmenter(chosen, torch.Generator().manual_seed(self._seed * _SEED_STEP + index))


def augmenter_of(landmark_set: str, upside_down: bool) -> Augmenter:
    """The thesis's augmentations (section 4.5): flips, scales, colours; turns besides."""
    model = load_face_model()
    positions = builtin_mesh(landmark_set).levels[0].vertices
    config = AugmentConfig(
        upside_down_chance=0.5 if upside_down else 0.0,
        occlusion_chance=0.0,
        motion_chance=0.0,
        blur_chance=0.0,
        noise_chance=0.0,
        jpeg_chance=0.0,
    )
    return Augmenter(config, Mirror.of_points(model, positions))


def rows_of(landmark_set: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Which of the 1609 landmarks a smaller dense set consists of, in its order."""
    every = builtin_mesh(FULL_SET).levels[0].model_vertices
    return np.searchsorted(every, builtin_mesh(landmark_set).levels[0].model_vertices).astype(np.int64)


def resized(image: Tensor, size: int) -> Tensor:
    """(B, 3, S, S) at another size, without aliasing."""
    if image.shape[-1] == size:
        return image
    return functional.interpolate(image, (size, size), mode="bilinear", antialias=True, align_corners=False)


def data_folder(data: DataSettings, seed: int) -> Path:
    """Where stored crops lie: the user's folder, or one in the cache that is named after what is in it."""
    if data.folder is not None:
        return Path(data.folder)
    what = f"{data.train_crops}-{data.validation_crops}-{data.stored_px}-{seed}"
    return cache_dir("trainer", "dense_landmarks", what)


def prepare(data: DataSettings, seed: int) -> dict[str, str]:
    """Render what is not stored yet; SHA-256 of the labels of each part.

    Raises:
        ConfigError: the user's folder lacks a part.
    """
    folder = data_folder(data, seed)
    made = {}
    for part, count in zip(PARTS, (data.train_crops, data.validation_crops), strict=True):
        if part == "train" and data.live:
            continue
        if not (folder / part / "about.json").is_file():
            if data.folder is not None:
                raise ConfigError(f"expected stored crops in {folder / part}, found none")
            _render(folder / part, count, data.stored_px, seed if part == "train" else _VALIDATION_SEED)
        made[part] = sha256_of(folder / part / "labels.npz")
    return made


def training_source(data: DataSettings, seed: int, batch_size: int) -> tuple[_Source, int | None]:
    """Where training crops come from, and how many batches there are of them."""
    if data.live:
        return synthetic(data.stored_px, batch_size, seed), None
    stored = StoredStream(data_folder(data, seed) / "train", batch_size, seed)
    return stored, stored.length


def validation_source(data: DataSettings, seed: int, batch_size: int) -> StoredStream:
    """Held-out crops, in their order."""
    return StoredStream(data_folder(data, seed) / "validation", batch_size)


def synthetic(size: int, batch_size: int, seed: int) -> SyntheticStream:
    """Rendered faces with all dense landmarks; crops without a face would teach these networks nothing."""
    return SyntheticStream(
        SyntheticConfig(batch_size=batch_size, seed=seed, landmark_set=FULL_SET, crop_size=size, negatives=0.0)
    )


def _render(folder: Path, count: int, size: int, seed: int) -> None:
    stream = synthetic(size, _RENDERED_AT_ONCE, seed)
    batches = (stream.batch(number) for number in range(-(-count // _RENDERED_AT_ONCE)))
    about = {"landmark_set": FULL_SET, "face_model": "builtin", "crop_size": size, "seed": seed}
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"rendering crops: {folder.name}", total=count)
        store(batches, folder, about, lambda done: progress.update(task, advance=done))
