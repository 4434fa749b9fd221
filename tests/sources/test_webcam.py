from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.sources.conftest import Events
from tracker.errors import SourceError
from tracker.sources import webcam
from tracker.sources.live import Patience
from tracker.sources.v4l2 import CameraInfo, Cameras
from tracker.sources.webcam import CameraConnection, choose_camera, open_webcam, probe_cameras

PATIENCE = Patience(stall_s=5, first_retry_s=0.01, longest_retry_s=0.02)
BLUE_BGR = (255, 0, 0)


class FakeCapture:
    """Stands in for ``cv2.VideoCapture``: a camera that gives ``modes`` what it likes and ``pictures`` frames."""

    def __init__(
        self,
        *,
        gives: tuple[int, int, float] | None = None,
        pictures: int = 10**9,
        stamp_ms: Callable[[], float] = lambda: 0.0,
        opened: bool = True,
        failures: int = 0,
    ) -> None:
        self.gives, self.left, self.stamp_ms, self.opened, self.failures = gives, pictures, stamp_ms, opened, failures
        self.settings: list[tuple[int, float]] = []
        self.released = False

    def isOpened(self) -> bool:
        return self.opened

    def set(self, prop: int, value: float) -> bool:
        self.settings.append((prop, value))
        return True

    def get(self, prop: int) -> float:
        if prop == cv2.CAP_PROP_POS_MSEC:
            return self.stamp_ms()
        order = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)
        if self.gives is not None:
            return self.gives[order.index(prop)]
        return dict(self.settings)[prop]

    def grab(self) -> bool:
        time.sleep(0.001)
        if self.failures:
            self.failures -= 1
            return False
        self.left -= 1
        return self.left >= 0

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, np.full((6, 8, 3), BLUE_BGR, dtype=np.uint8)

    def release(self) -> None:
        self.released = True


def connection(capture: FakeCapture, *, backend: int = cv2.CAP_V4L2, **options: object) -> CameraConnection:
    settings = {"size": None, "rate": None, "on_event": None, **options}
    return CameraConnection(capture, CameraInfo(0, "Desk Cam", "/dev/video0"), backend, **settings)  # type: ignore[arg-type]


def test_frames_are_rgb_and_named_after_the_camera() -> None:
    with open_webcam(capture_factory=lambda device, backend: FakeCapture()) as source:
        frame = source.read()
        assert frame is not None
        assert tuple(frame.image[0, 0]) == (0, 0, 255)
        assert (frame.image.shape, source.size, source.rate) == ((6, 8, 3), (640, 480), 30)


