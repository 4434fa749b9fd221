"""Takes of a FLAME model, read the way FLAME's own tools would: with FLAME's arrays in FLAME's axes and nothing of ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.recording.factory import make_face, make_frame
from tools.structured_models.flame import flame_arrays
from tools.structured_models.flame_model import flame_face_model
from tracker.face_model import FaceModel
from tracker.recording import open_writer, read_take
from tracker.rotations import matrix_from_rotvec
from tracker.types import Face

MODEL: FaceModel = flame_face_model()


def some_face(rng: np.random.Generator) -> Face:
    """A face with every parameter in use."""
    weights = rng.normal(0.0, 1.0, MODEL.expression_count).astype(np.float32)
    weights[100:] = rng.uniform(0.1, 0.9, 9) * MODEL.expression_bounds[100:, 1]
    rotation = np.array([np.pi, 0.0, 0.0]) + rng.normal(0.0, 0.1, 3)
    params = MODEL.params_of(weights, rotation, np.array([0.03, -0.02, 0.55]) + rng.normal(0.0, 0.05, 3))
    identity = rng.normal(0.0, 0.8, MODEL.identity_count).astype(np.float32)
    return replace(
        make_face(rng), id=1, params=params, raw=params, identity=identity, identity_version=1, identity_state=None,
        position=params.translation,
    )  # fmt: skip


def flame(shape, expr, rotation, neck, jaw, eyes, translation, lids):
    """Vertices (5023, 3): Li 2017, equations 1 to 5, written from the paper, in float64 and one vertex transform a joint."""
    a = flame_arrays()
    shaped = a.v_template + a.shapedirs[:, :, :300] @ shape + a.shapedirs[:, :, 300:] @ expr
    joints = a.j_regressor @ shaped
    turns = [matrix_from_rotvec(r) for r in (rotation, neck, jaw, eyes[:3], eyes[3:])]
    feature = np.concatenate([(turn - np.eye(3)).ravel() for turn in turns[1:]])
    posed = shaped + lids + a.posedirs @ feature
    chain = []
    for joint, parent in enumerate((None, 0, 1, 1, 1)):
        local = np.eye(4)
        local[:3, :3] = turns[joint]
        local[:3, 3] = joints[joint] - (0.0 if parent is None else joints[parent])
        chain.append(local if parent is None else chain[parent] @ local)
    out = np.zeros_like(posed)
    for joint, world in enumerate(chain):
        moved = (posed - joints[joint]) @ world[:3, :3].T + world[:3, 3]
        out += a.weights[:, joint, None] * moved
    return out + translation


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory):
    rng = np.random.default_rng(11)
    first = some_face(rng)
    faces = [first, *(replace(some_face(rng), identity=first.identity) for _ in range(3))]
    path = Path(tmp_path_factory.mktemp("take")) / "flame.npz"
    with open_writer(path, model=MODEL) as writer:
        for index, face in enumerate(faces):
            writer.write(make_frame(index, (face,)))
    return faces, np.load(path), read_take(path)


def test_vhaps_keys_have_vhaps_shapes(recorded):
    _, take, _ = recorded
    frames = 4
    wanted = {
        "shape": (300,), "expr": (frames, 100), "rotation": (frames, 3), "translation": (frames, 3),
        "neck_pose": (frames, 3), "jaw_pose": (frames, 3), "eyes_pose": (frames, 6), "static_offset": (1, 5143, 3),
        "eyelids": (frames, 2), "timestep_id": (frames,), "image_size": (2,),
    }  # fmt: skip
    assert {key: take[key].shape for key in wanted} == wanted
    assert not take["neck_pose"].any()
    assert list(take["expression_names"]) == [f"expression{index:03d}" for index in range(100)]


def test_flames_own_equations_give_the_trackers_mesh(recorded):
    faces, take, _ = recorded
    lid_shapes = MODEL.expression_basis[:, :, -2:].astype(np.float64)
    for row, face in enumerate(faces):
        vertices = flame(
            take["shape"], take["expr"][row], take["rotation"][row], take["neck_pose"][row], take["jaw_pose"][row],
            take["eyes_pose"][row], take["translation"][row], lid_shapes @ take["eyelids"][row],
        )  # fmt: skip
        # VHAP's camera stands at (0, 0, 1) in its OpenGL world and looks along -z.
        in_camera = (vertices - (0.0, 0.0, 1.0)) * (1.0, -1.0, -1.0)
        assert np.abs(in_camera - MODEL.vertices_camera(face.identity, face.params)).max() < 1e-5
        in_camera = np.c_[vertices, np.ones(len(vertices))] @ take["world_to_camera"].T
        assert np.abs(in_camera[:, :3] - MODEL.vertices_camera(face.identity, face.params)).max() < 1e-5


def test_frames_come_back_as_they_were(recorded):
    faces, _, take = recorded
    for row, face in enumerate(faces):
        back = take.frame(row).faces[0]
        np.testing.assert_allclose(MODEL.weights_of(back.params), MODEL.weights_of(face.params), atol=1e-6)
        np.testing.assert_allclose(
            MODEL.vertices_camera(back.identity, back.params),
            MODEL.vertices_camera(face.identity, face.params),
            atol=1e-6,
        )
