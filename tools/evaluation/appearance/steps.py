"""Sudden changes of brightness on real clips: do pose and expression jump, and does the change go into light or into skin?

From one frame on, the picture gets darker, brighter, warmer, or a lamp shines on the face from the side (by the fitted normals).
Deviation is that of the first ten frames after the step from the unchanged clip, beside the clip's own motion between frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final

import cv2
import numpy as np

from tools.evaluation.appearance.occlusion import difference
from tools.evaluation.appearance.runs import Mode, Runner
from tools.evaluation.tracking import Encoded, Follower
from tracker.camera import Camera
from tracker.rendering.occluders import Image
from tracker.rendering.rasterizer import rasterize
from tracker.rendering.shading import NormalField
from tracker.types import Face

STEP_AT: Final = 45
AFTER: Final = 10
_LAMP: Final = np.array([0.9, -0.2, -0.4]) / np.linalg.norm([0.9, -0.2, -0.4])


def evaluate(
    runner: Runner, follower: Follower, images: Sequence[Image], encoded: Sequence[Encoded], mode: Mode
) -> dict[str, Any]:
    """Figures per change over one clip of at least ``STEP_AT + AFTER`` frames."""
    clean = runner(images, encoded, mode)
    motion = [difference(a, b) for a, b in pairwise(clean) if a is not None and b is not None]
    figures: dict[str, Any] = {"frame to frame, p95": _percentile(motion, 95)}
    changes: dict[str, Callable[[Image, Face | None], Image]] = {
        "x0.5": lambda image, _: _gained(image, (0.5, 0.5, 0.5)),
        "x1.6": lambda image, _: _gained(image, (1.6, 1.6, 1.6)),
        "warmer": lambda image, _: _gained(image, (1.2, 1.0, 0.72)),
        "side lamp": lambda image, face: _lit(runner, image, face),
    }
    for name, change in changes.items():
        changed = [
            image if frame < STEP_AT else change(image, face)
            for frame, (image, face) in enumerate(zip(images, clean, strict=True))
        ]
        faces = runner(changed, follower.encode_images(changed), mode)
        pairs = [(a, b) for a, b in zip(clean[STEP_AT:][:AFTER], faces[STEP_AT:][:AFTER], strict=True)]
        rows = [difference(a, b) for a, b in pairs if a is not None and b is not None]
        figures[name] = _percentile(rows, 50) | {"frames_lost": sum(b is None for _, b in pairs)}
        before, after = faces[STEP_AT - 1], faces[min(STEP_AT + AFTER, len(faces)) - 1]
        if before is not None and after is not None and before.light is not None and after.light is not None:
            figures[name]["exposure_ratio"] = round(after.light.exposure / before.light.exposure, 3)
            if before.albedo is not None and after.albedo is not None:
                log = [np.log(np.maximum(each.albedo.points, 1e-3)) for each in (before, after)]  # type: ignore[union-attr]
                figures[name]["albedo_change"] = round(float(np.abs(log[1] - log[0]).mean()), 4)
    return figures


def _gained(image: Image, gain: tuple[float, float, float]) -> Image:
    """More or less linear light in every channel, clipped at white."""
    linear = np.power(image.astype(np.float32) / 255.0, 2.2) * np.asarray(gain, np.float32)
    return (np.power(np.clip(linear, 0.0, 1.0), 1.0 / 2.2) * 255.0 + 0.5).astype(np.uint8)


def _lit(runner: Runner, image: Image, face: Face | None) -> Image:
    """A lamp from the side on the fitted head, with soft edges."""
    if face is None:
        return image
    model, camera = runner.model, Camera.for_image(image.shape[1], image.shape[0])
    vertices = model.vertices_camera(face.identity, face.params)
    normals = NormalField(model.faces, model.vertex_count)(vertices)
    shade = np.clip(normals @ _LAMP, 0.0, None)[:, None]
    raster = rasterize(camera.project(vertices), vertices[:, 2], model.faces, camera.width, camera.height)
    field = cv2.GaussianBlur(raster.image(raster.interpolate(shade))[..., 0], (0, 0), max(1.0, camera.width / 200.0))
    linear = np.power(image.astype(np.float32) / 255.0, 2.2) * (0.85 + 0.9 * field[..., None])
    return (np.power(np.clip(linear, 0.0, 1.0), 1.0 / 2.2) * 255.0 + 0.5).astype(np.uint8)


def _percentile(rows: Sequence[dict[str, float]], percent: float) -> dict[str, float]:
    if not rows:
        return {}
    return {name: round(float(np.percentile([row[name] for row in rows], percent)), 4) for name in rows[0]}