@pytest.mark.parametrize(("system", "position"), [("linux", 0), ("darwin", 0), ("win32", -1)])
def test_hd_asks_for_mjpg_first_or_last_as_the_system_needs(
    monkeypatch: pytest.MonkeyPatch, system: str, position: int
) -> None:
    monkeypatch.setattr(webcam, "SYSTEM", system)
    capture = FakeCapture()
    connection(capture, backend=cv2.CAP_ANY, size=(1280, 720), rate=Fraction(30))
    props = [prop for prop, _ in capture.settings]
    assert props[position] == cv2.CAP_PROP_FOURCC
    assert dict(capture.settings)[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert (
        props.index(cv2.CAP_PROP_FRAME_WIDTH) < props.index(cv2.CAP_PROP_FRAME_HEIGHT) < props.index(cv2.CAP_PROP_FPS)
    )


def test_vga_leaves_the_encoding_to_the_camera() -> None:
    capture = FakeCapture()
    connection(capture)
    assert cv2.CAP_PROP_FOURCC not in dict(capture.settings)
    assert dict(capture.settings)[cv2.CAP_PROP_FRAME_WIDTH] == 640


def test_other_settings_than_asked_are_told_with_both(events: Events) -> None:
    camera = connection(FakeCapture(gives=(640, 480, 25.0)), size=(1920, 1080), rate=Fraction(60), on_event=events)
    assert (camera.size, camera.rate) == ((640, 480), 25)
    assert events.kinds == ["settings"]
    assert "1920x1080 at 60" in events[0][1] and "640x480 at 25" in events[0][1]


def test_settings_nobody_asked_for_are_not_worth_a_word(events: Events) -> None:
    connection(FakeCapture(gives=(800, 600, 15.0)), on_event=events)
    connection(FakeCapture(), size=(1280, 720), on_event=events)
    assert events == []


def test_the_drivers_stamp_is_the_capture_time() -> None:
    captured_ns = time.monotonic_ns() - 8_000_000
    shot = connection(FakeCapture(stamp_ms=lambda: captured_ns / 1e6)).read()
    assert shot is not None
    assert abs(shot.t_capture_ns - captured_ns) <= 1000


@pytest.mark.parametrize(
    "stamp_ms",
    [
        lambda: 0.0,
        lambda: -1.0,
        lambda: time.monotonic() * 1e3 + 500,
        lambda: time.monotonic() * 1e3 - 5000,
        lambda: time.time() * 1e3,
    ],
    ids=["none", "unsupported", "future", "old", "another clock"],
)
def test_stamps_that_cannot_be_are_replaced_by_the_read_time(stamp_ms: Callable[[], float]) -> None:
    before_ns = time.monotonic_ns()
    shot = connection(FakeCapture(stamp_ms=stamp_ms)).read()
    assert shot is not None
    assert before_ns <= shot.t_capture_ns <= time.monotonic_ns()


def test_a_frozen_stamp_is_believed_once() -> None:
    frozen_ms = time.monotonic() * 1e3 - 1
    camera = connection(FakeCapture(stamp_ms=lambda: frozen_ms))
    first, second = camera.read(), camera.read()
    assert first is not None and second is not None
    assert abs(first.t_capture_ns - frozen_ms * 1e6) <= 1000
    assert second.t_capture_ns > first.t_capture_ns


def test_stamps_of_other_backends_are_not_used() -> None:
    stamp_ms = time.monotonic() * 1e3 - 10
    shot = connection(FakeCapture(stamp_ms=lambda: stamp_ms), backend=cv2.CAP_MSMF).read()
    assert shot is not None
    assert shot.t_capture_ns > (stamp_ms + 5) * 1e6


def test_a_failed_read_or_two_is_no_loss() -> None:
    assert connection(FakeCapture(failures=2)).read() is not None
    assert connection(FakeCapture(pictures=0)).read() is None


def test_an_unplugged_camera_comes_back(events: Events) -> None:
    first, missing, second = FakeCapture(pictures=5), FakeCapture(opened=False), FakeCapture()
    captures = itertools.chain([first, missing, missing], itertools.repeat(second))
    with open_webcam(
        "0", patience=PATIENCE, on_event=events, capture_factory=lambda device, backend: next(captures)
    ) as source:
        while "camera-reopened" not in events.kinds:
            assert source.read() is not None
    assert first.released and missing.released and second.released
    assert events.kinds == ["camera-lost", "camera-reopened"]


def test_a_camera_in_use_gets_its_line() -> None:
    with pytest.raises(SourceError, match="another program may be using it"):
        open_webcam("0", capture_factory=lambda device, backend: FakeCapture(opened=False))


DESK = CameraInfo(0, "Desk Cam", "/dev/video0")
FRONT = CameraInfo(2, "Front Cam", "/dev/video2")


def test_choosing_among_cameras() -> None:
    cameras = Cameras(found=[DESK, FRONT], others=["/dev/video1"])
    assert choose_camera(None, cameras) is DESK
    assert choose_camera("2", cameras) is FRONT
    assert choose_camera("/dev/video2", cameras) is FRONT
    with pytest.raises(
        SourceError, match=r"/dev/video1 delivers no pictures; there is webcam:0 \(Desk Cam\), webcam:2"
    ):
        choose_camera("1", cameras)
    with pytest.raises(SourceError, match=r"/dev/video7 does not exist; there is webcam:0"):
        choose_camera("7", cameras)
    with pytest.raises(SourceError, match=r"/dev/video0 cannot be opened: Permission denied; .*usermod -aG video"):
        choose_camera(None, Cameras(refused=[("/dev/video0", "Permission denied")]))
    with pytest.raises(SourceError, match="no camera found: /dev/video1 deliver no pictures"):
        choose_camera(None, Cameras(others=["/dev/video1"]))


def test_a_link_to_a_camera_names_it(tmp_path: Path) -> None:
    target = tmp_path / "video0"
    target.touch()
    link = tmp_path / "by-id"
    os.symlink(target, link)
    camera = CameraInfo(0, "Desk Cam", str(target))
    assert choose_camera(str(link), Cameras(found=[camera])) is camera


@pytest.mark.skipif(sys.platform != "linux" or any(Path("/dev").glob("video*")), reason="this machine has a camera")
@pytest.mark.parametrize("device", [None, "1", "/dev/video3"])
def test_no_camera_at_all(device: str | None) -> None:
    with pytest.raises(SourceError, match=r"no camera found: there is no /dev/video\*.*--source test") as error:
        open_webcam(device)
    assert "\n" not in str(error.value)


def test_probing_where_the_system_keeps_no_list() -> None:
    captures = {1: FakeCapture(gives=(1280, 720, 30.0))}
    cameras = probe_cameras(lambda index, backend: captures.get(int(index), FakeCapture(opened=False)))
    (camera,) = cameras.found
    assert (camera.index, camera.formats[0].width, camera.formats[0].rates) == (1, 1280, (30,))
