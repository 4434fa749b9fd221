"""How far an occluder drags the face: deviation of the occluded run from the unoccluded one of the same clip and settings.

Frames in which the thing covers at least a twentieth of the face count. Visible vertices are those of the face that look towards
the camera in the unoccluded run and are not under the occluder; how far those which are hidden stray is given beside.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tools.evaluation.appearance.episodes import Float32
from tools.evaluation.clips import eye_distance
from tools.evaluation.metrics import angle_deg
from tools.evaluation.synthetic import face_area
from tracker.camera import Camera
from tracker.face_model import FaceModel
from tracker.rendering.shading import NormalField
from tracker.rotations import matrix_from_rotvec
from tracker.types import Face

_LEAST_COVERED: Final = 0.05
MEASURES: Final = ("rotation_deg", "position_mm", "expression", "visible_percent", "hidden_percent")


@dataclass(slots=True)
class Deviations:
    """Per frame figures, by the kind of occluder."""

    frames: dict[str, list[dict[str, float]]]
    lost: int = 0

    def figures(self) -> dict[str, Any]:
        """Means, and the 90th percentile of visible vertices, per kind and over all frames."""
        out = {kind: _means(rows) for kind, rows in self.frames.items()}
        out["all"] = _means([row for rows in self.frames.values() for row in rows])
        out["all"]["frames_lost"] = self.lost
        return out

    def add(self, other: Deviations) -> None:
        """Take in another clip's."""
        for kind, rows in other.frames.items():
            self.frames[kind] += rows
        self.lost += other.lost


def empty() -> Deviations:
    """To add to."""
    return Deviations(defaultdict(list))


class Comparison:
    """Compares runs of one face model."""

    def __init__(self, model: FaceModel) -> None:
        self._model = model
        self._area = face_area(model)
        self._normals = NormalField(model.faces, model.vertex_count)

    def __call__(
        self,
        camera: Camera,
        clean: Sequence[Face | None],
        faces: Sequence[Face | None],
        cover: Sequence[Float32 | None],
        kinds: Sequence[str | None],
    ) -> Deviations:
        """Deviation of ``faces`` from ``clean`` in the frames that have something in front of the face."""
        out = empty()
        for before, after, hidden, kind in zip(clean, faces, cover, kinds, strict=True):
            if before is None or hidden is None or kind is None:
                continue
            vertices = self._model.vertices_camera(before.identity, before.params)
            facing = (self._normals(vertices) * vertices).sum(axis=1)[self._area] < 0.0
            points = camera.project(vertices)[self._area]
            column = np.clip(points[:, 0].astype(int), 0, hidden.shape[1] - 1)
            row = np.clip(points[:, 1].astype(int), 0, hidden.shape[0] - 1)
            under = hidden[row, column] > 0.2
            if under[facing].mean() < _LEAST_COVERED:
                continue
            if after is None:
                out.lost += 1
                continue
            moved = camera.project(self._model.vertices_camera(after.identity, after.params))[self._area] - points
            percent = np.hypot(moved[:, 0], moved[:, 1]) * 100.0 / eye_distance(before.landmarks.points)
            figures = difference(before, after)
            figures["visible_percent"] = float(percent[facing & ~under].mean()) if (facing & ~under).any() else np.nan
            figures["hidden_percent"] = float(percent[facing & under].mean())
            out.frames[kind].append(figures)
        return out

    def unprovoked(self, camera: Camera, first: Sequence[Face | None], second: Sequence[Face | None]) -> dict[str, Any]:
        """Difference of two runs over the same pictures."""
        rows = []
        for before, after in zip(first, second, strict=True):
            if before is None or after is None:
                continue
            a, b = (
                camera.project(self._model.vertices_camera(f.identity, f.params))[self._area] for f in (before, after)
            )
            percent = np.hypot(*(a - b).T) * 100.0 / eye_distance(before.landmarks.points)
            rows.append({**difference(before, after), "visible_percent": float(percent.mean())})
        return _means(rows)


def difference(before: Face, after: Face) -> dict[str, float]:
    """Of pose and of expression weights (mean absolute over the 52), as published."""
    turn = matrix_from_rotvec(before.params.rotation) @ matrix_from_rotvec(after.params.rotation).T
    return {
        "rotation_deg": float(angle_deg(turn)),
        "position_mm": float(np.linalg.norm(before.params.translation - after.params.translation) * 1e3),
        "expression": float(np.abs(before.arkit - after.arkit).mean()),
    }


def ratios(off: dict[str, Any], on: dict[str, Any]) -> dict[str, Any]:
    """On over off, for every figure that both have."""
    return {
        kind: {name: round(on[kind][name] / off[kind][name], 3) for name in MEASURES if off[kind].get(name)}
        for kind in off
        if kind in on
    }


def _means(rows: Sequence[dict[str, float]]) -> dict[str, Any]:
    if not rows:
        return {"frames": 0}
    figures: dict[str, Any] = {"frames": len(rows)}
    for name in MEASURES:
        values: NDArray[np.float64] = np.array([row[name] for row in rows if name in row])
        if len(values):
            figures[name] = round(float(np.nanmean(values)), 4)
    if "hidden_percent" in rows[0]:
        figures["visible_percent_p90"] = round(float(np.nanpercentile([row["visible_percent"] for row in rows], 90)), 4)
    return figures
