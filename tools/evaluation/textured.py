"""Rendered heads that wear real people's skin: what landmark networks were trained on, over a geometry that is known.

The skins are unwrapped from frames of real clips by the tracker itself (``unwrap``) and go onto any head through the points
that it shares with the built-in one. Eyes, teeth and hair are the synthetic scene's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.evaluation import ict
from tools.evaluation.clips import SHARED, frames_of
from tools.evaluation.surface import Surface
from tools.evaluation.tracking import Follower, as_frames, fit
from tools.evaluation.tracking_models import imported_ict
from tools.evaluation.warp import ThinPlate
from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.cache import atomic_target, ensure_cache_dir
from tracker.face_model import FaceModel, load_face_model
from tracker.face_model.model import Embedding
from tracker.rendering.contours import CONTOUR, IRIS_LEFT, IRIS_RIGHT, LANDMARK_SET
from tracker.rendering.lighting import Light
from tracker.rendering.photographed_skin import best_views, skin_texture
from tracker.rendering.scene import FaceScene
from tracker.rendering.skin import SKIN_PX, Complexion, Unfolding, paint_face
from tracker.rendering.unwrap import ImageRGB
from tracker.samples import sample
from tracker.types import Face

Float32 = NDArray[np.float32]

ICT_TRUTH: Final = "ict-truth"
_EYES68: Final = slice(36, 48)
_VERSION: Final = 4
"""Grows when unwrapping changes, so that cached skins are made anew."""
_FRAMES: Final = 6
_EYE_TINT: Final = 0.72
"""Lids shade the eyes more than the lighting knows."""


@dataclass(frozen=True, slots=True)
class Skin:
    """Where a skin comes from."""

    name: str
    path: Callable[[], Path]
    seconds: tuple[float, float]
    """The part of the clip that is looked at."""
    hair: tuple[float, float, float]
    iris: tuple[float, float, float]


def _shared(name: str) -> Callable[[], Path]:
    return lambda: SHARED / name


SKINS: Final = (
    Skin("single_face", lambda: sample("single_face.mp4"), (0.0, 2.4), (0.02, 0.014, 0.01), (0.07, 0.05, 0.03)),
    Skin("talk_d6", _shared("clips/talk_d6.mp4"), (0.0, 6.0), (0.02, 0.014, 0.01), (0.05, 0.035, 0.02)),
    Skin("grid_swiz3n", _shared("clips/grid_swiz3n.mpg"), (0.0, 3.0), (0.012, 0.009, 0.007), (0.04, 0.025, 0.015)),
    Skin("james", _shared("scans/james.jpg"), (0.0, 1.0), (0.04, 0.025, 0.015), (0.10, 0.15, 0.18)),
    Skin("talk_d3", _shared("clips/talk_d3.mp4"), (0.0, 6.0), (0.03, 0.02, 0.012), (0.06, 0.045, 0.03)),
    Skin("grid_bbaf2n", _shared("clips/grid_bbaf2n.mpg"), (0.0, 3.0), (0.05, 0.03, 0.018), (0.09, 0.12, 0.13)),
    Skin("grid_lwbsza", _shared("clips/grid_lwbsza.mpg"), (0.0, 3.0), (0.06, 0.045, 0.03), (0.10, 0.14, 0.16)),
)  # fmt: skip


def skins() -> list[Skin]:
    """Those whose pictures are at hand; one without the development data."""
    return [skin for skin in SKINS if skin.name == "single_face" or skin.path().is_file()]


def texture(skin: Skin, follower: Follower | None = None) -> ImageRGB:
    """The skin's reflectance, square-root encoded (SKIN_PX, SKIN_PX, 3), from the user's cache after the first time."""
    target = ensure_cache_dir("evaluation") / f"skin_{skin.name}_{_VERSION}.png"
    if not target.is_file():
        made = _made(skin, follower or Follower())
        with atomic_target(target) as partial:
            partial.write_bytes(cv2.imencode(".png", cv2.cvtColor(made, cv2.COLOR_RGB2BGR))[1].tobytes())
    return _read(target)


def _read(path: Path) -> ImageRGB:
    coded = np.frombuffer(path.read_bytes(), np.uint8)
    return np.asarray(cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def _made(skin: Skin, follower: Follower) -> ImageRGB:
    if skin.name == "james":
        both = _read(skin.path())
        # The scanner's two cameras side by side: two people, as far as following them goes.
        pictures = [_best(view[None], follower, 1)[0] for view in np.split(both, 2, axis=1)]
    else:
        frames = list(islice(frames_of(skin.path()), 400))
        times = np.array([frame.t_capture_ns for frame in frames]) * 1e-9
        kept = [
            f.image for f, t in zip(frames, times - times[0], strict=True) if skin.seconds[0] <= t < skin.seconds[1]
        ]
        pictures = _best(np.stack(kept), follower, _FRAMES)
    return skin_texture(pictures, skin.hair)


def _best(images: NDArray[np.uint8], follower: Follower, count: int) -> list[tuple[ImageRGB, Face]]:
    """The frames of a clip that show most of a face: well fitted, at rest, from sides as different as possible."""
    faces = fit(load_face_model(), follower.set_name, follower.encode(as_frames(images, 30.0)))
    found = [(image, face) for image, face in zip(images, faces, strict=True) if face is not None]
    return best_views(found, count)


def scene(
    model: FaceModel,
    skin: Skin,
    light: Light | None = None,
    supersample: float = 1.0,
    noise: float = 2.0,
    seed: int = 0,
) -> FaceScene:
    """A scene that shows any head with a ``mediapipe478`` embedding in a real skin.

    The skin's reflectance is ``texture(skin)``; where each vertex looks into it follows from a smooth map between points
    that the head shares with the built-in one.
    """
    complexion = Complexion(hair=skin.hair, iris=skin.iris, seed=seed)
    paint = paint_face(model, complexion)
    atlas = paint.atlas.copy()
    atlas[:SKIN_PX] = texture(skin)
    coordinates = paint.coordinates.copy()
    rows = np.flatnonzero(model.parts == model.part_names.index("skin"))
    coordinates[rows] = chart_coordinates(model, model.template[rows])
    tint = paint.tint.copy()
    tint[np.isin(model.parts, [model.part_names.index(name) for name in ("eye_left", "eye_right")])] = _EYE_TINT
    painted = replace(paint, atlas=atlas, coordinates=coordinates, tint=tint)
    return FaceScene(model, complexion, light, supersample, noise, painted)


def chart_coordinates(model: FaceModel, points: Float32) -> Float32:
    """Texels (N, 2) that points (N, 3) on the relaxed mean head of any model look at."""
    builtin = load_face_model()
    unfold = Unfolding(builtin)
    if model.sha256 == builtin.sha256:
        return unfold(points)
    source, target, smoothing = _shared_points(model)
    return unfold(ThinPlate(source, target, smoothing)(points).astype(np.float32))


def _shared_points(model: FaceModel) -> tuple[Float32, Float32, float]:
    """The same places on a model's and on the built-in mean head, (N, 3) each, and how far they may be missed, metres."""
    builtin = load_face_model()
    if model.name != ICT_TRUTH:
        return model.landmarks(model.template, "ibug68"), builtin.landmarks(builtin.template, "ibug68"), 1e-3
    # ICT's own 68 points lie 3 mm from where the built-in head has them, brows above all: registration knows better,
    # but not around the lids, which fold.
    imported = imported_ict()
    eyes = [head.template[head.parts == head.part_names.index("eye_left")].mean(axis=0) for head in (model, imported)]
    lids = np.array([point for side in ("left", "right") for point in CONTOUR[f"eye_{side}"].points])
    used = np.setdiff1d(np.flatnonzero(imported.embedding(LANDMARK_SET).weight > 0.0), [*lids, *IRIS_LEFT, *IRIS_RIGHT])
    marks = imported.landmarks(imported.template, LANDMARK_SET) + (eyes[0] - eyes[1])
    source = [marks[used], model.landmarks(model.template, "ibug68")[_EYES68]]
    target = [builtin.landmarks(builtin.template, name) for name in (LANDMARK_SET, "ibug68")]
    return np.concatenate(source), np.concatenate([target[0][used], target[1][_EYES68]]), 1e-3


