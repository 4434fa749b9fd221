"""The scan coloured by how far the fitted face is away, model by model."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.evaluation import scan
from tracker.camera import Camera
from tracker.fitting.recenter import FRONTAL
from tracker.rendering.rasterizer import rasterize
from tracker.rendering.shading import NormalField
from tracker.rotations import matrix_from_rotvec

Float32 = NDArray[np.float32]
ImageRGB = NDArray[np.uint8]

_FULL_MM: Final = 4.0
_TURNS_DEG: Final = (0.0, 40.0)
_TILE: Final = 360


def heat_picture(errors: dict[str, tuple[Float32, Float32]]) -> ImageRGB:
    """A row per model: fitted from two sides, then its mean face. ``errors``: mm at the scan's region, fitted and mean face."""
    rows = []
    for name, (fitted, mean) in errors.items():
        tiles = [_tile(values, turn) for values in (fitted, mean) for turn in _TURNS_DEG]
        for label, (tile, values) in zip(
            ("fitted", "", "mean face", ""), zip(tiles, (fitted, fitted, mean, mean), strict=True), strict=True
        ):
            text = f"{name}, {label} {values.mean():.2f} mm" if label else ""
            cv2.putText(tile, text, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 20, 20), 1, cv2.LINE_AA)
        rows.append(np.hstack(tiles))
    return np.vstack([*rows, _legend(rows[0].shape[1])])


def _tile(values_mm: Float32, turn_deg: float) -> ImageRGB:
    head = scan.load()
    camera = Camera.for_image(_TILE, _TILE)
    rotation = (FRONTAL @ matrix_from_rotvec(np.radians([0.0, turn_deg, 0.0]))).astype(np.float32)
    points = (head.vertices - np.array([0.0, -0.03, -0.03], np.float32)) @ rotation.T + np.array(
        [0.0, 0.0, 0.42], np.float32
    )
    colours = np.full((len(points), 3), 190.0, np.float32)
    colours[head.region] = _colours(values_mm)
    shade = np.abs(NormalField(head.faces, len(points))(head.vertices) @ rotation.T)[:, 2:]
    raster = rasterize(camera.project(points), points[:, 2], head.faces, _TILE, _TILE, cull_back=False)
    image = raster.image(raster.interpolate((colours * (0.45 + 0.55 * shade)).astype(np.float32)), background=245.0)
    return np.clip(image, 0, 255).astype(np.uint8)


def _colours(values_mm: NDArray[np.floating]) -> Float32:
    level = np.clip(np.asarray(values_mm) / _FULL_MM * 255.0, 0, 255).astype(np.uint8)
    bgr = np.asarray(cv2.applyColorMap(level.reshape(-1, 1), cv2.COLORMAP_VIRIDIS))
    return bgr.reshape(-1, 3)[:, ::-1].astype(np.float32)


def _legend(width: int) -> ImageRGB:
    bar = np.full((40, width, 3), 245, np.uint8)
    bar[10:26, 40 : width - 90] = _colours(np.linspace(0.0, _FULL_MM, width - 130))
    for text, x in (("0", 22), (f"{_FULL_MM:.0f} mm", width - 80)):
        cv2.putText(bar, text, (x, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 20, 20), 1, cv2.LINE_AA)
    return bar
