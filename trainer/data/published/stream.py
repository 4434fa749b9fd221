"""Published sets as streams of batches: the user gives the folder, nothing is downloaded."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from tracker.errors import FaceModelError
from tracker.face_model import load_face_model
from tracker.landmarks.crop import FACE_MARGIN, Cropper, Roi
from trainer.data.batch import Batch, concatenate, unknown
from trainer.data.published import dad3dheads, lp300w, points68, wflw
from trainer.data.published.conversion import WFLW_TO_IBUG68, converted
from trainer.data.published.sample import Sample, read_image
from trainer.data.stream import Stream
from trainer.errors import DataError
from trainer.settings import Settings, ranged

Float64 = NDArray[np.float64]
Kind = Literal["300w-lp", "aflw2000-3d", "dad-3dheads", "300w", "wflw"]
_READERS: Final[dict[str, tuple[Callable[[Path], list[Path]], Callable[[Path], Sample], str, int]]] = {
    "300w-lp": (lp300w.annotation_files, lp300w.read, lp300w.LANDMARK_SET, 68),
    "aflw2000-3d": (lp300w.annotation_files, lp300w.read, lp300w.LANDMARK_SET, 68),
    "300w": (points68.annotation_files, points68.read, points68.LANDMARK_SET, 68),
    "dad-3dheads": (dad3dheads.annotation_files, dad3dheads.read, dad3dheads.LANDMARK_SET, 5023),
}
_OUTER_EYES: Final = (36, 45)


@dataclass(frozen=True)
class PublishedConfig(Settings):
    """Which set, where it lies, how it is cut."""

    kind: Kind
    folder: str
    """Where the set was unpacked; for WFLW the list file, with ``WFLW_images`` beside it or one folder up."""
    batch_size: int = ranged(32, low=1)
    seed: int = 0
    crop_size: int = ranged(256, low=16)
    margin: float = ranged(1.25, low=1.0)
    """Side of the crop over the one that the tracker would cut around these points: the 68 do not reach the forehead."""
    shuffle: bool = True
    """A new order in every pass; False goes through the files as they are named."""
    face_model: str = "builtin"
    """For the size of ``Batch.identity`` (unknown in these sets) and the place of the head's origin."""


class PublishedStream(Stream):
    """Crops of a published set. Expression, identity, light and focal length are unknown; a last part of a batch is left out.

    WFLW comes as ``ibug68``, with its points on the same places; the others in the set of their own.
    """

    def __init__(self, config: PublishedConfig) -> None:
        """List the files.

        Raises:
            DataError: the folder is not that of the set, or smaller than a batch.
        """
        self.config, self.face_model, self.crop_size = config, config.face_model, config.crop_size
        self._samples: list[Sample] | None = None
        self._files: list[Path] = []
        folder = Path(config.folder).expanduser()
        if config.kind == "wflw":
            chosen = next((path for path in (folder.parent, *folder.parents) if (path / "WFLW_images").is_dir()), None)
            if chosen is None:
                raise DataError(f"WFLW: there is no folder WFLW_images beside or above the list {folder}")
            self._samples = wflw.read_list(folder, chosen / "WFLW_images")
            self.landmark_set, self._points, count = "ibug68", 68, len(self._samples)
        else:
            find, self._read, self.landmark_set, self._points = _READERS[config.kind]
            self._files = find(folder)
            count = len(self._files)
        if count < config.batch_size:
            raise DataError(f"{config.kind} in {folder} has {count} faces, fewer than a batch of {config.batch_size}")
        self._count = count
        self.length = count // config.batch_size
        model = load_face_model(config.face_model)
        self._identity = model.identity_count
        self._template: Float64 | None = None
        try:
            self._template = model.landmarks(model.template, self.landmark_set).astype(np.float64)
        except FaceModelError:
            self._template = None

    def batch(self, index: int) -> Batch:
        """Raises ``DataError`` when a file is damaged."""
        size = self.config.batch_size
        turn, place = divmod(index, self.length or 1)
        order = np.arange(self._count)
        if self.config.shuffle:
            np.random.default_rng((self.config.seed, turn)).shuffle(order)
        return concatenate([self._one(int(number)) for number in order[place * size : (place + 1) * size]])

    def _one(self, number: int) -> Batch:
        sample = self._samples[number] if self._samples is not None else self._read(self._files[number])
        points, visible = sample.points, sample.visible
        if self._samples is not None:
            points = converted(points, WFLW_TO_IBUG68)
        image = read_image(sample.image)
        roi = _roi(points, sample.rotation, self.config.margin, self.landmark_set)
        crop = Cropper(self.crop_size).cut(image, roi)
        cos, sin = math.cos(roi.rotation), math.sin(roi.rotation)
        back = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
        # Depth apart: where it is unknown it must not spread through a product.
        flat = (points[:, :2] - [roi.cx, roi.cy]) @ back[:2, :2].T / roi.size + 0.5
        placed = np.column_stack([flat, points[:, 2] / roi.size])
        batch = unknown(1, self._points, self._identity, self.crop_size)
        known: dict[str, Any] = {}
        if sample.rotation is not None:
            turned = back @ sample.rotation
            known["rotation"] = torch.tensor(turned, dtype=torch.float32)[None]
            placed[:, 2] -= self._origin_depth(placed, turned)
        else:
            placed[:, 2] = np.nan
        if visible is not None:
            known["visible"] = torch.tensor(visible, dtype=torch.float32)[None]
        return replace(
            batch,
            image=torch.from_numpy(crop.copy()).permute(2, 0, 1)[None].float() / 255.0,
            points=torch.tensor(placed, dtype=torch.float32)[None],
            weight=torch.tensor(~np.isnan(placed[:, :2]).any(axis=1), dtype=torch.float32)[None],
            source=(str(sample.image),),
            **known,
        )

    def _origin_depth(self, points: Float64, rotation: Float64) -> float:
        """Depth of the head's origin: where the mean face has it, laid over the points; that of their middle without one."""
        if self._template is None or np.isnan(points).any():
            return float(points[:, 2].mean())
        turned = self._template @ rotation.T
        middle = turned.mean(axis=0)
        flat, seen = (turned - middle)[:, :2], points[:, :2] - points[:, :2].mean(axis=0)
        scale = float((flat * seen).sum() / (flat**2).sum())
        return float(points[:, 2].mean() - scale * middle[2])


def _roi(points: Float64, rotation: Float64 | None, margin: float, landmark_set: str) -> Roi:
    """The square that the tracker would cut, ``margin`` times as large."""
    if rotation is not None and abs(rotation[0, 0]) + abs(rotation[1, 0]) > 0.2:
        along_face = rotation[:2, 0]
    elif landmark_set == "ibug68":
        along_face = points[_OUTER_EYES[1], :2] - points[_OUTER_EYES[0], :2]
    else:
        along_face = np.array([1.0, 0.0])
    angle = math.atan2(float(along_face[1]), float(along_face[0]))
    cos, sin = math.cos(angle), math.sin(angle)
    axes = np.array([[cos, sin], [-sin, cos]])
    local = points[:, :2] @ axes.T
    low, high = np.nanmin(local, axis=0), np.nanmax(local, axis=0)
    centre = (low + high) / 2.0 @ axes
    return Roi(float(centre[0]), float(centre[1]), FACE_MARGIN * margin * float((high - low).max()), angle)