@cache
def ict_truth() -> FaceModel:
    """ICT-FaceKit Light as a face model with its own expressions, for rendering and as truth; needs ``ict.available()``.

    It has nothing to do with the importer: identities, expressions and gaze are those of ``tools.evaluation.ict``, and its
    ``mediapipe478`` points only place paint.
    """
    source = ict.load()
    count = ict.DRAWN_VERTICES
    parts = np.zeros(count, np.int8)
    names = ("skin", "eye_left", "eye_right", "teeth", "inner_mouth", "eye_socket")
    for name, part in (
        ("mouth", "inner_mouth"), ("gums", "inner_mouth"), ("socket", "eye_socket"), ("teeth", "teeth"),
        ("eye_left", "eye_left"), ("eye_right", "eye_right"),
    ):  # fmt: skip
        parts[slice(*ict.PARTS[name])] = names.index(part)
    faces = source.faces[(source.faces < count).all(axis=1)]
    template = source.mean[:count]
    joints = np.zeros((5, 3), np.float32)
    weights = np.zeros((count, 5), np.float32)
    weights[:, 0] = 1.0
    drive = np.zeros((len(ARKIT_NAMES), 5, 3), np.float32)
    for joint, (name, side, outwards) in enumerate((("eye_left", "Left", 1.0), ("eye_right", "Right", -1.0)), start=3):
        rows = slice(*ict.PARTS[name])
        joints[joint] = template[rows].mean(axis=0)
        weights[rows] = np.eye(5, dtype=np.float32)[joint]
        for way, axis in (
            ("Up", (-ict.GAZE_RAD[1], 0, 0)), ("Down", (ict.GAZE_RAD[1], 0, 0)),
            ("In", (0, -ict.GAZE_RAD[0] * outwards, 0)), ("Out", (0, ict.GAZE_RAD[0] * outwards, 0)),
        ):  # fmt: skip
            drive[ARKIT_INDEX[f"eyeLook{way}{side}"], joint] = axis
    identity = source.identity[:, :count]
    joint_identity = np.zeros((5, 3, len(identity)), np.float32)
    for joint, name in ((3, "eye_left"), (4, "eye_right")):
        joint_identity[joint] = identity[:, slice(*ict.PARTS[name])].mean(axis=1).T
    return FaceModel(
        name=ICT_TRUTH, version="light", licence="MIT", sha256="", template=template, faces=faces,
        identity_basis=np.ascontiguousarray(np.moveaxis(identity, 0, 2)),
        expression_basis=np.ascontiguousarray(np.moveaxis(source.expression[:, :count], 0, 2)),
        expression_names=ARKIT_NAMES, expression_bounds=np.tile(np.array([0.0, 1.0], np.float32), (len(ARKIT_NAMES), 1)),
        joint_template=joints, joint_identity=joint_identity, skin_weights=weights, joint_drive=drive,
        mirror=np.arange(count, dtype=np.int32), skin_mask=(parts == 0).astype(np.float32), uv=np.zeros((1, 2), np.float32),
        uv_faces=np.zeros_like(faces), parts=parts, part_names=names, regions=np.zeros((count, 0), np.bool_),
        region_names=(),
        embeddings={
            LANDMARK_SET: _ict_points(source, template, faces),
            "ibug68": _at_vertices(faces, source.landmarks68, count),
        },
    )  # fmt: skip


