"""Basel Face Models: units, deviations, expression bases of others, colours."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tools.structured_models.basel import (
    basel_arrays,
    trim_index,
    write_3ddfa_expressions,
    write_bfm2009,
    write_bfm_h5,
    write_guo_expressions,
)
from tracker.errors import FaceModelError
from tracker.face_model.importing.recognise import read_source

TOLERANCE_M = 1e-7


@pytest.fixture
def bfm2009(tmp_path: Path) -> Path:
    pytest.importorskip("scipy", reason=".mat files need scipy")
    return write_bfm2009(tmp_path)


def check_shape(source_identity: np.ndarray, keep: np.ndarray) -> None:
    arrays = basel_arrays()
    wanted = (arrays.shape * arrays.shape_deviation).reshape(len(arrays.mean), 3, -1)[keep]
    assert np.abs(source_identity - wanted).max() < TOLERANCE_M


def test_2009_without_expressions(bfm2009: Path) -> None:
    source, arrays = read_source(bfm2009), basel_arrays()
    assert (source.name, source.version, source.expression_count) == ("bfm2009", "2009", 0)
    assert np.abs(source.template - arrays.mean).max() < TOLERANCE_M
    assert np.array_equal(source.faces, arrays.faces)
    check_shape(source.identity_basis, np.arange(len(arrays.mean)))
    assert source.albedo_mean is not None and source.albedo_basis is not None
    assert np.abs(source.albedo_mean - arrays.colour_mean).max() < 1e-6
    wanted = (arrays.colour * arrays.colour_deviation).reshape(source.albedo_basis.shape)
    assert np.abs(source.albedo_basis - wanted).max() < 1e-6
    assert source.joint_template is None and any("--expressions" in note for note in source.notes)


@pytest.mark.parametrize("basis", ["3DDFA", "Guo"])
@pytest.mark.parametrize("beside", [True, False])
def test_2009_with_expressions_of_others(basis: str, beside: bool, bfm2009: Path, tmp_path: Path) -> None:
    folder = tmp_path if beside else tmp_path / "elsewhere"
    folder.mkdir(exist_ok=True)
    file = write_3ddfa_expressions(folder) if basis == "3DDFA" else write_guo_expressions(folder)
    source, arrays, keep = read_source(bfm2009, None if beside else file), basel_arrays(), trim_index()
    assert source.version == f"2009 with {basis}'s expressions" and source.vertex_count == keep.size < len(arrays.mean)
    check_shape(source.identity_basis, keep)
    wanted = (arrays.expression * arrays.expression_deviation).reshape(len(arrays.mean), 3, -1)[keep]
    assert np.abs(source.expression_basis - wanted).max() < TOLERANCE_M
    offset = 0.0 if basis == "3DDFA" else 1e-4
    assert np.abs(source.template - (arrays.mean[keep] + offset)).max() < TOLERANCE_M
    before, after = arrays.mean[arrays.faces], source.template[source.faces]
    assert len(after) == np.isin(arrays.faces, keep).all(axis=1).sum() < len(before)
    assert source.albedo_mean is not None and len(source.albedo_mean) == keep.size


@pytest.mark.parametrize("version", ["2017", "2019"])
def test_h5(version: str, tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason=".h5 files need h5py")
    source, arrays = read_source(write_bfm_h5(tmp_path, version)), basel_arrays()
    assert (source.name, source.version) == (f"bfm{version}", version)
    assert np.abs(source.template - arrays.mean).max() < TOLERANCE_M and np.array_equal(source.faces, arrays.faces)
    check_shape(source.identity_basis, np.arange(len(arrays.mean)))
    wanted = (arrays.expression * arrays.expression_deviation).reshape(source.expression_basis.shape)
    assert np.abs(source.expression_basis - wanted).max() < TOLERANCE_M
    assert source.albedo_mean is not None and np.abs(source.albedo_mean - arrays.colour_mean).max() < 1e-6


def test_wrong_files_are_named(bfm2009: Path, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason=".h5 files need h5py")
    from scipy.io import savemat

    blob = bfm2009.read_bytes()
    (tmp_path / "half.mat").write_bytes(blob[: len(blob) // 2])
    savemat(tmp_path / "other.mat", {"x": 1.0})
    savemat(tmp_path / "shape.mat", {
        "shapeMU": np.zeros((30, 1)), "shapePC": np.zeros((27, 4)), "shapeEV": np.ones((4, 1)), "tl": np.ones((2, 3)),
    })  # fmt: skip
    nan = np.full((30, 1), np.nan)
    savemat(tmp_path / "nan.mat", {
        "shapeMU": nan, "shapePC": np.zeros((30, 4)), "shapeEV": np.ones((4, 1)), "tl": np.ones((2, 3)),
    })  # fmt: skip
    savemat(tmp_path / "faces.mat", {
        "shapeMU": np.zeros((30, 1)), "shapePC": np.zeros((30, 4)), "shapeEV": np.ones((4, 1)), "tl": np.full((2, 3), 11.0),
    })  # fmt: skip
    h5 = write_bfm_h5(tmp_path)
    (tmp_path / "half.h5").write_bytes(h5.read_bytes()[:4000])
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    for name, message in [
        ("half.mat", "expected a MATLAB file"),
        ("other.mat", "missing shapeMU, shapePC, shapeEV, tl"),
        ("shape.mat", r"expected 'shapePC' of shape \(30, 4\) for 10 vertices, got \(27, 4\)"),
        ("nan.mat", "template contains numbers that are not finite"),
        ("faces.mat", "expected triangles between 10 vertices"),
        ("half.h5", "expected an HDF5 file"),
        ("other.h5", "missing shape/model/mean"),
    ]:
        with pytest.raises(FaceModelError, match=message) as caught:
            read_source(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_expression_files_that_do_not_fit(bfm2009: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(FaceModelError, match=r"expected Model_Expression\.mat or Exp_Pca\.bin there"):
        read_source(bfm2009, elsewhere)
    file = write_guo_expressions(elsewhere)
    (elsewhere / "BFM_exp_idx.mat").unlink()
    with pytest.raises(FaceModelError, match="needs trimIndex beside it"):
        read_source(bfm2009, file)
    write_guo_expressions(elsewhere)
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(FaceModelError, match="expected 29 expressions of"):
        read_source(bfm2009, file)
    (elsewhere / "std_exp.txt").unlink()
    with pytest.raises(FaceModelError, match=r"expected std_exp\.txt"):
        read_source(bfm2009, file)


@pytest.mark.parametrize(("package", "name"), [("scipy.io", "x.mat"), ("h5py", "x.h5")])
def test_a_missing_package_is_one_line(
    package: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    path.write_bytes(b"MATLAB 5.0 MAT-file" if name.endswith("mat") else b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(FaceModelError, match=r"pip install 'facestream-tracker\[models\]'"):
        read_source(path)
