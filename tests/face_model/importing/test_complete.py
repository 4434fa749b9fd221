"""A bare mesh becomes a whole model: everything it lacks is derived, and what is wrong with it is put right or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="registration needs scipy")

from tests.stranger import Stranger
from tracker.arkit import ARKIT_NAMES
from tracker.errors import FaceModelError
from tracker.face_model import EYE_LEFT, EYE_RIGHT, FaceModel, read_face_model
from tracker.face_model.importing.anatomy import sphere
from tracker.face_model.importing.dense_sets import builtin_dense_sets
from tracker.face_model.importing.expression_transfer import builtin_deltas, transfer_expressions
from tracker.face_model.importing.normalising import normalised, unit_of
from tracker.face_model.importing.registration import Correspondence, Viewer
from tracker.face_model.importing.registration.head_template import head_template
from tracker.face_model.importing.source_model import SourceModel
from tracker.face_model.importing.symmetry import find_mirror
from tracker.face_model.importing.texture import cylinder_uv
from tracker.face_model.importing.transfer import RegistrationReport, complete
from tracker.face_model.writing import write_face_model


@pytest.fixture(scope="session")
def bare(head: FaceModel, stranger: Stranger) -> SourceModel:
    """The stranger in millimetres, with a few identity components and nothing else, as a Basel-like file has it."""
    return SourceModel(
        name="bare", family="basel", version="", licence="", source="bare.h5", sha256="",
        template=(10.0 * stranger.vertices).astype(np.float32),
        faces=stranger.faces,
        identity_basis=1e3 * head.identity_basis[stranger.order][:, :, :5],
        expression_basis=np.zeros((head.vertex_count, 3, 0), np.float32),
        expression_names=(),
        expression_bounds=np.zeros((0, 2), np.float32),
    )  # fmt: skip


@pytest.fixture(scope="session")
def completed(bare: SourceModel, networks: Path) -> tuple[FaceModel, RegistrationReport]:
    return complete(bare)


def test_millimetres_are_recognised(completed: tuple[FaceModel, RegistrationReport], stranger: Stranger) -> None:
    model, report = completed
    assert any("millimetres" in note for note in report.notes)
    true_size = np.ptp(stranger.shape_m, axis=0)
    np.testing.assert_allclose(np.ptp(model.template, axis=0), true_size, rtol=1e-4)


def test_expressions_are_arkits_and_move_what_they_should(
    completed: tuple[FaceModel, RegistrationReport], stranger: Stranger
) -> None:
    model, report = completed
    assert set(model.expression_names) <= set(ARKIT_NAMES) and model.expression_count >= 51
    assert any("carried over" in note for note in report.notes)
    truth = builtin_deltas()[stranger.order]
    skin = model.parts == model.part_names.index("skin")
    for name in ("jawOpen", "mouthSmileLeft", "eyeBlinkRight", "browInnerUp", "mouthPucker"):
        mine = model.expression_basis[skin][:, :, model.expression_names.index(name)].ravel()
        theirs = truth[skin][:, :, ARKIT_NAMES.index(name)].ravel()
        cosine = mine @ theirs / np.linalg.norm(mine) / np.linalg.norm(theirs)
        assert cosine > 0.88, name


def test_eyes_turn_about_their_middles(
    completed: tuple[FaceModel, RegistrationReport], head: FaceModel, stranger: Stranger
) -> None:
    model, _ = completed
    for joint, name in ((EYE_LEFT, "eye_left"), (EYE_RIGHT, "eye_right")):
        rows = model.parts == model.part_names.index(name)
        truth = head.parts[stranger.order] == head.part_names.index(name)
        assert (rows == truth).all()
        assert (model.skin_weights[rows, joint] == 1).all()
    assert np.abs(model.joint_template[[EYE_LEFT, EYE_RIGHT]].mean(axis=0)).max() < 1e-6
    look = model.expression_names.index("eyeLookInLeft")
    params = model.neutral_params()
    params.expression[look] = 1.0
    zero = np.zeros(model.identity_count, np.float32)
    moved = model.landmarks(model.vertices_head(zero, model.with_joint_rotations(params)), "mediapipe478")
    rest = model.landmarks(model.template, "mediapipe478")
    assert moved[473, 0] - rest[473, 0] < -0.004  # the left iris goes towards the nose, the subject's right
    assert abs(moved[468, 0] - rest[468, 0]) < 1e-5


def test_landmarks_lie_where_they_do_on_the_builtin_head(
    completed: tuple[FaceModel, RegistrationReport], head: FaceModel, stranger: Stranger
) -> None:
    model, _ = completed
    shape = (stranger.shape_m - head.joint_template[[EYE_LEFT, EYE_RIGHT]].mean(axis=0)).astype(np.float32)
    for name in ("ibug68", "mediapipe478"):
        mine, theirs = model.landmarks(model.template, name), head.landmarks(shape, name)
        offset = (theirs - mine).mean(axis=0)
        error_mm = 1e3 * np.linalg.norm(mine + offset - theirs, axis=1)
        weight = head.embedding(name).weight
        assert np.median(error_mm[weight > 0.9]) < 2.5
    dense, known = builtin_dense_sets()["dense202"], model.embedding("dense202")
    mine = model.landmarks(model.template, "dense202")
    theirs = np.einsum("lk,lki->li", dense.barycentric, shape[head.faces[dense.faces]])
    assert np.median(1e3 * np.linalg.norm(mine + offset - theirs, axis=1)) < 4.0
    assert len(known.faces) == 202 and "dense1609" in model.embeddings
    partner = model.mirror
    assert (partner[partner] == np.arange(model.vertex_count)).mean() > 0.95


def test_rows_of_weights_sum_to_one_and_the_file_is_valid(
    completed: tuple[FaceModel, RegistrationReport], tmp_path: Path
) -> None:
    model, report = completed
    np.testing.assert_allclose(model.skin_weights.sum(axis=1), 1.0, atol=1e-5)
    assert model.skin_mask.max() <= 1 and model.skin_mask.sum() > 300
    assert model.uv.min() >= 0 and model.uv.max() <= 1 and model.uv_faces.max() < len(model.uv)
    write_face_model(tmp_path / "bare.npz", model)
    again = read_face_model(tmp_path / "bare.npz")
    np.testing.assert_array_equal(again.template, model.template)
    report.write_picture(tmp_path / "bare.png")
    assert (tmp_path / "bare.png").stat().st_size > 100_000
    assert all("\n" not in line and "nan" not in line for line in report.lines())
    with pytest.raises(FaceModelError, match="cannot write"):
        report.write_picture(tmp_path / "nowhere" / "bare.png")


def test_transfer_onto_itself_changes_nothing(head: FaceModel, stranger: Stranger, registered: Correspondence) -> None:
    carried = transfer_expressions(
        replace(head, template=stranger.vertices.astype(np.float32), faces=stranger.faces), registered
    )
    assert carried.basis.shape == (head.vertex_count, 3, 52)
    assert np.isfinite(carried.basis).all()
    eyeballs = head.parts[stranger.order] == head.part_names.index("eye_left")
    assert not carried.basis[eyeballs].any()
    still = np.abs(builtin_deltas()[stranger.order]).max(axis=(1, 2)) < 1e-6
    assert 10 * np.abs(carried.basis[still & carried.known]).max() < 3.0  # mm


def test_axes_and_winding_are_put_right(bare: SourceModel, networks: Path) -> None:
    wrong = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]], np.float32)  # z up, as scanners have it
    source = replace(
        bare, template=bare.template @ wrong.T, identity_basis=np.einsum("ij,njk->nik", wrong, bare.identity_basis),
        faces=bare.faces[:, ::-1].copy(),
    )  # fmt: skip
    fixed, notes = normalised(source, Viewer())
    assert len(notes) == 3
    np.testing.assert_array_equal(fixed.faces, bare.faces)
    np.testing.assert_allclose(fixed.template, 1e-3 * bare.template, atol=1e-6)
    np.testing.assert_allclose(fixed.identity_basis, 1e-3 * bare.identity_basis, atol=1e-6)


@pytest.mark.parametrize(
    ("ratio", "name"),
    [(1.1, "metres"), (95.0, "centimetres"), (40.0, "inches"), (980.0, "millimetres"), (1.05e6, "micrometres")],
)
def test_units_by_size(ratio: float, name: str) -> None:
    assert unit_of(ratio)[0] == name


def test_a_unit_of_its_own_is_scaled_to_the_mean() -> None:
    name, metres = unit_of(3.0)
    assert name == "a unit of its own" and metres == pytest.approx(1 / 3)


def test_mirror_of_a_tilted_head(head: FaceModel) -> None:
    turned = head.template.astype(np.float64) + 0.03 * np.roll(head.template, 1, axis=1) * [1, 0, 0] + [0.01, 0, 0]
    partner, apart = find_mirror(head.template + np.array([0.02, 0.0, 0.0], np.float32))
    assert (partner == head.mirror).mean() > 0.97
    assert np.median(apart) < 1e-5
    assert np.isfinite(find_mirror(turned)[1]).all()


def test_sphere_ignores_the_cornea(head: FaceModel) -> None:
    points = head.template[head.parts == head.part_names.index("eye_left")].astype(np.float64)
    _, centre = sphere(points)
    np.testing.assert_allclose(centre[:2], head.joint_template[EYE_LEFT, :2], atol=1e-5)
    # All but the flattened front lies on the sphere; the joint sits a little ahead of its middle.
    radius = np.linalg.norm(points - centre, axis=1)
    assert np.quantile(np.abs(radius - np.median(radius)), 0.7) < 1e-4
    assert abs(centre[2] - head.joint_template[EYE_LEFT, 2]) < 2.5e-3


def test_the_cut_of_the_texture_tears_no_triangle(head: FaceModel) -> None:
    uv, faces = cylinder_uv(head.template, head.faces)
    assert faces.shape == head.faces.shape
    width = np.ptp(uv[faces][:, :, 0], axis=1)
    assert np.percentile(width, 99) < 0.2
    np.testing.assert_array_equal(faces[faces < head.vertex_count], head.faces[faces < head.vertex_count])


def test_regions_of_the_template_are_the_skins() -> None:
    template = head_template()
    assert template.region("nose").sum() > 100
    assert (template.faces >= 0).all()
