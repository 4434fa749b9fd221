"""Does the check notice what is wrong with real frames that were spoilt, and say what helps?"""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from tests.pictures import picture
from tools.evaluation import conditions
from tracker.checkup.advice import Advice, judge, verdict
from tracker.checkup.measure import measure
from tracker.checkup.observed import Observed
from tracker.cli import main
from tracker.config import TrackerConfig
from tracker.tracking import FrameTracker
from tracker.types import Frame

FRAMES = 8


@pytest.fixture(scope="module")
def clear(samples) -> np.ndarray:
    return picture(samples("single_face.mp4"), 10)


@pytest.fixture(scope="module")
def look(networks) -> Callable[..., Observed]:
    tracker = FrameTracker(TrackerConfig(appearance=True))

    def observe(
        image: np.ndarray, *, live: bool = False, rate: float | None = 30.0, period_ms: float = 1000 / 30
    ) -> Observed:
        tracker.reset()
        seen = Observed(live, rate, tracker.model.region_names)
        rng = np.random.default_rng(0)
        for index in range(FRAMES):
            noisy = np.clip(image + rng.normal(0.0, 1.5, image.shape) + 0.5, 0, 255).astype(np.uint8)
            frame = Frame(noisy, index, round(index * period_ms * 1e6), "CLOCK_MONOTONIC" if live else "media", 0)
            seen.add(frame, tracker.process(frame))
        return seen

    return observe


