"""Draw tracked faces over a video frame, for the eye."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_INDEX
from tracker.camera import Camera
from tracker.face_model.model import FaceModel
from tracker.rendering import paint
from tracker.rendering.contours import CONTOURS, IRIS_LEFT, IRIS_RIGHT, LANDMARK_SET, NOSE_BRIDGE
from tracker.rendering.paint import Colour, Image
from tracker.rendering.rasterizer import Raster, rasterize
from tracker.rendering.shading import NormalField, quad_diagonals, smoothstep
from tracker.rotations import matrix_from_rotvec
from tracker.types import HIDDEN_BELOW, Face

Float32 = NDArray[np.float32]

What = Literal["mesh", "wire", "landmarks", "axes", "all"]
WHAT: Final[tuple[What, ...]] = get_args(What)

_INK: Final[Colour] = (12, 16, 24)
_TEXT: Final[Colour] = (240, 246, 250)
_HELD: Final[Colour] = (255, 178, 72)
_KIND_COLOUR: Final[dict[str, Colour]] = {
    "oval": (232, 242, 248),
    "brow": (255, 214, 120),
    "eye": (96, 240, 255),
    "nose": (190, 226, 255),
    "lips": (255, 118, 136),
}
_IRIS: Final[Colour] = (150, 255, 150)
_GAZE: Final[Colour] = (150, 255, 150)
_AXES: Final[tuple[Colour, Colour, Colour]] = ((255, 84, 84), (96, 230, 110), (92, 150, 255))
_LANDMARK: Final[Colour] = (255, 255, 255)
_HIDDEN: Final[Colour] = (255, 130, 110)
_SIGMA: Final[Colour] = (255, 214, 90)

_MESH_TINT: Final = np.array([0.36, 0.78, 1.00], np.float32)
_WIRE_TINT: Final = np.array([235.0, 250.0, 255.0], np.float32)
_HIDDEN_BEHIND_M: Final = {"oval": 0.030}
"""How far behind the visible surface a contour may lie; the oval runs along the silhouette, where depth falls off steeply."""
_HIDDEN_BEHIND_DEFAULT_M: Final = 0.006
_FACE_REGIONS: Final = frozenset(
    {"forehead", "brow_left", "brow_right", "eye_left", "eye_right", "nose", "cheek_left", "cheek_right", "mouth", "chin",
     "jaw_line"}
)  # fmt: skip
_IRIS_HIDDEN_BEHIND_M: Final = 0.0015
_AXIS_LENGTH_M: Final = 0.045
_GAZE_LENGTH_M: Final = 0.080
_LEAST_RING_PX: Final = 1.8
"""A smaller ring is a dot."""
_SHUT: Final = 0.6
"""Blink weight above which an eye looks nowhere."""


class Overlay:
    """Draws faces given in the parameters of one face model.

    Args:
        model: the face model that the faces were fitted with.
        what: ``mesh`` (shaded surface), ``wire`` (contours, irises, gaze), ``landmarks`` (observed points with a disc of one
            sigma, hollow and red where they are out of sight), ``axes`` (head axes) or ``all``.
    """

    def __init__(self, model: FaceModel, what: What = "all") -> None:
        self._model = model
        self._layers = {"mesh", "wire", "landmarks", "axes"} if what == "all" else {what}
        self._normals = NormalField(model.faces, model.vertex_count)
        self._diagonal = quad_diagonals(model.template, model.faces)
        self._skin = _surface_opacity(model)

    def draw(self, image: Image, camera: Camera, faces: Sequence[Face], footer: str = "") -> Image:
        """Return a copy of ``image`` (H, W, 3) RGB uint8 with ``faces`` drawn as ``camera`` sees them.

        Landmarks and boxes are in pixels of ``camera``'s image, which may be another size than ``image``: they are scaled.
        ``footer`` is a line of text for the lower left corner.
        """
        out = np.ascontiguousarray(image).copy()
        height, width = out.shape[:2]
        scale = width / camera.width
        view = Camera(width, height, camera.focal_px * scale, camera.cx * scale, camera.cy * scale)
        # The nearest face last, so that it lies on top.
        for face in sorted(faces, key=lambda face: -float(face.params.translation[2])):
            self._draw_face(out, view, face, scale)
        if footer:
            self.footer(out, footer)
        return out

    def _draw_face(self, image: Image, camera: Camera, face: Face, scale: float) -> None:
        vertices = self._model.vertices_camera(face.identity, face.params)
        if not np.isfinite(vertices).all() or vertices[:, 2].min() < 0.01:
            return
        points = camera.project(vertices)
        raster = rasterize(points, vertices[:, 2], self._model.faces, camera.width, camera.height)
        line_px = _line_width(points)
        if "mesh" in self._layers:
            self._mesh(image, vertices, points, raster, solo=len(self._layers) == 1)
        if "wire" in self._layers:
            self._contours(image, camera, vertices, raster, line_px)
            self._eyes(image, camera, face, vertices, raster, line_px)
        if "landmarks" in self._layers:
            self._landmarks(image, face, scale, solo=len(self._layers) == 1)
        if "axes" in self._layers:
            self._axes(image, camera, face, vertices, line_px)
        self._label(image, face, points)

    def _mesh(self, image: Image, vertices: Float32, points: Float32, raster: Raster, solo: bool) -> None:
        if not len(raster.pixel):
            return
        normals = self._normals(vertices)
        facing = -np.einsum("vi,vi->v", normals, _unit(vertices))
        light = np.clip(normals @ np.array([-0.35, -0.55, -0.76], np.float32), 0.0, 1.0)
        attributes = np.stack([facing, light, self._skin], axis=1)
        to_edge, fade = self._wire(points, raster)
        corners = np.concatenate([attributes[self._model.faces[raster.kept]], to_edge], axis=2)
        facing_px, light_px, skin_px, *to_edges = (
            np.ascontiguousarray(x) for x in raster.interpolate_corners(corners).T
        )
        to_wire = np.minimum(np.minimum(to_edges[0], to_edges[1]), to_edges[2])
        wire = np.clip(1.0 - to_wire, 0.0, 1.0) * fade[raster.kept_index] * smoothstep(0.1, 0.6, facing_px) * skin_px
        opacity = skin_px * smoothstep(0.02, 0.42, facing_px) * np.float32(0.74 if solo else 0.52)
        wire *= np.float32(0.34 if solo else 0.26)
        shade = 0.10 + 0.34 * np.clip(facing_px, 0.0, 1.0) + 0.58 * light_px
        gleam = 0.40 * np.clip(light_px, 0.0, 1.0) ** 14
        flat = image.reshape(-1, 3)
        under = flat[raster.pixel]
        over = np.empty_like(under)
        # Keep some of the skin's own shading under the tint, so that the mesh looks laid onto the face.
        for channel in range(3):
            colour = (shade * _MESH_TINT[channel] + gleam) * np.float32(255.0)
            mixed = under[:, channel] * (1.0 - opacity) + colour * opacity
            mixed += (_WIRE_TINT[channel] - mixed) * wire
            over[:, channel] = np.clip(mixed, 0.0, 255.0)
        flat[raster.pixel] = over

    def _wire(self, points: Float32, raster: Raster) -> tuple[Float32, Float32]:
        """For the quad wire: the corners' distances in pixels to the edges opposite them, (T, 3, 3), and its strength (T,).

        Each distance, interpolated, is a pixel's distance to that edge.
        """
        corners = points[self._model.faces[raster.kept]]
        edges = np.stack(
            [corners[:, 2] - corners[:, 1], corners[:, 0] - corners[:, 2], corners[:, 1] - corners[:, 0]], 1
        )
        length = np.sqrt(np.einsum("fei,fei->fe", edges, edges))
        area2 = np.abs(edges[:, 1, 0] * edges[:, 2, 1] - edges[:, 1, 1] * edges[:, 2, 0])
        height = area2[:, None] / np.maximum(length, 1e-6)
        height = np.where(self._diagonal[raster.kept], np.float32(1e6), height)
        # Where quads get as small as a few pixels the wire would only grey the picture: fade it out there.
        return height[:, :, None] * np.eye(3, dtype=np.float32), smoothstep(3.5, 9.0, length.max(axis=1))

    def _contours(self, image: Image, camera: Camera, vertices: Float32, raster: Raster, line_px: int) -> None:
        if LANDMARK_SET not in self._model.embeddings:
            return
        points3 = self._model.landmarks(vertices, LANDMARK_SET)
        points = camera.project(points3)
        behind = points3[:, 2] - raster.depth_at(points)
        runs = [
            (points[run], _KIND_COLOUR[contour.kind])
            for contour in CONTOURS
            for run in _visible_runs(
                contour.points, contour.closed, behind < _HIDDEN_BEHIND_M.get(contour.kind, _HIDDEN_BEHIND_DEFAULT_M)
            )
        ]
        box = _box_around(points, margin_px=8)
        with paint.translucent(image, 0.35, box) as layer:
            for path, _ in runs:
                paint.polyline(layer, path, _INK, line_px + 2)
        with paint.translucent(image, 0.9, box) as layer:
            for path, colour in runs:
                paint.polyline(layer, path, colour, line_px)

    def _eyes(self, image: Image, camera: Camera, face: Face, vertices: Float32, raster: Raster, line_px: int) -> None:
        if LANDMARK_SET not in self._model.embeddings:
            return
        points3 = self._model.landmarks(vertices, LANDMARK_SET)
        rotation = matrix_from_rotvec(face.params.rotation)
        turn = np.linspace(0.0, 2.0 * np.pi, 33)[:, None]
        sides = ((IRIS_LEFT, face.gaze_left, "eyeBlinkLeft"), (IRIS_RIGHT, face.gaze_right, "eyeBlinkRight"))
        for iris, gaze, blink in sides:
            centre, ring3 = points3[iris[0]], points3[list(iris[1:])]
            u, v = (ring3[0] - ring3[2]) / 2.0, (ring3[1] - ring3[3]) / 2.0
            circle3 = (ring3.mean(axis=0) + np.cos(turn) * u + np.sin(turn) * v).astype(np.float32)
            circle = camera.project(circle3)
            seen = circle3[:, 2] < raster.depth_at(circle) + _IRIS_HIDDEN_BEHIND_M
            for run in _visible_runs(tuple(range(len(circle))), False, seen):
                paint.polyline(image, circle[run], _IRIS, line_px)
            if not seen.any() or face.arkit[ARKIT_INDEX[blink]] > _SHUT:
                continue
            yaw, pitch = (float(value) for value in gaze)
            direction = rotation @ np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
            ray3 = (centre + np.array([[0.0], [_GAZE_LENGTH_M]]) * direction).astype(np.float32)
            if ray3[1, 2] > 0.01:
                self._ray(image, camera.project(ray3), _GAZE, line_px)

    @staticmethod
    def _ray(image: Image, ends: Float32, colour: Colour, line_px: int) -> None:
        box = _box_around(ends, margin_px=6 * line_px)
        with paint.translucent(image, 0.85, box) as layer:
            paint.polyline(layer, ends, colour, line_px + 1)
            paint.disc(layer, ends[0], 1.2 * line_px, colour)
            paint.disc(layer, ends[1], 2.0 * line_px, colour)

    @staticmethod
    def _landmarks(image: Image, face: Face, scale: float, solo: bool) -> None:
        points = face.landmarks.points[:, :2] * scale
        sigma = face.landmarks.sigma * scale
        visibility = face.landmarks.visibility
        in_sight = np.ones(len(points), np.bool_) if visibility is None else visibility >= HIDDEN_BELOW
        finite = np.isfinite(points).all(axis=1) & np.isfinite(sigma)
        points, sigma, in_sight = points[finite], sigma[finite], in_sight[finite]
        if not len(points):
            return
        box = _box_around(points, margin_px=float(sigma.max()) + 4)
        shown, hidden = points[in_sight], points[~in_sight]
        if solo:
            for part, colour in ((in_sight, _SIGMA), (~in_sight, _HIDDEN)):
                with paint.translucent(image, 0.2, box) as layer:
                    paint.discs(layer, points[part], sigma[part].tolist(), colour)
        dot = max(0.6, np.sqrt(box[2] * box[3]) / 520.0)
        with paint.translucent(image, 0.9 if solo else 0.6, box) as layer:
            paint.rings(layer, hidden, max(1.8 * dot, _LEAST_RING_PX), _HIDDEN)
            paint.discs(layer, shown, [dot] * len(shown), _LANDMARK)

    def _axes(self, image: Image, camera: Camera, face: Face, vertices: Float32, line_px: int) -> None:
        rotation = matrix_from_rotvec(face.params.rotation).astype(np.float32)
        origin = np.asarray(face.params.translation, np.float32)
        if LANDMARK_SET in self._model.embeddings:
            origin = self._model.landmarks(vertices, LANDMARK_SET)[NOSE_BRIDGE]
        tips = origin + _AXIS_LENGTH_M * rotation.T
        if min(float(origin[2]), float(tips[:, 2].min())) < 0.01:
            return
        start = camera.project(origin[None])[0]
        ends = camera.project(tips)
        # The axis that points away from the viewer first.
        for axis in np.argsort(-tips[:, 2]):
            box = _box_around(np.stack([start, ends[axis]]), margin_px=8 * line_px)
            with paint.translucent(image, 0.45, box) as layer:
                paint.polyline(layer, np.stack([start, ends[axis]]), _INK, line_px + 4)
            paint.polyline(image, np.stack([start, ends[axis]]), _AXES[axis], line_px + 1)
            paint.disc(image, ends[axis], 1.8 * line_px + 1.0, _AXES[axis])
        paint.disc(image, start, 1.6 * line_px, _TEXT)

    @staticmethod
    def _label(image: Image, face: Face, points: Float32) -> None:
        height, width = image.shape[:2]
        state = f"{face.confidence:.2f}" if face.tracked else "held"
        line = f"#{face.id}  {state}"
        size = min(16.0, max(9.0, height / 45.0))
        text_width, _ = paint.text_size(line, size)
        x = np.clip(points[:, 0].mean() - text_width / 2, 4, max(4.0, width - text_width - 2 * size))
        y = np.clip(points[:, 1].min() - 3.2 * size, 4, max(4.0, height - 3 * size))
        paint.pill(image, line, float(x), float(y), size, _TEXT if face.tracked else _HELD, _INK)

    @staticmethod
    def footer(image: Image, line: str, frame_height: int | None = None) -> None:
        """Write a line of text into the lower left corner, in letters that suit frames of a height."""
        height = image.shape[0]
        size = min(15.0, max(8.0, (frame_height or height) / 50.0))
        paint.pill(image, line, 0.8 * size, height - 3.3 * size, size, _TEXT, _INK)


def _surface_opacity(model: FaceModel) -> Float32:
    """How solid the mesh is drawn at each vertex: the face full, fading over scalp and neck, eyes and mouth left open."""
    part = {name: index for index, name in enumerate(model.part_names)}
    is_skin = model.parts == part.get("skin", 0)
    on_face = [index for index, name in enumerate(model.region_names) if name in _FACE_REGIONS]
    # Brows and nostrils are masked out as skin but belong to the surface.
    solid = np.maximum(model.skin_mask, model.regions[:, on_face].any(axis=1)).astype(np.float32) * is_skin
    edges = np.concatenate([model.faces[:, [0, 1]], model.faces[:, [1, 2]], model.faces[:, [2, 0]]])
    edges = np.concatenate([edges, edges[:, ::-1]])
    degree = np.maximum(np.bincount(edges[:, 0], minlength=model.vertex_count), 1)
    for _ in range(6):
        mean = np.bincount(edges[:, 0], solid[edges[:, 1]], model.vertex_count) / degree
        solid = 0.5 * solid + 0.5 * mean
    opacity: Float32 = np.where(is_skin, solid, 0.0).astype(np.float32)
    return opacity


def _visible_runs(indices: Sequence[int], closed: bool, visible: NDArray[np.bool_]) -> list[list[int]]:
    """Split a path into runs of visible points."""
    path = [*indices, indices[0]] if closed else list(indices)
    runs: list[list[int]] = [[]]
    for index in path:
        if visible[index]:
            runs[-1].append(index)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if len(run) > 1]


def _unit(vectors: Float32) -> Float32:
    unit: Float32 = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _line_width(points: Float32) -> int:
    """Line width in whole pixels for a face that covers these points."""
    return int(np.clip(round(float(np.ptp(points[:, 1])) / 420.0), 1, 6))


def _box_around(points: NDArray[np.floating], margin_px: float) -> tuple[float, float, float, float]:
    low, high = points.min(axis=0) - margin_px, points.max(axis=0) + margin_px
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])
