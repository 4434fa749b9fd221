"""GNM heads: the same mesh comes out of their file and formula as of ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.plain_model import as_face_model
from tools.structured_models.gnm import write_gnm
from tracker.errors import FaceModelError
from tracker.face_model.importing.recognise import read_source
from tracker.rotations import matrix_from_rotvec
from tracker.types import FaceParams


@pytest.fixture(scope="module")
def gnm_npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gnm(tmp_path_factory.mktemp("gnm"))


def gnm_vertices(path: Path, identity: np.ndarray, expression: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """GNM's published formula, written out: bind pose, correctives of R - I, skinning along the chain."""
    with np.load(path) as d:
        vertices = d["template_vertex_positions"] + np.einsum("i,ivk->vk", identity, d["vertex_identity_basis"])
        vertices = vertices + np.einsum("e,evk->vk", expression, d["expression_basis"])
        joints = d["template_joint_positions"] + np.einsum("i,ijk->jk", identity, d["joint_identity_basis"])
        turns = [matrix_from_rotvec(rotation) for rotation in rotations]
        features = np.concatenate([(turn - np.eye(3)).ravel() for turn in turns])
        vertices = vertices + (features @ d["pose_correctives_regressor"]).reshape(-1, 3)
        out = np.zeros_like(vertices)
        world: list[tuple[np.ndarray, np.ndarray]] = []
        for j, parent in enumerate(d["joint_parent_indices"]):
            turn, shift = turns[j], joints[j] - turns[j] @ joints[j]
            if j:
                turn, shift = world[parent][0] @ turn, world[parent][0] @ shift + world[parent][1]
            world.append((turn, shift))
            out += d["skinning_weights"][j][:, None] * (vertices @ turn.T + shift)
    return out


def test_it_evaluates_by_gnms_formula(gnm_npz: Path) -> None:
    source = read_source(gnm_npz)
    assert (source.family, source.version, source.name) == ("gnm", "3.0", "gnm3")
    rng = np.random.default_rng(0)
    identity, expression = rng.normal(size=source.identity_count), rng.uniform(0, 1, source.expression_count)
    rotations = rng.normal(0, 0.3, (4, 3))
    rotations[0] = 0.0  # the root's turn is the head pose of ours
    params = FaceParams(
        expression=expression.astype(np.float32), rotation=np.zeros(3, np.float32), translation=np.zeros(3, np.float32),
        neck=rotations[1].astype(np.float32), jaw=np.zeros(3, np.float32),
        eyes=rotations[2:].ravel().astype(np.float32), eyelids=np.zeros(2, np.float32),
    )  # fmt: skip
    ours = as_face_model(source).vertices_head(identity.astype(np.float32), params)
    assert np.abs(ours - gnm_vertices(gnm_npz, identity, expression, rotations)).max() < 2e-6


def test_what_it_has_and_has_not(gnm_npz: Path) -> None:
    source = read_source(gnm_npz)
    assert any("no jaw joint" in note for note in source.notes) and source.licence.startswith("Apache-2.0")
    assert source.parts is not None and set(source.part_names) >= {"eye_left", "tongue"}
    assert (source.parts == source.part_names.index("eye_left")).sum() == 130
    assert source.uv is not None and source.uv_faces is not None and source.uv_faces.max() < len(source.uv)
    assert source.mirror is not None


def test_wrong_files_are_named(gnm_npz: Path, tmp_path: Path) -> None:
    with np.load(gnm_npz) as stored:
        content = {key: stored[key] for key in stored.files}
    cases = [
        ({"skinning_weights": None}, "a GNM head needs skinning_weights"),
        ({"joint_names": np.array(["a", "b", "c", "d"])}, "expected GNM's joints neck, head"),
        ({"expression_basis": np.zeros((3, 7, 3), np.float32)}, r"expected 'expression_basis' of shape \(N, 4864, 3\)"),
        (
            {"pose_correctives_regressor": np.ones((36, 3), np.float32)},
            "expected 'pose_correctives_regressor' of shape",
        ),
        ({"skinning_weights": np.zeros((3, 4864), np.float32)}, "expected 4 joints"),
        ({"triangles": np.full((4, 3), 9999)}, "triangles refer to vertices outside"),
        ({"template_vertex_positions": np.full((4864, 3), np.nan, np.float32)}, "not finite"),
    ]
    path = tmp_path / "gnm_head.npz"
    for changes, message in cases:
        merged = {**content, **changes}
        np.savez(path, **{key: value for key, value in merged.items() if value is not None})
        with pytest.raises(FaceModelError, match=message) as caught:
            read_source(path)
        assert "\n" not in str(caught.value)
