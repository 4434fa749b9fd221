"""The main job on a real clip: every frame tracked, the same result threaded or not, sensible numbers, clean failures."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tracker import Tracker
from tracker.config import TrackerConfig
from tracker.errors import ConfigError, FaceModelError, SourceError
from tracker.pipeline import Pipeline
from tracker.rotations import head_euler, matrix_from_quaternion
from tracker.sources.base import FrameSource
from tracker.sources.open import open_source
from tracker.tracking import FrameTracker
from tracker.types import Frame, FrameResult

FRAMES = 30


@pytest.fixture(scope="module")
def clip(samples) -> list[Frame]:
    with open_source(str(samples("single_face.mp4"))) as source:
        return [frame for frame, _ in zip(source, range(FRAMES), strict=False)]


@pytest.fixture(scope="module")
def results(clip, networks) -> list[FrameResult]:
    tracker = FrameTracker()
    return [tracker.process(frame) for frame in clip]


class ListSource(FrameSource):
    """Frames from memory, with a failure where one is wanted."""

    name = "list"

    def __init__(self, frames: list[Frame], fail_after: int | None = None) -> None:
        self._frames = iter(frames)
        self._left = fail_after

    def read(self) -> Frame | None:
        if self._left == 0:
            raise SourceError("the list is torn")
        if self._left is not None:
            self._left -= 1
        return next(self._frames, None)


def test_every_frame_has_the_one_face_under_one_id(results):
    assert [len(result.faces) for result in results] == [1] * FRAMES
    assert {result.faces[0].id for result in results} == {results[0].faces[0].id}


def test_numbers_are_those_of_a_person_in_front_of_a_camera(results):
    for result in results:
        face = result.faces[0]
        yaw, pitch, roll = np.degrees(head_euler(matrix_from_quaternion(face.quaternion)))
        assert abs(yaw) < 25 and abs(pitch) < 25 and abs(roll) < 15
        assert 0.3 < face.position[2] < 2.0
        assert face.confidence > 0.7
        assert face.arkit.min() >= 0.0 and face.arkit.max() <= 1.0
        assert np.linalg.norm(face.quaternion) == pytest.approx(1.0, abs=1e-5)
        # The mesh lies where the landmarks are, within 2 % of the face's width.
        assert face.residual_px < 0.02 * face.box[2]


def test_the_pipeline_gives_what_sequential_tracking_gives(clip, results):
    tracker = FrameTracker()
    for _ in range(2):
        tracker.reset()
        with Pipeline(ListSource(clip), tracker) as pipeline:
            piped = list(pipeline)
        assert [result.index for result in piped] == [result.index for result in results]
        for one, other in zip(piped, results, strict=True):
            assert np.array_equal(one.faces[0].params.expression, other.faces[0].params.expression)
            assert np.array_equal(one.faces[0].position, other.faces[0].position)
        assert {"detect", "encode", "fit", "decode"} <= set(pipeline.metrics.snapshot())


def test_frames_that_a_live_source_dropped_do_not_switch_smoothing_off(clip, results):
    tracker = FrameTracker()
    for frame, wanted in zip(clip[:12], results, strict=False):
        face = tracker.process(replace(frame, index=3 * frame.index)).faces[0]
        assert np.array_equal(face.position, wanted.faces[0].position)
        assert np.array_equal(face.params.expression, wanted.faces[0].params.expression)
    assert not np.array_equal(face.params.rotation, face.raw.rotation)


def test_a_source_that_fails_fails_the_pipeline_after_its_frames(clip, networks):
    seen = []
    with pytest.raises(SourceError, match="torn"), Pipeline(ListSource(clip, fail_after=3), FrameTracker()) as pipeline:
        seen.extend(pipeline)
    assert len(seen) == 3


def test_leaving_the_pipeline_early_ends_its_threads(clip, networks):
    pipeline = Pipeline(ListSource(clip * 50), FrameTracker())
    for _ in zip(pipeline, range(2), strict=False):
        pass
    pipeline.close()
    assert not any(thread.is_alive() for thread in pipeline._threads)


def test_frame_size_may_change_in_mid_stream(clip, networks):
    half = [replace(frame, image=np.ascontiguousarray(frame.image[::2, ::2])) for frame in clip[5:10]]
    tracker = FrameTracker()
    faces = [tracker.process(frame).faces for frame in clip[:5] + half]
    assert all(len(found) == 1 for found in faces)
    assert faces[4][0].position[2] == pytest.approx(faces[5][0].position[2], rel=0.1)


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 700, 3), (4320, 7680, 3)])
def test_extreme_frames_without_a_face_give_no_face(shape, networks):
    tracker = Tracker()
    assert tracker(np.zeros(shape, np.uint8), 0.0).faces == ()


def test_an_8k_frame_with_a_face_is_tracked(clip, networks):
    import cv2

    big = cv2.resize(clip[0].image, (7680, 4320), interpolation=cv2.INTER_LINEAR)
    (face,) = Tracker()(big, 0.0).faces
    assert face.confidence > 0.7


def test_recentering_makes_the_present_pose_the_neutral_one(clip, networks):
    tracker = FrameTracker(TrackerConfig(smoothing=False))
    tracker.process(clip[0])
    tracker.request_recenter()
    face = tracker.process(clip[1]).faces[0]
    assert np.degrees(head_euler(matrix_from_quaternion(face.quaternion))) == pytest.approx([0, 0, 0], abs=0.01)
    assert face.position[:2] == pytest.approx([0, 0], abs=1e-5)
    after = tracker.process(clip[2]).faces[0]
    assert np.abs(head_euler(matrix_from_quaternion(after.quaternion))).max() < np.radians(5)


def test_library_tracks_arrays(clip, networks):
    tracker = Tracker(max_faces=1)
    found = list(tracker.track([frame.image for frame in clip[:3]], fps=Fraction(30000, 1001)))
    assert [result.index for result in found] == [0, 1, 2]
    assert found[1].t_capture_ns == pytest.approx(33366667, abs=1)
    assert found[2].faces[0].identity.shape == (tracker.face_model.identity_count,)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10), np.uint8),
        np.zeros((0, 10, 3), np.uint8),
        np.zeros((10, 10, 3), np.float32),
        np.zeros((10, 10, 4), np.uint8),
        "me.png",
    ],
)
def test_library_refuses_what_is_no_rgb_image(image, networks):
    with pytest.raises(SourceError, match=r"RGB uint8 array of shape \(H, W, 3\)"):
        Tracker()(image)


@pytest.mark.parametrize("t_s", [float("nan"), float("inf")])
def test_library_refuses_a_time_that_is_no_number(t_s, networks):
    with pytest.raises(SourceError, match="number of seconds"):
        Tracker()(np.zeros((4, 4, 3), np.uint8), t_s)


@pytest.mark.parametrize("fps", [0, -1, float("nan")])
def test_library_refuses_an_impossible_rate(fps, networks):
    with pytest.raises(SourceError, match="fps"):
        next(Tracker().track([np.zeros((4, 4, 3), np.uint8)], fps))


@pytest.mark.parametrize(
    "settings", [{"encoder": "resnet"}, {"max_faces": 0}, {"focal_px": float("nan")}, {"fov_deg": 1.0},
                 {"focal_px": 500.0, "fov_deg": 60.0}, {"threads": 0}, {"precision": "int4"}]
)  # fmt: skip
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError):
        TrackerConfig(**settings)


def test_unknown_face_model_is_one_line(networks, tmp_path):
    with pytest.raises(FaceModelError, match="cannot read face model"):
        FrameTracker(TrackerConfig(face_model=str(tmp_path / "none.npz")))
    junk = tmp_path / "junk.npz"
    junk.write_bytes(b"junk")
    with pytest.raises(FaceModelError, match="not a face model"):
        FrameTracker(TrackerConfig(face_model=str(junk)))


def test_field_of_view_sets_the_focal_length():
    assert TrackerConfig(fov_deg=90.0).focal_for(1000) == pytest.approx(500.0)
    assert TrackerConfig().focal_for(1000) is None


def test_appearance_is_the_same_in_threads_and_in_turn(clip, networks):
    config = TrackerConfig(appearance=True)
    tracker = FrameTracker(config)
    in_turn = [tracker.process(frame) for frame in clip]
    with Pipeline(ListSource(clip), FrameTracker(config)) as pipeline:
        threaded = list(pipeline)
    assert len(in_turn) == len(threaded)
    for one, other in zip(in_turn, threaded, strict=True):
        for a, b in zip(one.faces, other.faces, strict=True):
            assert a.light is not None and b.light is not None and a.occlusion is not None and b.occlusion is not None
            np.testing.assert_array_equal(a.light.sh, b.light.sh)
            np.testing.assert_array_equal(a.occlusion.points, b.occlusion.points)
            assert a.albedo is not None and b.albedo is not None and a.albedo.version == b.albedo.version
            np.testing.assert_array_equal(a.albedo.points, b.albedo.points)
    assert "appearance" in in_turn[-1].stage_ms
