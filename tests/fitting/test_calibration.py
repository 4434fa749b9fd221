"""Neutral calibration: rest becomes zero, full range stays, and a capture is refused for what spoils it."""

from __future__ import annotations

import numpy as np
import pytest

from tracker.arkit import ARKIT_INDEX, ARKIT_NAMES
from tracker.config import TrackerConfig
from tracker.fitting.calibration import NeutralCalibration, NeutralCapture, Refused
from tracker.fitting.recenter import FRONTAL
from tracker.rotations import matrix_from_rotvec
from tracker.sources.open import open_source
from tracker.tracking import FrameTracker
from tracker.types import Frame

FRAME_NS = 33_333_333
AHEAD = np.zeros(2, np.float32)


def weights(**named: float) -> np.ndarray:
    arkit = np.zeros(len(ARKIT_NAMES), np.float32)
    for name, value in named.items():
        arkit[ARKIT_INDEX[name]] = value
    return arkit


def capture(frames, *, gaze=False, step_ns=FRAME_NS):
    """The outcome of a capture; ``frames`` yields (weights, rotation vector) or None where the face is away."""
    watching = NeutralCapture(gaze)
    for index, frame in enumerate(frames):
        if frame is None:
            outcome = watching.miss(index * step_ns)
        else:
            arkit, turn = frame
            looks = (np.array([0.1, -0.05], np.float32), np.array([0.12, -0.05], np.float32))
            outcome = watching.add(index * step_ns, arkit, matrix_from_rotvec(np.array(turn)) @ FRONTAL, looks)
        if outcome is not None:
            return outcome
    return None


def still(arkit, count=90):
    return [(arkit, (0.0, 0.0, 0.0))] * count


def reason(frames, **options) -> str:
    outcome = capture(frames, **options)
    assert isinstance(outcome, Refused)
    return outcome.reason


def test_rest_becomes_zero_and_full_range_stays():
    rest = weights(eyeBlinkLeft=0.3, browInnerUp=0.2, mouthFrownLeft=0.1)
    outcome = capture(still(rest))
    assert isinstance(outcome, NeutralCalibration)
    assert not outcome.weights(rest).any()
    shut = outcome.weights(weights(eyeBlinkLeft=1.0, eyeBlinkRight=1.0, browInnerUp=1.0))
    assert (
        shut[ARKIT_INDEX["eyeBlinkLeft"]]
        == shut[ARKIT_INDEX["eyeBlinkRight"]]
        == shut[ARKIT_INDEX["browInnerUp"]]
        == 1.0
    )
    rising = [outcome.weights(weights(eyeBlinkLeft=w))[ARKIT_INDEX["eyeBlinkLeft"]] for w in np.linspace(0, 1, 50)]
    assert np.all(np.diff(rising) >= 0.0)
    assert outcome.strongest() == {"eyeBlinkLeft": 0.3, "browInnerUp": 0.2, "mouthFrownLeft": 0.1}


def test_blinks_during_the_capture_do_not_matter():
    frames = still(weights(eyeBlinkLeft=0.1, eyeBlinkRight=0.1), 25) + still(
        weights(eyeBlinkLeft=1.0, eyeBlinkRight=1.0), 8
    )
    outcome = capture(frames + still(weights(eyeBlinkLeft=0.1, eyeBlinkRight=0.1), 60))
    assert isinstance(outcome, NeutralCalibration)
    assert outcome.rest[ARKIT_INDEX["eyeBlinkLeft"]] == pytest.approx(0.1)


def test_gaze_is_left_alone_unless_asked():
    looking = weights(eyeLookOutLeft=0.3, eyeLookInRight=0.3, eyeLookDownLeft=0.1)
    without, with_gaze = capture(still(looking)), capture(still(looking), gaze=True)
    assert np.array_equal(without.weights(looking), looking)
    assert without.gazes(AHEAD, AHEAD)[0] is AHEAD
    assert with_gaze.weights(looking) == pytest.approx(0.0)
    left, right = with_gaze.gazes(np.array([0.1, -0.05], np.float32), np.array([0.12, -0.05], np.float32))
    assert left == pytest.approx(0.0) and right == pytest.approx(0.0)
    # What was straight ahead is now a look to the other side.
    assert with_gaze.weights(weights())[ARKIT_INDEX["eyeLookInLeft"]] == pytest.approx(0.3)


