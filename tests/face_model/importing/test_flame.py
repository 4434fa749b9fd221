"""FLAME files: what is read is what was written, and evaluates as smplx evaluates it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.plain_model import as_face_model
from tools.structured_models.flame import EXPRESSION_COUNT, ORIGIN, flame_arrays, flame_parameters
from tools.structured_models.flame_files import FILE_NAMES, write_flame
from tools.structured_models.python2_pickle import Published, write_python2_pickle
from tracker.errors import FaceModelError
from tracker.face_model import load_face_model
from tracker.face_model.importing.flame import read_flame
from tracker.face_model.importing.pickles import read_pickle
from tracker.face_model.importing.recognise import read_source
from tracker.face_model.importing.source_model import SourceModel
from tracker.rotations import matrix_from_rotvec
from tracker.types import FaceParams

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "flame_smplx.npz"
TOLERANCE_M = 2e-6
"""Our numbers are float32 and those they are compared with float64."""


@pytest.fixture(scope="module")
def source(flame_pkl: Path) -> SourceModel:
    return read_flame(flame_pkl)


def our_answers(
    source: SourceModel, values: dict[str, NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Vertices (N, V, 3) and posed joints (N, 5, 3) with FLAME's own global rotation, about its root joint."""
    model = as_face_model(source)
    all_vertices, all_joints = [], []
    for case in range(len(values["betas"])):
        row = {key: value[case] for key, value in values.items()}
        params = FaceParams(
            expression=row["expression"].astype(np.float32),
            rotation=np.zeros(3, np.float32),
            translation=np.zeros(3, np.float32),
            neck=row["neck_pose"].astype(np.float32),
            jaw=row["jaw_pose"].astype(np.float32),
            eyes=np.concatenate([row["leye_pose"], row["reye_pose"]]).astype(np.float32),
            eyelids=np.zeros(2, np.float32),
        )
        identity = row["betas"].astype(np.float32)
        assert source.joint_template is not None and source.joint_identity is not None
        assert source.joint_expression is not None
        joints = source.joint_template + source.joint_identity @ identity + source.joint_expression @ params.expression
        neck = matrix_from_rotvec(params.neck)
        posed = joints.astype(np.float64)
        posed[2:] = (posed[2:] - joints[1]) @ neck.T + joints[1]
        turn = matrix_from_rotvec(row["global_orient"])
        place = joints[0] + row["transl"]
        all_vertices.append((model.vertices_head(identity, params) - joints[0]) @ turn.T + place)
        all_joints.append((posed - joints[0]) @ turn.T + place)
    return np.stack(all_vertices), np.stack(all_joints)


def test_arrays_are_read_value_by_value(source: SourceModel) -> None:
    arrays = flame_arrays()
    assert np.array_equal(source.template, arrays.v_template.astype(np.float32))
    assert np.array_equal(source.faces, arrays.f)
    assert np.array_equal(source.identity_basis, arrays.shapedirs[:, :, :300].astype(np.float32))
    assert np.array_equal(source.expression_basis, arrays.shapedirs[:, :, 300:].astype(np.float32))
    assert source.pose_correctives is not None and np.array_equal(
        source.pose_correctives, arrays.posedirs.astype(np.float32)
    )
    assert source.skin_weights is not None and np.array_equal(source.skin_weights, arrays.weights.astype(np.float32))
    assert source.joint_template is not None
    assert np.allclose(source.joint_template, arrays.joints, atol=1e-7)
    assert source.notes == ()


def test_it_evaluates_as_smplx_recorded_it(source: SourceModel) -> None:
    with np.load(GOLDEN) as golden:
        values: dict[str, Any] = {key: golden[key] for key in golden.files}
    chosen, vertices, joints = values.pop("vertex_index"), values.pop("vertices"), values.pop("joints")
    ours, our_joints = our_answers(source, values)
    assert np.abs(ours[:, chosen] - vertices).max() < TOLERANCE_M
    assert np.abs(our_joints - joints).max() < TOLERANCE_M


