"""A file of GNM Head's structure (``gnm_head.npz``, version 3): four joints, no jaw, expressions by region, (N, V, 3) bases.

The mesh is the built-in head's, not GNM's 17821 vertices, with fewer components in the same groups.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from tracker.face_model import EYE_LEFT, EYE_RIGHT, NECK, ROOT, load_face_model

JOINT_NAMES: Final = ("neck", "head", "left_eye", "right_eye")
_OURS: Final = (ROOT, NECK, EYE_LEFT, EYE_RIGHT)


def write_gnm(folder: Path) -> Path:
    """Write ``gnm_head.npz`` and return its path."""
    head = load_face_model()
    rng = np.random.default_rng(3)
    count = head.vertex_count
    skin = head.skin_weights[:, _OURS].T.astype(np.float32).copy()
    skin[1] += head.skin_weights[:, 2]  # the jaw turns with the head
    regressor = np.zeros((36, count, 3), np.float32)
    regressor[9:18] = rng.normal(0.0, 1e-3, (9, 1, 3)) * (skin[1] * skin[0])[None, :, None]
    regressor[18:27, head.parts == 0] = 1e-4
    quads = np.concatenate([head.faces, head.faces[:, 2:]], axis=1)
    corners = head.uv[head.uv_faces]
    groups = np.stack(
        [head.parts == head.part_names.index(name) for name in ("skin", "eye_left", "eye_right", "tongue")]
    )
    path = folder / "gnm_head.npz"
    np.savez(
        path,
        version=np.array("3.0"),
        variant=np.array("head"),
        template_vertex_positions=head.template + np.float32(0.01),
        template_joint_positions=head.joint_template[list(_OURS)] + np.float32(0.01),
        vertex_identity_basis=np.moveaxis(head.identity_basis, 2, 0),
        joint_identity_basis=np.moveaxis(head.joint_identity[list(_OURS)], 2, 0),
        expression_basis=np.moveaxis(head.expression_basis, 2, 0),
        identity_names=np.array([f"head_{index:03d}" for index in range(head.identity_count)]),
        expression_names=np.array([f"lower_face_region_{index:03d}" for index in range(head.expression_count)]),
        joint_names=np.array(JOINT_NAMES),
        joint_parent_indices=np.array([0, 0, 1, 1], np.int32),
        skinning_weights=skin,
        quads=quads,
        triangles=head.faces,
        quad_uvs=np.concatenate([corners, corners[:, 2:]], axis=1),
        triangle_uvs=corners,
        mesh_component_names=np.array(["skin", "left_eye", "right_eye"]),
        mirror_indices=head.mirror,
        joint_regressor=np.zeros((4, count), np.float32),
        pose_correctives_regressor=regressor.reshape(36, 3 * count),
        bone_aligned_template_joint_orientations=np.tile(np.eye(3, dtype=np.float32), (4, 1, 1)),
        vertex_groups=groups.astype(np.float32),
        vertex_group_names=np.array(["skin", "left_eye", "right_eye", "tongue"]),
    )
    return path
