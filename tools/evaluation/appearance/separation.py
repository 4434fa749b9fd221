"""Skin apart from light, on rendered people whose skin and light are known.

A lamp circles the head, comes from the side, and the exposure jumps, while the head holds still after a second of turning.
People wear painted skin of several tones and the skin of real people (``textured``); what is under hair does not count.
Albedo is compared in the logarithm with its mean taken out (no single camera knows the scale), light as the irradiance it gives
to normals that face the camera, one scale taken out. Disentanglement is how much the estimated albedo moves (RMS over time)
while only the light does, beside an estimate from every frame alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.evaluation import textured
from tools.evaluation.appearance.runs import Runner
from tools.evaluation.subjects import SIZE
from tools.evaluation.tracking import Follower
from tracker.appearance.light import sh_basis
from tracker.camera import Camera
from tracker.directions import even_directions
from tracker.fitting.recenter import FRONTAL
from tracker.rendering.lighting import Light
from tracker.rendering.scene import FaceScene
from tracker.rendering.skin import Complexion, Paint
from tracker.rotations import head_rotvec_from_matrix, matrix_from_rotvec
from tracker.types import Albedo, Face, FaceParams

Floats = NDArray[np.float64]

MELANIN: Final = (0.06, 0.22, 0.42, 0.75)
TURNING: Final = 45
LIT: Final = 44
_NORMALS: Final = 400
_KNOWN: Final = 0.5
"""How well a point must be seen to be compared: the rest is the prior's."""
_FOOTPRINT_TEXELS: Final = 6.0
_CLEAR_OF_HAIR_M: Final = -0.012
_LUMA: Final = np.array([0.2126, 0.7152, 0.0722])


def evaluate(runner: Runner, follower: Follower, *, tones: int) -> dict[str, Any]:
    """Figures per person, ``tones`` of them painted and as many in real skin where there are, and their means."""
    scenes = {
        f"melanin {MELANIN[k]}": FaceScene(
            runner.model, Complexion(melanin=MELANIN[k], seed=k), supersample=1, noise=1.5
        )
        for k in range(tones)
    }
    for skin in textured.skins()[:tones]:
        scenes[f"skin {skin.name}"] = textured.scene(runner.model, skin, supersample=1, noise=1.5)
    people = {name: person(runner, follower, scene, seed) for seed, (name, scene) in enumerate(scenes.items())}
    for kind in ("melanin", "skin"):
        alike = [figures for name, figures in people.items() if name.startswith(kind)]
        people[f"mean {kind}"] = {
            name: round(float(np.mean([figures[name] for figures in alike])), 4) for name in alike[0]
        }
    return people


def person(runner: Runner, follower: Follower, scene: FaceScene, seed: int) -> dict[str, float]:
    """Render, track and compare one person."""
    model, camera = runner.model, Camera.for_image(*SIZE)
    rng = np.random.default_rng(seed)
    identity = (rng.standard_normal(model.identity_count) * 0.6).astype(np.float32)
    lights = [light_at(frame) for frame in range(TURNING + LIT)]
    images = []
    for frame, light in enumerate(lights):
        scene.light = light
        images.append(scene.render(identity, pose(model.neutral_params(), frame), camera, frame))
    encoded = follower.encode_images(images)
    faces = runner(images, encoded, "auto", camera.focal_px)
    albedo, bald = true_albedo(runner, scene.paint)
    bare = runner.stage.points.is_bare & bald
    true = albedo[bare]
    late = range(TURNING, TURNING + LIT)
    live = list(runner.albedos)
    together = [_log(live[k], bare) for k in late]
    single = [_alone(runner, images[k], faces[k], camera) for k in late]
    last = live[-1]
    assert last is not None
    known = last.seen[bare] > _KNOWN
    true, found = true[known], np.log(np.maximum(last.points.astype(np.float64), 1e-3))[bare][known]
    error = _centred(found) - _centred(true)
    light_errors = [_light_error(faces[k], lights[k]) for k in late]
    moves, moves_alone = _wander(together), _wander(single)
    return {
        "albedo_error": round(float(np.sqrt((error**2).mean())), 4),
        "albedo_error_flat_skin": round(float(np.sqrt((_centred(true) ** 2).mean())), 4),
        "albedo_correlation": round(float(np.corrcoef(found @ _LUMA, true @ _LUMA)[0, 1]), 3),
        "light_error": round(float(np.nanmean(light_errors)), 4),
        "albedo_moves": round(moves, 4),
        "albedo_moves_frame_by_frame": round(moves_alone, 4),
        "times_less": round(moves_alone / max(moves, 1e-6), 2),
    }


