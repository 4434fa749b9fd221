from __future__ import annotations

import numpy as np
import pytest

from tracker.face_model.importing.obj import obj_mesh, obj_points

POINTS = b"v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
CORNERS = b"vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"


def test_polygons_become_fans_with_their_texture_coordinates() -> None:
    text = b"# comment\no face\n" + POINTS + CORNERS + b"vn 0 0 1\nf 1/1/1 2/2/1 3/3/1 4/4/1\n"
    np.testing.assert_array_equal(obj_points(text), [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    mesh = obj_mesh(text, 4)
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2], [0, 2, 3]])
    assert mesh.uv is not None and mesh.uv_faces is not None
    np.testing.assert_array_equal(mesh.uv[mesh.uv_faces], [[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]])


def test_a_third_texture_coordinate_is_left_out() -> None:
    mesh = obj_mesh(POINTS + CORNERS.replace(b"\n", b" 0.5\n") + b"f 1/1 2/2 3/3\n", 4)
    assert mesh.uv is not None
    np.testing.assert_array_equal(mesh.uv, [[0, 0], [1, 0], [1, 1], [0, 1]])


@pytest.mark.parametrize("corners", [b"f 1 2 3\n", b"f 1//1 2//1 3//1\n", b"f 1/1 2/2 3/3\nf 1 3 4\n"])
def test_without_a_texture_coordinate_for_every_corner_there_are_none(corners: bytes) -> None:
    mesh = obj_mesh(POINTS + CORNERS + corners, 4)
    assert mesh.uv is None and mesh.uv_faces is None and mesh.faces.min() == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "no faces"),
        (b"f 1 2 x\n", "no list of indices"),
        (b"f 1 2 5\n", r"outside 1\.\.4"),
        (b"f 0 1 2\n", r"outside 1\.\.4"),
        (b"f 1 2 99999999999\n", r"outside 1\.\.4"),
        (b"f 1 2 99999999999999999999999\n", "no list of indices"),
        (CORNERS + b"f 1/1 2/2 3/9\n", r"outside 1\.\.4"),
    ],
)
def test_polygons_that_make_no_sense_are_named(text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        obj_mesh(POINTS + text, 4)


@pytest.mark.parametrize("text", [b"", b"v 1 2\n", b"v 1 2 x\n"])
def test_points_are_three_numbers_each(text: bytes) -> None:
    with pytest.raises(ValueError, match="three numbers"):
        obj_points(text)
