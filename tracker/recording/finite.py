"""NaN and infinity stay out of takes, as they stay out of the stream."""

from __future__ import annotations

import dataclasses
import logging
import math

import numpy as np

from tracker.types import PARAM_SIZES, Face, Float32, FrameResult

logger = logging.getLogger(__name__)


def without_broken_faces(result: FrameResult, *, raw: bool, landmarks: bool, appearance: bool) -> FrameResult:
    """The frame without faces that hold NaN or infinity. Each one left out is logged.

    Args:
        result: a frame.
        raw: also look at the values before smoothing; likewise at
        landmarks: with sigma and visibility, and at
        appearance: light, occlusion and albedo.
    """
    faces = []
    for face in result.faces:
        if _is_finite(face, raw, landmarks, appearance):
            faces.append(face)
        else:
            logger.warning(
                "face %d is left out of frame %d of the take: it holds NaN or infinity", face.id, result.index
            )
    return result if len(faces) == len(result.faces) else dataclasses.replace(result, faces=tuple(faces))


def _is_finite(face: Face, raw: bool, landmarks: bool, appearance: bool) -> bool:
    arrays: list[Float32 | None] = [getattr(face.params, name) for name in PARAM_SIZES]
    arrays += [face.position, face.quaternion, face.arkit, face.gaze_left, face.gaze_right, face.box, face.identity]
    numbers = [face.confidence, face.residual_px]
    if face.identity_state is not None:
        arrays.append(face.identity_state.sigma)
        numbers.append(face.identity_state.confidence)
    if raw:
        arrays += [getattr(face.raw, name) for name in PARAM_SIZES]
        arrays.append(face.arkit_raw)
    if landmarks:
        arrays += [face.landmarks.points, face.landmarks.sigma, face.landmarks.visibility]
    if appearance:
        if face.light is not None:
            arrays += [face.light.sh, face.light.white_balance]
            numbers.append(face.light.exposure)
        if face.occlusion is not None:
            arrays.append(face.occlusion.regions)
            numbers.append(face.occlusion.fraction)
        if face.albedo is not None:
            arrays += [face.albedo.points, face.albedo.seen]
            numbers.append(face.albedo.coverage)
    # One check for all: numpy calls dominate the cost.
    flat = np.concatenate([array.reshape(-1) for array in arrays if array is not None])
    return bool(np.isfinite(flat).all()) and all(map(math.isfinite, numbers))
