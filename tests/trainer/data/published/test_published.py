"""Readers of published sets on files of their format, written here around a known head."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io
import torch

from tracker.face_model import load_face_model
from tracker.rotations import matrix_from_rotvec
from trainer.data.published import WFLW_TO_IBUG68, PublishedConfig, PublishedStream, converted, correspondence
from trainer.data.published.lp300w import rotation_of
from trainer.errors import DataError

WIDTH, HEIGHT = 200, 160
UP_TO_DOWN = np.diag([1.0, -1.0, -1.0])
POSE = (0.2, -0.5, 0.15)


def head_points() -> np.ndarray:
    """(68, 3) of the built-in head in POSE in pixels, OpenCV axes; depth from the head's origin."""
    model = load_face_model()
    return model.landmarks(model.template, "ibug68") @ rotation_of(*POSE).T * 600.0 + [100.0, 80.0, 0.0]


def picture(path: Path, points: np.ndarray) -> None:
    """A dark picture with a light pixel at each point."""
    image = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
    for x, y in np.floor(points[:, :2]).astype(int):
        if 0 <= x < WIDTH and 0 <= y < HEIGHT:
            image[y, x] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path.with_suffix(".png")), image)


def write_mat(folder: Path, name: str, points: np.ndarray, *, aflw: bool) -> None:
    picture(folder / name, points)
    values = {
        "Pose_Para": np.array([[*POSE, 10.0, 20.0, 0.0, 0.0006]]),
        "Shape_Para": np.arange(199.0)[:, None],
        "Exp_Para": np.zeros((29, 1)),
        "pt2d": np.full((2, 21), -1.0) if aflw else points[:, :2].T + 0.5,
    }
    if aflw:
        values["pt3d_68"] = np.vstack([points[:, :2].T + 0.5, -points[:, 2] + 37.0])
    scipy.io.savemat(folder / f"{name}.mat", values)


def stream(kind: str, folder: Path, **settings: object) -> PublishedStream:
    return PublishedStream(PublishedConfig.read({"kind": kind, "folder": str(folder), "batch_size": 2, **settings}))


def check_dots(batch_points: torch.Tensor, image: torch.Tensor) -> None:
    """Most points lie on light pixels."""
    side = image.shape[-1]
    place = (batch_points[:, :2] * side).long().clamp(0, side - 1)
    assert (image[0, place[:, 1], place[:, 0]] > 0.15).float().mean() > 0.9


@pytest.mark.parametrize("aflw", [False, True])
def test_mat_files_give_points_pose_and_depth(tmp_path: Path, aflw: bool) -> None:
    points = head_points()
    for name in ("one", "two", "three"):
        write_mat(tmp_path / "AFW", name, points, aflw=aflw)
    (tmp_path / "landmarks").mkdir()
    scipy.io.savemat(tmp_path / "landmarks" / "one_pts.mat", {"pts_2d": np.zeros((68, 2))})
    data = stream("aflw2000-3d" if aflw else "300w-lp", tmp_path)
    assert data.length == 1 and data.landmark_set == "ibug68"
    batch = data.batch(0)
    check_dots(batch.points[0], batch.image[0])
    # The crop stands upright along the face's own x axis.
    assert abs(float(batch.rotation[0, 1, 0])) < 1e-6 and float(batch.rotation[0, 0, 0]) > 0
    assert math.isclose(float(torch.det(batch.rotation[0])), 1.0, abs_tol=1e-5)
    if aflw:
        across = (batch.points[0, 0, :2] - batch.points[0, 16, :2]).norm()
        scale = float(across / np.linalg.norm(points[0, :2] - points[16, :2]))
        np.testing.assert_allclose(batch.points[0, :, 2], points[:, 2] * scale, atol=2e-3)
    else:
        assert batch.points[..., 2].isnan().all()
    assert batch.expression.isnan().all() and batch.identity.isnan().all() and batch.visible.isnan().all()
    assert (batch.weight == 1).all()


def test_the_pose_angles_turn_as_documented() -> None:
    # Camera axes with y up: a positive yaw takes the nose (head z) to ... -sin(yaw), a positive pitch takes it to sin(pitch).
    np.testing.assert_allclose(UP_TO_DOWN @ rotation_of(0.0, 0.4, 0.0) @ [0, 0, 1], [-math.sin(0.4), 0, math.cos(0.4)])
    np.testing.assert_allclose(UP_TO_DOWN @ rotation_of(0.3, 0.0, 0.0) @ [0, 0, 1], [0, math.sin(0.3), math.cos(0.3)])


def write_pts(path: Path, points: np.ndarray) -> None:
    lines = "\n".join(f"{x + 0.5:.6f} {y + 0.5:.6f}" for x, y in points[:, :2])
    path.write_text(f"version: 1\nn_points:  {len(points)}\n{{\n{lines}\n}}\n")


def test_pts_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / name, head_points())
        write_pts(tmp_path / f"{name}.pts", head_points())
    batch = stream("300w", tmp_path).batch(0)
    check_dots(batch.points[0], batch.image[0])
    assert batch.points[..., 2].isnan().all() and batch.rotation.isnan().all()


