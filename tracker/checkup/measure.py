"""What matters for tracking about one frame of a face: size, place, light, sharpness, noise, pose."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.bridges.axes import facing_rotation, yaw_pitch_roll
from tracker.rendering.contours import CONTOUR
from tracker.srgb import LINEAR
from tracker.types import Face, Float32, ImageRGB

OUTER_EYES: Final = (33, 263)
_OVAL: Final = np.array(CONTOUR["oval"].points)
_FACE_PX: Final = 96
"""Eye distance at which sharpness is judged: finer detail the networks, whose crop has about as many, do not see."""
_CLIPPED: Final = 250
_AROUND: Final = 0.35
"""How far beyond the box of the face the background begins, in box sizes."""
_IMMERKAER: Final = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


@dataclass(frozen=True, slots=True)
class FaceMeasure:
    """One frame of one face. Levels are sRGB codes over 255: 0 black, 1 white."""

    eye_distance_px: float
    """Between the outer eye corners."""
    level: float
    """Median brightness of the face."""
    clipped: float
    """Share of the face where a channel is blown out."""
    contrast: float
    """95 % less 5 % of the brightness of the face."""
    background: float | None
    """Median brightness around the face; None where the face fills the picture."""
    sides: float
    """Light on the brighter half of the face over that on the other, at least 1 (linear light)."""
    sharpness: float
    """Energy of fine detail over that of all detail in the face, at a common size; 0 for mush."""
    noise: float
    """Standard deviation of the grain between neighbouring pixels (Immerkaer 1996), sRGB code over 255."""
    margin: float
    """Distance of the face from the nearest border of the picture, in eye distances; negative where it is cut off."""
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    distance_m: float
    sigma: float
    """Median standard deviation that the tracker gives its own landmarks, in eye distances."""
    covered: float | None
    """Share of the skin that something covers; None where appearance is not estimated."""
    covered_regions: tuple[float, ...] = ()


def measure(image: ImageRGB, face: Face) -> FaceMeasure | None:
    """Measure a face in the frame (H, W, 3) that it was tracked in; None where it lies outside of the picture."""
    points = face.landmarks.points[:, :2]
    eyes_px = math.dist(points[OUTER_EYES[0]].tolist(), points[OUTER_EYES[1]].tolist())
    crop, oval = _crop(image, points[_OVAL])
    if crop.size == 0 or eyes_px < 1.0:
        return None
    inside = np.zeros(crop.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, cv2.convexHull(np.round(oval).astype(np.int32)), 1)
    if not inside.any():
        return None
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    levels = grey[inside > 0]
    low, middle, high = np.percentile(levels, (5, 50, 95)) / 255.0
    yaw, pitch, roll = (math.degrees(angle) for angle in yaw_pitch_roll(facing_rotation(face.quaternion)))
    height, width = image.shape[:2]
    borders = np.concatenate([points[_OVAL].min(axis=0), (width, height) - points[_OVAL].max(axis=0)])
    sigma = face.landmarks.sigma
    return FaceMeasure(
        eye_distance_px=eyes_px,
        level=float(middle),
        clipped=float((crop[inside > 0].max(axis=1) >= _CLIPPED).mean()),
        contrast=float(high - low),
        background=_background(image, points[_OVAL]),
        sides=_sides(grey, inside, oval),
        sharpness=_sharpness(grey, inside, eyes_px),
        noise=_noise(grey, inside),
        margin=float(borders.min()) / eyes_px,
        yaw_deg=yaw,
        pitch_deg=pitch,
        roll_deg=roll,
        distance_m=float(np.linalg.norm(face.position)),
        sigma=float(np.median(sigma)) / eyes_px if len(sigma) else math.nan,
        covered=None if face.occlusion is None else face.occlusion.fraction,
        covered_regions=() if face.occlusion is None else tuple(face.occlusion.regions.tolist()),
    )


def _crop(image: ImageRGB, oval: Float32) -> tuple[ImageRGB, Float32]:
    """The part of the picture with the face in it, and the oval's points there."""
    height, width = image.shape[:2]
    x0, y0 = np.clip(np.floor(oval.min(axis=0)), 0, (width, height)).astype(int)
    x1, y1 = np.clip(np.ceil(oval.max(axis=0)), 0, (width, height)).astype(int)
    return image[y0:y1, x0:x1], oval - np.array([x0 + 0.5, y0 + 0.5], np.float32)


def _background(image: ImageRGB, oval: Float32) -> float | None:
    small = image[::4, ::4, 1]
    low, high = oval.min(axis=0), oval.max(axis=0)
    reach = _AROUND * (high - low)
    outside = np.ones(small.shape, np.bool_)
    # Below the face is the body.
    x0, x1 = ((value / 4) for value in (low[0] - reach[0], high[0] + reach[0]))
    outside[max(0, int((low[1] - reach[1]) / 4)) :, max(0, int(x0)) : max(0, int(x1))] = False
    return float(np.median(small[outside])) / 255.0 if outside.mean() > 0.1 else None


def _sides(grey: NDArray[Any], inside: NDArray[np.uint8], oval: Float32) -> float:
    """Between the halves left and right of the line from forehead (first of the oval) to chin."""
    top, chin = oval[0], oval[_OVAL.tolist().index(152)]
    y, x = np.nonzero(inside)
    along = chin - top
    right = (x - top[0]) * along[1] - (y - top[1]) * along[0] > 0
    halves = [LINEAR[grey[y[part], x[part]]] for part in (right, ~right)]
    if min(map(len, halves)) < 50:
        return 1.0
    means = sorted(float(half.mean()) + 1e-3 for half in halves)
    return means[1] / means[0]


def _sharpness(grey: NDArray[Any], inside: NDArray[np.uint8], eyes_px: float) -> float:
    scale = min(1.0, _FACE_PX / eyes_px)
    size = (max(8, round(grey.shape[1] * scale)), max(8, round(grey.shape[0] * scale)))
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    where = cv2.erode(cv2.resize(inside, size, interpolation=cv2.INTER_NEAREST), np.ones((5, 5), np.uint8)) > 0
    if not where.any():
        return 0.0
    # Grain is detail too, of the finest kind: smooth it away first.
    fine = cv2.GaussianBlur(small, (0, 0), 1.0) - cv2.GaussianBlur(small, (0, 0), 2.0)
    coarse = cv2.GaussianBlur(small, (0, 0), 2.0) - cv2.GaussianBlur(small, (0, 0), 6.0)
    return float(np.sqrt((fine[where] ** 2).mean() / max(float((coarse[where] ** 2).mean()), 1e-6)))


def _noise(grey: NDArray[Any], inside: NDArray[np.uint8]) -> float:
    where = cv2.erode(inside, np.ones((5, 5), np.uint8)) > 0
    if not where.any():
        return 0.0
    response = np.abs(cv2.filter2D(grey.astype(np.float32), -1, _IMMERKAER))[where]
    # The median instead of the mean keeps edges out of it; |N(0, 6 s)| has its median at 0.6745 * 6 s.
    return float(np.median(response)) / (0.6745 * 6.0) / 255.0
