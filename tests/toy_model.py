"""A small random face model: every part of the neutral format in use, no meaning in its shape."""

from __future__ import annotations

import numpy as np

from tracker.face_model import Embedding, FaceModel

EXPRESSIONS = ("jawOpen", "jawLeft", "eyeLookUpLeft", "eyeLookInRight", "mouthSmileLeft", "browInnerUp", "eyeBlinkLeft")
LANDMARKS = 40


def toy_model(seed: int = 0, *, correctives: bool = False) -> FaceModel:
    rng = np.random.default_rng(seed)
    v, f, ni, ne, j = 90, 120, 6, len(EXPRESSIONS), 5
    template = rng.uniform(-0.08, 0.08, (v, 3)).astype(np.float32)
    faces = np.stack([rng.permutation(v)[:3] for _ in range(f)]).astype(np.int32)
    skin = np.zeros((v, j), np.float32)
    skin[:, 1] = 1.0
    jaw = rng.permutation(v)[:30]
    skin[jaw, 2] = rng.uniform(0.2, 1.0, 30)
    skin[jaw, 1] = 1.0 - skin[jaw, 2]
    for joint, rows in ((3, slice(0, 6)), (4, slice(6, 12))):
        skin[rows] = 0.0
        skin[rows, joint] = 1.0
    drive = np.zeros((ne, j, 3), np.float32)
    drive[0, 2] = (0.4, 0.0, 0.0)
    drive[1, 2] = (0.0, 0.2, 0.05)
    drive[2, 3] = (-0.4, 0.0, 0.0)
    drive[3, 4] = (0.0, 0.5, 0.0)
    joints = rng.uniform(-0.03, 0.03, (j, 3)).astype(np.float32)
    joints[0] = 0.0
    joint_identity = rng.normal(0, 0.001, (j, 3, ni)).astype(np.float32)
    joint_identity[0] = 0.0
    barycentric = rng.dirichlet(np.ones(3), LANDMARKS).astype(np.float32)
    return FaceModel(
        name="toy",
        version="1",
        licence="none",
        sha256="0" * 64,
        template=template,
        faces=faces,
        identity_basis=rng.normal(0, 0.003, (v, 3, ni)).astype(np.float32),
        expression_basis=rng.normal(0, 0.004, (v, 3, ne)).astype(np.float32),
        expression_names=EXPRESSIONS,
        expression_bounds=np.tile(np.array([0.0, 1.0], np.float32), (ne, 1)),
        joint_template=joints,
        joint_identity=joint_identity,
        skin_weights=skin,
        joint_drive=drive,
        mirror=np.arange(v, dtype=np.int32),
        skin_mask=np.ones(v, np.float32),
        uv=rng.uniform(0, 1, (v, 2)).astype(np.float32),
        uv_faces=faces,
        parts=np.zeros(v, np.int8),
        part_names=("skin",),
        regions=np.ones((v, 1), np.bool_),
        region_names=("face",),
        embeddings={
            "toy": Embedding(np.arange(LANDMARKS, dtype=np.int32), barycentric, np.ones(LANDMARKS, np.float32))
        },
        pose_correctives=rng.normal(0, 0.002, (v, 3, 36)).astype(np.float32) if correctives else None,
    )
