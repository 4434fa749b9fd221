"""Completing a foreign model: what its file does not say is carried over from the built-in head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_NAMES
from tracker.errors import FaceModelError
from tracker.face_model.arkit_map import describe_arkit_map, with_arkit_map
from tracker.face_model.importing.anatomy import find_joints, find_parts, find_regions, find_skin_mask
from tracker.face_model.importing.dense_sets import FACE_REGIONS
from tracker.face_model.importing.expression_transfer import TransferredExpressions, transfer_expressions
from tracker.face_model.importing.landmark_sets import LandmarkSet, find_landmarks
from tracker.face_model.importing.normalising import normalised
from tracker.face_model.importing.picture import registration_picture, write_picture
from tracker.face_model.importing.registration import Correspondence, Viewer, register
from tracker.face_model.importing.registration.head_template import EDGES, head_template
from tracker.face_model.importing.source_model import SourceModel
from tracker.face_model.importing.symmetry import find_mirror
from tracker.face_model.importing.texture import cylinder_uv
from tracker.face_model.model import CONTROL_NAMES, EYE_LEFT, EYE_RIGHT, JAW, JOINT_NAMES, FaceModel
from tracker.types import ImageRGB

__all__ = ["RegistrationReport", "complete", "transfer_expressions"]

Float32 = NDArray[np.float32]
Progress = Callable[[str, float], None]

_DRIVES: Final = ((JAW, 0), (JAW, 1), (JAW, 2), (EYE_LEFT, 0), (EYE_LEFT, 1), (EYE_RIGHT, 0), (EYE_RIGHT, 1))
_CONTROL_BOUNDS: Final = ((-0.1, 0.6), (-0.25, 0.25), (-0.15, 0.15), *[(-0.7, 0.7)] * 4, (0.0, 1.0), (0.0, 1.0))
_LIDS: Final = ("eyeBlinkLeft", "eyeBlinkRight")


@dataclass(frozen=True, slots=True)
class RegistrationReport:
    """How well a foreign head was brought onto the built-in one. Distances in millimetres."""

    distance_mm: float
    """Median distance of the built-in head's face, without ears, scalp and neck, to the foreign surface."""
    mean_mm: float
    p95_mm: float
    region_mm: dict[str, float]
    """Mean distance by region, of those that the foreign head has."""
    valid: float
    """Share of the built-in head's skin that has a counterpart, 0..1."""
    landmark_mm: float
    """Median distance of landmarks, seen by the same network on both heads, in the frontal plane."""
    edge_mm: float
    """The same of lids and lips alone."""
    own_mm: dict[str, float]
    """By landmark set: median distance of the file's own points to the registered ones."""
    mirror_mm: float
    """95 % of vertices have a left-right partner at least so near to their reflection."""
    arkit: tuple[str, ...] = ()
    """What the map to ARKit's expressions can and cannot."""
    notes: tuple[str, ...] = ()
    """What was put right."""
    picture: ImageRGB = field(default_factory=lambda: np.zeros((1, 1, 3), np.uint8), repr=False)
    """Both heads with their landmarks, RGB uint8."""

    def lines(self) -> list[str]:
        """For people, one fact a line."""
        regions = sorted(self.region_mm.items(), key=lambda item: -item[1])[:3]
        worst = ", ".join(f"{name} {value:.2f}" for name, value in regions)
        lines = [
            *self.notes,
            f"registered: faces {self.distance_mm:.2f} mm apart (median), {self.mean_mm:.2f} (mean), "
            f"{self.p95_mm:.2f} (95 %); farthest {worst}",
            f"counterparts for {100 * self.valid:.0f} % of the skin; landmarks {self.landmark_mm:.1f} mm apart, "
            f"lids and lips {self.edge_mm:.1f} (medians)",
        ]
        lines += [
            f"the file's own {name} lies {value:.1f} mm from the registered one" for name, value in self.own_mm.items()
        ]
        lines.append(f"left and right: partners within {self.mirror_mm:.2f} mm (95 %)")
        return [*lines, *self.arkit]

    def write_picture(self, path: Path) -> None:
        """Write the picture as PNG. Raises ``FaceModelError`` when it cannot be written."""
        write_picture(path, self.picture)


