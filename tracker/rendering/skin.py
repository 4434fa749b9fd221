"""Looks for synthetic faces: skin tone, lips, brows, lashes, irises and hair, painted onto any face model.

Skin colour follows the two pigments that make it: reflectance = exp(-(melanin * a_m + haemoglobin * a_h)) times that of pale
tissue (Beer-Lambert with two pigments, as in Tsumura 2003, "Image-based skin color and texture analysis/synthesis by extracting
hemoglobin and melanin information in the skin"). Everything is placed by the model's own ``mediapipe478`` points, so the
paint moves with the geometry and no texture has to be made by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.face_model.model import EYE_LEFT, EYE_RIGHT, FaceModel
from tracker.rendering.contours import CONTOUR, IRIS_LEFT, IRIS_RIGHT, LANDMARK_SET
from tracker.rendering.shading import smoothstep

Float32 = NDArray[np.float32]
Rgb = tuple[float, float, float]

SKIN_PX: Final = 1024
"""Width and height of the skin's part of an atlas, which comes first in it."""
_EYE_PX: Final = 256
_UNFOLD_RADIUS: Final = 2.0
"""Half the width of the skin map in its own units (radians near the front)."""
_PALE: Final = np.array([0.84, 0.63, 0.48], np.float32)
_MELANIN: Final = np.array([1.57, 2.02, 2.33], np.float32)
_HAEMOGLOBIN: Final = np.array([0.14, 0.62, 0.52], np.float32)


def skin_colour(melanin: NDArray[np.floating] | float, haemoglobin: NDArray[np.floating] | float) -> Float32:
    """Linear reflectance (..., 3) of skin with these pigments, each (..., 1) or a number."""
    colour: Float32 = (_PALE * np.exp(-melanin * _MELANIN - haemoglobin * _HAEMOGLOBIN)).astype(np.float32)
    return colour


@dataclass(frozen=True, slots=True)
class Complexion:
    """What a synthetic person looks like. Colours are linear RGB reflectances in 0..1."""

    melanin: float = 0.16
    """0 pale .. 1 very dark."""
    haemoglobin: float = 0.42
    """0 bloodless .. 1 flushed."""
    lip_redness: float = 0.85
    hair: Rgb = (0.030, 0.018, 0.011)
    brow_density: float = 0.8
    """0..1."""
    iris: Rgb = (0.10, 0.17, 0.22)
    stubble: float = 0.0
    """0..1."""
    cloth: Rgb = (0.05, 0.09, 0.16)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Paint:
    """A painted atlas and where each vertex looks into it."""

    atlas: NDArray[np.uint8]
    """(H, W, 3) reflectance, square-root encoded."""
    strands: NDArray[np.uint8]
    """(H, W) structure of the hair, 128 on average."""
    coordinates: Float32
    """(V, 2) atlas pixels with integer pixel centres, as cv2.remap wants them."""
    tint: Float32
    """(V, 3) factor on the reflectance."""
    gloss: Float32
    """(V,) strength of the surface reflection, 0..1."""
    hair: Float32
    """(V,) signed distance to the hairline in metres, positive where hair grows."""


