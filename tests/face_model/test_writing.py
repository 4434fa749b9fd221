"""Writing models in the neutral format and mapping their large arrays back."""

from __future__ import annotations

import dataclasses
import errno
import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.toy_model import toy_model
from tracker.errors import FaceModelError
from tracker.face_model import FaceModel, load_face_model, read_face_model
from tracker.face_model import writing as writing_module
from tracker.face_model.mapped_npz import read_arrays, write_arrays
from tracker.face_model.writing import is_undamaged, write_face_model


def full_model() -> FaceModel:
    """A toy with everything optional in use."""
    model = toy_model(correctives=True)
    rng = np.random.default_rng(3)

    def random(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    ne = model.expression_count
    return replace(
        model,
        joint_expression=random(5, 3, ne),
        arkit_map=random(ne, 52),
        arkit_explained=random(52),
        source_origin=random(3),
        albedo_mean=random(model.vertex_count, 3),
        albedo_basis=random(model.vertex_count, 3, 4),
        attribution="somebody",
        meta={"family": "toy"},
    )


def test_every_field_comes_back(tmp_path: Path) -> None:
    model = full_model()
    digest = write_face_model(tmp_path / "toy.npz", model)
    read = read_face_model(tmp_path / "toy.npz")
    assert read.sha256 == digest and read.meta["family"] == "toy"
    for field in dataclasses.fields(FaceModel):
        ours, theirs = getattr(model, field.name), getattr(read, field.name)
        if field.name in ("sha256", "meta"):
            continue
        if field.name == "embeddings":
            for name, embedding in ours.items():
                for part in ("faces", "barycentric", "weight"):
                    assert np.array_equal(getattr(embedding, part), getattr(theirs[name], part)), (name, part)
        elif isinstance(ours, np.ndarray):
            assert np.array_equal(ours, theirs), field.name
        else:
            assert ours == theirs, field.name


def test_the_same_content_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_face_model(tmp_path / name, full_model())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_large_arrays_are_mapped_and_small_ones_read(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    arrays = {
        "small": np.arange(5, dtype=np.float32),
        "large": np.random.default_rng(0).normal(size=(700, 3, 200)).astype(np.float32),
        "odd_name": np.arange(400_001, dtype=np.float32),
        "whole": np.arange(300_000),
    }
    write_arrays(path, arrays)
    read, mapped = read_arrays(path)
    assert mapped == {"large", "odd_name"}
    for key, array in arrays.items():
        assert np.array_equal(read[key], array), key
    assert read["large"].ctypes.data % 64 == 0 and not read["large"].flags.writeable
    with np.load(path, allow_pickle=False) as foreign:
        assert all(np.array_equal(foreign[key], array) for key, array in arrays.items())
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


def test_compressed_and_half_precision_files_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "compressed.npz"
    np.savez_compressed(path, a=np.zeros((600, 600), np.float32), b=np.ones((900, 900), np.float16))
    read, mapped = read_arrays(path)
    assert not mapped and read["b"].dtype == np.float16 and read["a"].shape == (600, 600)


def test_a_truncated_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "toy.npz"
    write_face_model(path, full_model())
    blob = path.read_bytes()
    for length in (0, 3, 100, len(blob) // 2, len(blob) - 1):
        path.write_bytes(blob[:length])
        with pytest.raises(FaceModelError) as caught:
            read_face_model(path)
        assert "\n" not in str(caught.value)


def test_a_member_shorter_than_its_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lies.npz"
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": (1 << 30,)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("template.npy", buffer.getvalue() + bytes(1 << 21))
    with pytest.raises((ValueError, zipfile.BadZipFile)):
        read_arrays(path)


def test_changed_numbers_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "toy.npz"
    write_face_model(path, full_model())
    assert is_undamaged(path)
    arrays, _ = read_arrays(path)
    changed = {key: array.copy() for key, array in arrays.items()}
    changed["template"][0, 0] += 1e-3
    write_arrays(path, changed)
    assert not is_undamaged(path)


def test_numbers_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    model = full_model()
    basis = model.identity_basis.copy()
    basis[0, 0, 0] = np.nan
    with pytest.raises(FaceModelError, match="'identity_basis' of toy contains numbers that are not finite"):
        write_face_model(tmp_path / "toy.npz", replace(model, identity_basis=basis))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("trouble", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_ctrl_c_leaves_the_old_file(
    trouble: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "toy.npz"
    write_face_model(path, full_model())
    before = path.read_bytes()

    def half(target: Path, arrays: object) -> None:
        target.write_bytes(b"PK half a file")
        raise trouble

    monkeypatch.setattr(writing_module, "write_arrays", half)
    expected = KeyboardInterrupt if isinstance(trouble, KeyboardInterrupt) else FaceModelError
    with pytest.raises(expected) as caught:
        write_face_model(path, toy_model(1))
    if expected is FaceModelError:
        assert str(caught.value) == f"cannot write {path}: No space left on device"
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_the_builtin_head_survives_the_round_trip(tmp_path: Path) -> None:
    head = load_face_model()
    write_face_model(tmp_path / "head.npz", head)
    again = read_face_model(tmp_path / "head.npz")
    assert np.array_equal(head.identity_basis, again.identity_basis) and again.name == "builtin"