def complete(
    source: SourceModel, progress: Progress | None = None, *, arkit_expressions: bool = False
) -> tuple[FaceModel, RegistrationReport]:
    """Make a model that can be tracked with out of what a file holds.

    Args:
        source: what was read.
        progress: told what is being done and the share of all that is done, 0..1.
        arkit_expressions: take the built-in head's expressions, carried over, instead of the file's; done anyway when the
            file has none.

    Raises:
        FaceModelError: no face is seen on the mesh, or a needed package is missing.
        NetworkAssetError: the landmark network has not been fetched.
    """
    told = progress or (lambda _what, _share: None)
    told("looking for the face", 0.0)
    viewer = Viewer()
    source, notes = normalised(source, viewer)
    told("registering to the built-in head", 0.05)
    found = register(
        source.template,
        source.faces,
        skin_faces=_skin_faces(source),
        viewer=viewer,
        step=lambda share: told("registering to the built-in head", 0.05 + 0.6 * share),
    )
    told("carrying expressions over", 0.65)
    carried = transfer_expressions(source, found)
    if arkit_expressions or source.expression_count == 0:
        source = _with_arkit(source, carried)
        notes.append("its expressions are the built-in head's, carried over")
    told("joints, parts, landmarks", 0.75)
    parts, part_names = find_parts(source, found)
    landmarks = find_landmarks(source, parts, part_names, found)
    partner, apart = (
        find_mirror(source.template) if source.mirror is None else (source.mirror, np.zeros(source.vertex_count))
    )
    model = _assemble(source, found, carried, parts, part_names, landmarks, partner.astype(np.int32))
    arkit: tuple[str, ...] = ()
    if not set(model.expression_names) & set(ARKIT_NAMES):
        told("solving for ARKit's expressions", 0.8)
        model = with_arkit_map(model, carried.names, carried.basis, carried.known)
        arkit = tuple(describe_arkit_map(model))
    told("drawing the picture", 0.95)
    report = replace(
        _report(found, landmarks, apart * 1e3),
        arkit=arkit,
        notes=tuple(notes),
        picture=registration_picture(model, viewer),
    )
    told("done", 1.0)
    return model, report


def _skin_faces(source: SourceModel) -> NDArray[np.intp] | None:
    """Triangles that are surely skin, where the source can tell."""
    if source.parts is not None and "skin" in source.part_names:
        skin = source.parts == source.part_names.index("skin")
        return np.flatnonzero(skin[source.faces].all(axis=1))
    if source.skin_weights is not None:
        eyes = source.skin_weights[:, [EYE_LEFT, EYE_RIGHT]].max(axis=1) > 0.5
        return np.flatnonzero(~eyes[source.faces].any(axis=1))
    return None


def _with_arkit(source: SourceModel, carried: TransferredExpressions) -> SourceModel:
    moving = [i for i, _ in enumerate(carried.names) if np.abs(carried.basis[:, :, i]).max(initial=0.0) > 1e-5]
    return replace(
        source,
        expression_basis=carried.basis[:, :, moving],
        expression_names=tuple(carried.names[i] for i in moving),
        expression_bounds=np.tile(np.array([0.0, 1.0], np.float32), (len(moving), 1)),
        joint_expression=None,
        # What the jaw does is in the carried displacements: nothing may turn besides.
        skin_weights=None,
        joint_template=None,
        joint_identity=None,
        pose_correctives=None,
        joint_drive=None,
    )


