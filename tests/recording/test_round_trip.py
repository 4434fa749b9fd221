"""What is written comes back, in every format."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.recording.factory import (
    MODEL,
    make_clip,
    make_face,
    make_frame,
    with_appearance,
    with_visibility,
)
from tracker.arkit import ARKIT_NAMES
from tracker.errors import RecordingError
from tracker.recording import open_writer, read_take
from tracker.rotations import matrix_from_rotvec
from tracker.types import Face, FrameResult


def record(path: Path, frames: list[FrameResult], **options: object) -> Path:
    with open_writer(path, model=MODEL, **options) as writer:  # type: ignore[arg-type]
        for frame in frames:
            writer.write(frame)
    return path


def assert_same(found: object, wanted: object, atol: float) -> None:
    assert type(found) is type(wanted)
    if dataclasses.is_dataclass(wanted):
        for field in dataclasses.fields(wanted):
            assert_same(getattr(found, field.name), getattr(wanted, field.name), atol)
    elif isinstance(wanted, tuple):
        assert isinstance(found, tuple) and len(found) == len(wanted)
        for a, b in zip(found, wanted, strict=True):
            assert_same(a, b, atol)
    elif isinstance(wanted, np.ndarray):
        assert isinstance(found, np.ndarray) and found.dtype == wanted.dtype and found.shape == wanted.shape
        np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=atol)
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-7)
    else:
        assert found == wanted


@pytest.mark.parametrize(("suffix", "atol"), [(".npz", 0.0), (".jsonl", 1e-8)])
def test_every_field_of_every_frame_comes_back(tmp_path: Path, suffix: str, atol: float) -> None:
    frames = make_clip(23)
    take = read_take(record(tmp_path / f"take{suffix}", frames, landmarks=True))
    assert len(take) == 23 and take.complete and take.rate == Fraction(30000, 1001)
    assert take.expression_names == MODEL.expression_names
    for found, wanted in zip(take, frames, strict=True):
        assert_same(found, wanted, atol)


@pytest.mark.parametrize("suffix", [".npz", ".jsonl", ".mcap", ".parquet"])
def test_visibility_comes_back_as_it_was(tmp_path: Path, suffix: str) -> None:
    if suffix in (".mcap", ".parquet"):
        pytest.importorskip({".mcap": "mcap", ".parquet": "pyarrow"}[suffix], reason="the extra is not installed")
    frames = [with_visibility(frame) for frame in make_clip(11)]
    take = read_take(record(tmp_path / f"take{suffix}", frames, landmarks=True))
    assert take["visibility"].dtype == np.uint8 and take["visibility"].shape == take["sigma"].shape
    assert not take["visibility"][take["face_id"] < 0].any()
    for found, wanted in zip(take, frames, strict=True):
        for a, b in zip(found.faces, wanted.faces, strict=True):
            assert_same(a.landmarks.visibility, b.landmarks.visibility, 0.0)


def test_a_take_without_landmarks_has_no_visibility_and_one_without_visibility_says_so(tmp_path: Path) -> None:
    seen = [with_visibility(frame) for frame in make_clip(4)]
    without = read_take(record(tmp_path / "a.npz", seen))
    assert "visibility" not in without.arrays and without.frame(1).faces[0].landmarks.visibility is None
    older = read_take(record(tmp_path / "b.npz", make_clip(4), landmarks=True))
    assert "visibility" not in older.arrays and older.frame(1).faces[0].landmarks.visibility is None


def test_visibility_that_comes_and_goes_within_a_take_is_zero_where_nothing_was_known(tmp_path: Path) -> None:
    clip = make_clip(5)
    take = read_take(record(tmp_path / "a.npz", [*map(with_visibility, clip[:3]), *clip[3:]], landmarks=True))
    assert take["visibility"][2].any() and not take["visibility"][3:].any()


def test_damaged_visibility_is_refused_in_one_line(tmp_path: Path) -> None:
    path = record(tmp_path / "a.npz", [with_visibility(frame) for frame in make_clip(4)], landmarks=True)
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, "visibility": arrays["visibility"][:, :-1]})
    with pytest.raises(RecordingError, match="'visibility' must have shape"):
        read_take(path)
    frame = with_visibility(make_clip(2)[1])
    face = frame.faces[0]
    short = dataclasses.replace(face, landmarks=dataclasses.replace(face.landmarks, visibility=np.ones(3, np.float32)))
    with (
        pytest.raises(ValueError, match="visibility of shape"),
        open_writer(tmp_path / "b.npz", model=MODEL, landmarks=True) as writer,
    ):
        writer.write(dataclasses.replace(frame, faces=(short,)))


def test_jsonl_and_npz_hold_the_same_arrays(tmp_path: Path) -> None:
    frames = make_clip(9)
    npz, jsonl = (read_take(record(tmp_path / name, frames)) for name in ("a.npz", "a.jsonl"))
    assert npz.arrays.keys() == jsonl.arrays.keys()
    for key, array in npz.arrays.items():
        if array.dtype.kind == "f":
            np.testing.assert_allclose(jsonl[key], array, atol=2e-7)
        elif key != "meta_json":
            np.testing.assert_array_equal(jsonl[key], array)


def test_without_raw_and_landmarks_they_are_the_smoothed_ones_and_none(tmp_path: Path) -> None:
    take = read_take(record(tmp_path / "a.npz", make_clip(4), raw=False))
    assert not any(key.startswith("raw_") or key in ("landmarks", "sigma") for key in take.arrays)
    face = take.frame(1).faces[0]
    assert face.raw is face.params and face.arkit_raw is None and face.landmarks.points.shape == (0, 3)
    assert face.landmarks.set_name == "toy12"


def test_vhap_keys_have_vhaps_shapes_and_plain_numpy_reads_them(tmp_path: Path) -> None:
    with np.load(record(tmp_path / "a.npz", make_clip(11)), allow_pickle=False) as data:
        expected = {"rotation": (11, 3), "translation": (11, 3), "neck_pose": (11, 3), "jaw_pose": (11, 3)}
        expected |= {"eyes_pose": (11, 6), "shape": (6,), "expr": (11, 7), "timestep_id": (11,), "image_size": (2,)}
        expected |= {"n_processed_frames": (), "focal_length": (1,), "K": (11, 3, 3), "arkit": (11, 52)}
        assert {key: data[key].shape for key in expected} == expected
        assert data["image_size"].tolist() == [360, 640]
        assert data["focal_length"][0] == pytest.approx(np.hypot(640, 360) / 640)
        assert data["timestep_id"][3] == "00003" and int(data["n_processed_frames"]) == 11
        assert data["arkit_names"].tolist() == list(ARKIT_NAMES)
        assert data["expression_names"].tolist() == list(MODEL.expression_names)
        assert all(np.isfinite(data[key]).all() for key in data.files if data[key].dtype.kind == "f")
        meta = json.loads(str(data["meta_json"]))
    assert meta["model"]["name"] == "toy" and meta["model"]["sha256"] == "0" * 64 and meta["flame_release"] is None


def flame_vertices(
    model_vertices: np.ndarray, root: np.ndarray, rotation: np.ndarray, translation: np.ndarray
) -> np.ndarray:
    """FLAME's last two steps (Li 2017, equation 1 with only the root turned), as VHAP runs them."""
    return (model_vertices - root) @ matrix_from_rotvec(rotation).T + root + translation