def paint_face(model: FaceModel, complexion: Complexion) -> Paint:
    """Paint a face model. Raises FaceModelError when it has no ``mediapipe478`` embedding."""
    rng = np.random.default_rng(complexion.seed)
    unfold = Unfolding(model)
    points = unfold(model.landmarks(model.template, LANDMARK_SET))
    skin = _paint_skin(points, unfold.pixels_per_metre, complexion, rng)
    eye = _paint_eye(complexion, rng)

    atlas = np.full((SKIN_PX + _EYE_PX, SKIN_PX, 3), 255, np.uint8)
    atlas[:SKIN_PX] = skin
    atlas[SKIN_PX:, :_EYE_PX] = _encoded(eye)
    coordinates = unfold(model.template)
    tint = np.ones((model.vertex_count, 3), np.float32)
    gloss = np.full(model.vertex_count, 0.35, np.float32)
    parts = {name: np.flatnonzero(model.parts == index) for index, name in enumerate(model.part_names)}
    plain = {"teeth": (0.72, 0.66, 0.54), "tongue": (0.42, 0.15, 0.13)}
    for name, colour in plain.items():
        rows = parts.get(name, np.zeros(0, np.intp))
        coordinates[rows] = (_EYE_PX + 64.0, SKIN_PX + 64.0)
        tint[rows] = colour
    if "inner_mouth" in parts:
        tint[parts["inner_mouth"]] = (0.55, 0.32, 0.30)
    if "eye_socket" in parts:
        tint[parts["eye_socket"]] = (0.85, 0.62, 0.58)
    if "nose" in model.region_names:
        # Masked out on the nose is what lies inside the nostrils.
        inside = model.regions[:, model.region_names.index("nose")] & (model.skin_mask < 0.5)
        tint[inside] = (0.30, 0.17, 0.15)
        gloss[inside] = 0.0
    for name, joint, iris in (("eye_left", EYE_LEFT, IRIS_LEFT), ("eye_right", EYE_RIGHT, IRIS_RIGHT)):
        rows = parts.get(name, np.zeros(0, np.intp))
        coordinates[rows] = _eye_coordinates(model, rows, joint, iris)
        gloss[rows] = 0.0
    hair = _hair_distance(model)
    for name in model.part_names:
        if name != "skin":
            hair[parts[name]] = -1.0
    return Paint(atlas, _strands(rng), coordinates.astype(np.float32), tint, gloss, hair)


class Unfolding:
    """Lays the head's surface flat around the middle of the face: angle from the front becomes radius."""

    def __init__(self, model: FaceModel) -> None:
        points = model.landmarks(model.template, LANDMARK_SET)
        cheek_z = float((points[234, 2] + points[454, 2]) / 2.0)
        self._centre = np.array([0.0, float(points[4, 1]) * 0.7, cheek_z], np.float32)
        depth = float(points[4, 2]) - cheek_z
        self.pixels_per_metre = SKIN_PX / (2.0 * _UNFOLD_RADIUS) / depth

    def __call__(self, points: Float32) -> Float32:
        """Atlas pixels (N, 2) of points (N, 3) of the template."""
        d = points - self._centre
        across = np.hypot(d[:, 0], d[:, 1])
        angle = np.arctan2(across, d[:, 2])
        # The back of the head needs no detail: squeeze it.
        radius = np.where(angle < 1.4, angle, 1.4 + 0.34 * (angle - 1.4))
        flat = d[:, :2] * (radius / np.maximum(across, 1e-9))[:, None] * np.array([1.0, -1.0], np.float32)
        pixels: Float32 = ((flat / _UNFOLD_RADIUS + 1.0) * (SKIN_PX / 2.0) - 0.5).astype(np.float32)
        return pixels


