from __future__ import annotations

import threading
import time
from fractions import Fraction
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.sources.clips import quadrants, write_video
from tests.sources.conftest import Events
from tests.sources.servers import Answer, send_jpeg, send_range, serve, serve_rtsp, start_mjpeg
from tracker.errors import SourceError
from tracker.sources.base import FrameSource
from tracker.sources.live import Patience
from tracker.sources.network import Timeouts, open_url, without_password

TIMEOUTS = Timeouts(open_s=1.5, read_s=1.0, give_up_s=1.0)
PATIENCE = Patience(stall_s=0.25, first_retry_s=0.05, longest_retry_s=0.2)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Three seconds, 75 frames; too large for anybody's buffers to hide a stall."""
    images = [np.random.default_rng(i).integers(0, 255, (240, 320, 3), dtype=np.uint8) for i in range(75)]
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    faststart = {"movflags": "faststart"}
    return write_video(
        path, images, codec="libx264", options={"preset": "ultrafast"}, container_options=faststart
    ).read_bytes()


def open_it(url: str, events: Events | None = None) -> FrameSource:
    return open_url(url, timeouts=TIMEOUTS, patience=PATIENCE, on_event=events)


def refusal(answer: Answer) -> str:
    with serve(answer) as address, pytest.raises(SourceError) as error:
        open_it(f"{address}/x.mp4")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_video_behind_a_url_is_read_like_a_file(clip: bytes, events: Events) -> None:
    with serve(lambda handler, _: send_range(handler, clip)) as address, open_it(f"{address}/a.mp4", events) as video:
        assert (video.live, video.size, video.rate, video.frame_count) == (False, (320, 240), 25, 75)
        frames = [(frame.index, frame.pts_s, frame.clock) for frame in video]
    assert frames == [(index, Fraction(index, 25), "media") for index in range(75)]
    assert events == []


@pytest.mark.parametrize("silent_s", [0.0, 1.5], ids=["breaks off", "falls silent"])
def test_a_broken_download_goes_on_behind_the_last_frame(clip: bytes, events: Events, silent_s: float) -> None:
    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        send_range(handler, clip, most=None if number else len(clip) // 2)
        if number == 0:
            time.sleep(silent_s)

    with serve(answer) as address, open_it(f"{address}/a.mp4", events) as video:
        times = [frame.pts_s for frame in video]
    assert times == [Fraction(index, 25) for index in range(75)]
    assert events.kinds == ["stream-lost", "stream-reopened"]


def test_a_download_that_never_comes_back_fails_with_what_was_read(clip: bytes, events: Events) -> None:
    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        if number:
            handler.send_error(503)
        else:
            send_range(handler, clip, most=len(clip) // 2)

    with (
        serve(answer) as address,
        open_it(f"{address}/a.mp4", events) as video,
        pytest.raises(SourceError, match=r"broke off after \d+ frames"),
    ):
        list(video)


def test_close_ends_waiting_for_a_download(clip: bytes, events: Events) -> None:
    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        if number:
            handler.send_error(503)
        else:
            send_range(handler, clip, most=len(clip) // 2)

    patient = Timeouts(open_s=1.5, read_s=0.6, give_up_s=600.0)
    slow = Patience(first_retry_s=60.0, longest_retry_s=60.0)
    with serve(answer) as address:
        video = open_url(f"{address}/a.mp4", timeouts=patient, patience=slow, on_event=events)
        reader = threading.Thread(target=lambda: list(video))
        reader.start()
        events.wait_for("stream-lost")
        video.close()
        reader.join(2)
        assert not reader.is_alive()
    assert video.state == "closed"


def test_addresses_that_do_not_work() -> None:
    assert "404" in refusal(lambda handler, _: handler.send_error(404))
    assert "not a video" in refusal(lambda handler, _: send_range(handler, b"<html>hello</html>" * 100))
    assert "did not answer in time" in refusal(lambda handler, _: time.sleep(2.5))
    with pytest.raises(SourceError, match="refused the connection"):
        open_it("http://127.0.0.1:9/x.mp4")


def test_a_network_camera_that_stalls_and_breaks_is_followed(events: Events) -> None:
    ok, jpeg = cv2.imencode(".jpg", cv2.cvtColor(quadrants(320, 240), cv2.COLOR_RGB2BGR))
    assert ok
    go_on = threading.Event()

    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        start_mjpeg(handler)
        for picture in range(2000):
            send_jpeg(handler, jpeg.tobytes())
            time.sleep(0.01)
            if number == 0 and picture == 30:
                time.sleep(0.45)  # a hiccup
            if number == 0 and picture == 60:
                go_on.wait(3)  # silence beyond the read timeout
            if number == 1 and picture == 30:
                return

    with serve(answer) as address, open_it(f"{address}/cam", events) as camera:
        assert camera.live and camera.frame_count is None
        before_ns = time.monotonic_ns()
        frames = []
        while events.kinds.count("stream-reopened") < 2:
            frame = camera.read()
            assert frame is not None
            frames.append(frame)
        go_on.set()
    assert events.kinds[:2] == ["stalled", "resumed"]
    assert [kind for kind in events.kinds if kind.startswith("stream")] == ["stream-lost", "stream-reopened"] * 2
    assert {frame.clock for frame in frames} == {"CLOCK_MONOTONIC"}
    times = [before_ns, *(frame.t_capture_ns for frame in frames), time.monotonic_ns()]
    assert times[1:] == sorted(times[1:])
    assert [frame.index for frame in frames] == sorted({frame.index for frame in frames})
    np.testing.assert_allclose(frames[0].image[20, 20], (254, 0, 0), atol=6)
    assert camera.read() is None


def test_rtsp(tmp_path: Path, events: Events) -> None:
    images = [quadrants(320, 240)] * 50
    path = write_video(tmp_path / "a.ts", images, codec="mpeg2video", options={"g": "5"})
    with serve_rtsp(path.read_bytes(), seconds_per_chunk=0.01) as url, open_it(url, events) as camera:
        assert (camera.live, camera.size) == (True, (320, 240))
        frames = [camera.read() for _ in range(20)]
    assert all(frame is not None and frame.image.shape == (240, 320, 3) for frame in frames)
    assert frames[-1] is not None
    np.testing.assert_allclose(frames[-1].image[20, 20], (254, 0, 0), atol=8)


def test_passwords_are_not_shown() -> None:
    assert without_password("rtsp://me:secret@cam:554/live?x=1") == "rtsp://***@cam:554/live?x=1"
    assert without_password("http://cam/live") == "http://cam/live"
