"""Which point of another head is which point of the built-in one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.errors import FaceModelError
from tracker.face_model.importing.registration import nicp
from tracker.face_model.importing.registration.head_template import (
    EDGES,
    IRISES,
    LIDS,
    LOWER_CONTOUR,
    NOSE_AND_BROWS,
    HeadTemplate,
    head_template,
)
from tracker.face_model.importing.registration.portrait import SeenLandmarks, Viewer
from tracker.face_model.importing.registration.similarity import Similarity, align_robustly
from tracker.face_model.importing.registration.surface import Surface, components
from tracker.face_model.model import FaceModel
from tracker.face_model.normals import vertex_normals

Int = NDArray[np.intp]
Float64 = NDArray[np.float64]

VALID_M: Final = 0.004
"""A vertex corresponds when the registered surfaces lie at most so far apart there and face the same way."""
VALID_COSINE: Final = 0.5
_LEAST_MARKS: Final = 40
_FIRST_STAGES: Final = 5
"""The first registration only brings the heads to look alike; it need not be soft."""


@dataclass(frozen=True, slots=True)
class SurfaceMap:
    """For every vertex of one mesh its place on another."""

    faces: Int
    """(n,) triangle of the other mesh."""
    barycentric: Float64
    """(n, 3) weights of that triangle's corners."""
    valid: NDArray[np.bool_]
    """(n,) False where the meshes lie apart or nothing corresponds; the nearest place is given nevertheless."""

    def carry(self, values: NDArray[np.floating], faces: NDArray[np.integer]) -> Float64:
        """Vertex values (V, ...) of the other mesh, whose triangles are ``faces``, at these vertices: (n, ...)."""
        result: Float64 = np.einsum(
            "nk,nk...->n...", self.barycentric, np.asarray(values, np.float64)[faces[self.faces]]
        )
        return result


@dataclass(frozen=True, slots=True)
class Correspondence:
    """A dense map between the built-in head and another mesh, both ways."""

    to_builtin: Similarity
    """Mesh coordinates to those of the built-in head."""
    deformed: Float64
    """(Vb, 3) the whole built-in head in the shape of the other, in the *mesh's* coordinates; parts that were not registered
    (eyes, teeth, tongue) go along with the skin around them.
    """
    deformation: Float64
    """(Vb, 3, 3) linear part of what each built-in vertex went through, without the similarity's rotation and scale."""
    builtin_on_mesh: SurfaceMap
    """For each of the Vb built-in vertices; only skin can be valid."""
    mesh_on_builtin: SurfaceMap
    """For each of the V mesh vertices."""
    distance_m: Float64
    """(Vb,) from the deformed built-in head to the mesh, in the built-in head's metres; NaN where nothing was registered."""
    landmarks: Float64
    """(478, 3) where the landmark network sees ``mediapipe478`` on the mesh, mesh coordinates."""
    landmark_weight: Float64
    """(478,) 0..1."""
    landmark_residual_m: Float64
    """(478,) from there to the same point of the deformed built-in head, across the line of sight from the front."""


