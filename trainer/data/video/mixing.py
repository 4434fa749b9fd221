"""People who do not exist: two faces bent onto each other and blended, or one face stretched; the teacher looks at them afresh.

Clips show few people. A network that learns from few people remembers them; faces between and beside them keep it honest.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator

from tracker.landmarks.crop import Cropper, Roi
from tracker.types import Float32, ImageRGB
from trainer.data.video.gather import LARGEST_SCATTER, as_shard, labels, tracker_crop
from trainer.data.video.shard import REACH, STORED_PX, Shard
from trainer.data.video.teacher import Teacher

_GRID: Final = 81
"""Displacements are computed on so many rows and columns and enlarged."""
_LARGEST_TURN: Final = 0.9
"""Frobenius distance of two heads' rotations beyond which they are not blended: about 36 degrees."""
_OVAL: Final = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip


def mix(real: Shard, count: int, teacher: Teacher, seed: int = 0) -> Shard:
    """``count`` crops of people who are not in ``real``, labelled by the teacher; fewer where it is not sure."""
    rng = np.random.default_rng(seed)
    cropper = Cropper(STORED_PX)
    rows: list[dict[str, Any]] = []
    chances = _fair(real.person)
    for number in range(count):
        first = int(rng.choice(len(real), p=chances))
        second = _partner(real, first, chances, rng) if rng.random() < 0.75 else None
        image, points = real.crops[first], real.points[first, :, :2] * STORED_PX
        if second is not None:
            image, points = blended(
                image, points, real.crops[second], real.points[second, :, :2] * STORED_PX,
                shape=float(rng.uniform(0.2, 0.8)), look=float(rng.uniform(0.2, 0.9)),
            )  # fmt: skip
        image, points = stretched(image, points, rng)
        found = _labelled(image, points, teacher, cropper)
        if found is not None:
            other = "" if second is None else f"+{real.person[second]}"
            rows.append({**found, "person": f"{real.person[first]}{other}", "source": f"mixed#{number}"})
    return as_shard(rows)


def _fair(person: NDArray[np.str_]) -> NDArray[np.float64]:
    """Chances that give every person the same share, or nearly."""
    _, which, counts = np.unique(person, return_inverse=True, return_counts=True)
    weight = (1.0 / counts**0.7)[which]
    return np.asarray(weight / weight.sum())


def _partner(real: Shard, first: int, chances: NDArray[np.float64], rng: np.random.Generator) -> int | None:
    for _ in range(12):
        second = int(rng.choice(len(real), p=chances))
        turn = np.linalg.norm(real.rotation[first] - real.rotation[second])
        if real.person[second] != real.person[first] and turn < _LARGEST_TURN:
            return second
    return None


def blended(
    first: ImageRGB, first_points: Float32, second: ImageRGB, second_points: Float32, *, shape: float, look: float
) -> tuple[ImageRGB, Float32]:
    """The first face with a share of the second's shape and colour; points are pixels (478, 2)."""
    side = first.shape[0]
    # Size and place stay the first's: only the shape is mixed.
    aligned = _onto(second_points, first_points)
    target = first_points + shape * (aligned - first_points)
    from_first = _bent(first, target, first_points)
    from_second = _bent(second, target, second_points)
    mask = np.zeros((side, side), np.float32)
    outline = target[list(_OVAL)]
    middle = outline.mean(axis=0)
    cv2.fillConvexPoly(
        mask, cv2.convexHull((middle + 0.93 * (outline - middle)).astype(np.float32)).astype(np.int32), 1.0
    )
    feather = 0.06 * float(np.ptp(target[:, 0]))
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), max(feather, 1.0)), np.float32)[..., None] * np.float32(look)
    inside = mask[..., 0] > 0.5 * look
    # Colours are brought nearer to each other first, or the outline of the mask would tell.
    second_like = from_second.astype(np.float32)
    if inside.any():
        shift = from_first[inside].mean(axis=0) - from_second[inside].mean(axis=0)
        second_like += (0.75 * shift).astype(np.float32)
    out = from_first + (second_like - from_first) * mask
    return np.clip(out, 0, 255).astype(np.uint8), target.astype(np.float32)


