"""Faces seen from another side, by rotating the image as a 3D mesh (Beyond 3DMM, section 4.1).

The landmarks with their depth are the face's mesh; anchors tiled over the background are triangulated together with the
face's outline. Beside the outline they go on with its depth, as the smoothness of equation 12 asks, which lets hair and ears
turn with the face; further away they take the outline's mean depth and, unlike the paper's, stay where they are. The mesh
carries the picture, is turned about the head's origin and drawn again. Skin that the first view hides is taken from its
mirror place on the face, by the larger of the two visibilities (equation 5). The paper draws that half transparent, to tell
its network what is not real; here it is opaque, as a picture to learn landmarks from.

Depth is taken as orthographic: the perspective of a turned face is not that of its new pose. The shading turns with the face, and
the light's label says so. In a frontal picture the sides of a face are stretched from few pixels: as in the paper, networks
are left to cope with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tracker.face_model import FaceModel
from tracker.rendering.rasterizer import Raster, rasterize
from trainer.data.augment.geometry import hide_outside
from trainer.data.augment.mirror import Mirror
from trainer.data.augment.turning import turn_light
from trainer.data.batch import Batch

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]

_ANCHORS: Final = 14
_REACH: Final = 0.3
"""Anchors lie this far outside the crop too; the picture goes on mirrored there."""
_RIM: Final = 0.2
"""Over this distance from the face, in crop sides, the background comes to lie in one plane."""
_FAR: Final = 100.0
"""Distance of the drawing camera in crop sides: as good as orthographic."""
_TOLERANCE: Final = 0.02
"""A point this much behind what is drawn, in crop sides, is hidden."""


@dataclass(frozen=True, slots=True)
class LandmarkMesh:
    """A landmark set as a triangle mesh of the face."""

    faces: Int32
    """(F, 3) counter-clockwise from outside."""
    positions: NDArray[np.float32]
    """(N, 3) on the model's template, head axes, metres."""
    partner: NDArray[np.intp]
    """(N,) mirror partners, -1 for none."""

    @classmethod
    def of(cls, model: FaceModel, landmark_set: str) -> LandmarkMesh:
        """Triangulate a landmark set, unrolled around the head's vertical axis.

        Raises:
            FaceModelError: the model has no such set.
        """
        from scipy.spatial import Delaunay

        positions = model.landmarks(model.template, landmark_set)
        centre = positions.mean(axis=0) - np.array([0.0, 0.0, 0.06])
        around = np.arctan2(positions[:, 0] - centre[0], positions[:, 2] - centre[2])
        faces = Delaunay(np.column_stack([around * 0.08, positions[:, 1]])).simplices.astype(np.int32)
        a, b, c = (positions[faces[:, k]] for k in range(3))
        normal = np.cross(b - a, c - a)
        outwards = np.einsum("fd,fd->f", normal, (a + b + c) / 3.0 - centre) > 0.0
        faces[~outwards] = faces[~outwards][:, ::-1]
        return cls(faces, positions, Mirror.of(model, landmark_set).points.numpy())

    def turned(self, batch: Batch, rows: Tensor, yaw_rad: Tensor, pitch_rad: Tensor) -> Batch:
        """The crops of ``rows`` (B,) bool as if the head had turned.

        Rows without all points or rotation stay as they are.

        Args:
            batch: of this landmark set.
            rows: which crops.
            yaw_rad: (B,) about the head's own vertical axis, positive towards the subject's left.
            pitch_rad: (B,) about the axis through its ears, positive downwards.
        """
        known = ~(batch.points.isnan().any(dim=(1, 2)) | batch.rotation.isnan().any(dim=(1, 2))).cpu()
        image, points, visible = batch.image.clone(), batch.points.clone(), batch.visible.clone()
        turn = torch.eye(3).repeat(len(batch), 1, 1)
        for row in torch.nonzero(rows & known).flatten().tolist():
            head = batch.rotation[row].cpu().numpy().astype(np.float64)
            turn_head = _turn(float(yaw_rad[row]), float(pitch_rad[row]))
            matrix = head @ turn_head @ head.T
            picture = batch.image[row].permute(1, 2, 0).cpu().numpy()
            made, moved, seen = self._turn_one(
                picture,
                batch.points[row].cpu().numpy().astype(np.float64),
                head,
                matrix,
                batch.visible[row].cpu().numpy(),
            )
            image[row] = torch.from_numpy(made).permute(2, 0, 1).to(image)
            points[row] = torch.from_numpy(moved).to(points)
            visible[row] = torch.from_numpy(seen).to(visible)
            turn[row] = torch.from_numpy(matrix)
        turn = turn.to(batch.rotation)
        return replace(
            batch,
            image=image,
            points=points,
            visible=hide_outside(points, visible),
            rotation=turn @ batch.rotation,
            light=turn_light(batch.light, turn),
        )

    def _turn_one(
        self,
        picture: NDArray[np.float32],
        points: Float64,
        head: Float64,
        turn: Float64,
        visible: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], Float64, NDArray[np.float32]]:
        """Picture (S, S, 3), points (N, 3) and visibility (N,) after ``turn`` (3, 3) in camera axes."""
        pivot = np.append(self._origin(points, head), 0.0)
        moved = (points - pivot) @ turn.T + pivot
        before, after = self._draw(points, picture.shape[0]), self._draw(moved, picture.shape[0])
        outline, anchors, still, behind = _background(points)
        ground = np.concatenate([points[outline], anchors])
        ground_uv = ground[:, :2]
        ground_moved = (ground - pivot) @ turn.T + pivot
        # Far from the face the background stays where it is: turned along, it would leave the crop's sides empty.
        ground_moved[len(outline) :] += still[:, None] * (anchors - ground_moved[len(outline) :])
        side = picture.shape[0]
        source = np.zeros((side * side, 2), np.float32)
        back = rasterize(ground_moved[:, :2] * side, ground_moved[:, 2] + _FAR, behind, side, side, cull_back=False)
        source[back.pixel] = back.interpolate(ground_uv)
        seen_before = _seen(before, points)
        source[after.pixel] = self._face_source(after, points, seen_before)
        # cv2 counts pixel centres as integers.
        columns, lines = (source * side - 0.5).T.reshape(2, side, side).astype(np.float32)
        drawn = cv2.remap(picture, columns, lines, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        made = np.asarray(drawn, np.float32)
        # Skin that was hidden by the face itself shows what its mirror place showed.
        partner = np.where(self.partner >= 0, self.partner, np.arange(len(points)))
        shown = np.where(seen_before, visible, visible[partner])
        return made, moved, np.where(_seen(after, moved), shown, 0.0).astype(np.float32)

    def _face_source(self, after: Raster, points: Float64, seen: NDArray[np.bool_]) -> NDArray[np.float32]:
        """(P, 2) where in the first picture each drawn pixel of the face gets its colour from."""
        partner = np.where(self.partner >= 0, self.partner, np.arange(len(points)))
        facing = _facing(points, self.faces) - 2.0 * ~seen
        drawn = after.interpolate(
            np.column_stack(
                [points[:, :2], points[partner, :2], facing, np.where(self.partner >= 0, facing[partner], -9.0)]
            )
        )
        other: NDArray[np.bool_] = drawn[:, 5] > drawn[:, 4] + 0.05
        # A seam is softened by letting the other half in only where this one turns away from the camera.
        other &= drawn[:, 4] < 0.25
        return np.where(other[:, None], drawn[:, 2:4], drawn[:, :2]).astype(np.float32)

    def _draw(self, points: Float64, side: int) -> Raster:
        return rasterize(points[:, :2] * side, points[:, 2] + _FAR, self.faces, side, side, cull_back=False)

    def _origin(self, points: Float64, head: Float64) -> Float64:
        """(2,) where the head's origin lies in the crop: weak perspective, least squares over the template's points."""
        flat = (self.positions.astype(np.float64) @ head.T)[:, :2]
        middle, place = flat.mean(axis=0), points[:, :2].mean(axis=0)
        scale = ((flat - middle) * (points[:, :2] - place)).sum() / ((flat - middle) ** 2).sum()
        origin: Float64 = place - scale * middle
        return origin


def _turn(yaw_rad: float, pitch_rad: float) -> Float64:
    """(3, 3) in head axes."""
    yaw, pitch = np.eye(3), np.eye(3)
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    yaw[0, 0], yaw[0, 2], yaw[2, 0], yaw[2, 2] = cos, sin, -sin, cos
    cos, sin = np.cos(pitch_rad), np.sin(pitch_rad)
    pitch[1, 1], pitch[1, 2], pitch[2, 1], pitch[2, 2] = cos, -sin, sin, cos
    return yaw @ pitch


def _facing(points: Float64, faces: Int32) -> Float64:
    """(N,) cosine between each point's normal and the direction to the camera."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    normal = np.zeros_like(points)
    for corner in range(3):
        np.add.at(normal, faces[:, corner], across)
    facing: Float64 = -normal[:, 2] / np.maximum(np.linalg.norm(normal, axis=1), 1e-12)
    return facing


def _seen(raster: Raster, points: Float64) -> NDArray[np.bool_]:
    """(N,) True where nothing of the face lies in front of a point."""
    depth = raster.depth_at(points[:, :2] * raster.width) - _FAR
    hidden: NDArray[np.bool_] = points[:, 2] > depth + _TOLERANCE
    return ~hidden


def _background(points: Float64) -> tuple[NDArray[np.intp], Float64, Float64, Int32]:
    """What surrounds a face of points (N, 3).

    Returns:
        The face's outline (K,) as indices of points; anchors (A, 3) around it; how far each belongs to the background (A,),
        0 beside the face; triangles over outline, then anchors.
    """
    from scipy.spatial import ConvexHull, Delaunay

    outline = ConvexHull(points[:, :2]).vertices
    tiles = np.linspace(-_REACH, 1.0 + _REACH, int(_ANCHORS * (1 + 2 * _REACH)))
    x, y = np.meshgrid(tiles, tiles)
    anchors = np.column_stack([x.ravel(), y.ravel()])
    hull = Delaunay(points[outline, :2])
    anchors = anchors[hull.find_simplex(anchors) < 0]
    plane = np.concatenate([points[outline, :2], anchors])
    triangles = Delaunay(plane).simplices.astype(np.int32)
    inside = hull.find_simplex(plane[triangles].mean(axis=1)) >= 0
    rim = points[outline]
    apart = np.linalg.norm(anchors[:, None] - rim[None, :, :2], axis=2)
    share = 1.0 / apart**2
    beside = share @ rim[:, 2] / share.sum(axis=1)
    far = 1.0 - np.exp(-((apart.min(axis=1) / _RIM) ** 2))
    depth = beside + (rim[:, 2].mean() - beside) * far
    return outline, np.column_stack([anchors, depth]), far, triangles[~inside]
