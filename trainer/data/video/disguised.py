"""The training stream of real, mixed and rendered crops: each seen in another crop, other light, and often behind something.

The target of a covered face is what the teacher said about it uncovered: the face does not move because a hand does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from tracker.appearance.light import sh_basis
from tracker.directions import even_directions
from tracker.errors import ConfigError
from tracker.face_model.head_points import HEAD_SET
from tracker.landmarks.brightness import brightening
from tracker.rotations import matrix_from_rotvec
from tracker.types import Float32, ImageRGB
from trainer.data.batch import Batch, unknown
from trainer.data.stream import Stream
from trainer.data.video.degrade import degraded, recoloured
from trainer.data.video.occluders import cover_face
from trainer.data.video.shard import POINTS, REACH, STORED_PX, Shard
from trainer.data.video.teacher import mirrored_points, mirrored_scores

CROP_PX: Final = 256
_FACE: Final = 478
_MOST_COVERED: Final = 0.75
"""Share of the face beyond which nothing could be known: drawn again."""
_SELF_HIDDEN: Final = 0.25
"""What ``visible`` says of points that the head itself hides, hair included; 0 is for those behind a thing."""
_LEAST_INSIDE: Final = 0.4
"""Crops with fewer of a face's points inside show no face."""
_LIGHT_MIRROR: Final = np.array([1, 1, 1, -1, -1, 1, 1, -1, 1], np.float32)[:, None]
"""Harmonics that are odd in x: x, xy, xz."""
_IDENTITY: Final = 100


@dataclass(frozen=True, slots=True)
class DisguiseConfig:
    """How crops are disturbed."""

    batch_size: int = 24
    seed: int = 0
    covered: float = 0.65
    """Share with something in front of the face."""
    degraded: float = 0.6
    """Share with blur, grain, compression."""
    shift: float = 0.035
    """Standard deviation of the crop's displacement, of its side."""
    scale: float = 0.07
    """Of the logarithm of its size."""
    turn_rad: float = 0.10
    negatives: float = 0.08
    """Share of crops without a face."""
    length: int | None = None


