"""The skin points of a face model in a frame: where they are, which way they face, which of them the camera sees.

Only the points are evaluated, not the mesh. Linear blend skinning is applied to the interpolated point with interpolated
weights, which differs from interpolating skinned corners by the covariance of weight and place within one triangle (below
0.1 mm).
Arrays are axis first, (3, P).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.appearance.light import sh_basis
from tracker.appearance.points import SkinPoints
from tracker.appearance.shadows import shadow_transfer, turned
from tracker.camera import Camera
from tracker.face_model.model import EYE_LEFT, EYE_RIGHT, EYELID_CONTROLS, JAW, NECK, ROOT, FaceModel
from tracker.rotations import matrix_from_rotvec
from tracker.types import FaceParams

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]

_LEAST_WEIGHT: Final = 1e-3
_LEAST_DEPTH_M: Final = 0.02
_GRAZING: Final = 0.15
"""Cosine between normal and view below which a point counts as unseen."""
_HIDDEN_BEHIND_M: Final = 0.006
"""A point this far behind what covers its place in the picture, and its own slant, is hidden."""
_FAR_M: Final = 1e3
_STIFF_M: Final = 0.006
"""A point that all expressions together move by this much counts half ..."""
_JAW_M: Final = 0.02
"""... and what the jaw carries is moved by this much."""
_CELL: Final = 1.6
"""Side of a depth cell in point spacings."""
_SUBSET: Final = 8
"""The typical depth is the median over every eighth point."""


@dataclass(frozen=True, slots=True)
class SeenSkin:
    """The skin points of one face in one frame."""

    points: Float32
    """(3, P) camera frame, metres."""
    normals: Float32
    """(3, P) unit, head axes."""
    pixels: Float32
    """(2, P) continuous image points."""
    facing: Float32
    """(P,) cosine between normal and direction to the camera."""
    visible: NDArray[np.bool_]
    """(P,) in the image, facing the camera and not behind other skin."""
    stretch: Float32
    """(P,) log of the skin's local area over that of the relaxed face: where it folds or stretches, it looks different."""
    hidden: NDArray[np.bool_]
    """(P,) behind other skin."""
    shadow: Float32
    """(9, P) what the head's own shadows take from the light's harmonics, head axes."""
    rotation: Float32
    """(3, 3) that takes head axes to camera axes."""
    spacing_px: float
    """Distance between neighbouring points in the picture, seen head-on."""

    def harmonics(self, index: NDArray[np.intp]) -> Float32:
        """(9, M) the effect of each light term (``light``), in camera axes, on the points ``index`` (M,), shadows included."""
        effect = sh_basis(np.take(self.normals, index, axis=1))
        effect += np.take(self.shadow, index, axis=1)
        return turned(effect, self.rotation)


@dataclass(frozen=True, slots=True)
class SkinShape:
    """The relaxed skin points of one identity."""

    identity: Float32
    """(Ni,)."""
    points: Float32
    """(3, P) head axes, metres."""
    joints: Float32
    """(J, 3) head axes, metres."""
    area: Float32
    """(P,) m^2 between each point's neighbours."""