def test_the_mouth_never_closes_more_than_the_jaw_opens():
    calibration = NeutralCalibration(weights(jawOpen=0.3))
    moved = calibration.weights(weights(jawOpen=0.4, mouthClose=0.4))
    assert moved[ARKIT_INDEX["mouthClose"]] == moved[ARKIT_INDEX["jawOpen"]] < 0.2


def test_what_spoils_a_capture_is_named():
    relaxed = weights()
    assert "no face" in reason([None] * 120)
    assert "lost" in reason(still(relaxed, 20) + [None] * 30)
    assert "too often" in reason(([(relaxed, (0.0, 0.0, 0.0))] * 2 + [None]) * 40)
    assert "shut" in reason(still(weights(eyeBlinkLeft=0.9, eyeBlinkRight=0.9)))
    assert "turned" in reason([(relaxed, (0.0, 0.01 * k, 0.0)) for k in range(90)])
    assert "jawOpen" in reason([(weights(jawOpen=0.4 * (k % 20 > 9)), (0.0, 0.0, 0.0)) for k in range(90)])
    assert "jawOpen was at 0.80" in reason(still(weights(jawOpen=0.8)))
    assert "frames" in reason(still(relaxed), step_ns=400_000_000)


def frozen_frames(image, start_ns=0, seconds=2.5):
    return [Frame(image, k, start_ns + k * FRAME_NS, "media", 0) for k in range(round(seconds * 30))]


@pytest.fixture
def tracker(networks):
    return FrameTracker(TrackerConfig())


def test_a_real_face_is_calibrated_and_still_blinks(samples, tracker):
    """A picture of a relaxed real face is neutral afterwards; laughing with shut eyes it still shuts them."""
    with open_source(str(samples("WolfgangLanger_Pexels.mp4"))) as source:
        lively = [frame.image for frame, _ in zip(source, range(226), strict=False)]
    relaxed, lively = lively[225], lively[:60]
    tracker.request_calibration()
    with pytest.raises(Exception, match="under way"):
        tracker.request_calibration()
    results = [tracker.process(frame) for frame in frozen_frames(relaxed, seconds=2.6)]
    told = [notice for result in results for notice in result.notices]
    assert [notice.kind for notice in told] == ["calibrated"]
    assert tracker.calibration_status.state == "calibrated"
    face = results[-1].faces[0]
    looks = [index for name, index in ARKIT_INDEX.items() if name.startswith("eyeLook")]
    calibrated, raw = np.delete(face.arkit, looks), np.delete(face.arkit_raw, looks)
    assert calibrated.max() < 0.05 < 0.1 < raw.max()
    assert np.allclose(face.arkit[looks], face.arkit_raw[looks], atol=0.02)
    blink = ARKIT_INDEX["eyeBlinkLeft"]
    after = [
        tracker.process(Frame(image, 100 + k, 10**10 + k * FRAME_NS, "media", 0)).faces
        for k, image in enumerate(lively)
    ]
    pairs = np.array([(face.arkit[blink], face.arkit_raw[blink]) for (face,) in after])
    assert pairs[:, 1].max() > 0.6
    assert pairs[:, 0].max() > 0.85 * pairs[:, 1].max()
    tracker.end_calibration()
    (face,) = tracker.process(Frame(lively[-1], 300, 2 * 10**10, "media", 0)).faces
    assert tracker.calibration_status.state == "none"
    assert face.arkit.max() == pytest.approx(face.arkit_raw.max(), abs=0.1)


def test_a_lively_clip_and_an_empty_one_are_refused(samples, tracker):
    for name in ("WolfgangLanger_Pexels.mp4", "no_face.mp4"):
        tracker.reset()
        tracker.request_calibration()
        with open_source(str(samples(name))) as source:
            frames = [frame for frame, _ in zip(source, range(200), strict=False)]
        first = 60 if name.startswith("Wolf") else 0
        told = [notice for frame in frames[first:] for notice in tracker.process(frame).notices]
        assert [notice.kind for notice in told] == ["calibration_failed"]
        assert tracker.calibration_status.reason == told[0].fields["reason"]