class DisguisedStream(Stream):
    """Batches out of shards.

    Args:
        parts: (share of the batch, shard) of each kind of material; shares are scaled to sum to 1.
        config: how it is disturbed.

    Raises:
        ConfigError: there is no material.
    """

    landmark_set = HEAD_SET
    face_model = "builtin"
    crop_size = CROP_PX

    def __init__(self, parts: list[tuple[float, Shard]], config: DisguiseConfig) -> None:
        if not parts or any(len(shard) == 0 for _, shard in parts):
            raise ConfigError("nothing to train on: run: trainer prepare encoder")
        self.length = config.length
        self._config = config
        shares = np.array([share for share, _ in parts])
        self._shares = shares / shares.sum()
        self._shards = [shard for _, shard in parts]
        self._chances = [_fair(shard.person) for shard in self._shards]
        # Points of the head's set mirror as the mesh's vertices do.
        self._mirror = head_mirror()

    def batch(self, index: int) -> Batch:
        """Batch number ``index``: neighbours in it are other people."""
        config = self._config
        rng = np.random.default_rng((config.seed, index))
        batch = unknown(config.batch_size, POINTS, _IDENTITY, CROP_PX)
        sources = []
        for row in range(config.batch_size):
            kind = int(rng.choice(len(self._shards), p=self._shares))
            if rng.random() < config.negatives:
                image = self._stray(kind, rng) if rng.random() < _STRAYS else self._negative(rng)
                batch.present[row] = 0.0
                sources.append("negative")
            else:
                image = self._positive(batch, row, kind, rng)
                sources.append(f"kind{kind}")
            gain = brightening(image)
            batch.light[row] *= gain**_GAMMA
            picture = torch.from_numpy(image).permute(2, 0, 1).float() * (gain / 255.0)
            batch.image[row] = picture.clamp_(max=1.0)
        return Batch(**{**{name: getattr(batch, name) for name in _FIELDS}, "source": tuple(sources)})

    def _positive(self, batch: Batch, row: int, kind: int, rng: np.random.Generator) -> ImageRGB:
        config, shard = self._config, self._shards[kind]
        chosen = int(rng.choice(len(shard), p=self._chances[kind]))
        image: ImageRGB = np.asarray(shard.crops[chosen])
        points, visible = shard.points[chosen].copy(), shard.visible[chosen].copy()
        sigma, scores, rotation = shard.sigma[chosen], shard.scores[chosen], shard.rotation[chosen]
        light, identity = shard.light[chosen], shard.identity[chosen]
        if rng.random() < 0.5:
            image = np.asarray(cv2.flip(image, 1), np.uint8)
            points = points[self._mirror]
            points[:, 0] = 1.0 - points[:, 0]
            visible, sigma, scores = visible[self._mirror], sigma[self._mirror], scores[mirrored_scores()]
            flip = np.diag([-1.0, 1.0, 1.0]).astype(np.float32)
            rotation, light = flip @ rotation @ flip, light * _LIGHT_MIRROR
            identity = identity @ identity_mirror()
        # A head that hides a part of itself; what a render leaves open is never a thing in front of it.
        visible = np.where(visible == 0.0, np.float32(_SELF_HIDDEN), visible)
        image, points, turn, factor = self._moved(
            image, points, rng, rendered=bool(np.isfinite(shard.visible[chosen, _FACE:]).all())
        )
        if rng.random() < config.covered:
            image, visible = self._covered(image, points, visible, self._stranger(rng), rng)
        mild = rng.random() < 0.3
        before = _level(image, points, visible)
        ramp = rng.random() < (0.1 if mild else 0.25)
        image = recoloured(image, rng, 0.4 if mild else 1.0, ramp)
        light = (
            np.full_like(light, np.nan) if ramp else _turned(light, turn) * (_level(image, points, visible) / before)
        )
        if not mild and rng.random() < config.degraded:
            image = degraded(image, rng)
        batch.points[row] = torch.from_numpy(points)
        # The label's own uncertainty travels as its weight; what the network is to predict includes it.
        trust = weight_of(np.nan_to_num(sigma * factor, nan=1.0))
        batch.weight[row] = torch.from_numpy(np.where(np.isfinite(points[:, 0]), trust, 0.0).astype(np.float32))
        batch.visible[row] = torch.from_numpy(visible)
        batch.expression[row] = torch.from_numpy(scores.copy())
        batch.rotation[row] = torch.from_numpy((turn @ rotation).astype(np.float32))
        batch.light[row] = torch.from_numpy(light.astype(np.float32))
        batch.identity[row] = torch.from_numpy(identity.astype(np.float32))
        return image

    def _moved(
        self,
        image: ImageRGB,
        points: Float32,
        rng: np.random.Generator,
        rendered: bool,
        astray: tuple[float, float] = (0.0, 0.0),
    ) -> tuple[ImageRGB, Float32, NDArray[np.float64], float]:
        """Another crop: image (256, 256, 3), points in it, the camera's turn, and the scale of lengths."""
        config = self._config
        reach = 1.0 if rendered else REACH
        scale = math.exp(float(rng.normal(0.0, config.scale))) / reach
        angle = float(rng.normal(0.0, config.turn_rad))
        if rng.random() < 0.1:
            # As a detection frames a face that nobody follows yet.
            scale *= float(rng.uniform(0.8, 1.25))
            angle += float(rng.normal(0.0, 0.2))
        centre = 0.5 + rng.normal(0.0, config.shift, 2) * scale + np.asarray(astray)
        # Crop coordinates (0..1) u of a stored point p: u = R(-angle) (p - centre) / scale + 0.5.
        cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
        linear = np.array([[cos, sin], [-sin, cos]])
        moved = points.copy()
        moved[:, :2] = (points[:, :2] - centre) @ linear.T + 0.5
        moved[:, 2] = points[:, 2] / scale
        to_crop = linear * (CROP_PX / STORED_PX)
        offset = CROP_PX * (0.5 - linear @ centre) + to_crop @ [0.5, 0.5] - 0.5
        warped = cv2.warpAffine(
            image,
            np.column_stack([to_crop, offset]),
            (CROP_PX, CROP_PX),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        # The picture turns by -angle about the optical axis, and so do the camera's axes.
        return np.asarray(warped, np.uint8), moved, matrix_from_rotvec(np.array([0.0, 0.0, -angle])), 1.0 / scale

    def _covered(
        self, image: ImageRGB, points: Float32, visible: Float32, stranger: ImageRGB, rng: np.random.Generator
    ) -> tuple[ImageRGB, Float32]:
        pixels = points * CROP_PX
        at = np.clip(np.nan_to_num(pixels[:, :2]).astype(int), 0, CROP_PX - 1)
        for _ in range(3):
            out, cover = cover_face(image, pixels[:_FACE], stranger, rng)
            under = cover[at[:, 1], at[:, 0]]
            if under[:_FACE].mean() <= _MOST_COVERED:
                hidden: Float32 = np.where(under > 0.5, np.float32(0.0), visible)
                return out, hidden
        return image, visible

    def _stray(self, kind: int, rng: np.random.Generator) -> ImageRGB:
        """A crop beside a face: part of it may be at the edge, too little to be one; now and then behind a hand."""
        shard = self._shards[kind]
        chosen = int(rng.choice(len(shard), p=self._chances[kind]))
        image, points = np.asarray(shard.crops[chosen]), shard.points[chosen]
        rendered = bool(np.isfinite(shard.visible[chosen, _FACE:]).all())
        while True:
            towards = rng.normal(0.0, 1.0, 2)
            towards *= rng.uniform(0.3, 0.75) / np.abs(towards).max()
            moved, found, _, _ = self._moved(image, points, rng, rendered, (float(towards[0]), float(towards[1])))
            inside = ((found[:_FACE, :2] > 0.0) & (found[:_FACE, :2] < 1.0)).all(axis=1).mean()
            if inside < _LEAST_INSIDE:
                break
        if rng.random() < 0.4:
            moved, _ = cover_face(moved, (points[:_FACE] * CROP_PX).astype(np.float32), self._stranger(rng), rng)
        return degraded(recoloured(moved, rng), rng)

    def _stranger(self, rng: np.random.Generator) -> ImageRGB:
        shard = self._shards[0]
        return np.asarray(
            cv2.resize(np.asarray(shard.crops[int(rng.integers(len(shard)))]), (CROP_PX, CROP_PX)), np.uint8
        )

    def _negative(self, rng: np.random.Generator) -> ImageRGB:
        """A part of a stored crop enlarged, skin among it, a texture, or plain noise, often with a hand before it: no face."""
        if rng.random() < 0.2:
            cells = int(rng.integers(2, 40))
            noise = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
            return np.asarray(cv2.resize(noise, (CROP_PX, CROP_PX), interpolation=int(rng.integers(0, 3))), np.uint8)
        shard = self._shards[int(rng.integers(len(self._shards)))]
        chosen = int(rng.integers(len(shard)))
        if rng.random() < 0.25:
            # A cheek, a forehead: so near that no face can be told.
            size = int(rng.integers(24, 48))
            x, y = np.clip(
                shard.points[chosen, rng.integers(468), :2] * STORED_PX - size / 2, 0, STORED_PX - size
            ).astype(int)
        else:
            size = int(rng.integers(50, 100))
            # Above or beside the face; the face's middle is the crop's.
            x, y = ((0, 0), (STORED_PX - size, 0), (0, STORED_PX - size), (STORED_PX - size, STORED_PX - size))[
                rng.integers(4)
            ]
        part = np.ascontiguousarray(shard.crops[chosen, y : y + size, x : x + size])
        out = np.asarray(cv2.resize(part, (CROP_PX, CROP_PX), interpolation=cv2.INTER_CUBIC), np.uint8)
        out = np.rot90(out, int(rng.integers(4))).copy()
        if rng.random() < 0.6:
            # Where a face's points would lie, so that things come out as large as before a face; its skin colours the hands.
            out, _ = cover_face(
                out, (shard.points[chosen, :_FACE] * CROP_PX).astype(np.float32), self._stranger(rng), rng
            )
        return degraded(recoloured(out, rng), rng)


_STRAYS: Final = 0.4
"""Share of crops without a face that lie beside one."""
_GAMMA: Final = 2.2


def covered(visible: torch.Tensor) -> torch.Tensor:
    """1 where a thing is in front of a point, 0 where none is."""
    return (visible == 0.0).float()


def in_sight(visible: torch.Tensor) -> torch.Tensor:
    """1 where neither a thing nor the head itself hides a point, else 0; 0 where that is not known."""
    return (visible > 0.5).float()


def _level(image: ImageRGB, points: Float32, visible: Float32) -> NDArray[np.float64]:
    """(3,) mean linear colour of what is in sight of the face."""
    seen = points[:_FACE:3][visible[:_FACE:3] != 0.0]
    if len(seen) == 0:
        return np.ones(3)
    at = np.clip((seen[:, :2] * CROP_PX).astype(int), 0, CROP_PX - 1)
    return np.asarray(((image[at[:, 1], at[:, 0]] / 255.0) ** _GAMMA).mean(axis=0) + 1e-3, np.float64)


def _turned(light: Float32, turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light (9, 3) in axes that ``turn`` takes its own to."""
    probes = even_directions(24)
    basis = sh_basis((probes @ turn.T).T.astype(np.float32)).T
    return np.asarray(np.linalg.pinv(basis) @ (sh_basis(probes.T.astype(np.float32)).T @ light), np.float64)


@cache
def identity_mirror() -> Float32:
    """(100, 100) identity coefficients, from the right, of a face to those of its mirror image."""
    from tracker.face_model import load_face_model
    from trainer.data.augment.mirror import Mirror

    matrix: Float32 = (
        Mirror.of(load_face_model(), "mediapipe478").identity.numpy().astype(np.float32).T[:_IDENTITY, :_IDENTITY]
    )
    return matrix


_HALF_TRUSTED: Final = 0.01
"""A label with this standard deviation, of the crop's side, has half the weight."""


def weight_of(sigma: Float32) -> Float32:
    """The weight in a batch of labels with a standard deviation of their own, a fraction of the crop's side."""
    weight: Float32 = (1.0 / (1.0 + sigma / _HALF_TRUSTED)).astype(np.float32)
    return weight


def sigma_of(weight: torch.Tensor) -> torch.Tensor:
    """The way back; 1 where the weight is 0."""
    return _HALF_TRUSTED * (1.0 / weight.clamp(min=0.01) - 1.0)


_FIELDS: Final = (
    "image", "points", "weight", "visible", "present", "rotation", "expression", "identity", "light", "focal",
)  # fmt: skip


def _fair(person: NDArray[np.str_]) -> NDArray[np.float64]:
    """Chances in which people with many crops count less than in proportion."""
    _, which, counts = np.unique(person, return_inverse=True, return_counts=True)
    weight = (1.0 / counts**0.6)[which]
    return np.asarray(weight / weight.sum())


def head_mirror() -> NDArray[np.intp]:
    """(628,) which point each becomes in a mirrored head."""
    from tracker.face_model import load_face_model
    from tracker.face_model.head_points import HEAD_POINTS, landmark_embedding

    model = load_face_model()
    around = landmark_embedding(model, HEAD_POINTS)
    corners = model.template[model.faces[around.faces]]
    points = np.einsum("lk,lkx->lx", around.barycentric, corners).astype(np.float64)
    partner = np.linalg.norm((points * [-1.0, 1.0, 1.0])[:, None] - points[None], axis=2).argmin(axis=1)
    return np.concatenate([mirrored_points(), _FACE + partner])