class SkinSurface:
    """``SkinPoints`` of a face model with their bases, evaluated for identities and parameters."""

    def __init__(self, model: FaceModel, points: SkinPoints) -> None:
        self.points = points
        corners, barycentric = points.corners, points.barycentric
        count = points.count
        self._template = _interpolate(corners, barycentric, model.template)
        self._expression = _interpolate(corners, barycentric, model.expression_basis).reshape(3 * count, -1)
        self._identity_basis = _interpolate(corners, barycentric, model.identity_basis).reshape(3 * count, -1)
        self._correctives = (
            None
            if model.pose_correctives is None
            else _interpolate(corners, barycentric, model.pose_correctives).reshape(3 * count, -1)
        )
        weights = np.einsum("pc,pcj->pj", barycentric, model.skin_weights[corners]).astype(np.float32)
        self._moved = {}
        for joint in (JAW, EYE_LEFT, EYE_RIGHT):
            weight = np.where(weights[:, joint] > _LEAST_WEIGHT, weights[:, joint], np.float32(0.0))
            if weight.any():
                self._moved[joint] = weight
        self._carried = 1.0 - weights[:, ROOT]
        moved = np.sqrt(np.square(self._expression.reshape(3, count, -1)).sum(axis=(0, 2)))
        moved += np.float32(_JAW_M) * self._moved.get(JAW, np.float32(0.0))
        self.stiffness: Float32 = (1.0 / (1.0 + np.square(moved / _STIFF_M))).astype(np.float32)
        """(P,) 0..1: 1 where expressions move nothing."""
        self._model = model
        relaxed = self.normals(self._template)[0]
        self._shadow = shadow_transfer(
            np.ascontiguousarray(self._template.T), np.ascontiguousarray(relaxed.T), model.template
        )
        self._published = len(model.published_names)
        self._lids = [
            (side, model.expression_names.index(name))
            for side, name in enumerate(EYELID_CONTROLS)
            if name in model.expression_names
        ]

    def shape(self, identity: Float32) -> SkinShape:
        """The relaxed points of identity coefficients (Ni,); keep it while the identity stays."""
        identity = np.asarray(identity, np.float32)
        points = self._template + (self._identity_basis @ identity).reshape(3, -1)
        joints = self._model.joint_template + self._model.joint_identity @ identity
        return SkinShape(identity, points, joints, self.normals(points)[1])

    def _weights(self, params: FaceParams) -> Float32:
        """All weights (Ne,) that move the mesh: the published ones and lids that are controls of their own."""
        weights = np.zeros(self._model.expression_count, np.float32)
        weights[: self._published] = params.expression
        for side, index in self._lids:
            weights[index] = params.eyelids[side]
        return weights

    def evaluate(self, shape: SkinShape, params: FaceParams) -> Float32:
        """Points (3, P) in head axes, metres."""
        weights = self._weights(params)
        shift = self._expression @ weights
        rotvecs = {NECK: params.neck, JAW: params.jaw, EYE_LEFT: params.eyes[:3], EYE_RIGHT: params.eyes[3:]}
        if self._correctives is not None:
            features = np.concatenate([_turn(rotvec).ravel() for rotvec in rotvecs.values()])
            shift = shift + self._correctives @ features
        joints = shape.joints
        if self._model.joint_expression is not None:
            joints = joints + self._model.joint_expression @ weights
        points: Float32 = shape.points + shift.reshape(3, -1)
        posed = points.copy()
        for joint, weight in self._moved.items():
            if rotvecs[joint].any():
                posed += (_turn(rotvecs[joint]) @ (points - joints[joint][:, None])) * weight
        if params.neck.any():
            posed += (_turn(params.neck) @ (posed - joints[NECK][:, None])) * self._carried
        return posed

    def normals(self, points: Float32) -> tuple[Float32, Float32]:
        """What points (3, P) placed by ``evaluate`` span with their neighbours.

        Returns:
            Unit normals (3, P) that point out of the face, and twice the area (P,) between the neighbours in m^2.
        """
        right, up, left, down = np.take(points, self.points.frame, axis=1).transpose(1, 0, 2)
        a, b = right - left, up - down
        normals = np.empty_like(points)
        normals[0] = a[1] * b[2] - a[2] * b[1]
        normals[1] = a[2] * b[0] - a[0] * b[2]
        normals[2] = a[0] * b[1] - a[1] * b[0]
        area = np.maximum(np.sqrt((normals * normals).sum(axis=0)), np.float32(1e-12))
        normals /= area
        return normals, area

    def see(
        self, shape: SkinShape, params: FaceParams, camera: Camera, hidden: NDArray[np.bool_] | None = None
    ) -> SeenSkin:
        """The points as ``camera`` sees them.

        ``hidden`` (P,) is which lie behind other skin, where that is known from a state that hardly differs.
        """
        rotation = matrix_from_rotvec(params.rotation).astype(np.float32)
        head = self.evaluate(shape, params)
        normals, area = self.normals(head)
        translation = np.asarray(params.translation, np.float32)
        from_camera = head + (rotation.T @ translation)[:, None]
        points = rotation @ head + translation[:, None]
        depth = points[2]
        in_front = depth > _LEAST_DEPTH_M
        safe = np.maximum(depth, np.float32(_LEAST_DEPTH_M))
        pixels = points[:2] / safe
        pixels *= np.float32(camera.focal_px)
        pixels[0] += np.float32(camera.cx)
        pixels[1] += np.float32(camera.cy)
        distance = np.sqrt(np.square(points).sum(axis=0))
        facing = -(normals * from_camera).sum(axis=0) / np.maximum(distance, np.float32(1e-6))
        inside = (pixels[0] > 1.0) & (pixels[0] < camera.width - 1.0)
        inside &= (pixels[1] > 1.0) & (pixels[1] < camera.height - 1.0)
        visible = inside & in_front & (facing > _GRAZING)
        some = safe[::_SUBSET]
        typical_m = float(np.partition(some, some.size // 2)[some.size // 2])
        spacing_px = self.points.spacing_m * camera.focal_px / max(typical_m, _LEAST_DEPTH_M)
        if hidden is None:
            hidden = np.zeros(depth.shape, np.bool_)
            if visible.any():
                hidden = _hidden(pixels, depth, facing, in_front, _CELL * spacing_px, _CELL * self.points.spacing_m)
        visible &= ~hidden
        stretch = np.log(area / shape.area)
        return SeenSkin(points, normals, pixels, facing, visible, stretch, hidden, self._shadow, rotation, spacing_px)


def _hidden(
    pixels: Float32, depth: Float32, facing: Float32, in_front: NDArray[np.bool_], cell_px: float, cell_m: float
) -> NDArray[np.bool_]:
    """Points that lie behind others: a depth buffer of the points themselves, a little coarser than their spacing."""
    # What faces away a little covers as well as what faces the camera; the rim of the nose does both.
    shown = np.flatnonzero(in_front & (facing > -0.2))
    x = pixels[0] * np.float32(1.0 / cell_px)
    y = pixels[1] * np.float32(1.0 / cell_px)
    column = (x - x[shown].min()).astype(np.int32) + 1
    row = (y - y[shown].min()).astype(np.int32) + 1
    width, height = int(column[shown].max()) + 2, int(row[shown].max()) + 2
    buffer = np.full(width * height, _FAR_M, np.float32)
    cell = np.clip(row, 0, height - 1) * width + np.clip(column, 0, width - 1)
    np.minimum.at(buffer, cell[shown], depth[shown])
    # A slanted surface is itself as deep within a cell as it is slanted.
    slant = np.float32(cell_m) / np.maximum(facing, np.float32(_GRAZING))
    hidden: NDArray[np.bool_] = depth > buffer[cell] + np.float32(_HIDDEN_BEHIND_M) + slant
    return hidden


def _turn(rotvec: NDArray[np.floating]) -> Float32:
    """What a rotation changes (3, 3): its matrix less the identity."""
    turn: Float32 = (matrix_from_rotvec(rotvec) - np.eye(3)).astype(np.float32)
    return turn


def _interpolate(corners: Int32, barycentric: Float32, values: NDArray[np.floating]) -> Float32:
    """Vertex values (V, 3, ...) at points on triangles, axis first and contiguous: (3, P, ...)."""
    out = np.zeros((3, len(corners), *values.shape[2:]), np.float32)
    for corner in range(3):
        weight = barycentric[:, corner].reshape(-1, *(1,) * (values.ndim - 2))
        for axis in range(3):
            # One axis at a time: a whole basis at all corners would be the largest array of the program.
            out[axis] += weight * values[corners[:, corner], axis]
    return out
