"""Landmarks of a bare mesh: pictures of it from several sides, shown to the landmark network.

The points that a network sees on an unpainted mesh are not quite those that it sees in photographs. Both meshes of a registration
are therefore shown in the same way, and what the network gets wrong on both cancels.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.camera import Camera
from tracker.detection import FaceDetector, FaceFollower
from tracker.errors import FaceModelError
from tracker.landmarks import create_encoder
from tracker.rendering.rasterizer import rasterize
from tracker.rendering.shading import NormalField
from tracker.rotations import matrix_from_rotvec
from tracker.types import FaceObservation, Frame, ImageRGB

Float64 = NDArray[np.float64]

POINTS: Final = 478
SIZE_PX: Final = 512
VIEWS: Final = ((0.0, 0.0), (0.0, 0.22), (0.0, -0.22), (0.38, 0.0), (-0.38, 0.0), (0.75, 0.0), (-0.75, 0.0))
"""Yaw and pitch of the views, radians."""
_EYES: Final = (33, 263)
"""Outer eye corners, right and left."""
_DISTANCE: Final = 8.0
"""Distance of the camera over that of the outer eye corners: 0.7 m for a grown person."""
_EYES_PX: Final = 130.0
_SIGMA_PX: Final = 2.0
_FLESH: Final = np.array([0.78, 0.60, 0.50])
_LIGHTS: Final = ((np.array([0.3, -0.5, -0.8]), 0.75), (np.array([-0.9, -0.2, -0.4]), 0.25))
"""Directions towards the lamps in camera axes, strengths."""


@dataclass(frozen=True, slots=True)
class SeenLandmarks:
    """The ``mediapipe478`` points as seen on a mesh."""

    faces: NDArray[np.intp]
    """(478,) triangle under each point in the view that shows it best."""
    barycentric: Float64
    """(478, 3)."""
    position: Float64
    """(478, 3) in the mesh's own units and axes, averaged over views."""
    weight: Float64
    """(478,) 0..1: how well views agree; 0 where no view shows the point."""
    views: int
    """Views in which a face was found."""