def _ict_points(source: ict.IctModel, template: Float32, faces: NDArray[np.int32]) -> Embedding:
    """The nearest place to each point of the built-in head after a smooth map through 68 landmarks."""
    builtin = load_face_model()
    marks = builtin.landmarks(builtin.template, "ibug68")
    bent = ThinPlate(marks, source.mean[source.landmarks68], smoothing=2e-3)(
        builtin.landmarks(builtin.template, LANDMARK_SET)
    )
    chosen = faces[(faces < ict.FACE_VERTICES).all(axis=1)]
    surfaces = [(slice(0, 468), bent[:468], chosen)]
    for ring, name in ((IRIS_LEFT, "eye_left"), (IRIS_RIGHT, "eye_right")):
        first, last = ict.PARTS[name]
        ball = template[first:last]
        eye = faces[((faces >= first) & (faces < last)).all(axis=1)]
        # The ring's vertices are those nearest to it as seen from the front: the cornea bulges, spheres do not fit.
        around = np.array([[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]]) * ict.IRIS_RADIUS_M
        off = np.linalg.norm(ball[:, None, :2] - ball[:, :2].mean(axis=0) - around, axis=2) + 2.0 * (
            ball[:, 2].max() - ball[:, 2:]
        ).clip(ict.IRIS_RADIUS_M / 2.0)
        surfaces.append((slice(ring[0], ring[-1] + 1), ball[off.argmin(axis=0)].astype(np.float64), eye))
    triangle, barycentric = np.zeros(len(bent), np.int32), np.zeros((len(bent), 3), np.float32)
    for rows, points, part in surfaces:
        foot = Surface(template, part).foot(points)
        triangle[rows] = np.flatnonzero(np.isin(faces, part).all(axis=1))[foot.face]
        barycentric[rows] = foot.barycentric
    return Embedding(triangle, barycentric, np.ones(len(bent), np.float32))


def _at_vertices(faces: NDArray[np.int32], vertices: NDArray[np.intp], count: int) -> Embedding:
    """Landmarks that lie at vertices (L,)."""
    triangle = np.zeros(count, np.int32)
    triangle[faces.ravel()] = np.repeat(np.arange(len(faces)), 3)
    chosen = triangle[vertices]
    barycentric = (faces[chosen] == vertices[:, None]).astype(np.float32)
    return Embedding(chosen, barycentric, np.ones(len(vertices), np.float32))


def pick(count: int) -> Sequence[Skin]:
    """``count`` skins in turn."""
    known = skins()
    return [known[index % len(known)] for index in range(count)]