def _assemble(
    source: SourceModel,
    found: Correspondence,
    carried: TransferredExpressions,
    parts: NDArray[np.int8],
    part_names: tuple[str, ...],
    landmarks: dict[str, LandmarkSet],
    partner: NDArray[np.int32],
) -> FaceModel:
    joints = find_joints(source, parts, part_names, found)
    origin = joints.template[[EYE_LEFT, EYE_RIGHT]].mean(axis=0)
    regions, region_names = find_regions(source, found)
    free = source.skin_weights is not None and source.joint_drive is None
    names, basis, bounds, drive = (_free_controls if free else _driven)(source, carried)
    joint_expression = None
    if source.joint_expression is not None:
        joint_expression = np.zeros((len(JOINT_NAMES), 3, len(names)), np.float32)
        joint_expression[:, :, : source.expression_count] = source.joint_expression
    uv, uv_faces = source.uv, source.uv_faces
    if uv is None or uv_faces is None:
        uv, uv_faces = cylinder_uv(source.template - origin, source.faces)
    return FaceModel(
        name=source.name,
        version=source.version,
        licence=source.licence,
        sha256="",
        template=source.template - origin,
        faces=source.faces,
        identity_basis=source.identity_basis,
        expression_basis=basis,
        expression_names=names,
        expression_bounds=bounds,
        joint_template=joints.template - origin,
        joint_identity=joints.identity,
        joint_expression=joint_expression,
        skin_weights=joints.skin_weights,
        joint_drive=drive,
        mirror=partner,
        skin_mask=find_skin_mask(parts, part_names, found),
        uv=uv,
        uv_faces=uv_faces,
        parts=parts,
        part_names=part_names,
        regions=regions,
        region_names=region_names,
        embeddings={name: landmark_set.embedding for name, landmark_set in landmarks.items()},
        pose_correctives=source.pose_correctives,
        source_origin=-origin,
        albedo_mean=source.albedo_mean,
        albedo_basis=source.albedo_basis,
        attribution=source.attribution,
    )


_Weights = tuple[tuple[str, ...], Float32, Float32, Float32]


def _free_controls(source: SourceModel, carried: TransferredExpressions) -> _Weights:
    """Names, basis, bounds and joint drive of a model whose joints are free, as FLAME's: its expressions, then weights for
    jaw, eyes and, closed as on the built-in head, lids.
    """
    lids = np.stack([carried.basis[:, :, carried.names.index(name)] for name in _LIDS], axis=2)
    still = np.zeros((source.vertex_count, 3, len(_DRIVES)), np.float32)
    count = source.expression_count
    drive = np.zeros((count + len(CONTROL_NAMES), len(JOINT_NAMES), 3), np.float32)
    for index, (joint, axis) in enumerate(_DRIVES, count):
        drive[index, joint, axis] = 1.0
    return (
        (*source.expression_names, *CONTROL_NAMES),
        np.concatenate([source.expression_basis, still, lids], axis=2),
        np.concatenate([source.expression_bounds, np.array(_CONTROL_BOUNDS, np.float32)]),
        drive,
    )


def _driven(source: SourceModel, _carried: TransferredExpressions) -> _Weights:
    """The source's own weights; where their names are ARKit's gaze, they turn the eyes as the built-in head's do."""
    builtin = head_template().model
    drive = source.joint_drive
    if drive is None:
        drive = np.zeros((source.expression_count, len(JOINT_NAMES), 3), np.float32)
        for index, name in enumerate(source.expression_names):
            if name.startswith("eyeLook") and name in builtin.expression_names:
                drive[index] = builtin.joint_drive[builtin.expression_names.index(name)]
    return source.expression_names, source.expression_basis, source.expression_bounds, drive


def _report(
    found: Correspondence, landmarks: dict[str, LandmarkSet], mirror_mm: NDArray[np.float64]
) -> RegistrationReport:
    template = head_template()
    rows = template.vertex_ids
    every = found.distance_m[rows] * 1e3
    valid = found.builtin_on_mesh.valid[rows]
    # Many models end behind the ears: what they do not have says nothing about what they have.
    distance = every[template.region(*FACE_REGIONS)]
    regions = {
        name: float(every[mask].mean())
        for name in template.model.region_names
        if (mask := template.region(name)).any() and valid[mask].mean() > 0.5
    }
    sure = np.flatnonzero(found.landmark_weight > 0.1)
    edges = np.intersect1d(sure, EDGES)
    residual = found.landmark_residual_m * 1e3
    if not len(edges):
        raise FaceModelError("no lid or lip was found on the mesh: expected a neutral face with eyes and mouth")
    return RegistrationReport(
        distance_mm=float(np.median(distance)),
        mean_mm=float(distance.mean()),
        p95_mm=float(np.percentile(distance, 95)),
        region_mm=regions,
        valid=float(valid.mean()),
        landmark_mm=float(np.median(residual[sure])),
        edge_mm=float(np.median(residual[edges])),
        own_mm={
            name: float(np.median(landmark_set.own_apart_m)) * 1e3
            for name, landmark_set in landmarks.items()
            if landmark_set.own_points
        },
        mirror_mm=float(np.percentile(mirror_mm, 95)),
    )