def test_vhap_pose_puts_the_mesh_where_ours_is(tmp_path: Path) -> None:
    """With the root joint off the origin, and seen through VHAP's own camera: w2c = [I | (0, 0, -1)], OpenGL axes."""
    joints = MODEL.joint_template.copy()
    joints[0] = (0.01, -0.12, -0.03)
    joint_identity = MODEL.joint_identity.copy()
    joint_identity[0] = 0.004
    model = dataclasses.replace(MODEL, joint_template=joints, joint_identity=joint_identity)
    rng = np.random.default_rng(3)
    frames = [make_frame(i, (make_face(rng),)) for i in range(8)]
    with open_writer(tmp_path / "a.npz", model=model) as writer:
        for frame in frames:
            writer.write(frame)
    take = read_take(tmp_path / "a.npz")
    for row, frame in enumerate(frames):
        face = frame.faces[0]
        wanted = model.vertices_camera(face.identity, face.params)
        head = model.vertices_head(take["shape"], face.params).astype(np.float64)
        root = joints[0] + joint_identity[0] @ take["shape"]
        world = flame_vertices(head, root, take["rotation"][row], take["translation"][row])
        opengl_camera = world + np.array([0, 0, -1])
        np.testing.assert_allclose(opengl_camera * (1, -1, -1), wanted, atol=1e-6)
        homogeneous = np.c_[world, np.ones(len(world))] @ take["world_to_camera"].T
        np.testing.assert_allclose(homogeneous[:, :3], wanted, atol=1e-6)