@pytest.mark.slow
def test_it_evaluates_as_smplx_does(source: SourceModel, flame_folder: Path) -> None:
    pytest.importorskip("torch", reason="smplx, the independent implementation, needs PyTorch")
    pytest.importorskip("smplx", reason="smplx, the independent implementation, is not installed")
    from tools.make_flame_golden import parameters, smplx_answers

    values = parameters()
    vertices, joints = smplx_answers(flame_folder / FILE_NAMES["2023 Open"], values)
    ours, our_joints = our_answers(source, values)
    assert np.abs(ours - vertices).max() < TOLERANCE_M
    assert np.abs(our_joints - joints).max() < TOLERANCE_M


def test_joints_follow_shape_and_expression(source: SourceModel) -> None:
    arrays = flame_arrays()
    rng = np.random.default_rng(1)
    b, e = rng.normal(size=300), rng.normal(size=100)
    shaped = arrays.v_template + arrays.shapedirs @ np.concatenate([b, e])
    assert source.joint_template is not None and source.joint_identity is not None
    assert source.joint_expression is not None
    ours = source.joint_template + source.joint_identity @ b + source.joint_expression @ e
    assert np.abs(ours - arrays.j_regressor @ shaped).max() < TOLERANCE_M


def test_every_release_and_form_holds_the_same(flame_folder: Path, source: SourceModel) -> None:
    for path, version in (
        (flame_folder / FILE_NAMES["2023 Open"], "2023 Open"),
        ((flame_folder / FILE_NAMES["2023"]).with_suffix(".npz"), "2023"),
    ):
        other = read_source(path)
        assert (other.family, other.version) == ("flame", version)
        for key in ("template", "identity_basis", "expression_basis", "pose_correctives", "joint_identity", "faces"):
            assert np.array_equal(getattr(other, key), getattr(source, key)), key
    assert source.name == "flame2020" and "non-commercial" in source.licence
    assert other.name == "flame2023"
    assert "CC-BY-4.0" in read_source(flame_folder / FILE_NAMES["2023 Open"]).licence


def test_a_name_that_does_not_tell_the_release(flame_pkl: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model.pkl"
    copy.write_bytes(flame_pkl.read_bytes())
    source = read_source(copy)
    assert source.name == "flame" and source.version.startswith("unknown")


def test_the_structured_head_makes_arkit_faces() -> None:
    """The generator's own promise: ARKit weights of the built-in head can be made exactly but for correctives."""
    head, arrays = load_face_model(), flame_arrays()
    expression, jaw, eyes = flame_parameters({"mouthSmileLeft": 1.0, "jawOpen": 0.5, "eyeLookUpLeft": 0.7})
    assert expression.shape == (EXPRESSION_COUNT,) and jaw[0] > 0.05 and np.any(eyes[:3]) and not np.any(eyes[3:])
    weights = np.zeros(head.expression_count)
    for name, weight in (("mouthSmileLeft", 1.0), ("jawOpen", 0.5), ("eyeLookUpLeft", 0.7)):
        weights[head.expression_names.index(name)] = weight
    wanted = arrays.from_builtin.apply(head.expression_basis @ weights)
    assert np.abs(arrays.shapedirs[:, :, 300:] @ expression - wanted).max() < 1e-6
    assert np.linalg.matrix_rank(arrays.shapedirs.reshape(-1, 400)[:, :300], tol=1e-5) == 300
    eyeballs = arrays.v_template[-1092:]
    assert np.allclose(arrays.joints[3:].mean(axis=0), ORIGIN, atol=1e-9) and eyeballs[:, 2].max() > ORIGIN[2]


def test_landmarks_beside_the_file(source: SourceModel) -> None:
    head = load_face_model()
    wanted = head.landmarks(head.template, "ibug68") + ORIGIN
    found = as_face_model(source).landmarks(source.template, "ibug68")
    assert np.linalg.norm(found - wanted, axis=1)[17:].max() < 2e-3
    marks = source.embeddings["mediapipe478"]
    assert marks.faces.shape == (478,) and marks.weight.sum() == 105
    found = as_face_model(source).landmarks(source.template, "mediapipe478")[marks.weight > 0]
    wanted = (head.landmarks(head.template, "mediapipe478") + ORIGIN)[marks.weight > 0]
    assert np.median(np.linalg.norm(found - wanted, axis=1)) < 1e-3


def test_damaged_landmarks_are_left_out_and_named(flame_pkl: Path, tmp_path: Path) -> None:
    folder = tmp_path / "FLAME2020"
    folder.mkdir()
    for file in flame_pkl.parent.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "flame_dynamic_embedding.npy").unlink()
    (folder / "mediapipe_landmark_embedding.npz").write_bytes(b"PK\x03\x04 no")
    source = read_flame(folder / flame_pkl.name)
    assert source.embeddings == {}
    assert len(source.notes) == 2 and "only together" in source.notes[0] and "damaged" in source.notes[1]


