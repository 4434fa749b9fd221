"""Registration of foreign heads to the built-in one: how near the surfaces come, and whether the same places meet.

Surfaces always meet; places are judged where they are known. The FLAME- and Basel-structured heads are the built-in head's
surface under another mesh, so a person of their population, registered, has to lead every vertex back to where it came from. ICT
has 68 landmarks of its own, the scan 68 placed ones; neither set took part in the registration. ICT's own
expressions say what carried ones should have been.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tools.evaluation import scan
from tools.evaluation.clips import SHARED
from tools.structured_models.basel import basel_arrays
from tools.structured_models.flame import flame_arrays
from tracker.face_model.importing.expression_transfer import transfer_expressions
from tracker.face_model.importing.ict import read_ict
from tracker.face_model.importing.registration import Correspondence, Viewer, register
from tracker.face_model.importing.registration.head_template import EDGES, head_template
from tracker.face_model.importing.registration.similarity import align

Array = NDArray[np.float64]
Int = NDArray[np.intp]

ICT: Final = SHARED / "face_models" / "ict_facekit.tar.xz"
FACE: Final = (
    "forehead", "brow_left", "brow_right", "eye_left", "eye_right", "nose", "cheek_left", "cheek_right", "mouth", "chin",
)  # fmt: skip
_SEED: Final = 7
_GROUPS: Final = {"brows": (17, 27), "nose": (27, 36), "lids": (36, 48), "lips": (48, 60), "inner_lips": (60, 68)}


def evaluate(*, quick: bool = False) -> dict[str, Any]:
    """Figures per head, millimetres."""
    viewer = Viewer()
    result: dict[str, Any] = {}
    for name, person in (("flame", _flame), ("basel", _basel)):
        for seed in (_SEED,) if quick else (_SEED, _SEED + 1):
            vertices, faces, origin = person(np.random.default_rng(seed))
            found, figures = _registered(vertices, faces, viewer)
            result[f"{name}_person_{seed - _SEED}"] = {**figures, **_misplaced(found, vertices, origin)}
    if scan.available():
        james = scan.load()
        found, figures = _registered(james.vertices.astype(np.float64), james.faces.astype(np.intp), viewer)
        figures |= _placed(found, james.landmarks68.astype(np.float64))
        result["scan"] = figures
    if ICT.is_file():
        result["ict"] = _ict(viewer)
    return result


def _registered(
    vertices: Array, faces: Int, viewer: Viewer, skin_faces: Int | None = None
) -> tuple[Correspondence, dict[str, Any]]:
    start = perf_counter()
    found = register(vertices, faces, skin_faces=skin_faces, viewer=viewer)
    seconds = perf_counter() - start
    template = head_template()
    face = template.region(*FACE)
    distance = 1e3 * found.distance_m[template.vertex_ids]
    sure = np.flatnonzero(found.landmark_weight > 0.1)
    residual = 1e3 * found.landmark_residual_m
    return found, {
        "surface_median_mm": _rounded(np.median(distance)),
        "surface_face_mean_mm": _rounded(distance[face].mean()),
        "surface_face_p95_mm": _rounded(np.percentile(distance[face], 95)),
        "face_with_counterpart": _rounded(found.builtin_on_mesh.valid[template.vertex_ids][face].mean()),
        "seen_landmarks_mm": _rounded(np.median(residual[sure])),
        "seen_lids_and_lips_mm": _rounded(np.median(residual[np.intersect1d(sure, EDGES)])),
        "seconds": round(seconds, 1),
    }


def _flame(rng: np.random.Generator) -> tuple[Array, Int, Array]:
    """A FLAME-structured person, triangles, and every vertex's place on the built-in head at rest; NaN where none."""
    arrays = flame_arrays()
    vertices = arrays.v_template + arrays.shapedirs[:, :, :100] @ rng.standard_normal(100)
    origin = arrays.from_builtin.apply(head_template().model.template)
    skin = arrays.from_builtin.apply((head_template().local >= 0).astype(np.float64))
    origin[skin < 1.0] = np.nan
    return vertices, arrays.f.astype(np.intp), origin


def _basel(rng: np.random.Generator) -> tuple[Array, Int, Array]:
    arrays = basel_arrays()
    moved = arrays.shape @ (arrays.shape_deviation * rng.standard_normal(len(arrays.shape_deviation)))
    return arrays.mean + moved.reshape(-1, 3), arrays.faces.astype(np.intp), arrays.mean


def _misplaced(found: Correspondence, vertices: Array, origin: Array) -> dict[str, Any]:
    """How far from its true place on the built-in head each vertex of the face is led, with the similarity alone beside."""
    template = head_template()
    model = template.model
    there = found.mesh_on_builtin.carry(model.template, model.faces)
    error = 1e3 * np.linalg.norm(there - origin, axis=1)
    rest = model.template[template.vertex_ids].astype(np.float64)
    known = np.isfinite(origin).all(axis=1)
    distance = np.linalg.norm(np.nan_to_num(origin)[:, None] - rest[None], axis=2)
    face = known & template.region(*FACE)[distance.argmin(axis=1)]
    rigid = align(vertices[face], origin[face]).apply(vertices[face])
    apart = 1e3 * np.linalg.norm(rigid - origin[face], axis=1)
    return {
        "misplaced_face_median_mm": _rounded(np.median(error[face])),
        "misplaced_face_mean_mm": _rounded(error[face].mean()),
        "misplaced_face_p95_mm": _rounded(np.percentile(error[face], 95)),
        "face_itself_differs_mean_mm": _rounded(apart.mean()),
    }


def _placed(found: Correspondence, truth: Array) -> dict[str, Any]:
    """Distance of carried ``ibug68`` points to placed ones (68, 3)."""
    model = head_template().model
    own = model.embedding("ibug68")
    points = np.einsum("lk,lki->li", own.barycentric, found.deformed[model.faces[own.faces]])
    error = 1e3 * found.to_builtin.scale * np.linalg.norm(points - truth, axis=1)
    return {f"placed_{name}_mm": _rounded(error[a:b].mean()) for name, (a, b) in _GROUPS.items()}


def _ict(viewer: Viewer) -> dict[str, Any]:
    source = read_ict(ICT)
    assert source.parts is not None
    skin = source.parts == 0
    faces = source.faces.astype(np.intp)
    found, figures = _registered(
        source.template.astype(np.float64), faces, viewer, np.flatnonzero(skin[faces].all(axis=1))
    )
    own = source.embeddings["ibug68"]
    truth = np.einsum("lk,lki->li", own.barycentric, source.template[faces[own.faces]].astype(np.float64))
    figures |= _placed(found, truth)
    carried = transfer_expressions(source, found)
    rows = skin & carried.known
    cosine = {}
    for index, name in enumerate(source.expression_names):
        mine = carried.basis[rows][:, :, carried.names.index(name)].ravel()
        theirs = source.expression_basis[rows][:, :, index].ravel()
        cosine[name] = _rounded(mine @ theirs / max(float(np.linalg.norm(mine) * np.linalg.norm(theirs)), 1e-12))
    figures["carried_expressions_cosine_median"] = _rounded(np.median(list(cosine.values())))
    figures["carried_expressions_cosine"] = cosine
    return figures


def _rounded(value: float | np.floating[Any]) -> float:
    return round(float(value), 2)
