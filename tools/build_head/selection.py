"""Cuts the head out of MakeHuman's base mesh: skin with ears, mouth cavity and neck, eyeballs, teeth, tongue."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.build_head import eyeball
from tools.build_head.makehuman import MakeHuman

HEAD_BONES = re.compile(r"(head|jaw|eye|levator|oris|oculi|orbicularis|risorius|tongue|temporalis|special|neck)")
HELPERS = ("helper-lower-teeth", "helper-upper-teeth", "helper-tongue")
EYE_GROUPS = ("eye_left", "eye_right")
NECK_NORMAL = np.array([0.0, 0.9, 0.4])
NECK_OFFSET = 5.5
"""The head ends at this plane (decimetres, MakeHuman's axes), which follows the loops around the neck."""


@dataclass(frozen=True)
class HeadMesh:
    """The head sub-mesh: V vertices, F triangles, T texture coordinates."""

    source: NDArray[np.int64]
    """(S,) index in the base mesh of the first S vertices; the rest are the eyeballs, left then right."""
    faces: NDArray[np.int32]
    """(F, 3)."""
    uv: NDArray[np.float32]
    """(T, 2)."""
    uv_faces: NDArray[np.int32]
    """(F, 3)."""
    mirror: NDArray[np.int32]
    """(V,)."""
    groups: NDArray[np.str_]
    """(V,) MakeHuman's group of each vertex (body or a helper), or one of ``EYE_GROUPS``."""

    @property
    def count(self) -> int:
        """Number of vertices."""
        return len(self.groups)

    def eyeball(self, side: int) -> slice:
        """The vertices of the left (0) or right (1) eyeball."""
        first = len(self.source) + side * eyeball.VERTICES
        return slice(first, first + eyeball.VERTICES)


def head_bones(data: MakeHuman) -> list[str]:
    """Names of the bones that carry the head and neck."""
    return [bone for bone in data.bones if HEAD_BONES.match(bone)]


def select_head(data: MakeHuman) -> HeadMesh:
    """The head sub-mesh, quads split along their shorter diagonal, the two halves mirror images of each other."""
    mesh = data.mesh
    mirror = data.mirror()
    weight = sum((data.bone_weights(bone) for bone in head_bones(data)), np.zeros(len(mesh.vertices)))
    weight = np.maximum(weight, weight[mirror])
    on_head = (weight > 0.2) & (mesh.vertices @ NECK_NORMAL > NECK_OFFSET)
    is_skin = mesh.quad_groups == "body"
    keep = (is_skin & on_head[mesh.quads].all(axis=1)) | np.isin(mesh.quad_groups, HELPERS)
    quads, quad_uv = mesh.quads[keep], mesh.quad_uv[keep]

    source = np.unique(quads)
    index = np.full(len(mesh.vertices), -1)
    index[source] = np.arange(len(source))
    groups = np.empty(len(mesh.vertices), dtype="<U32")
    groups[mesh.quads.ravel()] = np.repeat(mesh.quad_groups, 4)
    triangles, corner_uv = _split_quads(mesh.vertices, quads, quad_uv)
    used_uv, uv_faces = np.unique(corner_uv, return_inverse=True)

    count, uv_count, size = len(source), len(used_uv), eyeball.VERTICES
    eye_faces = eyeball.eyeball_faces()
    return HeadMesh(
        source=source,
        faces=np.concatenate([index[triangles], eye_faces + count, eye_faces + count + size]).astype(np.int32),
        uv=np.concatenate([mesh.uv[used_uv], eyeball.eyeball_uv(left=True), eyeball.eyeball_uv(left=False)]).astype(
            np.float32
        ),
        uv_faces=np.concatenate([uv_faces.reshape(-1, 3), eye_faces + uv_count, eye_faces + uv_count + size]).astype(
            np.int32
        ),
        mirror=np.concatenate(
            [index[mirror[source]], eyeball.eyeball_mirror() + count + size, eyeball.eyeball_mirror() + count]
        ).astype(np.int32),
        groups=np.concatenate([groups[source], np.repeat(EYE_GROUPS, size)]),
    )


def _split_quads(
    vertices: NDArray[np.float64], quads: NDArray[np.int64], quad_uv: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # A quad and its mirror image must be cut along mirrored diagonals. That follows from the lengths, which are equal on both
    # sides; equal diagonals are told apart by |x|, which is equal too.
    corners = vertices[quads]
    first = np.linalg.norm(corners[:, 0] - corners[:, 2], axis=1)
    second = np.linalg.norm(corners[:, 1] - corners[:, 3], axis=1)
    inner = np.abs(corners[:, (0, 2), 0]).sum(1) < np.abs(corners[:, (1, 3), 0]).sum(1)
    cut_first = np.where(np.abs(first - second) > 1e-9, first < second, inner)
    order = np.where(cut_first[:, None, None], np.array([[0, 1, 2], [0, 2, 3]]), np.array([[0, 1, 3], [1, 2, 3]]))
    rows = np.arange(len(quads))[:, None, None]
    return quads[rows, order].reshape(-1, 3), quad_uv[rows, order].reshape(-1, 3)
