"""What is wrong with a mesh before anything else can be asked of it: its unit, its axes, its winding."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.errors import FaceModelError
from tracker.face_model.importing.registration.head_template import head_template
from tracker.face_model.importing.registration.portrait import SeenLandmarks, Viewer
from tracker.face_model.importing.registration.similarity import align_robustly
from tracker.face_model.importing.source_model import SourceModel

Float64 = NDArray[np.float64]

UNITS_M: Final = {
    "metres": 1.0,
    "decimetres": 0.1,
    "inches": 0.0254,
    "centimetres": 0.01,
    "millimetres": 1e-3,
    "micrometres": 1e-6,
}
_HUMAN: Final = (0.78, 1.28)
"""Sizes of grown heads over that of the built-in one."""


def normalised(source: SourceModel, viewer: Viewer) -> tuple[SourceModel, list[str]]:
    """The model in metres, head axes, triangles outwards, and a line for each thing that was put right.

    Raises:
        FaceModelError: no face is seen on the mesh from any side.
    """
    notes: list[str] = []
    if _volume(source.template, source.faces) < 0.0:
        source = _turned_inside_out(source)
        notes.append("its triangles faced inwards; they were turned round")
    try:
        seen = viewer.landmarks(source.template, source.faces)
    except FaceModelError:
        rotation = viewer.upright(source.template, source.faces)
        source = rotated(source, rotation)
        notes.append(f"its axes were not head axes; it was turned by {_described(rotation)}")
        seen = viewer.landmarks(source.template, source.faces)
    ratio = size_over_builtin(seen, viewer)
    if not _HUMAN[0] <= ratio <= _HUMAN[1]:
        unit, metres = unit_of(ratio)
        source = scaled(source, metres)
        notes.append(f"its size says {unit}, not metres; it was scaled by {metres:.4g}")
    return source, notes


def size_over_builtin(seen: SeenLandmarks, viewer: Viewer) -> float:
    """Size of a face over that of the built-in head's, from landmarks of both."""
    builtin = head_template().model
    own = viewer.landmarks(builtin.template, builtin.faces)
    return 1.0 / align_robustly(seen.position, own.position, np.sqrt(own.weight * seen.weight)).scale


def unit_of(ratio: float) -> tuple[str, float]:
    """The unit in which a face so many times the built-in head's size in metres has human size, and its length in metres;
    where none fits, a unit of its own that makes it as large as the built-in head.
    """
    name, metres = min(UNITS_M.items(), key=lambda item: abs(np.log(ratio * item[1])))
    if _HUMAN[0] <= ratio * metres <= _HUMAN[1]:
        return name, metres
    return "a unit of its own", 1.0 / ratio


def scaled(source: SourceModel, factor: float) -> SourceModel:
    """The model with all lengths multiplied."""

    def times(values: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        return None if values is None else values * np.float32(factor)

    return replace(
        source,
        template=source.template * np.float32(factor),
        identity_basis=source.identity_basis * np.float32(factor),
        expression_basis=source.expression_basis * np.float32(factor),
        joint_template=times(source.joint_template),
        joint_identity=times(source.joint_identity),
        joint_expression=times(source.joint_expression),
        pose_correctives=times(source.pose_correctives),
    )


def rotated(source: SourceModel, rotation: Float64) -> SourceModel:
    """The model in axes turned by ``rotation`` (3, 3).

    Raises:
        FaceModelError: it has joints that turn with its weights or pose correctives: their axes would have to be known.
    """
    if source.pose_correctives is not None or source.joint_drive is not None:
        raise FaceModelError(
            f"{source.source}: no face was found where its axes say the front is; expected x to the subject's left, y up, "
            "z out of the face"
        )
    turn = rotation.astype(np.float32)

    def turned(values: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        return None if values is None else np.einsum("ij,nj...->ni...", turn, values)

    return replace(
        source,
        template=source.template @ turn.T,
        identity_basis=np.einsum("ij,njk->nik", turn, source.identity_basis),
        expression_basis=np.einsum("ij,njk->nik", turn, source.expression_basis),
        joint_template=turned(source.joint_template),
        joint_identity=turned(source.joint_identity),
        joint_expression=turned(source.joint_expression),
    )


def _turned_inside_out(source: SourceModel) -> SourceModel:
    flipped = {
        name: replace(points, barycentric=points.barycentric[:, ::-1].copy())
        for name, points in source.embeddings.items()
    }
    return replace(
        source,
        faces=source.faces[:, ::-1].copy(),
        uv_faces=None if source.uv_faces is None else source.uv_faces[:, ::-1].copy(),
        embeddings=flipped,
    )


def _volume(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> float:
    """Signed volume, about the mesh's middle so that holes matter little."""
    centred = np.asarray(vertices, np.float64) - np.asarray(vertices, np.float64).mean(axis=0)
    a, b, c = (centred[faces[:, k]] for k in range(3))
    return float(np.einsum("fi,fi->", a, np.cross(b, c))) / 6.0


def _described(rotation: Float64) -> str:
    axes = "xyz"
    return ", ".join(
        f"{axes[row]} = {'-' if values[np.abs(values).argmax()] < 0 else ''}{axes[int(np.abs(values).argmax())]}"
        for row, values in enumerate(rotation)
    )
