"""Real crops with pseudo-labels: the dense landmarks of the head that the tracker fitted to them, projected."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from tracker.errors import ConfigError
from tracker.face_model.head_points import with_landmarks
from tracker.face_model.store import load_face_model
from trainer.data.batch import Batch, unknown
from trainer.data.stream import Stream
from trainer.data.video import shard as shards
from trainer.data.video.disguised import weight_of
from trainer.data.video.shard import REACH, Shard
from trainer.data.video.sources import HELD_OUT
from trainer.methods.dense_landmarks.points import FULL_SET

_EVERY_SIDE: Final = 0.2
"""A crop's side on which labels may lie outside of it."""


class RealCrops(Stream):
    """Crops of shards, those with a fitted head, framed as the tracker frames them.

    Args:
        folder: of shards (``trainer prepare encoder``).
        held_out: the people whom training never sees, or everybody else.
        batch_size: crops in a batch.
        crop_size: pixels.
        seed: of the order, in which everybody comes as often as anybody; None: as stored, one pass.

    Raises:
        ConfigError: there are no such crops.
    """

    landmark_set = FULL_SET
    face_model = "builtin"

    def __init__(self, folder: Path, held_out: bool, batch_size: int, crop_size: int, seed: int | None = None) -> None:
        self.crop_size = crop_size
        self._batch_size, self._seed = batch_size, seed
        self._shards: list[Shard] = []
        places: list[tuple[int, int]] = []
        people: list[str] = []
        strangers = {source.person for source in HELD_OUT}
        for name in shards.names(folder):
            shard = shards.read(folder, name)
            chosen = np.flatnonzero(_fitted(shard) & (np.isin(shard.person, list(strangers)) == held_out))
            if len(chosen):
                places += [(len(self._shards), int(row)) for row in chosen]
                people += shard.person[chosen].tolist()
                self._shards.append(shard)
        if not places:
            whose = "of held-out people" if held_out else "of people to learn from"
            raise ConfigError(
                f"expected crops {whose} with a fitted head in {folder}, found none: trainer prepare encoder"
            )
        self._places = np.array(places)
        _, which, counts = np.unique(people, return_inverse=True, return_counts=True)
        self._chances = (1.0 / counts)[which] / len(counts)
        self.length = -(-len(places) // batch_size)
        self._model = with_landmarks(load_face_model(), FULL_SET)

    @property
    def crops(self) -> int:
        return len(self._places)

    def batch(self, index: int) -> Batch:
        if self._seed is None:
            rows = np.arange(index * self._batch_size, min((index + 1) * self._batch_size, self.crops))
        else:
            rows = np.random.default_rng((self._seed, index)).choice(self.crops, self._batch_size, p=self._chances)
        batch = unknown(len(rows), 1609, self._model.identity_count, self.crop_size)
        sources = []
        for row, (number, place) in enumerate(self._places[rows]):
            shard = self._shards[number]
            self._fill(batch, row, shard, place)
            sources.append(f"real:{shard.source[place]}")
        return Batch(**{**{name: getattr(batch, name) for name in _FILLED}, "source": tuple(sources)})

    def _fill(self, batch: Batch, row: int, shard: Shard, place: int) -> None:
        # Whole pixels on both sides: labels stay exact.
        edge = round(self.crop_size * (REACH - 1.0) / 2.0)
        whole = self.crop_size + 2 * edge
        stored = np.asarray(shard.crops[place])
        how = cv2.INTER_AREA if whole < len(stored) else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(stored, (whole, whole), interpolation=how))
        image = np.ascontiguousarray(image[edge : whole - edge, edge : whole - edge])
        batch.image[row] = torch.from_numpy(image).permute(2, 0, 1).float() / 255.0
        points = self._projected(shard, place) * (whole / self.crop_size)
        points[:, :2] -= edge / self.crop_size
        known = (np.abs(points[:, :2] - 0.5) < 0.5 + _EVERY_SIDE).all(axis=1)
        points[~known] = np.nan
        trust = float(weight_of(shard.residual[place : place + 1] * np.float32(REACH))[0])
        batch.points[row] = torch.from_numpy(points)
        batch.weight[row] = torch.from_numpy(np.where(known, trust, 0.0).astype(np.float32))
        batch.rotation[row] = torch.from_numpy(shard.rotation[place])
        batch.expression[row] = torch.from_numpy(shard.expression[place])
        batch.identity[row] = torch.from_numpy(shard.identity[place])
        batch.focal[row] = float(shard.focal[place]) * whole / self.crop_size

    def _projected(self, shard: Shard, place: int) -> NDArray[np.float32]:
        """(1609, 3) in fractions of the stored crop's side; depth from the head's origin."""
        model = self._model
        still = np.zeros(3, np.float32)
        vertices = model.vertices_head(shard.identity[place], model.params_of(shard.expression[place], still, still))
        points = model.landmarks(vertices, FULL_SET) @ shard.rotation[place].T + shard.translation[place]
        depth = float(shard.translation[place, 2])
        focal = float(shard.focal[place])
        out = np.empty((len(points), 3), np.float32)
        out[:, :2] = focal * points[:, :2] / points[:, 2:] + 0.5
        out[:, 2] = (points[:, 2] - depth) * focal / depth
        return out


_FILLED: Final = (
    "image", "points", "weight", "visible", "present", "rotation", "expression", "identity", "light", "focal",
)  # fmt: skip


def labels_sha256(folder: Path) -> str:
    """One hash over all labels of a folder of shards."""
    digest = hashlib.sha256()
    for name in shards.names(folder):
        digest.update(name.encode())
        digest.update((folder / f"{name}.labels.npz").read_bytes())
    return digest.hexdigest()


def _fitted(shard: Shard) -> NDArray[np.bool_]:
    known = shard.present > 0.5
    for values in (shard.rotation, shard.translation, shard.focal, shard.identity, shard.expression, shard.residual):
        known &= np.isfinite(values.reshape(len(shard), -1)).all(axis=1)
    return known
