"""Synthetic people with known parameters, rendered: of the built-in model, and ICT heads that it does not contain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tools.evaluation import ict, sequences, textured
from tools.evaluation.tracking import Follower
from tracker.arkit import ARKIT_NAMES
from tracker.camera import Camera
from tracker.face_model import FaceModel, load_face_model
from tracker.rendering.lighting import Light
from tracker.rendering.scene import FaceScene
from tracker.rendering.skin import Complexion
from tracker.rotations import head_rotvec_from_matrix
from tracker.types import FaceParams

Float32 = NDArray[np.float32]
SIZE = (480, 480)
# Faces beyond two standard deviations in many directions at once are caricatures.
_IDENTITY_SPREAD = 0.8


@dataclass(frozen=True, slots=True)
class Subject:
    """A rendered person and the truth about every frame."""

    kind: Literal["builtin", "ict"]
    images: NDArray[np.uint8]
    """(T, H, W, 3)."""
    camera: Camera
    expression: Float32
    """(T, 52)."""
    rotation: NDArray[np.float64]
    """(T, 3, 3)."""
    translation: Float32
    """(T, 3)."""
    identity: Float32


def builtin_subject(model: FaceModel, seed: int, every: int = 1) -> Subject:
    """A person of the tracker's own model; ``every`` keeps each so-many-th frame."""
    identity = _identity(seed, model.identity_count)
    expression = sequences.expressions(seed)[::every]
    rotation, translation = (part[::every] for part in sequences.poses(seed))
    rng = np.random.default_rng(seed)
    camera = Camera.for_image(*SIZE)
    scene = FaceScene(model, Complexion(melanin=float(rng.uniform(0.05, 0.6)), seed=seed), supersample=1, noise=2.0)
    order = [ARKIT_NAMES.index(name) for name in model.expression_names]
    images = []
    for frame in range(len(expression)):
        params = _params(model, expression[frame, order], rotation[frame], translation[frame])
        images.append(scene.render(identity, params, camera, frame))
    return Subject("builtin", np.stack(images), camera, expression, rotation, translation, identity)


def ict_subject(model: ict.IctModel, seed: int, every: int = 1) -> Subject:
    """A person of the ICT model."""
    identity = _identity(seed + 500, len(model.identity))
    expression = sequences.expressions(seed + 500)[::every]
    rotation, translation = (part[::every] for part in sequences.poses(seed + 500))
    camera = Camera.for_image(*SIZE)
    scene = ict.IctScene(model, seed)
    images = [
        scene.render(identity, expression[k], rotation[k].astype(np.float32), translation[k], camera)
        for k in range(len(expression))
    ]
    return Subject("ict", np.stack(images), camera, expression, rotation, translation, identity)


def textured_subject(
    kind: Literal["builtin", "ict"], seed: int, every: int = 1, follower: Follower | None = None
) -> Subject:
    """A person of the built-in head or of ICT-FaceKit in the skin of a real one, under a light of their own.

    ``follower`` serves to unwrap skins that are not in the cache yet.
    """
    model = load_face_model() if kind == "builtin" else textured.ict_truth()
    offset = 900 if kind == "builtin" else 500
    identity = _identity(seed + offset, model.identity_count)
    expression = sequences.expressions(seed + offset)[::every]
    rotation, translation = (part[::every] for part in sequences.poses(seed + offset))
    rng = np.random.default_rng(seed + offset)
    light = Light(direction=(float(rng.uniform(-0.6, 0.6)), float(rng.uniform(-0.7, -0.2)), -0.7))
    skins = textured.skins()
    skin = skins[(seed + (3 if kind == "builtin" else 0)) % len(skins)]
    textured.texture(skin, follower)
    scene = textured.scene(model, skin, light, supersample=1.5, seed=seed)
    camera = Camera.for_image(*SIZE)
    order = [ARKIT_NAMES.index(name) for name in model.expression_names]
    images = [
        scene.render(identity, _params(model, expression[k, order], rotation[k], translation[k]), camera, k)
        for k in range(len(expression))
    ]
    return Subject(kind, np.stack(images), camera, expression, rotation, translation, identity)


def _params(model: FaceModel, expression: Float32, rotation: NDArray[np.float64], translation: Float32) -> FaceParams:
    posed = replace(
        model.neutral_params(),
        expression=expression,
        rotation=head_rotvec_from_matrix(rotation).astype(np.float32),
        translation=translation,
    )
    return model.with_joint_rotations(posed)


def subjects(kind: Literal["builtin", "ict"], model: FaceModel, count: int, every: int = 1) -> Iterator[Subject]:
    """``count`` people one after the other."""
    faces = ict.load() if kind == "ict" else None
    for seed in range(count):
        yield builtin_subject(model, seed, every) if faces is None else ict_subject(faces, seed, every)


def _identity(seed: int, count: int) -> Float32:
    return (np.random.default_rng(seed + 77).standard_normal(count) * _IDENTITY_SPREAD).astype(np.float32)