def stretched(image: ImageRGB, points: Float32, rng: np.random.Generator) -> tuple[ImageRGB, Float32]:
    """Longer, wider, and bent a little in a smooth way."""
    side = image.shape[0]
    coarse = rng.normal(0.0, 0.018 * side, (5, 5, 2)).astype(np.float32)
    # The map says where each pixel comes from; the points go the other way.
    field = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    centre = np.float32(side / 2)
    factor = np.exp(rng.normal(0.0, 0.07, 2)).astype(np.float32)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    map_x = (x - centre) * factor[0] + centre + field[..., 0]
    map_y = (y - centre) * factor[1] + centre + field[..., 1]
    out = cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    moved = points.copy()
    for _ in range(4):
        at = np.clip(moved.astype(int), 0, side - 1)
        moved = (points - field[at[:, 1], at[:, 0]] - centre) / factor + centre
    return np.asarray(out, np.uint8), moved.astype(np.float32)


def _onto(source: Float32, target: Float32) -> Float32:
    """Points (N, 2) moved, turned and scaled onto others."""
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    complex_a, complex_b = a[:, 0] + 1j * a[:, 1], b[:, 0] + 1j * b[:, 1]
    factor = (np.conj(complex_a) @ complex_b) / (np.conj(complex_a) @ complex_a)
    moved = complex_a * factor
    return np.asarray(np.stack([moved.real, moved.imag], axis=1) + target.mean(axis=0), np.float32)


def _bent(image: ImageRGB, target: Float32, source: Float32) -> Float32:
    """The picture bent so that what lay at ``source`` lies at ``target``, linear between points, unmoved at the border."""
    side = image.shape[0]
    edge = np.linspace(0, side, 9)
    border = np.array([(x, y) for x in edge for y in edge if x in (0, side) or y in (0, side)])
    # Where the faces are of other sizes the surroundings follow them.
    surroundings = border if np.abs(target - source).max() < 0.02 * side else _carried(border, target, source)
    field = LinearNDInterpolator(
        np.concatenate([target[:468], border]), np.concatenate([source[:468], surroundings]), fill_value=np.nan
    )
    at = (np.arange(_GRID) + 0.5) * side / _GRID
    grid = np.stack(np.meshgrid(at, at), axis=-1)
    bent = field(grid.reshape(-1, 2)).reshape(_GRID, _GRID, 2)
    bent = np.where(np.isfinite(bent), bent, grid).astype(np.float32)
    full = cv2.resize(bent, (side, side), interpolation=cv2.INTER_LINEAR)
    out = cv2.remap(image, full[..., 0] - 0.5, full[..., 1] - 0.5, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.float32)


def _carried(points: NDArray[np.float64], source: Float32, target: Float32) -> NDArray[np.float64]:
    """Points (M, 2) moved as the similarity from source to target moves them."""
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    complex_a, complex_b = a[:, 0] + 1j * a[:, 1], b[:, 0] + 1j * b[:, 1]
    factor = (np.conj(complex_a) @ complex_b) / (np.conj(complex_a) @ complex_a)
    offset = points - source.mean(axis=0)
    moved = (offset[:, 0] + 1j * offset[:, 1]) * factor
    return np.asarray(np.stack([moved.real, moved.imag], axis=1) + target.mean(axis=0), np.float64)


def _labelled(image: ImageRGB, points: Float32, teacher: Teacher, cropper: Cropper) -> dict[str, Any] | None:
    roi = tracker_crop(points)
    lesson = teacher.look(image, roi)
    if lesson.presence < 0.8 or float(np.median(lesson.scatter)) > LARGEST_SCATTER * roi.size:
        return None
    stored = tracker_crop(lesson.points)
    stored = Roi(stored.cx, stored.cy, stored.size * REACH, stored.rotation)
    return {
        "crops": cropper.cut(image, stored).copy(),
        **labels(lesson, stored),
    }
