"""Skin from pictures of people: fitted frames are unwrapped onto the built-in head, freed of light and completed.

The chart is the one that synthetic faces are painted in (``rendering.skin.Unfolding``), so that a texture can take the
place of the paint. Light is taken out by dividing by the nine-term shading of an even skin (Ramamoorthi and Hanrahan
2001): rough, but what shading is left is too weak to fight the renderer's own light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.camera import Camera
from tracker.face_model import FaceModel, load_face_model
from tracker.rendering.contours import CONTOUR, LANDMARK_SET
from tracker.rendering.rasterizer import rasterize
from tracker.rendering.shading import NormalField, smoothstep
from tracker.rendering.skin import SKIN_PX, Unfolding
from tracker.types import Face, FaceParams

Float32 = NDArray[np.float32]
ImageRGB = NDArray[np.uint8]

_TRUSTED: Final = 0.3
_DEPTH_SLACK_M: Final = 0.004
_REACH_M: Final = 0.012
_LEAST_FACING: Final = 0.25
_LEAST_LIGHT: Final = 0.35
_EDGE_PX: Final = 6.0
# Where the fit does not know well enough what a pixel shows; filled from around.
_UNSEEN: Final = ("ear_left", "ear_right", "neck", "scalp")


@dataclass(frozen=True, slots=True)
class Chart:
    """Which place of the built-in head's face each texel shows; ears, neck and scalp have none."""

    texel: NDArray[np.intp]
    """(N,) covered texels as row * SKIN_PX + column."""
    corners: NDArray[np.int32]
    """(N, 3) vertices of the triangle."""
    barycentric: Float32
    """(N, 3)."""
    mirror: NDArray[np.intp]
    """(N,) index of the texel (into these N) that shows the other side's place."""


@cache
def chart() -> Chart:
    """The chart of the built-in head's face."""
    model = load_face_model()
    unfold = Unfolding(model)
    flat = unfold(model.template) + np.float32(0.5)
    skin = model.parts == model.part_names.index("skin")
    for name in _UNSEEN:
        skin &= ~model.regions[:, model.region_names.index(name)]
    faces = model.faces[skin[model.faces].all(axis=1)]
    centre = model.template[skin].mean(axis=0)
    # Where the surface folds over itself in the chart, what lies farther out wins: 1/z is what the rasteriser maximises.
    outwards = 1.0 / np.linalg.norm(model.template - centre, axis=1)
    raster = rasterize(flat, outwards, faces, SKIN_PX, SKIN_PX, cull_back=False)
    corners, barycentric = faces[raster.face], raster.barycentric
    place = np.einsum("nc,ncd->nd", barycentric, model.template[corners])
    other = unfold(place * np.array([-1.0, 1.0, 1.0], np.float32))
    column, row = (np.clip(np.rint(other[:, axis]).astype(np.intp), 0, SKIN_PX - 1) for axis in (0, 1))
    index = np.full(SKIN_PX * SKIN_PX, -1, np.intp)
    index[raster.pixel] = np.arange(len(raster.pixel))
    mirror = index[row * SKIN_PX + column]
    mirror[mirror < 0] = np.flatnonzero(mirror < 0)
    return Chart(raster.pixel, corners, barycentric, mirror)


def unwrap(pictures: Sequence[tuple[ImageRGB, Face]], focal_px: float | None = None) -> Float32:
    """The skin of one person, linear reflectance (SKIN_PX, SKIN_PX, 3), from pictures with their fits of the built-in head.

    Args:
        pictures: RGB pictures (H, W, 3) from several sides, each with the fit of its face.
        focal_px: the focal length the fits assumed, if it was not the default.
    """
    model, where = load_face_model(), chart()
    total = np.zeros((len(where.texel), 4), np.float64)
    for image, face in pictures:
        colour, weight = _look_up(model, image, face, focal_px)
        total[:, :3] += weight[:, None] * colour
        total[:, 3] += weight
    # The other side helps where this one was hardly seen.
    much = float(np.percentile(total[:, 3], 90))
    total += total[where.mirror] * (0.02 + np.clip(0.3 - total[:, 3] / much, 0.0, None))[:, None]
    seen = (total[:, 3] > 0.02 * much) & ~_eye_gaps()[where.texel]
    texture = np.zeros((SKIN_PX * SKIN_PX, 4), np.float32)
    texture[where.texel[seen], :3] = total[seen, :3] / total[seen, 3:]
    texture[where.texel[seen], 3] = 1.0
    return filled(texture.reshape(SKIN_PX, SKIN_PX, 4))


def _eye_gaps() -> NDArray[np.bool_]:
    """(SKIN_PX * SKIN_PX,) texels between the lids of open eyes: pictures show eyeballs there, the chart the closed lid."""
    model = load_face_model()
    points = Unfolding(model)(model.landmarks(model.template, LANDMARK_SET))
    mask = np.zeros((SKIN_PX, SKIN_PX), np.uint8)
    for side in ("left", "right"):
        outline = np.rint(points[list(CONTOUR[f"eye_{side}"].points)]).astype(np.int32)
        cv2.fillPoly(mask, [outline[:, None]], 1)
    return cv2.dilate(mask, np.ones((5, 5), np.uint8)).ravel() > 0


