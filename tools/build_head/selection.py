"""Cuts the head out of MakeHuman's base mesh: skin with ears, mouth cavity and neck, eyeballs, teeth, tongue."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.build_head.makehuman import MakeHuman

HEAD_BONES = re.compile(r"(head|jaw|eye|levator|oris|oculi|orbicularis|risorius|tongue|temporalis|special|neck)")
HELPERS = ("helper-l-eye", "helper-r-eye", "helper-lower-teeth", "helper-upper-teeth", "helper-tongue")


@dataclass(frozen=True)
class HeadMesh:
    """The head sub-mesh: V vertices, F triangles, T texture coordinates."""

    source: NDArray[np.int64]
    """(V,) index of each vertex in the base mesh."""
    faces: NDArray[np.int32]
    """(F, 3)."""
    uv: NDArray[np.float32]
    """(T, 2)."""
    uv_faces: NDArray[np.int32]
    """(F, 3)."""
    mirror: NDArray[np.int32]
    """(V,)."""
    groups: NDArray[np.str_]
    """(V,) MakeHuman's group of each vertex: body or a helper."""


def head_bones(data: MakeHuman) -> list[str]:
    """Names of the bones that carry the head and neck."""
    return [bone for bone in data.bones if HEAD_BONES.match(bone)]


def select_head(data: MakeHuman) -> HeadMesh:
    """The head sub-mesh, quads split along their shorter diagonal, the two halves mirror images of each other."""
    mesh = data.mesh
    mirror = data.mirror()
    weight = sum((data.bone_weights(bone) for bone in head_bones(data)), np.zeros(len(mesh.vertices)))
    weight = np.maximum(weight, weight[mirror])
    on_head = weight > 0.5
    is_skin = mesh.quad_groups == "body"
    keep = (is_skin & on_head[mesh.quads].all(axis=1)) | np.isin(mesh.quad_groups, HELPERS)
    quads, quad_uv = mesh.quads[keep], mesh.quad_uv[keep]

    source = np.unique(quads)
    index = np.full(len(mesh.vertices), -1)
    index[source] = np.arange(len(source))
    groups = np.empty(len(mesh.vertices), dtype="<U32")
    groups[mesh.quads.ravel()] = np.repeat(mesh.quad_groups, 4)

    triangles, corner_uv = _split_quads(mesh.vertices, quads, quad_uv, mirror)
    used_uv, uv_faces = np.unique(corner_uv, return_inverse=True)
    return HeadMesh(
        source=source,
        faces=index[triangles].astype(np.int32),
        uv=mesh.uv[used_uv].astype(np.float32),
        uv_faces=uv_faces.reshape(-1, 3).astype(np.int32),
        mirror=index[mirror[source]].astype(np.int32),
        groups=groups[source],
    )


def _split_quads(
    vertices: NDArray[np.float64], quads: NDArray[np.int64], quad_uv: NDArray[np.int64], mirror: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # A quad and its mirror image must be cut along mirrored diagonals: quads that lie across the midline cannot, all others
    # follow from the lengths, which are equal on both sides; equal diagonals are told apart by |x|, which is equal too.
    corners = vertices[quads]
    first = np.linalg.norm(corners[:, 0] - corners[:, 2], axis=1)
    second = np.linalg.norm(corners[:, 1] - corners[:, 3], axis=1)
    cut_first = np.where(np.abs(first - second) > 1e-9, first < second, np.abs(corners[:, (0, 2), 0]).sum(1) < np.abs(corners[:, (1, 3), 0]).sum(1))
    order = np.where(cut_first[:, None, None], np.array([[0, 1, 2], [0, 2, 3]]), np.array([[0, 1, 3], [1, 2, 3]]))
    rows = np.arange(len(quads))[:, None, None]
    return quads[rows, order].reshape(-1, 3), quad_uv[rows, order].reshape(-1, 3)