class Viewer:
    """Shows meshes to the landmark network. Keeps the networks loaded."""

    def __init__(self) -> None:
        """Raises ``NetworkAssetError`` when the networks have not been fetched."""
        self._follower = FaceFollower(create_encoder("mediapipe"), FaceDetector(), 1)

    def find(self, image: ImageRGB) -> FaceObservation | None:
        """The face in a picture."""
        self._follower.reset()
        found = self._follower.process(Frame(image, 0, 0, "media", 0))
        return found[0] if found else None

    def landmarks(
        self, vertices: NDArray[np.floating], faces: NDArray[np.integer], colour: Float64 | None = None
    ) -> SeenLandmarks:
        """Landmarks of a head in head axes (x subject-left, y up, z out of the face), any unit.

        Args:
            vertices: (V, 3).
            faces: (F, 3) counter-clockwise from outside.
            colour: (V, 3) linear 0..1; plain skin by default.

        Raises:
            FaceModelError: no view shows a face.
        """
        points: Float64 = np.asarray(vertices, np.float64)
        triangles = np.asarray(faces, np.int32)
        middle, eyes = self.face_place(points, triangles, colour)
        normals = NormalField(triangles, len(points))(points.astype(np.float32)).astype(np.float64)
        total, votes = np.zeros((POINTS, 3)), np.zeros(POINTS)
        squared = np.zeros(POINTS)
        best = np.zeros(POINTS)
        face, share = np.zeros(POINTS, np.intp), np.tile([1.0, 0.0, 0.0], (POINTS, 1))
        found_views = 0
        for yaw, pitch in VIEWS:
            turn = view_of(yaw, pitch)
            view = Picture.take(points, triangles, normals, colour, turn, middle, eyes)
            found = self.find(view.image)
            if found is None:
                continue
            found_views += 1
            seen = view.lift(found.landmarks.points[:, :2].astype(np.float64))
            # A grazing view slides along the surface: its vote counts by the square of the cosine.
            trust = np.where(seen.hit, np.clip(seen.cosine, 0.0, 1.0) ** 2, 0.0)
            total += trust[:, None] * seen.position
            squared += trust * (seen.position**2).sum(axis=1)
            votes += trust
            better = trust > best
            best[better] = trust[better]
            face[better], share[better] = seen.face[better], seen.barycentric[better]
        if not found_views:
            raise FaceModelError(
                "no face was found in pictures of the mesh: expected a human head with eyes, nose and mouth in its neutral "
                "expression; turn it upright, or give landmarks"
            )
        known = votes > 0
        position = np.zeros((POINTS, 3))
        position[known] = total[known] / votes[known, None]
        spread = np.zeros(POINTS)
        spread[known] = np.sqrt(np.maximum(squared[known] / votes[known] - (position[known] ** 2).sum(axis=1), 0.0))
        sigma = _SIGMA_PX / _EYES_PX * eyes
        weight = np.where(known, np.clip(votes, 0, 1) / (1.0 + (spread / sigma) ** 2), 0.0)
        return SeenLandmarks(face, share, position, weight, found_views)

    def upright(self, vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> Float64:
        """The rotation (3, 3) by quarter turns that brings a head into head axes: the one whose frontal picture shows a face
        most surely. Tried as it is first.

        Raises:
            FaceModelError: none does.
        """
        vertices = np.asarray(vertices, np.float64)
        triangles = np.asarray(faces, np.int32)
        best, presence = None, 0.0
        for rotation in _quarter_turns():
            found = self._look(vertices @ rotation.T, triangles, None)
            if found is not None and _is_upright(found[0]) and found[0].presence > presence + 0.02:
                best, presence = rotation, found[0].presence
                if np.array_equal(rotation, np.eye(3)) and presence > 0.9:
                    break
        if best is None:
            raise FaceModelError(
                "no face was found in pictures of the mesh from any side: expected a human head with eyes, nose and mouth"
            )
        return best

    def _look(
        self, vertices: Float64, triangles: NDArray[np.int32], colour: Float64 | None
    ) -> tuple[FaceObservation, Picture] | None:
        """A frontal picture in which the mesh fills the frame, and the face in it."""
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        normals = NormalField(triangles, len(vertices))(vertices.astype(np.float32)).astype(np.float64)
        for share in (1.0, 0.6):
            # A bust is mostly shoulders and neck: look again at its upper part.
            middle = (low + high) / 2
            middle[1] = high[1] - share * (high[1] - low[1]) / 2
            reach = share * float(np.max(high[:2] - low[:2]))
            view = Picture.take(vertices, triangles, normals, colour, view_of(0.0, 0.0), middle, reach * _EYES_PX / 420)
            found = self.find(view.image)
            if found is not None:
                return found, view
        return None

    def face_place(
        self, vertices: Float64, triangles: NDArray[np.int32], colour: Float64 | None
    ) -> tuple[Float64, float]:
        """The middle of the face and the distance of its outer eye corners, in mesh units."""
        found = self._look(vertices, triangles, colour)
        if found is None:
            raise FaceModelError(
                "no face was found in a frontal picture of the mesh: expected a human head in head axes "
                "(x to its left, y up, z out of the face)"
            )
        observation, view = found
        points = observation.landmarks.points[:, :2].astype(np.float64)
        seen = view.lift(points)
        if not seen.hit.any():
            raise FaceModelError("the face found in a picture of the mesh lies beside the mesh: give landmarks")
        # Scans have holes for eyes: the distance is measured in the picture, at the depth of the face.
        apart = float(np.linalg.norm(points[_EYES[0]] - points[_EYES[1]])) / view.camera.focal_px
        depth = float(np.median(view.in_camera[triangles[seen.face[seen.hit], 0], 2]))
        return seen.position[seen.hit].mean(axis=0), apart * depth * view.unit


@dataclass(frozen=True, slots=True)
class _Seen:
    """What lies under picture points."""

    hit: NDArray[np.bool_]
    face: NDArray[np.intp]
    barycentric: Float64
    position: Float64
    cosine: Float64


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a mesh and which triangle each pixel shows."""

    image: ImageRGB
    triangle: NDArray[np.int32]
    """(H, W), -1 where nothing is."""
    camera: Camera
    in_camera: Float64
    vertices: Float64
    faces: NDArray[np.int32]
    unit: float
    """Mesh units per unit of ``in_camera``."""
    middle: Float64
    turn: Float64

    @classmethod
    def take(
        cls,
        vertices: Float64,
        faces: NDArray[np.int32],
        normals: Float64,
        colour: Float64 | None,
        turn: Float64,
        middle: Float64,
        eyes: float,
    ) -> Picture:
        """A picture of a mesh turned by ``turn`` (3, 3), whose face is about ``middle`` (3,) with eyes ``eyes`` apart."""
        distance = _DISTANCE * eyes
        camera = Camera.for_image(SIZE_PX, SIZE_PX, _EYES_PX * _DISTANCE)
        # In units of the eye distance, so that near planes mean the same for millimetres and metres.
        in_camera = ((vertices - middle) @ turn.T + [0.0, 0.0, distance]) / eyes
        points = np.asarray(camera.project(in_camera), np.float64)
        raster = rasterize(points, in_camera[:, 2], faces, SIZE_PX, SIZE_PX)
        facing = normals @ turn.T
        light = np.full(len(vertices), 0.30) - 0.10 * facing[:, 1]
        for direction, strength in _LIGHTS:
            light += strength * np.clip(facing @ (direction / np.linalg.norm(direction)), 0.0, None)
        flesh = np.broadcast_to(_FLESH, vertices.shape) if colour is None else colour
        shaded = raster.interpolate(flesh * light[:, None])
        linear = np.full((SIZE_PX * SIZE_PX, 3), 0.35, np.float32)
        linear[raster.pixel] = shaded
        smooth = cv2.GaussianBlur(linear.reshape(SIZE_PX, SIZE_PX, 3), (0, 0), 0.7)
        image = (np.clip(smooth, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)
        triangle = np.full(SIZE_PX * SIZE_PX, -1, np.int32)
        triangle[raster.pixel] = raster.face
        return cls(image, triangle.reshape(SIZE_PX, SIZE_PX), camera, in_camera, vertices, faces, eyes, middle, turn)

    def project(self, points: NDArray[np.floating]) -> Float64:
        """Picture points (n, 2) of places (n, 3) on the mesh."""
        moved = ((np.asarray(points, np.float64) - self.middle) @ self.turn.T) / self.unit + [0.0, 0.0, _DISTANCE]
        return np.asarray(self.camera.project(moved), np.float64)

    def lift(self, points: Float64) -> _Seen:
        """What lies under picture points (n, 2)."""
        column, row = np.floor(points[:, 0]).astype(int), np.floor(points[:, 1]).astype(int)
        inside = (column >= 0) & (column < SIZE_PX) & (row >= 0) & (row < SIZE_PX)
        face = np.full(len(points), -1, np.intp)
        face[inside] = self.triangle[row[inside], column[inside]]
        hit = face >= 0
        safe = np.where(hit, face, 0)
        corners = self.in_camera[self.faces[safe]]
        rays = np.column_stack(
            [
                (points - [self.camera.cx, self.camera.cy]) / self.camera.focal_px,
                np.ones(len(points)),
            ]
        )
        # corners^T w = depth * ray, hence w is proportional to the solution for depth 1.
        system = np.swapaxes(corners, 1, 2) + 1e-12 * np.eye(3)
        share = np.linalg.solve(system, rays[:, :, None])[:, :, 0]
        share = np.clip(share / share.sum(axis=1, keepdims=True), 0.0, 1.0)
        share /= share.sum(axis=1, keepdims=True)
        position = np.einsum("nk,nki->ni", share, self.vertices[self.faces[safe]])
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        length = np.linalg.norm(normal, axis=1) * np.linalg.norm(rays, axis=1)
        cosine = -np.einsum("ni,ni->n", normal, rays) / np.maximum(length, 1e-300)
        return _Seen(hit, safe, share, position, cosine)


def view_of(yaw: float, pitch: float) -> Float64:
    """(3, 3): head axes to camera axes for a head turned by these angles."""
    facing = np.diag([1.0, -1.0, -1.0])
    return facing @ matrix_from_rotvec(np.array([0.0, yaw, 0.0])) @ matrix_from_rotvec(np.array([pitch, 0.0, 0.0]))


def _quarter_turns() -> list[Float64]:
    """The 24 rotations that take axes to axes, doing nothing first."""
    turns = [
        np.eye(3)[list(order)] * np.array(signs)[:, None]
        for order in permutations(range(3))
        for signs in product((1.0, -1.0), repeat=3)
    ]
    return sorted((turn for turn in turns if np.linalg.det(turn) > 0), key=lambda turn: -float(np.trace(turn)))


def _is_upright(found: FaceObservation) -> bool:
    right, left = found.landmarks.points[_EYES[0], :2], found.landmarks.points[_EYES[1], :2]
    across = left - right
    return bool(across[0] > 2.0 * abs(across[1]))