def _look_up(model: FaceModel, image: ImageRGB, face: Face, focal_px: float | None) -> tuple[Float32, Float32]:
    """Reflectance (N, 3) and weight (N,) of the chart's texels in one picture."""
    where = chart()
    camera = Camera.for_image(image.shape[1], image.shape[0], focal_px)
    vertices = model.vertices_camera(face.identity, face.raw)
    pixels = np.asarray(camera.project(vertices), np.float32)
    pixels += _misfit(model, face, face.raw, camera)
    normals = NormalField(model.faces, model.vertex_count)(vertices)
    raster = rasterize(pixels, vertices[:, 2], model.faces, camera.width, camera.height)

    def at(values: Float32) -> Float32:
        mixed: Float32 = np.einsum("nc,ncd->nd", where.barycentric, values[where.corners])
        return mixed

    place, normal = at(vertices), at(normals)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    point = at(pixels)
    facing = -(normal * place).sum(axis=1) / np.linalg.norm(place, axis=1)
    visible = np.abs(raster.depth_at(point) - place[:, 2]) < _DEPTH_SLACK_M
    weight = smoothstep(_LEAST_FACING, 0.7, facing.astype(np.float32)) ** 2 * visible
    linear = np.asarray(cv2.pow(image.astype(np.float32) / 255.0, 2.2), np.float32)
    rows = -(-len(point) // SKIN_PX) * SKIN_PX
    grid = np.zeros((2, rows), np.float32)
    # cv2.remap takes integer pixel centres.
    grid[:, : len(point)] = point.T - 0.5
    x, y = grid.reshape(2, -1, SKIN_PX)
    sampled = cv2.remap(linear, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    colour = np.asarray(sampled, np.float32).reshape(-1, 3)[: len(point)]
    light = shading(normal, colour, weight)
    return colour / light, weight.astype(np.float32)


def _misfit(model: FaceModel, face: Face, params: FaceParams, camera: Camera) -> Float32:
    """(V, 2) pixels from the fit to what the landmarks say, spread smoothly over the head."""
    embedding = model.embedding(LANDMARK_SET)
    trusted = np.flatnonzero(embedding.weight > _TRUSTED)
    on_head = model.landmarks(model.template, LANDMARK_SET)[trusted]
    fitted = camera.project(model.landmarks(model.vertices_camera(face.identity, params), LANDMARK_SET))[trusted]
    offset = face.landmarks.points[trusted, :2] - fitted
    squared = ((model.template[:, None] - on_head) ** 2).sum(axis=2)
    weight = 1.0 / (squared + 1e-6) * np.exp(-squared / (2.0 * _REACH_M**2))
    spread: Float32 = (weight @ offset / (weight.sum(axis=1, keepdims=True) + 1e3)).astype(np.float32)
    return spread


def shading(normal: Float32, colour: Float32, weight: Float32) -> Float32:
    """Light on an even skin (N, 3), 1 in the median: the nine-term shading that explains colours (N, 3) at unit normals (N, 3).

    ``weight`` (N,) says how much each place counts. Brows, lips and beard are no even skin: places that the fit does not
    explain lose their say.
    """
    x, y, z = normal.T.astype(np.float64)
    harmonics = np.stack([np.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1], axis=1)
    ridge = np.diag([0.0, *[0.01] * 3, *[0.05] * 5])
    light = np.empty_like(colour)
    for channel in range(3):
        seen = colour[:, channel].astype(np.float64)
        level = float(np.median(seen[weight > 0.5])) if (weight > 0.5).any() else float(seen.mean())
        trust = weight.astype(np.float64)
        for _ in range(5):
            weighted = harmonics * trust[:, None]
            normal_matrix = weighted.T @ harmonics
            found = np.linalg.solve(normal_matrix + ridge * trust.sum(), weighted.T @ seen)
            shade = harmonics @ found
            off = (seen - shade) / max(level, 1e-4)
            trust = weight / (1.0 + (off / 0.15) ** 2)
        shade /= max(float(np.average(shade, weights=weight + 1e-9)), 1e-4)
        light[:, channel] = np.clip(shade, _LEAST_LIGHT, 1.0 / _LEAST_LIGHT)
    return light


def filled(texture: Float32) -> Float32:
    """Colours (H, W, 3) with holes filled from around: averages over ever larger neighbourhoods (pull-push, Gortler 1996)."""
    # Skin fills holes, not the hair beside them.
    luminance = texture[..., :3].mean(axis=2, keepdims=True)
    usual = float(np.median(luminance[texture[..., 3] > 0.0]))
    levels = [texture * texture[..., 3:] * smoothstep(0.5 * usual, 0.9 * usual, luminance)]
    while min(levels[-1].shape[:2]) > 1:
        height, width = levels[-1].shape[:2]
        size = (max(1, width // 2), max(1, height // 2))
        half = np.asarray(cv2.resize(levels[-1], size, interpolation=cv2.INTER_AREA), np.float32)
        # A level counts as seen as soon as anything in it is.
        half *= (np.minimum(1.0, 4.0 * half[..., 3:]) / np.maximum(half[..., 3:], 1e-9)).astype(np.float32)
        levels.append(half)
    filled = levels[-1] / np.maximum(levels[-1][..., 3:], 1e-6)
    for level in reversed(levels[:-1]):
        grown = cv2.resize(filled, (level.shape[1], level.shape[0]), interpolation=cv2.INTER_LINEAR)
        filled = level + grown * (1.0 - level[..., 3:])
    # Soft edges: where little was seen, both.
    share = np.asarray(cv2.GaussianBlur(texture[..., 3], (0, 0), _EDGE_PX), np.float32)[..., None]
    share = texture[..., 3:] * smoothstep(0.5, 1.0, share)
    mixed: Float32 = texture[..., :3] * share + filled[..., :3] * (1.0 - share)
    return mixed