def test_wflw_lists_come_as_68_points(tmp_path: Path) -> None:
    points = head_points()
    whole = np.full((98, 2), 100.0)
    whole[WFLW_TO_IBUG68] = points[:, :2]
    picture(tmp_path / "WFLW_images" / "0--Parade" / "x", points)
    line = " ".join(f"{v:.4f}" for v in whole.ravel()) + " 10 10 90 90 0 0 0 0 1 0 0--Parade/x.png"
    (tmp_path / "annotations").mkdir()
    list_file = tmp_path / "annotations" / "list_98pt_rect_attr_test.txt"
    list_file.write_text(f"{line}\n{line}\n")
    data = stream("wflw", list_file)
    batch = data.batch(0)
    assert data.landmark_set == "ibug68"
    check_dots(batch.points[0], batch.image[0])


def test_dad_annotations_are_projected(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vertices = rng.uniform(-0.1, 0.1, (5023, 3))
    view = np.eye(4)
    view[:3, :3] = 2.0 * matrix_from_rotvec(np.array([0.1, 0.4, 0.0]))
    view[:3, 3] = [0.02, -0.01, -3.0]
    focal = 900.0
    projection = np.array([[focal, 0, -WIDTH / 2, 0], [0, focal, -HEIGHT / 2, 0], [0, 0, 1, 0], [0, 0, -1, 0]])
    placed = vertices @ view[:3, :3].T + view[:3, 3]
    expected = np.column_stack([
        focal * placed[:, 0] / -placed[:, 2] + WIDTH / 2, HEIGHT - (focal * placed[:, 1] / -placed[:, 2] + HEIGHT / 2)
    ])  # fmt: skip
    for name in ("p", "q"):
        picture(tmp_path / "images" / name, expected[:50])
        annotation = tmp_path / "annotations" / f"{name}.json"
        annotation.parent.mkdir(exist_ok=True)
        values = {"vertices": vertices, "model_view_matrix": view, "projection_matrix": projection}
        annotation.write_text(json.dumps({key: value.tolist() for key, value in values.items()}))
    data = stream("dad-3dheads", tmp_path, margin=1.0)
    batch = data.batch(0)
    assert data.landmark_set == "flame5023" and batch.points.shape == (2, 5023, 3)
    check_dots(batch.points[0, :50], batch.image[0])
    # x, y and depth are one rotated, scaled head.
    a, b = batch.points[0].numpy() - batch.points[0].numpy().mean(axis=0), vertices - vertices.mean(axis=0)
    turned = b @ batch.rotation[0].numpy().T
    scale = (a * turned).sum() / (turned**2).sum()
    assert np.abs(a - scale * turned).max() < 0.1 * np.abs(a).max()


def test_batches_depend_on_seed_and_number_only(tmp_path: Path) -> None:
    for number in range(5):
        picture(tmp_path / f"{number}", head_points() + number)
        write_pts(tmp_path / f"{number}.pts", head_points() + number)
    one, other = stream("300w", tmp_path, seed=1), stream("300w", tmp_path, seed=1)
    assert one.batch(3).source == other.batch(3).source
    assert len({name for index in range(2) for name in one.batch(index).source}) == 4
    assert stream("300w", tmp_path, shuffle=False).batch(0).source[0].endswith("0.png")


def test_conversion_leaves_unknown_what_has_no_partner() -> None:
    model = load_face_model()
    partner = correspondence(model, "ibug68", "mediapipe478")
    rows = converted(np.arange(68.0)[:, None], partner)
    assert rows.shape == (478, 1) and 10 < np.isfinite(rows).sum() < 68
    given, wanted = (model.landmarks(model.template, name) for name in ("ibug68", "mediapipe478"))
    found = partner >= 0
    assert np.linalg.norm(given[partner[found]] - wanted[found], axis=1).max() < 0.002


def test_user_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder"):
        stream("300w", tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no \*.mat"):
        stream("300w-lp", tmp_path)
    with pytest.raises(DataError, match="WFLW_images"):
        stream("wflw", tmp_path / "list.txt")
    write_pts(tmp_path / "a.pts", head_points())
    with pytest.raises(DataError, match="fewer than a batch"):
        stream("300w", tmp_path)
    with pytest.raises(DataError, match="has no picture"):
        stream("300w", tmp_path, batch_size=1).batch(0)
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match="not a picture"):
        stream("300w", tmp_path, batch_size=1).batch(0)


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [
        ("300w", "a.pts", b"version: 1\nn_points: 68\n{\n1 2\n3 4\n}\n"),
        ("300w", "a.pts", b"\xff\xfe"),
        ("300w-lp", "a.mat", b"MATLAB 5.0 MAT-file" + bytes(120)),
        ("300w-lp", "a.mat", b""),
        ("dad-3dheads", "annotations/a.json", b'{"vertices": [[1, 2'),
        ("dad-3dheads", "annotations/a.json", b'{"vertices": [[1, 2, 3]], "model_view_matrix": 1}'),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, kind: str, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    with pytest.raises(DataError, match=path.name) as raised:
        stream(kind, tmp_path, batch_size=1).batch(0)
    assert "\n" not in str(raised.value)


def test_a_mat_file_of_another_kind_is_named(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"something": 1.0})
    with pytest.raises(DataError, match="no Pose_Para"):
        stream("300w-lp", tmp_path, batch_size=1).batch(0)


def test_a_broken_line_of_wflw_has_its_number(tmp_path: Path) -> None:
    (tmp_path / "WFLW_images").mkdir()
    (tmp_path / "list.txt").write_text("1 2 3\n")
    with pytest.raises(DataError, match="line 1"):
        stream("wflw", tmp_path / "list.txt", batch_size=1)