def light_at(frame: int) -> Light:
    """A lamp that stands while the head turns, then circles it; a hard one from the side; a step of exposure."""
    if frame < TURNING:
        return Light()
    t = frame - TURNING
    gain = 0.6 if t >= 2 * LIT // 3 else 1.0
    if LIT // 3 <= t < LIT // 2:
        return Light(direction=(0.95, -0.15, -0.3), softness=20.0, lamp=(3.0 * gain, 2.8 * gain, 2.5 * gain))
    turn = 2.0 * np.pi * t / LIT
    default = Light()
    ambient, lamp = ((gain * r, gain * g, gain * b) for r, g, b in (default.ambient, default.lamp))
    return Light(ambient=ambient, lamp=lamp, direction=(0.6 * np.sin(turn - 0.8), -0.35 + 0.2 * np.cos(turn), -0.7))


def pose(neutral: FaceParams, frame: int) -> FaceParams:
    """Half a metre away, turning to both sides until the light begins to move."""
    turn = 0.3 * np.sin(2.0 * np.pi * min(frame, TURNING) / TURNING)
    rotation = FRONTAL @ matrix_from_rotvec(np.array([0.0, turn, 0.0]))
    return replace(neutral, rotation=head_rotvec_from_matrix(rotation).astype(np.float32))


def _alone(runner: Runner, image: NDArray[np.uint8], face: Face | None, camera: Camera) -> Floats | None:
    """Log albedo (B, 3) of bare points by one frame alone: its colours over the light that this frame gives; NaN where unseen."""
    if face is None:
        return None
    runner.stage.reset()
    runner.stage.process(image, (face,), camera, 0)
    explained = runner.stage.explained(face.id)
    if explained is None:
        return None
    log = np.full((runner.stage.points.count, 3), np.nan)
    log[explained.index] = np.log(explained.colour.T) - np.log(explained.irradiance.T)
    return log[runner.stage.points.is_bare]


def _log(albedo: Albedo | None, bare: NDArray[np.bool_]) -> Floats | None:
    return None if albedo is None else np.log(np.maximum(albedo.points.astype(np.float64), 1e-3))[bare]


def true_albedo(runner: Runner, paint: Paint) -> tuple[Floats, NDArray[np.bool_]]:
    """Log reflectance (P, 3) painted at the skin points, averaged over what a point covers; (P,) those clear of hair."""
    points = runner.stage.points
    place = np.einsum("pc,pcd->pd", points.barycentric, paint.coordinates[points.corners]).astype(np.float32)
    tint = np.einsum("pc,pcd->pd", points.barycentric, paint.tint[points.corners])
    hair = np.einsum("pc,pc->p", points.barycentric, paint.hair[points.corners])
    linear = cv2.GaussianBlur(np.square(paint.atlas.astype(np.float32) / 255.0), (0, 0), _FOOTPRINT_TEXELS)
    read = cv2.remap(linear, place[:, :1], place[:, 1:], cv2.INTER_LINEAR)[:, 0]
    return np.log(np.maximum(read * tint, 1e-3)), hair < _CLEAR_OF_HAIR_M


def _centred(log: Floats) -> Floats:
    return np.asarray(log - np.nanmean(log, axis=0))


def _wander(series: list[Floats | None]) -> float:
    """RMS over time of each point's log albedo, the mean over the face taken out of every frame."""
    stack = np.stack([_centred(each) for each in series if each is not None])
    always = np.isfinite(stack).all(axis=(0, 2))
    return float(np.sqrt(((stack[:, always] - stack[:, always].mean(axis=0)) ** 2).mean()))


def _light_error(face: Face | None, light: Light) -> float:
    """Relative RMS difference of the irradiance on normals that face the camera, one scale for all channels taken out."""
    if face is None or face.light is None:
        return float("nan")
    normals = even_directions(_NORMALS)
    towards = normals
    radiance = light.radiance(towards.astype(np.float32)).astype(np.float64)
    facing = normals[normals[:, 2] < -0.1]
    true = 4.0 / _NORMALS * np.clip(facing @ towards.T, 0.0, None) @ radiance
    basis = sh_basis(np.ascontiguousarray(facing.T, np.float32))
    found = (basis.T if basis.shape[0] == 9 else basis) @ face.light.sh.astype(np.float64)
    found = found * (float((found * true).sum()) / max(float((found**2).sum()), 1e-9))
    return float(np.sqrt(((found - true) ** 2).mean()) / np.sqrt((true**2).mean()))
