"""How far a fitted face lies from a true one of another mesh: from the truth's bare face to the fitted surface.

The true face's vertices are the points, the fitted skin the surface, as scans are compared with models (the direction of NoW,
Sanyal 2019): what the tracker's mesh covers beyond the face cannot help it, and gaps in it cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tools.evaluation import ict, metrics, scan
from tools.evaluation.surface import Surface
from tools.evaluation.synthetic import face_area
from tools.evaluation.textured import ict_truth
from tools.evaluation.warp import ThinPlate
from tracker.face_model import FaceModel, load_face_model

Floats = NDArray[np.floating]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_INNER: Final = slice(17, 68)
"""The landmarks that mark places; the first 17 slide along the jaw."""
_ALIGN_POINTS: Final = 500
_ALIGN_STEPS: Final = 16
"""More steps and points change the mean by 0.01 mm."""
_NEAR_M: Final = 0.008


@dataclass(frozen=True, slots=True)
class TrueFace:
    """What a fit is measured against, metres."""

    points: Float32
    """(N, 3) on bare skin of the face."""
    landmarks68: Float32
    """(68, 3)."""


@dataclass(frozen=True, slots=True)
class ShapeError:
    """Distances in millimetres."""

    surface: Float64
    """(N,) from each true point to the fitted surface, after the best alignment."""
    landmarks: float
    """Mean over 51 landmarks, after their best alignment."""
    scale: float
    """What the fit was multiplied by; 1 where it had to keep its size."""


def builtin_truth(identity: Float32) -> TrueFace:
    """A relaxed person of the built-in head."""
    model = load_face_model()
    vertices = model.neutral_vertices(identity)
    return TrueFace(vertices[face_area(model)], model.landmarks(vertices, "ibug68"))


def ict_person(identity: Float32) -> TrueFace:
    """A relaxed ICT person."""
    model = ict_truth()
    vertices = model.neutral_vertices(identity)
    return TrueFace(vertices[ict_face_area()], model.landmarks(vertices, "ibug68"))


def scanned() -> TrueFace:
    """The scan."""
    head = scan.load()
    return TrueFace(head.vertices[head.region], head.landmarks68)


@cache
def ict_face_area() -> NDArray[np.intp]:
    """ICT vertices where the built-in head has its face area: bare skin without ears, neck, scalp and insides."""
    model, builtin = ict_truth(), load_face_model()
    bend = ThinPlate(
        model.landmarks(model.template, "ibug68"), builtin.landmarks(builtin.template, "ibug68"), smoothing=1e-3
    )
    skin = np.flatnonzero(builtin.parts[builtin.faces[:, 0]] == builtin.part_names.index("skin"))
    foot = Surface(builtin.template, builtin.faces[skin]).foot(bend(model.template[: ict.FACE_VERTICES]))
    inside = np.isin(builtin.faces[skin][foot.face], face_area(builtin)).all(axis=1)
    return np.flatnonzero(inside & (foot.distance < _NEAR_M))


class FittedSurface:
    """The relaxed face of one identity of a tracking model, as a surface to measure against."""

    def __init__(self, model: FaceModel, identity: Float32) -> None:
        vertices = model.neutral_vertices(identity)
        skin = (
            model.parts == model.part_names.index("skin")
            if "skin" in model.part_names
            else np.ones(len(vertices), bool)
        )
        self._surface = Surface(vertices, model.faces[skin[model.faces].all(axis=1)])
        self._landmarks = model.landmarks(vertices, "ibug68").astype(np.float64)

    def error(self, true: TrueFace, *, metric: bool = False) -> ShapeError:
        """Distances of a true face, after aligning by landmarks and then point to surface; ``metric`` keeps the fitted size."""
        align = _rigid if metric else metrics.similarity
        marks, wanted = self._landmarks[_INNER], true.landmarks68[_INNER].astype(np.float64)
        scale, rotation, offset = align(marks, wanted)
        landmarks = float(np.linalg.norm(scale * marks @ rotation.T + offset - wanted, axis=1).mean())
        some = true.points[:: max(1, len(true.points) // _ALIGN_POINTS)].astype(np.float64)
        for _ in range(_ALIGN_STEPS):
            foot = self._surface.foot((some - offset) @ rotation / scale)
            keep = foot.distance <= np.percentile(foot.distance, 95)
            scale, rotation, offset = align(foot.point[keep], some[keep])
        foot = self._surface.foot((true.points - offset) @ rotation / scale)
        return ShapeError(scale * foot.distance * 1e3, landmarks * 1e3, scale)


def _rigid(source: Float64, target: Float64) -> tuple[float, Float64, Float64]:
    """Scale 1, rotation and translation that bring points (N, 3) nearest to others."""
    _, rotation, _ = metrics.similarity(source, target)
    return 1.0, rotation, target.mean(axis=0) - source.mean(axis=0) @ rotation.T