@cache
def _content(path: Path) -> dict[str, Any]:
    content = read_pickle(path)
    assert isinstance(content, dict)
    # A quicker file; the whole one is read above.
    return {**content, "shapedirs": content["shapedirs"][:, :, :20], "posedirs": content["posedirs"].astype(np.float32)}


def _changed(flame_pkl: Path, tmp_path: Path, **changes: object) -> Path:
    content = {**_content(flame_pkl), **changes}
    path = tmp_path / "generic_model.pkl"
    write_python2_pickle(path, {key: value for key, value in content.items() if value is not None})
    return path


def test_wrong_files_are_named(flame_pkl: Path, tmp_path: Path) -> None:
    arrays = flame_arrays()
    nan = arrays.v_template.copy()
    nan[7, 1] = np.nan
    cases: list[tuple[dict[str, object], str]] = [
        ({"v_template": np.zeros((6890, 3))}, r"is SMPL, a body model; expected a head"),
        ({"v_template": np.zeros((10475, 3))}, r"is SMPL-X, a body model"),
        ({"v_template": np.zeros((5000, 3))}, r"expected FLAME's 5023 vertices, found 5000"),
        ({"v_template": nan}, r"'v_template' contains numbers that are not finite"),
        ({"posedirs": np.zeros((5023, 3, 27))}, r"expected 'posedirs' of shape \(5023, 3, 36\), got \(5023, 3, 27\)"),
        ({"shapedirs": np.zeros((5023, 400))}, r"expected 'shapedirs' of shape"),
        ({"weights": None}, r"is not FLAME: expected weights, found"),
        ({"f": np.full((10, 3), 5023, np.uint32)}, r"triangles refer to vertices outside 0\.\.5022"),
        ({"kintree_table": np.zeros((2, 5), np.int64)}, r"expected joints whose parents are \(-1, 0, 1, 1, 1\)"),
        ({"weights": "none"}, r"expected numbers under 'weights', found str"),
        ({"weights": Published("chumpy.ch", "Ch", {"y": 1})}, r"expected numbers under 'weights', found NoneType"),
    ]
    for changes, message in cases:
        with pytest.raises(FaceModelError, match=message) as caught:
            read_flame(_changed(flame_pkl, tmp_path, **changes))
        assert "\n" not in str(caught.value)


def test_a_reduced_file_says_so(flame_pkl: Path, tmp_path: Path) -> None:
    source = read_flame(_changed(flame_pkl, tmp_path))
    assert (source.identity_count, source.expression_count) == (10, 10)
    assert "10 + 10 components" in source.notes[0]


def test_it_can_be_written_for_2019(tmp_path: Path) -> None:
    assert read_source(write_flame(tmp_path, "2019")).version == "2019"


def test_a_folder_as_it_is_downloaded(flame_pkl: Path, tmp_path: Path) -> None:
    folder = tmp_path / "FLAME2020"
    folder.mkdir()
    for file in flame_pkl.parent.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "female_model.pkl").symlink_to(flame_pkl)
    source = read_source(folder)
    assert source.source.endswith("generic_model.pkl") and set(source.embeddings) == {"ibug68", "mediapipe478"}
    female = read_source(folder / "female_model.pkl")
    assert (female.name, female.version) == ("flame2020-female", "2020, female")
    (folder / "generic_model.pkl").rename(folder / "flame2023_no_jaw.pkl")
    with pytest.raises(FaceModelError, match=r"several files \(female_model\.pkl, flame2023_no_jaw\.pkl\): import one"):
        read_source(folder)
    assert read_source(folder / "flame2023_no_jaw.pkl").name == "flame2023-nojaw"
