"""People who do what they are told: rendered heads of known identity in given expressions and poses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tools.evaluation import ict, textured
from tools.evaluation.subjects import SIZE
from tracker.arkit import ARKIT_NAMES
from tracker.camera import Camera
from tracker.face_model import FaceModel
from tracker.rendering.scene import FaceScene
from tracker.rendering.skin import Complexion
from tracker.rotations import head_rotvec_from_matrix

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Images = NDArray[np.uint8]

CAMERA = Camera.for_image(*SIZE)
# Faces beyond two standard deviations in many directions at once are caricatures.
_IDENTITY_SPREAD = 0.8


def perform_builtin(
    model: FaceModel, seed: int, expression: Float32, rotation: Float64, translation: Float32
) -> Images:
    """Pictures (T, H, W, 3) of person ``seed`` of the built-in head, painted.

    ``expression`` (T, 52) in ``ARKIT_NAMES`` order; ``rotation`` (T, 3, 3) and ``translation`` (T, 3) to camera axes.
    """
    melanin = float(np.random.default_rng(seed).uniform(0.05, 0.6))
    scene = FaceScene(model, Complexion(melanin=melanin, seed=seed), supersample=1, noise=2.0)
    return _perform(scene, _identity(seed, model.identity_count), expression, rotation, translation)


def perform_textured(
    model: FaceModel, seed: int, expression: Float32, rotation: Float64, translation: Float32
) -> Images:
    """The same for any model with ARKit's expressions, in the skin of a real person."""
    skins = textured.skins()
    scene = textured.scene(model, skins[seed % len(skins)], seed=seed)
    return _perform(scene, _identity(seed, model.identity_count), expression, rotation, translation)


def perform_ict(model: ict.IctModel, seed: int, expression: Float32, rotation: Float64, translation: Float32) -> Images:
    """The same for a painted ICT head."""
    identity = _identity(seed + 500, len(model.identity))
    scene = ict.IctScene(model, seed)
    return np.stack([
        scene.render(identity, expression[k], rotation[k].astype(np.float32), translation[k], CAMERA)
        for k in range(len(expression))
    ])  # fmt: skip


def _perform(
    scene: FaceScene, identity: Float32, expression: Float32, rotation: Float64, translation: Float32
) -> Images:
    model = scene.model
    order = [ARKIT_NAMES.index(name) for name in model.expression_names]
    images = []
    for frame in range(len(expression)):
        posed = replace(
            model.neutral_params(),
            expression=expression[frame, order],
            rotation=head_rotvec_from_matrix(rotation[frame]).astype(np.float32),
            translation=translation[frame],
        )
        images.append(scene.render(identity, model.with_joint_rotations(posed), CAMERA, frame))
    return np.stack(images)


def _identity(seed: int, count: int) -> Float32:
    return (np.random.default_rng(seed + 77).standard_normal(count) * _IDENTITY_SPREAD).astype(np.float32)