def test_a_face_that_looks_into_the_camera_has_no_rotation_for_vhap(tmp_path: Path) -> None:
    face = make_face(np.random.default_rng(0))
    face = dataclasses.replace(face, params=MODEL.neutral_params())
    take = read_take(record(tmp_path / "a.npz", [make_frame(0, (face,))]))
    np.testing.assert_allclose(take["rotation"][0], 0, atol=1e-6)
    np.testing.assert_allclose(take["translation"][0], (0, 0, 0.5), atol=1e-6)


def test_flame_takes_are_padded_to_the_sizes_flame_tools_expect(tmp_path: Path) -> None:
    model = dataclasses.replace(MODEL, name="flame2023-open")
    with open_writer(tmp_path / "a.npz", model=model) as writer:
        for frame in make_clip(3):
            writer.write(frame)
    take = read_take(tmp_path / "a.npz")
    assert take["shape"].shape == (300,) and take["expr"].shape == (3, 100) and not take["expr"][:, 7:].any()
    assert take["static_offset"].shape == (1, 5143, 3) and take.meta["flame_release"] == "flame2023-open"
    assert take.frame(1).faces[0].params.expression.shape == (7,)


def test_frames_without_a_face_are_rows_that_hold_the_last_pose(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    frames = [make_frame(0, ()), make_frame(1, (make_face(rng),)), make_frame(2, ()), make_frame(3, ())]
    take = read_take(record(tmp_path / "a.npz", frames))
    assert take["face_id"].tolist() == [-1, 1, -1, -1] and take["tracked"].tolist() == [False, True, False, False]
    assert take["confidence"][[0, 2, 3]].tolist() == [0, 0, 0] and not take["bbox"][2].any()
    np.testing.assert_array_equal(take["expr"][3], take["expr"][1])
    np.testing.assert_array_equal(take["translation"][3], take["translation"][1])
    np.testing.assert_allclose(take["translation_camera"][0], (0, 0, 0.5))
    assert [len(frame.faces) for frame in take] == [0, 1, 0, 0]


def test_a_take_without_any_face_or_frame_has_the_same_keys(tmp_path: Path) -> None:
    nobody = read_take(record(tmp_path / "nobody.npz", [make_frame(i, ()) for i in range(3)]))
    empty = read_take(record(tmp_path / "empty.npz", []))
    usual = read_take(record(tmp_path / "usual.npz", make_clip(3)))
    assert len(nobody) == 3 and len(empty) == 0 and list(empty) == []
    assert usual.arrays.keys() == nobody.arrays.keys() == empty.arrays.keys()
    assert empty["rotation"].shape == (0, 3) and nobody["shape"].shape == (6,)


def test_faces_keep_their_slots(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)

    def frame(index: int, *ids: int) -> FrameResult:
        return make_frame(index, tuple(make_face(rng, face_id) for face_id in ids))

    frames = [frame(0, 4), frame(1, 7, 4), frame(2, 7), frame(3, 4, 7), frame(4, 9, 7), frame(5, 9, 7, 2)]
    take = read_take(record(tmp_path / "a.npz", frames))
    assert take.slot_count == 3
    assert take["face_id"].tolist() == [4, 4, -1, 4, 9, 9]
    assert take["slot1_face_id"].tolist() == [-1, 7, 7, 7, 7, 7]
    assert take["slot2_face_id"].tolist() == [-1, -1, -1, -1, -1, 2]
    # Slot 0 belonged to face 4 for most frames.
    np.testing.assert_array_equal(take["shape"], frames[0].faces[0].identity)
    np.testing.assert_array_equal(take["slot1_shape"], frames[1].faces[0].identity)

    def by_id(result: FrameResult) -> tuple[Face, ...]:
        return tuple(sorted(result.faces, key=lambda face: face.id))

    for found, wanted in zip(take, frames, strict=True):
        for a, b in zip(by_id(found), by_id(wanted), strict=True):
            assert a.id == b.id
            assert_same(a.params, b.params, 0.0)
            assert_same(a.identity, b.identity, 0.0)
            assert a.identity_state is not None and b.identity_state is not None
            assert_same(a.identity_state.sigma, b.identity_state.sigma, 1e-7)
            assert a.identity_state.confidence == pytest.approx(b.identity_state.confidence, abs=1e-7)
            assert a.identity_state.frozen == b.identity_state.frozen
            assert a.identity_state.keyframes == b.identity_state.keyframes


def test_frame_size_may_change_in_mid_take(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [make_frame(0, (make_face(rng),)), make_frame(1, (make_face(rng),), size=(320, 240))]
    take = read_take(record(tmp_path / "a.npz", frames))
    assert take["frame_size"].tolist() == [[640, 360], [320, 240]] and take["image_size"].tolist() == [360, 640]
    assert_same(take.frame(1).camera, dataclasses.replace(frames[1].camera, focal_px=take["K"][1, 0, 0].item()), 0.0)


def test_csv_has_a_line_for_every_face_and_frame_and_says_what_it_is(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    frames = [
        make_frame(0, ()),
        make_frame(1, (make_face(rng, 1),)),
        make_frame(2, (make_face(rng, 1), make_face(rng, 2))),
    ]
    path = record(tmp_path / "take.csv", frames)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["frame"], row["face_id"], row["tracked"]) for row in rows] == [
        ("0", "", "0"), ("1", "1", "1"), ("2", "1", "1"), ("2", "2", "1"),
    ]  # fmt: skip
    assert all(None not in row and None not in row.values() for row in rows)
    assert rows[0]["jawOpen"] == "" and rows[0]["t_capture_ns"] == "0"
    face = frames[2].faces[1]
    assert float(rows[3]["jawOpen"]) == pytest.approx(face.arkit[17], abs=1e-6)
    assert float(rows[3]["position_z_m"]) == pytest.approx(face.position[2], abs=1e-6)
    assert float(rows[3]["expr_browInnerUp"]) == pytest.approx(face.params.expression[5], abs=1e-6)
    meta = json.loads((tmp_path / "take.csv.json").read_text())
    assert meta["frames"] == 3 and meta["columns"] == list(rows[0])
    take = read_take(path)
    assert len(take) == 3 and take.slot_count == 2
    path.with_name("take.csv.json").unlink()
    with pytest.raises(RecordingError, match=r"without take\.csv\.json"):
        read_take(path)


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (record(tmp_path / name, make_clip(6)).read_bytes() for name in ("a.npz", "b.npz"))
    assert first == second


def _params(face: Face) -> Face:
    return dataclasses.replace(face, params=dataclasses.replace(face.params, jaw=_with_nan(face.params.jaw)))


def _raw_arkit(face: Face) -> Face:
    assert face.arkit_raw is not None
    return dataclasses.replace(face, arkit_raw=_with_nan(face.arkit_raw))


def _landmark(name: str) -> Callable[[Face], Face]:
    def spoil(face: Face) -> Face:
        values = _with_nan(getattr(face.landmarks, name))
        return dataclasses.replace(face, landmarks=dataclasses.replace(face.landmarks, **{name: values}))

    return spoil


def _identity_sigma(face: Face) -> Face:
    assert face.identity_state is not None
    state = dataclasses.replace(face.identity_state, sigma=_with_nan(face.identity_state.sigma))
    return dataclasses.replace(face, identity_state=state)


def _exposure(face: Face) -> Face:
    assert face.light is not None
    return dataclasses.replace(face, light=dataclasses.replace(face.light, exposure=float("inf")))


def _albedo(face: Face) -> Face:
    assert face.albedo is not None
    return dataclasses.replace(face, albedo=dataclasses.replace(face.albedo, points=_with_nan(face.albedo.points)))


def _with_nan(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values.flat[-1] = np.nan
    return values


SPOILERS: dict[str, Callable[[Face], Face]] = {
    "params": _params,
    "raw": _raw_arkit,
    "landmarks": _landmark("points"),
    "sigma": _landmark("sigma"),
    "visibility": _landmark("visibility"),
    "identity": _identity_sigma,
    "light": _exposure,
    "albedo": _albedo,
}


@pytest.mark.parametrize("suffix", [".npz", ".jsonl", ".csv"])
@pytest.mark.parametrize("part", SPOILERS)
def test_a_face_that_is_not_finite_is_left_out_and_its_frame_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, part: str, suffix: str
) -> None:
    good = with_appearance(with_visibility(make_clip(2)[1]))
    bad = dataclasses.replace(good, index=0, faces=tuple(map(SPOILERS[part], good.faces)))
    whole = suffix != ".csv"
    path = record(tmp_path / f"a{suffix}", [bad, good], landmarks=whole, raw=whole, appearance=True)
    recorded = whole or part in ("params", "identity", "light", "albedo")
    assert [len(frame.faces) for frame in read_take(path)] == [0 if recorded else 1, 1]
    assert ("left out of frame 0" in caplog.text) == recorded


def test_a_take_that_holds_nan_is_not_read(tmp_path: Path) -> None:
    """Other programs write takes too, and nothing that is made of a take may hold NaN."""
    path = record(tmp_path / "a.npz", make_clip(3))
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["arkit"] = _with_nan(arrays["arkit"])
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(RecordingError, match="'arkit' holds NaN"):
        read_take(tmp_path / "bad.npz")
    lines = record(tmp_path / "a.jsonl", make_clip(3)).read_text().splitlines(keepends=True)
    frame = json.loads(lines[2])
    frame["faces"][0]["gaze"]["left"][0] = float("nan")
    (tmp_path / "bad.jsonl").write_text("".join([*lines[:2], json.dumps(frame) + "\n", *lines[3:]]))
    with pytest.raises(RecordingError, match=r"frame record 1 is damaged.*NaN"):
        read_take(tmp_path / "bad.jsonl")


def test_a_face_of_another_model_is_refused(tmp_path: Path) -> None:
    face = make_face(np.random.default_rng(0))
    face = dataclasses.replace(face, identity=np.zeros(9, np.float32))
    with open_writer(tmp_path / "a.npz", model=MODEL) as writer, pytest.raises(ValueError, match="identity"):
        writer.write(make_frame(0, (face,)))


def test_takes_longer_than_a_chunk_of_memory(tmp_path: Path) -> None:
    """Landmarks make rows of 478 points fill several chunks and roll the rows over to a file."""
    rng = np.random.default_rng(0)
    face = make_face(rng)
    points = rng.uniform(0, 500, (478, 3)).astype(np.float32)
    dense = dataclasses.replace(face.landmarks, points=points, sigma=np.ones(478, np.float32))
    face = dataclasses.replace(face, landmarks=dense)
    count = 1500
    writer = open_writer(tmp_path / "a.npz", model=MODEL, landmarks=True)
    for index in range(count):
        writer.write(make_frame(index, (dataclasses.replace(face, age=index),)))
    writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    take = read_take(tmp_path / "a.npz")
    assert take["age"].tolist() == list(range(count)) and take["landmarks"].shape == (count, 478, 3)
    np.testing.assert_array_equal(take["landmarks"][count - 1], points)


@pytest.mark.parametrize(("suffix", "atol"), [(".npz", 0.0), (".jsonl", 1e-8)])
def test_appearance_comes_back(tmp_path: Path, suffix: str, atol: float) -> None:
    frames = [with_appearance(frame) for frame in make_clip(12)]
    dark = dataclasses.replace(frames[2].faces[0], light=None, occlusion=None)
    frames[2] = dataclasses.replace(frames[2], faces=(dark,))
    take = read_take(record(tmp_path / f"take{suffix}", frames, landmarks=True, appearance=True))
    for found, wanted in zip(take, frames, strict=True):
        assert_same(found, wanted, atol)


def test_appearance_is_left_out_unless_asked_for(tmp_path: Path) -> None:
    take = read_take(record(tmp_path / "take.npz", [with_appearance(frame) for frame in make_clip(3)]))
    assert not [name for name in take.arrays if "albedo" in name or "light" in name or "occlusion" in name]
    assert all(face.light is None and face.albedo is None for frame in take for face in frame.faces)


def test_csv_has_light_and_occlusion(tmp_path: Path) -> None:
    frames = [with_appearance(frame) for frame in make_clip(3)[1:]]
    path = record(tmp_path / "take.csv", frames, appearance=True)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    face = frames[0].faces[0]
    assert face.light is not None and face.occlusion is not None
    assert float(rows[0]["light_exposure"]) == pytest.approx(face.light.exposure, abs=1e-6)
    assert float(rows[0]["occlusion_face"]) == pytest.approx(face.occlusion.regions[0], abs=1e-6)