def _paint_skin(points: Float32, per_metre: float, look: Complexion, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Albedo of the skin, square-root encoded."""
    mm = per_metre / 1000.0
    mottling = look.melanin / (1.0 + 3.0 * look.melanin)
    melanin = look.melanin + mottling * (0.12 * _noise(rng, 12) + 0.08 * _noise(rng, 48) + 0.07 * _noise(rng, 256))
    blood = look.haemoglobin * (1.0 + 0.14 * _noise(rng, 16) + 0.08 * _noise(rng, 96))
    for index, reach_mm, amount in (
        (50, 17, 0.22), (280, 17, 0.22), (4, 11, 0.28), (152, 14, 0.10), (234, 12, 0.25), (454, 12, 0.25),
    ):  # fmt: skip
        blood += amount * _spot(points[index], reach_mm * mm)
    for index in (231, 451):  # the thin skin below the eyes
        melanin += 0.07 * _spot(points[index], 8 * mm)
    if look.stubble:
        ring = [58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 410, 326, 2, 97, 186]
        melanin += look.stubble * 0.35 * _fill(points[ring], 5 * mm) * (1.0 + 0.25 * _noise(rng, 512))

    lips = np.clip(_fill(points[list(CONTOUR["lips_outer"].points)], 0.8 * mm), 0.0, 1.0)
    blood += lips * look.lip_redness * (1.0 + 0.12 * _noise(rng, 256))
    melanin += lips * 0.10
    seam = _lines([points[[*CONTOUR["lips_inner"].points, 78]]], 0.9 * mm, 0.5 * mm)
    lashes, brows = lash_cover(points, mm), np.zeros_like(melanin)
    for side in ("right", "left"):
        brows += np.float32(look.brow_density) * _brow(points, side, mm, rng)
    # How much hair covers the skin and its colour relative to the head's.
    hairs = ((np.clip(lashes, 0.0, 0.92, out=lashes), 0.8), (np.clip(brows, 0.0, 0.95, out=brows), 1.3))

    skin = np.empty((SKIN_PX, SKIN_PX, 3), np.uint8)
    # One channel at a time: the maps are large.
    for channel in range(3):
        reflectance = _PALE[channel] * np.exp(-melanin * _MELANIN[channel] - blood * _HAEMOGLOBIN[channel])
        reflectance *= 1.0 - 0.45 * seam
        for cover, shade in hairs:
            reflectance += (look.hair[channel] * shade - reflectance) * cover
        skin[..., channel] = _encoded(reflectance)
    return skin


def lash_cover(points: Float32, mm: float) -> Float32:
    """How much lashes cover the skin map, 0..1 (SKIN_PX, SKIN_PX), given the ``mediapipe478`` points in it and its scale."""
    cover = np.zeros((SKIN_PX, SKIN_PX), np.float32)
    for side in ("right", "left"):
        lid = points[list(CONTOUR[f"eye_{side}"].points)]
        lower, upper = lid[:9], np.concatenate([lid[8:], lid[:1]])
        cover += np.float32(0.88) * _lines([upper], 1.5 * mm, 0.5 * mm)
        cover += np.float32(0.45) * _lines([lower], 0.8 * mm, 0.5 * mm)
    return cover


def _encoded(reflectance: Float32) -> NDArray[np.uint8]:
    """Square-root code of reflectance."""
    return (np.sqrt(np.clip(reflectance, 0.0, 1.0)) * 255.0 + 0.5).astype(np.uint8)


def _brow(points: Float32, side: str, mm: float, rng: np.random.Generator) -> Float32:
    """Brow hairs: strokes from the lower edge up and outwards, over a soft ground."""
    upper = points[list(CONTOUR[f"brow_{side}_upper"].points)]
    lower = points[list(CONTOUR[f"brow_{side}_lower"].points)]
    ground = _fill(np.concatenate([upper, lower[::-1]]), 1.2 * mm)
    strokes = np.zeros((SKIN_PX, SKIN_PX), np.uint8)
    count = 520
    along, across, length = (rng.uniform(low, high, count) for low, high in ((0.0, 1.0), (0.0, 0.8), (3.0, 5.5)))
    top, bottom, ahead = _along(upper, along), _along(lower, along), _along(upper, np.minimum(along + 0.1, 1.0))
    # The paths run from the temple inwards; hairs lean from upright at the nose to flat at the temple.
    lean = (0.25 + 0.75 * along)[:, None]
    direction = -_unit(ahead - top) * (1.0 - 0.5 * lean) + _unit(top - bottom) * lean
    start = bottom + (top - bottom) * across[:, None]
    ends = np.rint(np.stack([start, start + direction * (mm * length)[:, None]], axis=1) * 16).astype(np.int32)
    for hair, shade in zip(ends, rng.integers(120, 255, count), strict=True):
        cv2.polylines(strokes, [hair[:, None]], False, int(shade), 1, cv2.LINE_AA, 4)
    hairs: Float32 = 0.50 * ground + 0.62 * strokes.astype(np.float32) / 255.0
    return hairs


def _along(path: Float32, t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (N, 2) at fractions (N,) of a path."""
    grid = np.linspace(0.0, 1.0, len(path))
    return np.stack([np.interp(t, grid, path[:, 0]), np.interp(t, grid, path[:, 1])], axis=1)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    return unit


def _paint_eye(look: Complexion, rng: np.random.Generator) -> Float32:
    """The front of an eyeball: sclera, iris of unit radius 0.25 of the tile, pupil."""
    axis = (np.arange(_EYE_PX, dtype=np.float32) + 0.5) / _EYE_PX * 2.0 - 1.0
    x, y = np.meshgrid(axis, axis)
    radius, angle = np.float32(2.0) * np.hypot(x, y), np.arctan2(y, x)
    sclera = np.array([0.66, 0.62, 0.58]) * (1.0 - 0.22 * smoothstep(1.1, 2.2, radius))[..., None]
    # Pinker towards the corners.
    sclera = sclera * (1.0 - np.array([0.0, 0.06, 0.08]) * smoothstep(1.3, 2.0, radius)[..., None])
    fibres = np.interp(angle, np.linspace(-np.pi, np.pi, 180), _wrapped(rng.uniform(0.6, 1.3, 180)))
    iris = np.array(look.iris) * (fibres * (0.75 + 0.65 * np.clip(radius, 0, 1)))[..., None]
    iris *= (1.0 - 0.75 * smoothstep(0.82, 1.0, radius))[..., None]
    iris *= smoothstep(0.34, 0.42, radius)[..., None]
    eye: Float32 = (iris + (sclera - iris) * smoothstep(0.96, 1.08, radius)[..., None]).astype(np.float32)
    return eye


def _eye_coordinates(model: FaceModel, rows: NDArray[np.intp], joint: int, iris: tuple[int, ...]) -> Float32:
    """Where eyeball vertices look into the eye tile: seen along the eye's axis, scaled by the iris radius."""
    centre = model.joint_template[joint]
    points = model.landmarks(model.template, LANDMARK_SET)[list(iris)]
    ahead = points[0] - centre
    ahead = ahead / np.linalg.norm(ahead)
    right = np.cross(np.array([0.0, 1.0, 0.0], np.float32), ahead)
    right /= np.linalg.norm(right)
    up = np.cross(ahead, right)
    iris_radius = float(np.linalg.norm(points[1:] - points[1:].mean(axis=0), axis=1).mean())
    d = model.template[rows] - centre
    flat = np.stack([d @ right, -(d @ up)], axis=1) / (2.0 * iris_radius)
    # Vertices on the far half of the ball must not fold back onto the iris.
    behind = np.clip(-(d @ ahead) / max(float(np.linalg.norm(d, axis=1).max(initial=1e-6)), 1e-6), 0.0, 1.0)
    length = np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
    flat = np.where(behind[:, None] > 0.0, flat / length * 0.97, flat)
    tile = (np.clip(flat, -0.98, 0.98) + 1.0) * (_EYE_PX / 2.0) - 0.5
    coordinates: Float32 = (tile + np.array([0.0, SKIN_PX], np.float32)).astype(np.float32)
    return coordinates


def _hair_distance(model: FaceModel) -> Float32:
    """Signed distance in metres of every vertex from the hairline, drawn in profile: brow, temple, ear, nape."""
    points = model.landmarks(model.template, LANDMARK_SET)
    top, ear = points[10], (points[234] + points[454]) / 2.0
    line = np.array(
        [
            [top[2] + 0.06, top[1] + 0.006],
            [top[2], top[1] + 0.006],
            [top[2] - 0.030, top[1] - 0.006],
            [ear[2] + 0.022, ear[1] + 0.052],
            [ear[2] + 0.010, ear[1] + 0.030],
            [ear[2] + 0.004, ear[1] + 0.030],
            [ear[2] - 0.012, ear[1] + 0.040],
            [ear[2] - 0.036, ear[1] + 0.030],
            [ear[2] - 0.046, ear[1] - 0.010],
            [ear[2] - 0.056, ear[1] - 0.070],
            [ear[2] - 0.300, ear[1] - 0.080],
            [ear[2] - 0.300, top[1] + 0.300],
            [top[2] + 0.06, top[1] + 0.300],
        ],
        np.float32,
    )
    contour = np.ascontiguousarray(line * 1000.0)[:, None]
    profile = model.template[:, [2, 1]] * 1000.0
    distance = [cv2.pointPolygonTest(contour, (float(z), float(y)), True) for z, y in profile]
    return np.array(distance, np.float32) / 1000.0


def _strands(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Hair running outwards from the crown, in the skin map."""
    size = SKIN_PX
    x, y = np.meshgrid(np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32))
    x, y = x - 0.53 * size, y - 0.02 * size
    angle = np.arctan2(y, x) / np.pi * 0.5 + 0.5
    radius = np.hypot(x, y) / size
    fine = cv2.GaussianBlur(rng.normal(0.0, 1.0, (64, 1536)).astype(np.float32), (0, 0), 0.8)
    coarse = cv2.resize(rng.normal(0.0, 1.0, (10, 160)).astype(np.float32), (1536, 64), interpolation=cv2.INTER_CUBIC)
    table = 128.0 + 34.0 * fine / fine.std() + 26.0 * coarse / coarse.std()
    strands = cv2.remap(
        np.clip(table, 0, 255).astype(np.uint8), angle * 1535.0, np.clip(radius, 0, 1) * 63.0, cv2.INTER_LINEAR
    )
    out = np.full((size + _EYE_PX, size), 128, np.uint8)
    out[:size] = strands
    return out


def _noise(rng: np.random.Generator, cells: int) -> Float32:
    """Smooth noise of unit deviation over the skin map."""
    grid = rng.normal(0.0, 1.0, (cells, cells)).astype(np.float32)
    noise: Float32 = np.asarray(cv2.resize(grid, (SKIN_PX, SKIN_PX), interpolation=cv2.INTER_CUBIC), np.float32)
    return noise


def _spot(centre: Float32, reach_px: float) -> Float32:
    """A soft spot, 1 at its centre."""
    axis = np.arange(SKIN_PX, dtype=np.float32)
    x = np.exp(-0.5 * ((axis - centre[0]) / reach_px) ** 2)
    y = np.exp(-0.5 * ((axis - centre[1]) / reach_px) ** 2)
    spot: Float32 = np.outer(y, x).astype(np.float32)
    return spot


def _fill(outline: Float32, blur_px: float) -> Float32:
    """A filled outline with a soft edge, 0..1."""
    mask = np.zeros((SKIN_PX, SKIN_PX), np.uint8)
    cv2.fillPoly(mask, [np.rint(outline * 16).astype(np.int32)[:, None]], 255, cv2.LINE_AA, 4)
    soft: Float32 = np.asarray(cv2.GaussianBlur(mask, (0, 0), max(blur_px, 0.3)), np.float32) / np.float32(255.0)
    return soft


def _lines(paths: list[Float32], width_px: float, blur_px: float) -> Float32:
    """Soft lines, 0..1."""
    scale = 2
    mask = np.zeros((SKIN_PX * scale, SKIN_PX * scale), np.uint8)
    for path in paths:
        fixed = np.rint(((path + 0.5) * scale - 0.5) * 16).astype(np.int32)[:, None]
        cv2.polylines(mask, [fixed], False, 255, max(1, round(width_px * scale)), cv2.LINE_AA, 4)
    small = cv2.resize(mask, (SKIN_PX, SKIN_PX), interpolation=cv2.INTER_AREA)
    soft: Float32 = np.asarray(cv2.GaussianBlur(small, (0, 0), max(blur_px, 0.3)), np.float32) / np.float32(255.0)
    return soft


def _wrapped(values: NDArray[np.float64]) -> NDArray[np.float64]:
    values[-1] = values[0]
    return values