def register(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    *,
    skin_faces: NDArray[np.integer] | None = None,
    colour: Float64 | None = None,
    viewer: Viewer | None = None,
    step: Callable[[float], None] | None = None,
) -> Correspondence:
    """Register a neutral head to the built-in head.

    Args:
        vertices: (V, 3) in head axes, any unit.
        faces: (F, 3) counter-clockwise from outside.
        skin_faces: triangles that are skin; by default all of the parts that landmarks fall on.
        colour: (V, 3) linear 0..1 for the pictures that landmarks are looked for in.
        viewer: the networks, when they are loaded already.
        step: told the share of the work done, 0..1.

    Raises:
        FaceModelError: no face is seen on the mesh, the mesh is not a surface, or scipy is missing.
        NetworkAssetError: the networks have not been fetched.
    """
    points: Float64 = np.asarray(vertices, np.float64)
    triangles: Int = np.asarray(faces, np.intp)
    check_mesh(points, triangles)
    told = step or (lambda _: None)
    template = head_template()
    builtin = template.model
    eyes = viewer or Viewer()
    seen = eyes.landmarks(points, triangles, colour)
    chosen = _skin_of(triangles, len(points), seen) if skin_faces is None else np.asarray(skin_faces, np.intp)
    told(0.1)
    shape = builtin.template.astype(np.float64)
    schedules = (tuple(replace(stage, rounds=1) for stage in nicp.STAGES[:_FIRST_STAGES]), nicp.STAGES)
    total = sum(stage.rounds for stages in schedules for stage in stages)
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        told(0.1 + 0.85 * done / total)

    # Landmarks are looked for twice: on the built-in head as it is, then as it lies on the other one.
    for attempt, stages in enumerate(schedules):
        own = eyes.landmarks(shape, builtin.faces)
        # The same network looks at both: where each is sure, its points are the same point of a face.
        weight = np.sqrt(own.weight * seen.weight)
        if int((weight > 0.1).sum()) < _LEAST_MARKS:
            raise FaceModelError(
                "too few landmarks were found on the mesh: expected a human face in its neutral expression"
            )
        rest = own.position if attempt == 0 else _at_rest(own, builtin)
        to_builtin = align_robustly(seen.position, rest, weight)
        moved = to_builtin.apply(points)
        surface = Surface(moved, triangles, chosen)
        marks = _marks(template, own, seen, to_builtin, weight, shape)
        result = nicp.deform(
            builtin.template[template.vertex_ids].astype(np.float64), template.faces, surface, marks, template.trust,
            stages, tick,
        )  # fmt: skip
        shape, linear = _carry_whole_head(template, result)
    told(0.97)
    return _assemble(template, to_builtin, shape, linear, surface, seen, weight, own)


def check_mesh(vertices: Float64, faces: Int) -> None:
    """Raises ``FaceModelError`` when vertices and triangles are no mesh."""
    if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3 or not len(faces):
        raise FaceModelError(
            f"a mesh must have vertices (V, 3) and triangles (F, 3), got {vertices.shape} and {faces.shape}"
        )
    if not np.isfinite(vertices).all():
        bad = int((~np.isfinite(vertices)).any(axis=1).sum())
        raise FaceModelError(f"{bad} of {len(vertices)} vertices of the mesh are not finite numbers; export it again")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise FaceModelError(f"the mesh's triangles refer to vertices outside 0..{len(vertices) - 1}; export it again")


def _skin_of(faces: Int, vertex_count: int, seen: SeenLandmarks) -> Int:
    """Triangles of the connected parts that landmarks other than those of the eyes fall on."""
    label = components(faces, vertex_count)
    # What is seen of lids may be the eyeball behind them.
    inner = np.setdiff1d(np.arange(478), [*IRISES, *LIDS])
    hit = inner[seen.weight[inner] > 0.1]
    votes = np.bincount(label[faces[seen.faces[hit], 0]], minlength=label.max() + 1)
    skin = np.flatnonzero(votes > 0.02 * votes.sum())
    return np.flatnonzero(np.isin(label[faces[:, 0]], skin))


def _at_rest(own: SeenLandmarks, builtin: FaceModel) -> Float64:
    """(478, 3) the places of the deformed head's landmarks on the head as it was."""
    result: Float64 = np.einsum("nk,nki->ni", own.barycentric, builtin.template[builtin.faces[own.faces]])
    return result


