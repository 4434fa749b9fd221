"""Heads that turn from facing the camera to full profile: how far the landmarks follow.

ICT-FaceKit people in real people's skins (``textured``), turned a little more in every frame. Truth are ICT's own 68 points;
where a point means another place than the mesh's, all encoders have the same error, so compare columns and not with zero.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tools.evaluation import stills, textured
from tools.evaluation.tracking import Follower, fit
from tracker.camera import Camera
from tracker.face_model import FaceModel
from tracker.fitting.recenter import FRONTAL
from tracker.rendering.scene import FaceScene
from tracker.rotations import head_rotvec_from_matrix, matrix_from_rotvec, rotvec_from_matrix

_SIZE: Final = (480, 480)
_DEPTH_M: Final = 0.62
_STEP_DEG: Final = 3
_BINS: Final = (0, 15, 30, 45, 60, 75, 91)


def evaluate(model: FaceModel, follower: Follower, quick: bool) -> dict[str, Any]:
    """Per bin of yaw: frames lost, error of the network's points that face the camera and of all, rotation error of the fit."""
    rows: list[tuple[float, ...]] = []
    for person, skin in enumerate(textured.skins()[: 1 if quick else 4]):
        for side in (1.0, -1.0):
            rows += _turn(model, follower, textured.scene(textured.ict_truth(), skin, seed=person), person, side)
    table = np.array(rows)
    figures: dict[str, Any] = {}
    for low, high in pairwise(_BINS):
        part = table[(table[:, 0] >= low) & (table[:, 0] < high)]
        lost = np.isnan(part[:, 1])
        figures[f"{low}-{min(high, 90)} deg"] = {
            "frames": len(part),
            "lost": int(lost.sum()),
            **{
                name: round(float(np.nanmean(part[:, column])), 2) if not lost.all() else None
                for column, name in enumerate(("near_points_percent", "all_points_percent", "rotation_deg"), start=1)
            },
        }
    return figures


def _turn(
    model: FaceModel, follower: Follower, scene: FaceScene, person: int, side: float
) -> list[tuple[float, float, float, float]]:
    truth = textured.ict_truth()
    rng = np.random.default_rng(900 + person)
    identity = np.clip(rng.normal(0.0, 0.8, truth.identity_basis.shape[2]), -2.0, 2.0).astype(np.float32)
    angles = np.arange(0, 91, _STEP_DEG)
    images, points, rotations = [], [], []
    camera = Camera.for_image(*_SIZE)
    for angle in angles:
        # The yaw turns about the head's own vertical axis.
        rotation = FRONTAL @ matrix_from_rotvec(np.array([0.0, np.radians(side * angle), 0.0]))
        params = replace(
            truth.neutral_params(),
            rotation=head_rotvec_from_matrix(rotation).astype(np.float32),
            translation=np.array([0.0, 0.0, _DEPTH_M], np.float32),
        )
        frame = scene.render(identity, params, camera)
        images.append(frame)
        points.append(camera.project(truth.landmarks(truth.vertices_camera(identity, params), "ibug68")))
        rotations.append(rotation)
    encoded = follower.encode_images(images)
    faces = fit(model, follower.set_name, encoded, focal_px=camera.focal_px)
    frontal = np.linalg.norm(points[0][36] - points[0][45])
    # Which half of the face stays in sight.
    near = _half(points[0], side)
    rows = []
    first = next(
        (matrix_from_rotvec(face.raw.rotation).T @ rotations[0] for face in faces if face is not None), np.eye(3)
    )
    for angle, seen, face, true, rotation in zip(angles, encoded, faces, points, rotations, strict=True):
        if not seen.observations or face is None:
            rows.append((float(angle), np.nan, np.nan, np.nan))
            continue
        error = np.linalg.norm(seen.observations[0].landmarks.points[stills.MESH_TO_68, :2] - true, axis=1)
        error = error[stills.INNER] * 100.0 / frontal
        # The difference of the two heads' axes is what the frontal picture shows.
        off = matrix_from_rotvec(face.raw.rotation) @ first @ rotation.T
        rows.append(
            (
                float(angle),
                float(error[near].mean()),
                float(error.mean()),
                float(np.degrees(np.linalg.norm(rotvec_from_matrix(off)))),
            )
        )
    return rows


def _half(frontal: NDArray[np.floating], side: float) -> NDArray[np.bool_]:
    """Inner points on the half of the face that a turn shows."""
    inner = frontal[stills.INNER]
    middle = frontal[27:31, 0].mean()
    return np.asarray((inner[:, 0] - middle) * side > -1.0)
