"""The method's data: crops labelled with all 1609 landmarks, rendered once and kept; smaller sets pick rows of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor
from torch.nn import functional

from tracker.cache import cache_dir, sha256_of
from tracker.errors import ConfigError
from tracker.face_model.store import BUILTIN_NAME, load_face_model
from trainer.data.augment.augmenter import Augmenter
from trainer.data.augment.config import AugmentConfig
from trainer.data.augment.mirror import Mirror
from trainer.data.batch import Batch, concatenate
from trainer.data.stored import StoredStream, store
from trainer.data.stream import Stream
from trainer.data.synthetic.config import SyntheticConfig
from trainer.data.synthetic.stream import SyntheticStream
from trainer.methods.dense_landmarks.points import FULL_SET, between, mesh_of
from trainer.methods.dense_landmarks.real import RealCrops, labels_sha256
from trainer.methods.dense_landmarks.settings import DataSettings

_SEED_STEP: Final = 1_000_003
_RENDERED_AT_ONCE: Final = 16
_VALIDATION_SEED: Final = 900_001
"""Far from any seed that one trains with."""
PARTS: Final = ("train", "validation")


class _Source(Protocol):
    landmark_set: str
    crop_size: int

    def batch(self, index: int, /) -> Batch: ...


class LandmarkRows(Stream):
    """A stream of crops with all dense landmarks, seen as crops of another size with another dense set.

    Raises:
        ConfigError: the source has other landmarks.
        FaceModelError: there is no such model.
    """

    def __init__(
        self,
        source: _Source,
        length: int | None,
        landmark_set: str,
        crop_size: int,
        augmenter: Augmenter | None = None,
        seed: int = 0,
        face_model: str = BUILTIN_NAME,
    ) -> None:
        if source.landmark_set != FULL_SET:
            raise ConfigError(f"expected crops with the landmarks {FULL_SET}, got {source.landmark_set}")
        self._source, self.length = source, length
        self.landmark_set, self.crop_size, self.face_model = landmark_set, crop_size, face_model
        self._between = between(face_model, landmark_set)
        self._augmenter, self._seed = augmenter, seed

    def batch(self, index: int) -> Batch:
        batch = self._source.batch(index)
        points = self._between.points(batch.points)
        chosen = replace(
            batch,
            image=resized(batch.image, self.crop_size),
            points=points,
            weight=self._between.nearest(batch.weight).where(points[..., :2].isfinite().all(dim=-1), 0.0),
            visible=self._between.nearest(batch.visible),
        )
        if self._augmenter is None:
            return chosen
        return self._augmenter(chosen, torch.Generator().manual_seed(self._seed * _SEED_STEP + index))


class Mixed:
    """Batches that begin with one source's crops and end with another's.

    Args:
        first, second: endless, of crops of one size.
    """

    landmark_set = FULL_SET

    def __init__(self, first: _Source, second: _Source) -> None:
        self._sources = (first, second)
        self.crop_size = first.crop_size

    def batch(self, index: int, /) -> Batch:
        return concatenate([source.batch(index) for source in self._sources])


class InTurn:
    """All batches of one stream, then all of another. Raises ``ValueError`` for endless ones."""

    landmark_set = FULL_SET

    def __init__(self, first: Stream, second: Stream) -> None:
        if first.length is None or second.length is None:
            raise ValueError("expected streams that end")
        self._first, self._second, self._border = first, second, first.length
        self.length = first.length + second.length
        self.crop_size = first.crop_size

    def batch(self, index: int, /) -> Batch:
        return self._first.batch(index) if index < self._border else self._second.batch(index - self._border)


def augmenter_of(landmark_set: str, upside_down: bool, face_model: str = BUILTIN_NAME) -> Augmenter:
    """The thesis's augmentations (section 4.5): flips, scales, colours; turns besides."""
    model = load_face_model()
    positions = mesh_of(face_model, landmark_set).levels[0].vertices
    config = AugmentConfig(
        upside_down_chance=0.5 if upside_down else 0.0,
        occlusion_chance=0.0,
        motion_chance=0.0,
        blur_chance=0.0,
        noise_chance=0.0,
        jpeg_chance=0.0,
    )
    return Augmenter(config, Mirror.of_points(model, positions))


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
        ConfigError: the user's folder lacks a part, or there are no real crops where they are asked for.
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
    if data.shards is not None:
        for held_out in (False, True):
            RealCrops(Path(data.shards), held_out, 1, data.stored_px)
        made["shards"] = labels_sha256(Path(data.shards))
    return made


def training_source(data: DataSettings, seed: int, batch_size: int) -> tuple[_Source, int | None]:
    """Where training crops come from, and how many batches there are of them."""
    real = 0 if data.shards is None else round(data.real_share * batch_size)
    if real == 0:
        return _synthetic_source(data, seed, batch_size)
    assert data.shards is not None
    if real == batch_size:
        return RealCrops(Path(data.shards), False, real, data.stored_px, seed), None
    drawn, length = _synthetic_source(data, seed, batch_size - real)
    return Mixed(drawn, RealCrops(Path(data.shards), False, real, drawn.crop_size, seed)), length


def _synthetic_source(data: DataSettings, seed: int, batch_size: int) -> tuple[_Source, int | None]:
    if data.live:
        return synthetic(data.stored_px, batch_size, seed), None
    stored = StoredStream(data_folder(data, seed) / "train", batch_size, seed)
    return stored, stored.length


def validation_source(data: DataSettings, seed: int, batch_size: int) -> tuple[_Source, int]:
    """Held-out crops, in their order: rendered ones, then real ones of people whom training does not see."""
    stored = StoredStream(data_folder(data, seed) / "validation", batch_size)
    assert stored.length is not None
    if data.shards is None:
        return stored, stored.length
    both = InTurn(stored, RealCrops(Path(data.shards), True, batch_size, stored.crop_size))
    return both, both.length


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