def _marks(
    template: HeadTemplate, own: SeenLandmarks, seen: SeenLandmarks, to_builtin: Similarity, weight: Float64,
    shape: Float64,
) -> nicp.Marks:  # fmt: skip
    """Edge points and the lower contour."""
    index = np.array([*EDGES, *NOSE_AND_BROWS, *LOWER_CONTOUR])
    contour = np.zeros(len(index), np.bool_)
    contour[-len(LOWER_CONTOUR) :] = True
    usable = weight[index] > 0.05
    index, contour = index[usable], contour[usable]
    # Where the network's point lies on the skin: views' mean, put back on the surface it was seen on.
    skin = Surface(shape, template.model.faces, template.face_ids)
    place = skin.nearest(own.position[index])
    local = np.searchsorted(template.face_ids, place.faces)
    solid = np.isin(index, NOSE_AND_BROWS)
    return nicp.Marks(local, place.barycentric, to_builtin.apply(seen.position[index]), weight[index], solid, contour)


def _carry_whole_head(template: HeadTemplate, result: nicp.Deformed) -> tuple[Float64, Float64]:
    """The whole head (Vb, 3) and linear parts (Vb, 3, 3): what is not skin takes the mean transform of the skin near it."""
    model = template.model
    rest = model.template.astype(np.float64)
    transforms = np.empty((len(rest), 4, 3))
    transforms[template.vertex_ids] = result.transforms
    others = np.flatnonzero(template.local < 0)
    skin = rest[template.vertex_ids]
    for name in set(model.part_names) - {"skin"}:
        rows = others[model.parts[others] == model.part_names.index(name)]
        if not len(rows):
            continue
        # Eyeballs and teeth move as wholes, sheets of flesh bend with what they hang on.
        whole = name in ("eye_left", "eye_right", "teeth")
        asked = rest[rows].mean(axis=0, keepdims=True) if whole else rest[rows]
        count = 60 if whole else 8
        distance = np.linalg.norm(asked[:, None] - skin[None], axis=2)
        near = np.argpartition(distance, count, axis=1)[:, :count]
        share = 1.0 / (np.take_along_axis(distance, near, 1) + 1e-4) ** 2
        share /= share.sum(axis=1, keepdims=True)
        transforms[rows] = np.einsum("nk,nkij->nij", share, result.transforms[near])
    shape = np.einsum("nk,nki->ni", np.column_stack([rest, np.ones(len(rest))]), transforms)
    return shape, np.swapaxes(transforms[:, :3], 1, 2)


def _assemble(
    template: HeadTemplate,
    to_builtin: Similarity,
    shape: Float64,
    linear: Float64,
    surface: Surface,
    seen: SeenLandmarks,
    weight: Float64,
    own: SeenLandmarks,
) -> Correspondence:
    builtin = template.model
    triangles = builtin.faces.astype(np.intp)
    normals = vertex_normals(shape, triangles[template.face_ids])
    forth = surface.nearest(shape, normals, VALID_COSINE)
    skin = template.local >= 0
    corners_border = surface.boundary[surface.faces[forth.faces]].all(axis=1)
    valid = skin & (forth.distance < VALID_M) & (forth.cosine > VALID_COSINE) & ~corners_border
    builtin_skin = Surface(shape, triangles, template.face_ids)
    back = builtin_skin.nearest(surface.vertices, surface.normals, VALID_COSINE)
    on_skin = np.zeros(len(surface.vertices), np.bool_)
    on_skin[surface.faces[surface.chosen]] = True
    back_valid = on_skin & (back.distance < VALID_M) & (back.cosine > VALID_COSINE)
    distance = np.where(skin, forth.distance, np.nan)
    marked = builtin.landmarks(shape.astype(np.float32), "mediapipe478").astype(np.float64)
    if own is not None:
        # What the network sees on the deformed head, not where the embedding says: its own bias is on both sides.
        marked = own.position
    apart = to_builtin.apply(seen.position) - marked
    return Correspondence(
        to_builtin=to_builtin,
        deformed=to_builtin.inverse.apply(shape),
        deformation=linear,
        builtin_on_mesh=SurfaceMap(forth.faces, forth.barycentric, valid),
        mesh_on_builtin=SurfaceMap(back.faces, back.barycentric, back_valid),
        distance_m=distance,
        landmarks=seen.position,
        landmark_weight=weight,
        landmark_residual_m=np.linalg.norm(apart[:, :2], axis=1),
    )