@pytest.fixture(scope="module")
def box(networks, clear) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the face in the clear frame."""
    x, y, width, height = FrameTracker(TrackerConfig()).process(Frame(clear, 0, 0, "media", 0)).faces[0].box.tolist()
    return round(x), round(y), round(x + width), round(y + height)


def about(seen: Observed, subject: str) -> Advice:
    (found,) = [one for one in judge(seen) if one.subject == subject]
    return found


def test_a_clear_frame_is_good_in_every_way(look, clear) -> None:
    seen = look(clear)
    assert {one.subject: one.state for one in judge(seen) if one.subject != "speed"} == dict.fromkeys(
        ("face", "size", "place", "light", "sharpness", "pose", "covered"), "good"
    )
    assert all(not one.better for one in judge(seen) if one.state == "good")


@pytest.mark.parametrize(
    ("spoil", "subject", "state", "words"),
    [
        (lambda image: conditions.smaller(image, 0.35), "size", "fair", "come closer"),
        (lambda image: conditions.smaller(image, 0.2), "size", "bad", "come closer"),
        (lambda image: conditions.brighter(image, 0.05), "light", "fair", "too dark"),
        (lambda image: conditions.brighter(image, 0.012), "light", "bad", "too dark"),
        (lambda image: conditions.brighter(image, 8.0), "light", "bad", "too much light"),
        (lambda image: conditions.blurred(image, 2.5), "sharpness", "fair", "wipe the lens"),
        (lambda image: conditions.blurred(image, 5.0), "sharpness", "bad", "wipe the lens"),
        (lambda image: conditions.grainy(image, 18.0), "sharpness", "fair", "more light"),
    ],
)  # fmt: skip
def test_what_is_spoilt_is_noticed(look, clear, spoil, subject, state, words) -> None:
    found = about(look(spoil(clear)), subject)
    assert found.state == state, found
    assert words in found.better


def test_a_window_behind_is_told_from_darkness(look, clear, box) -> None:
    left, top, right, _ = box
    dark, backlit = conditions.brighter(clear, 0.15), np.full_like(clear, 240)
    person = slice(max(0, top - 40), None), slice(max(0, left - 30), right + 30)
    backlit[person] = dark[person]
    found = about(look(backlit), "light")
    assert found.state == "fair" and "behind you" in found.better
    assert "behind you" not in about(look(dark), "light").better


def test_light_from_one_side_only_is_noticed(look, clear, box) -> None:
    left, _, right, _ = box
    middle = (left + right) // 2
    half = clear.copy()
    half[:, middle:] = conditions.brighter(clear, 0.1)[:, middle:]
    found = about(look(half), "light")
    assert found.state == "fair" and "other side" in found.better


def test_a_face_that_leaves_the_picture_is_cut_off(look, clear, box) -> None:
    left, _, right, _ = box
    found = about(look(np.ascontiguousarray(clear[:, left + (right - left) // 5 :])), "place")
    assert found.state == "bad" and "middle" in found.better


def test_a_turned_head_asks_for_the_camera_in_front(look, samples) -> None:
    found = about(look(picture(samples("45-m7-di-ph.jpg"))), "pose")
    assert found.state == "fair" and "in front of you" in found.better


def test_something_before_the_mouth_is_seen(look, clear, box) -> None:
    seen = look(clear)
    left, top, right, bottom = box
    covered = clear.copy()
    covered[(top + 2 * bottom) // 3 : bottom, left:right] = (40, 120, 30)
    tracker = FrameTracker(TrackerConfig(appearance=True))
    after = Observed(False, 30.0, tracker.model.region_names)
    for index in range(40):
        frame = Frame(clear if index < 25 else covered, index, index * 33_000_000, "media", 0)
        result = tracker.process(frame)
        if index >= 30:
            after.add(frame, result)
    assert after.covered is not None and after.covered[0] > seen.covered[0] + 0.05


def test_nobody_and_a_black_picture_get_different_advice(look) -> None:
    grey, black = (look(np.full((360, 640, 3), level, np.uint8)) for level in (128, 0))
    assert about(grey, "face").state == about(black, "face").state == "bad"
    assert "sit in front" in about(grey, "face").better
    assert "lens cover" in about(black, "face").better
    assert verdict(judge(grey)) == "bad"


def test_nothing_seen_yet_is_no_crash() -> None:
    assert judge(Observed(True, 30.0)) == []
    assert verdict([]) == "bad"


@pytest.mark.parametrize(("period_ms", "state"), [(1000 / 30, "good"), (1000 / 20, "fair"), (1000 / 12, "bad")])
def test_the_rate_that_the_camera_delivers(look, clear, period_ms, state) -> None:
    assert about(look(clear, live=True, period_ms=period_ms), "camera").state == state


def test_frames_that_we_were_too_slow_for_are_not_the_cameras_fault(networks, clear) -> None:
    tracker = FrameTracker(TrackerConfig())
    seen = Observed(True, 30.0)
    for index in range(0, 24, 3):
        frame = Frame(clear, index, round(index * 1e9 / 30), "CLOCK_MONOTONIC", 0)
        seen.add(frame, tracker.process(frame))
    assert seen.rate == pytest.approx(30.0, rel=0.01)


def test_headroom_is_work_against_the_time_between_frames(look, clear) -> None:
    slow, fast = look(clear, live=True, period_ms=1000 / 30), look(clear, live=True, period_ms=1000 / 30)
    slow._seen = type(slow._seen)(one._replace(work_ms=50.0) for one in slow._seen)
    fast._seen = type(fast._seen)(one._replace(work_ms=6.0) for one in fast._seen)
    assert (about(slow, "speed").state, about(fast, "speed").state) == ("bad", "good")


def test_only_the_last_seconds_count(look, clear, networks) -> None:
    tracker = FrameTracker(TrackerConfig())
    seen = Observed(False, 30.0)
    for index, image in enumerate([np.zeros_like(clear)] * 3 + [clear] * 4):
        frame = Frame(image, index, index * 1_000_000_000, "media", 0)
        seen.add(frame, tracker.process(frame))
    assert seen.found_share == 1.0


def test_noise_and_size_are_measured_rightly(networks, clear) -> None:
    tracker = FrameTracker(TrackerConfig())
    smooth = cv2.GaussianBlur(clear, (0, 0), 1.5)
    grain = np.random.default_rng(0).normal(0.0, 10.0, clear.shape[:2])[..., None]
    noisy = np.clip(smooth + grain, 0, 255).astype(np.uint8)
    face = tracker.process(Frame(noisy, 0, 0, "media", 0)).faces[0]
    measured = measure(noisy, face)
    assert measured is not None
    assert measured.noise * 255 == pytest.approx(10.0, rel=0.1)
    points = face.landmarks.points
    assert measured.eye_distance_px == pytest.approx(math.dist(points[33, :2], points[263, :2]))


class TestVerb:
    """The command itself."""

    def test_a_clip_as_json(self, networks, samples, capsys) -> None:
        assert main(["hello", "--source", str(samples("single_face.mp4")), "--seconds", "1", "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["verdict"] in ("good", "fair")
        assert {one["subject"] for one in report["advice"]} >= {
            "face",
            "size",
            "place",
            "light",
            "sharpness",
            "pose",
            "speed",
        }
        assert report["measured"]["eye_distance_px"] == pytest.approx(97, abs=3)
        assert report["size"] == [640, 360] and report["frames"] == 31

    def test_text_ends_with_the_next_command(self, networks, samples, capsys) -> None:
        clip = str(samples("single_face.mp4"))
        assert main(["hello", "--source", clip, "--seconds", "1"]) == 0
        out = capsys.readouterr().out
        assert "next: tracker run --source" in out and "✓" in out and "Traceback" not in out

    def test_a_landscape_fails_with_advice(self, networks, samples, capsys) -> None:
        assert main(["hello", "--source", str(samples("free-mountain-vector-01.jpg"))]) == 1
        assert "none found" in capsys.readouterr().out

    def test_the_synthetic_face_is_there_without_a_camera(self, networks, capsys) -> None:
        main(["hello", "--source", "test", "--seconds", "1", "--json"])
        report = json.loads(capsys.readouterr().out)
        # How fast depends on what else this machine does; what is seen does not.
        states = {one["subject"]: one["state"] for one in report["advice"]}
        assert states["face"] == states["light"] == states["size"] == "good"

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["--seconds", "0"], "at least 1"),
            (["--source", "nowhere.mp4"], "does not exist"),
            (["--source", "webcam:77"], "camera"),
        ],
    )  # fmt: skip
    def test_mistakes_are_one_line(self, arguments, expected, capsys) -> None:
        assert main(["hello", *arguments]) in (1, 2)
        err = capsys.readouterr().err.strip()
        assert expected in err and len(err.splitlines()) == 1 and "defect" not in err

    def test_in_wsl_a_missing_camera_has_its_own_remedy(self, monkeypatch) -> None:
        from tracker.sources import webcam
        from tracker.sources.v4l2 import Cameras

        monkeypatch.setattr(webcam, "SYSTEM", "linux")
        monkeypatch.setattr(webcam.platform, "release", lambda: "5.15.90.1-microsoft-standard-WSL2")
        assert "usbipd" in webcam.no_camera_text(Cameras())
