from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tracker.errors import FaceModelError
from tracker.face_model.importing.ict import is_ict, read_ict
from tracker.face_model.importing.recognise import read_source

LANDMARKS = list(range(68))


def _obj(points: np.ndarray, side: int) -> str:
    lines = ["# a tiny face", "g all"]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in points]
    lines += [f"vt {i / 100:.3f} {1 - i / 100:.3f}" for i in range(len(points))]
    for row in range(side - 1):
        for column in range(side - 1):
            a = row * side + column + 1
            corners = (a, a + 1, a + side + 1, a + side)
            lines.append("f " + " ".join(f"{c}/{c}" for c in corners))
    return "\n".join(lines) + "\n"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A folder of ICT-FaceKit's structure with 81 vertices, centimetres."""
    folder = tmp_path / "ICT-FaceKit" / "FaceXModel"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    neutral = rng.uniform(-8, 8, (81, 3))
    moves = {"identity000": 0, "identity001": 1, "jawOpen": 1, "mouthLeft": 0, "eyeBlink_L": 1, "eyeBlink_R": 1}
    moves |= {"browInnerUp_L": 1, "browInnerUp_R": 1, "cheekRaiser_L": 2}
    (folder / "generic_neutral_mesh.obj").write_text(_obj(neutral, 9))
    for k, (name, axis) in enumerate(moves.items()):
        moved = neutral.copy()
        moved[k : k + 5, axis] += 0.5
        (folder / f"{name}.obj").write_text(_obj(moved, 9))
    (folder / "vertex_indices.json").write_text(json.dumps({"idx_to_landmark_verts": LANDMARKS}))
    return folder


def test_values_come_through_in_metres_and_arkit_names(tiny: Path) -> None:
    model = read_ict(tiny)
    assert model.family == "ict"
    assert model.expression_names == ("eyeBlinkLeft", "eyeBlinkRight", "jawOpen", "mouthLeft", "browInnerUp")
    assert model.template.shape == (81, 3) and np.abs(model.template).max() <= 0.08
    jaw = model.expression_basis[:, :, model.expression_names.index("jawOpen")]
    expected = np.zeros((81, 3))
    expected[2:7, 1] = 0.005
    np.testing.assert_allclose(jaw, expected, atol=1e-7)
    brows = model.expression_basis[:, 1, model.expression_names.index("browInnerUp")]
    np.testing.assert_allclose(brows.sum(), 2 * 5 * 0.005, atol=1e-6)  # both sides at once
    np.testing.assert_allclose(model.identity_basis[1:6, 1, 1], 0.005, atol=1e-7)
    assert len(model.faces) == 2 * 64  # quads are cut
    assert model.uv is not None and model.uv.shape == (81, 2)
    np.testing.assert_allclose(model.uv[10], [0.1, 0.9], atol=1e-6)
    assert any("cheekRaiser_L" in note for note in model.notes)


def test_own_landmarks_are_vertices(tiny: Path) -> None:
    model = read_ict(tiny)
    own = model.embeddings["ibug68"]
    points = np.einsum("lk,lki->li", own.barycentric, model.template[model.faces[own.faces]])
    np.testing.assert_array_equal(points, model.template[LANDMARKS])
    assert (own.weight[:17] == np.float32(0.1)).all() and (own.weight[17:] == 1).all()


def test_folder_parent_zip_and_tar_are_the_same(tiny: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "ict.zip", "w") as archive:
        for file in sorted(tiny.iterdir()):
            archive.write(file, f"ICT-FaceKit-master/FaceXModel/{file.name}")
    with tarfile.open(tmp_path / "ict.tar.xz", "w:xz") as tar:
        tar.add(tiny, "FaceXModel")
    steps: list[tuple[int, int]] = []
    reference = read_ict(tiny, lambda done, total: steps.append((done, total)))
    assert steps[-1] == (11, 11)
    for other in (tiny.parent, tmp_path / "ict.zip", tmp_path / "ict.tar.xz"):
        assert is_ict(other)
        model = read_source(other)
        np.testing.assert_array_equal(model.template, reference.template)
        assert model.sha256 == reference.sha256


def _break(folder: Path, name: str, text: str | None) -> None:
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("jawOpen.obj", _obj(np.zeros((4, 3)), 2), "jawOpen.obj has 4 vertices"),
        ("jawOpen.obj", "v 1 2 x\n", "no vertices of three numbers"),
        ("jawOpen.obj", "", "no vertices of three numbers"),
        ("jawOpen.obj", "v nan 0 0\n" + "v 0 0 0\n" * 80, "not finite"),
        ("identity000.obj", None, "identity000.obj is missing"),
        ("generic_neutral_mesh.obj", _obj(np.zeros((81, 3)), 9) + "f 1 2 99\n", "generic_neutral_mesh.obj has a face"),
        ("vertex_indices.json", "{", "vertex_indices.json is damaged"),
    ],
)
def test_damage_is_named(tiny: Path, name: str, text: str | None, message: str) -> None:
    _break(tiny, name, text)
    with pytest.raises(FaceModelError, match=message) as caught:
        read_ict(tiny)
    assert "\n" not in str(caught.value)


def test_without_identities_or_faces_it_is_refused(tiny: Path) -> None:
    for file in tiny.glob("identity*.obj"):
        file.unlink()
    with pytest.raises(FaceModelError, match=r"no identity000\.obj"):
        read_ict(tiny)
    neutral = tiny / "generic_neutral_mesh.obj"
    (tiny / "identity000.obj").write_text(neutral.read_text())
    neutral.write_text("".join(line for line in neutral.read_text().splitlines(True) if line[0] != "f"))
    with pytest.raises(FaceModelError, match="no faces"):
        read_ict(tiny)


def test_other_folders_and_archives_are_not_taken_for_it(tmp_path: Path) -> None:
    assert not is_ict(tmp_path)
    (tmp_path / "x.zip").write_bytes(b"PK no zip")
    assert not is_ict(tmp_path / "x.zip")
    with pytest.raises(FaceModelError, match="expected ICT-FaceKit's folder"):
        read_ict(tmp_path)


@pytest.mark.slow
def test_the_real_one(shared_data: Path) -> None:
    model = read_ict(shared_data / "face_models" / "ict_facekit.tar.xz")
    assert model.identity_count == 100 and model.expression_count == 51
    assert model.parts is not None and (model.parts == 0).sum() == 11248
    # Units of standard deviations: eyes of the population differ as anthropometry says.
    own = model.embeddings["ibug68"]
    shapes = np.random.default_rng(0).standard_normal((200, 100)).astype(np.float32)
    rows = model.faces[own.faces][own.barycentric > 0]
    corners = [
        model.template[rows[i]] + np.einsum("cj,nj->nc", model.identity_basis[rows[i]], shapes) for i in (36, 45)
    ]
    apart_mm = 1e3 * np.linalg.norm(corners[0] - corners[1], axis=1)
    assert 80 < apart_mm.mean() < 95 and 3 < apart_mm.std() < 7
