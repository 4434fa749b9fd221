"""Enrolling: the file, the bundle, the command, and what an enrolment does live."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import beginning
from tests.fitting.test_identity import CAMERA, observations, shape_error_m
from tests.toy_model import toy_model
from tracker.arkit import ARKIT_NAMES
from tracker.cli import main
from tracker.enrolment.enroller import LEAST_FRAMES, Enroller
from tracker.enrolment.file import Enrolment, read_enrolment, write_enrolment
from tracker.enrolment.focal import RATIOS, estimate_focal
from tracker.enrolment.views import choose_views
from tracker.errors import EnrolmentError
from tracker.fitting.stage import FitStage
from tracker.recording import read_take
from tracker.rotations import matrix_from_rotvec

FRAME_NS = 33_333_333


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return np.random.default_rng(8).normal(0, 1.5, toy_model().identity_count).astype(np.float32)


@pytest.fixture(scope="module")
def report(truth):
    enroller = Enroller(toy_model(), "toy")
    for seen in observations(truth, 90, seed=1):
        enroller.add(seen, CAMERA)
    return enroller.solve(views=20, focal_known=True, about={"source": "toy"})


def test_a_careful_solve_finds_the_person(report, truth):
    assert report.converged
    assert shape_error_m(report.enrolment.identity, truth) < 0.15 * shape_error_m(np.zeros_like(truth), truth)
    assert 0.5 < report.state.confidence <= 1.0 and report.state.frozen
    assert report.yaw_deg[0] < -10 < 10 < report.yaw_deg[1]


def test_the_file_keeps_everything(report, tmp_path):
    path = tmp_path / "me.npz"
    whole = replace(
        report.enrolment, neutral=np.linspace(0, 0.3, len(ARKIT_NAMES), dtype=np.float32), focal_per_width=0.9,
        albedo=np.full((7, 3), 0.5, np.float32),
    )  # fmt: skip
    write_enrolment(path, whole)
    back = read_enrolment(path)
    for name in ("identity", "covariance", "rotations", "neutral", "albedo"):
        np.testing.assert_array_equal(getattr(back, name), getattr(whole, name))
    assert (back.misfit, back.focal_per_width, back.model_sha256) == (whole.misfit, 0.9, "0" * 64)
    assert back.about["source"] == "toy" and back.about["views"] == 20
    assert [file.name for file in tmp_path.iterdir()] == ["me.npz"]


def _damaged(report, change) -> dict[str, np.ndarray]:
    arrays = {
        "meta_json": {"format": "face-enrolment", "version": 1, "model": {"name": "toy", "sha256": "0" * 64}},
        "identity": report.enrolment.identity, "covariance": report.enrolment.covariance,
        "rotations": report.enrolment.rotations, "misfit": np.array(0.01),
    }  # fmt: skip
    change(arrays)
    if "meta_json" in arrays:
        arrays["meta_json"] = np.array(json.dumps(arrays["meta_json"]))
    return arrays


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.pop("meta_json"), "no enrolment"),
        (lambda a: a["meta_json"].update(format="face-take"), "face-take"),
        (lambda a: a["meta_json"].update(version=9), "version 1, found 9"),
        (lambda a: a["meta_json"].update(focal_per_width="wide"), "focal_per_width"),
        (lambda a: a.pop("identity"), "identity"),
        (lambda a: a.update(covariance=np.eye(3)), "covariance must have shape"),
        (lambda a: a.update(covariance=-a["covariance"]), "impossible"),
        (lambda a: a.update(identity=a["identity"] * np.nan), "NaN"),
        (lambda a: a.update(neutral=np.zeros(3)), "neutral must have shape"),
    ],
)
def test_a_damaged_file_is_one_line(report, change, words, tmp_path):
    path = tmp_path / "me.npz"
    np.savez(path, **_damaged(report, change))
    with pytest.raises(EnrolmentError, match=words) as caught:
        read_enrolment(path)
    assert "\n" not in str(caught.value) and "tracker enroll" in str(caught.value)


def test_files_that_are_none_are_one_line(report, tmp_path):
    whole = tmp_path / "whole.npz"
    write_enrolment(whole, report.enrolment)
    blob = whole.read_bytes()
    pickled = tmp_path / "pickled.npz"
    np.savez(pickled, meta_json=np.array({"format": "face-enrolment"}, dtype=object), allow_pickle=True)
    for name, content in (("cut.npz", blob[: len(blob) // 2]), ("empty.npz", b""), ("text.npz", b"hello")):
        (tmp_path / name).write_bytes(content)
    for name in ("cut.npz", "empty.npz", "text.npz", "pickled.npz", "absent.npz"):
        with pytest.raises(EnrolmentError) as caught:
            read_enrolment(tmp_path / name)
        assert "\n" not in str(caught.value) and name in str(caught.value)


def test_another_face_model_is_refused(report):
    with pytest.raises(EnrolmentError, match="--face-model"):
        report.enrolment.check_model("other", "1" * 64)


def test_an_enrolled_face_is_known_from_the_first_frame(report, truth):
    stage = FitStage(toy_model(), "toy", enrolment=report.enrolment)
    seen = observations(truth, 100, seed=2)
    faces = [stage.process([one], CAMERA, k * FRAME_NS)[0] for k, one in enumerate(seen)]
    assert all(np.array_equal(face.identity, report.enrolment.identity) for face in faces)
    assert len({face.identity_version for face in faces}) == 1
    assert faces[0].identity_state.frozen and faces[0].identity_state.keyframes == 20
    assert not stage.take_notices()


def test_another_person_before_the_camera_is_told_and_learnt_anew(report):
    other = np.random.default_rng(3).normal(0, 1.5, toy_model().identity_count).astype(np.float32)
    stage = FitStage(toy_model(), "toy", enrolment=report.enrolment)
    faces = [stage.process([one], CAMERA, k * FRAME_NS)[0] for k, one in enumerate(observations(other, 150, seed=2))]
    (notice,) = stage.take_notices()
    assert notice.kind == "other_person" and notice.fields["enrolled"]
    assert shape_error_m(faces[-1].identity, other) < 0.4 * shape_error_m(report.enrolment.identity, other)


def test_a_cut_starts_anew_but_keeps_who_was_enrolled(report, truth):
    for enrolment, kept in ((None, False), (report.enrolment, True)):
        stage = FitStage(toy_model(), "toy", enrolment=enrolment)
        before, after = observations(truth, 60, seed=2)[-30:], observations(truth, 30, seed=4)
        for k, one in enumerate(before):
            (face,) = stage.process([one], CAMERA, k * FRAME_NS)
        (again,) = stage.process([after[0]], CAMERA, 31 * FRAME_NS, cut=True)
        assert np.array_equal(face.identity, again.identity) == kept


def test_too_little_is_said(truth):
    enroller = Enroller(toy_model(), "toy")
    for seen in observations(truth, LEAST_FRAMES - 1, seed=1):
        enroller.add(seen, CAMERA)
    with pytest.raises(EnrolmentError, match="29 frames"):
        enroller.solve()
    with pytest.raises(EnrolmentError, match="cut"):
        enroller.add(seen, CAMERA, cut=True)


def test_views_lie_far_apart_and_are_usable_ones():
    rotations = np.stack([matrix_from_rotvec(np.array([0.0, a, 0.0])) for a in np.linspace(-0.5, 0.5, 101)])
    usable = np.ones(101, bool)
    usable[90:] = False
    chosen = choose_views(rotations, np.zeros((101, 5)), usable, 4)
    assert len(set(chosen)) == 4 and {0, 89} <= set(chosen)
    assert np.diff(sorted(chosen)).min() > 15
    assert choose_views(rotations, np.zeros((101, 5)), ~usable & False, 4) == []


def test_the_focal_length_is_where_the_cost_is_lowest_or_not_observable():
    sharp = estimate_focal(lambda ratio: (np.log(ratio / 1.3) / 0.05) ** 2)
    assert (
        sharp.observed and sharp.ratio == pytest.approx(1.3, rel=0.02) and sharp.sigma == pytest.approx(0.05, rel=0.1)
    )
    flat = estimate_focal(lambda ratio: 3.0)
    assert not flat.observed and flat.ratio == pytest.approx(1.0) and flat.sigma == pytest.approx(0.3)
    edge = estimate_focal(lambda ratio: -40.0 * np.log(ratio))
    assert not edge.observed and edge.ratio <= RATIOS[-1]


def enroll(*arguments) -> int:
    return main(["enroll", *map(str, arguments)])


def test_the_command_end_to_end(samples, networks, tmp_path, capsys):
    me, clip = tmp_path / "me.npz", samples("WolfgangLanger_Pexels.mp4")
    assert enroll(clip, "-o", me, "--seconds", 5) == 0
    said = capsys.readouterr().err
    assert "40 views of 120 frames" in said and "confidence" in said and "focal length" in said
    enrolment: Enrolment = read_enrolment(me)
    assert enrolment.about["source"] == clip.name and enrolment.about["created"]
    take = tmp_path / "take.npz"
    later = beginning(clip, 30, tmp_path / "later.mp4")
    assert main(["process", str(later), "-o", str(take), "--identity", str(me), "--quiet"]) == 0
    frames = read_take(take)
    versions = {face.identity_version for frame in frames for face in frame.faces}
    first = frames.frame(0)
    assert len(versions) == 1 and first.faces[0].identity_state.frozen
    np.testing.assert_allclose(first.faces[0].identity, enrolment.identity, atol=1e-6)
    if enrolment.focal_per_width is not None:
        assert first.camera.focal_px == pytest.approx(enrolment.focal_per_width * first.camera.width)
    assert enroll(clip, "-o", me) == 1
    assert "--force" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("no_face.mp4",), "0 frames"),
        (("single_face.mp4", "--neutral"), "no neutral face"),
        (("single_face.mp4", "--seconds", "0"), "--seconds"),
        (("single_face.mp4", "--views", "1"), "--views"),
        (("single_face.mp4", "--max-faces", "2"), "--max-faces"),
        (("single_face.mp4", "--identity", "you.npz"), "--identity"),
    ],
)
def test_what_cannot_be_enrolled_is_one_line(arguments, words, samples, networks, tmp_path, capsys):
    clip, *options = arguments
    assert enroll(samples(clip), "-o", tmp_path / "me.npz", "--quiet", *options) in (1, 2)
    said = capsys.readouterr().err.strip()
    assert words in said and "\n" not in said
    assert not list(tmp_path.iterdir())


def test_unusable_names_are_one_line(samples, networks, tmp_path, capsys):
    clip = samples("single_face.mp4")
    (tmp_path / "file").touch()
    assert enroll("webcam", "-o", tmp_path / "file" / "me.npz") == 1
    assert "choose a folder that can be written" in capsys.readouterr().err
    assert enroll(clip, "-o", tmp_path / "me.txt") == 2
    assert ".npz" in capsys.readouterr().err
    for value in (tmp_path / "absent.npz", clip):
        assert main(["process", str(clip), "-o", str(tmp_path / "t.npz"), "--identity", str(value), "--quiet"]) == 1
        said = capsys.readouterr().err.strip()
        assert str(value) in said and "\n" not in said
