"""Cameras through the backend of OpenCV that suits the system best."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any, Protocol

import numpy as np

from tracker.errors import SourceError
from tracker.sources.base import OnEvent, ignore_event
from tracker.sources.live import Connect, LiveSource, Patience, Shot
from tracker.sources.v4l2 import CameraInfo, Cameras, find_cameras
from tracker.types import ImageRGB

SYSTEM: str = sys.platform
DEFAULT_SIZE = (640, 480)
DEFAULT_RATE = Fraction(30)
# A driver's stamp is believed when it is this recent on our monotonic clock; other backends count from elsewhere.
OLDEST_STAMP_NS = 1_000_000_000
# USB cameras may fail a few reads while exposure and clocks settle.
FAILED_READS_ALLOWED = 3
# The kernel keeps a second buffer filling while the first is converted; with one alone, every frame that begins
# meanwhile is lost. The capture thread empties them at once, so the second adds no delay.
DRIVER_BUFFERS = 2


class VideoCapture(Protocol):
    """The part of ``cv2.VideoCapture`` that is used here."""

    def isOpened(self) -> bool: ...
    def set(self, prop: int, value: float, /) -> bool: ...
    def get(self, prop: int, /) -> float: ...
    def grab(self) -> bool: ...
    def retrieve(self) -> tuple[bool, Any]: ...
    def release(self) -> None: ...


CaptureFactory = Callable[[int | str, int], VideoCapture]
"""Opens device number or path with an OpenCV backend id, like ``cv2.VideoCapture``."""


def open_webcam(
    device: str | None = None,
    *,
    size: tuple[int, int] | None = None,
    rate: Fraction | None = None,
    patience: Patience | None = None,
    on_event: OnEvent | None = None,
    capture_factory: CaptureFactory | None = None,
) -> LiveSource:
    """Open a camera: None for the first there is, a number, or a path such as ``/dev/video2``.

    ``size`` and ``rate`` are asked of the camera, which may choose others; a ``settings`` event says so.

    Raises:
        SourceError: there is no such camera, or it cannot be opened.
    """
    connect: Connect = partial(
        connect_camera, device, size=size, rate=rate, on_event=on_event, capture_factory=capture_factory
    )
    return LiveSource(connect, kind="camera", patience=patience, on_event=on_event)


def connect_camera(
    device: str | None,
    *,
    size: tuple[int, int] | None = None,
    rate: Fraction | None = None,
    on_event: OnEvent | None = None,
    capture_factory: CaptureFactory | None = None,
) -> CameraConnection:
    """Open one camera once; see ``open_webcam``."""
    opener = capture_factory or opencv_capture
    if SYSTEM == "linux" and capture_factory is None:
        camera = choose_camera(device, find_cameras())
    else:
        number = 0 if device is None else int(device) if device.isdecimal() else -1
        camera = CameraInfo(number, f"camera {device or 0}", path="" if number >= 0 else str(device))
    for backend in backends():
        capture = opener(camera.path or camera.index, backend)
        if capture.isOpened():
            return CameraConnection(capture, camera, backend, size, rate, on_event)
        capture.release()
    raise SourceError(
        f"{camera.name} cannot be opened; another program may be using it: close that one, or see `tracker cameras`"
    )


def choose_camera(device: str | None, cameras: Cameras) -> CameraInfo:
    """Pick the camera that ``device`` names among those found on Linux.

    Raises:
        SourceError: it is not there; the text lists what is.
    """
    if device is None and cameras.found:
        return cameras.found[0]
    path = None if device is None else f"/dev/video{device}" if device.isdecimal() else device
    for camera in cameras.found:
        if path is not None and (camera.path == path or camera.path == os.path.realpath(path)):
            return camera
    refused = [(file, why) for file, why in cameras.refused if path in (None, file)]
    if refused:
        hint = "add yourself to its group with `sudo usermod -aG video $USER` and log in again"
        raise SourceError(f"camera {refused[0][0]} cannot be opened: {refused[0][1]}; {hint}")
    if cameras.found:
        offered = ", ".join(f"webcam:{camera.index} ({camera.name})" for camera in cameras.found)
        reason = "delivers no pictures" if path in cameras.others else "does not exist"
        raise SourceError(f"camera {path} {reason}; there is {offered}")
    raise SourceError(no_camera_text(cameras))


def no_camera_text(cameras: Cameras) -> str:
    """Say in one line that no camera was found and what to do."""
    if cameras.others:
        seen = f"{', '.join(cameras.others)} deliver no pictures"
    elif SYSTEM == "linux" and "microsoft" in platform.release().lower():
        seen = (
            "WSL passes none through by itself: attach it with usbipd (`usbipd attach --wsl` in Windows), or run the tracker in "
            "Windows"
        )
    elif SYSTEM == "linux":
        seen = "there is no /dev/video* (plug one in, or pass it into the container or virtual machine)"
    else:
        seen = "the system offers none (plug one in and allow this terminal to use the camera)"
    return f"no camera found: {seen}; --source test shows the tracker without one"


def backends() -> tuple[int, ...]:
    """OpenCV's backend ids for this system, best first."""
    import cv2

    if SYSTEM == "linux":
        return (cv2.CAP_V4L2,)
    if SYSTEM == "darwin":
        return (cv2.CAP_AVFOUNDATION,)
    if SYSTEM == "win32":
        return cv2.CAP_MSMF, cv2.CAP_DSHOW
    return (cv2.CAP_ANY,)


def opencv_capture(device: int | str, backend: int) -> VideoCapture:
    """Open ``device`` with OpenCV."""
    # Media Foundation spends seconds on hardware transforms that do nothing for a camera; read when OpenCV loads.
    os.environ.setdefault("OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS", "0")
    import cv2

    return cv2.VideoCapture(device, backend)


class CameraConnection:
    """An open camera as a ``Connection``."""

    def __init__(
        self,
        capture: VideoCapture,
        camera: CameraInfo,
        backend: int,
        size: tuple[int, int] | None,
        rate: Fraction | None,
        on_event: OnEvent | None,
    ) -> None:
        """Take over ``capture`` and set it up."""
        import cv2

        self.name = f"{camera.name} ({camera.path})" if camera.path else camera.name
        self._capture = capture
        self._stamps = backend == cv2.CAP_V4L2
        self._last_stamp_ns = 0
        asked_size, asked_rate = size or DEFAULT_SIZE, rate or DEFAULT_RATE
        self._configure(asked_size, asked_rate)
        self.size: tuple[int, int] | None = asked_size
        got_size = (int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        if min(got_size) > 0:
            self.size = got_size
        got_rate = capture.get(cv2.CAP_PROP_FPS)
        self.rate: Fraction | None = Fraction(got_rate).limit_denominator(1001) if got_rate > 0 else None
        self._compare(
            asked_size, asked_rate, asked=bool(size or rate), tell=ignore_event if on_event is None else on_event
        )

    def read(self) -> Shot | None:
        """Wait for the next picture; None when the camera is gone."""
        for _ in range(FAILED_READS_ALLOWED):
            if not self._capture.grab():
                continue
            t_capture_ns = self._capture_time_ns(time.monotonic_ns())
            ok, picture = self._capture.retrieve()
            if ok and picture is not None and picture.size:
                return Shot(t_capture_ns, partial(_rgb, picture))
        return None

    def close(self) -> None:
        """Release the camera."""
        self._capture.release()

    def _configure(self, size: tuple[int, int], rate: Fraction) -> None:
        import cv2

        steps: list[tuple[int, float]] = [
            (cv2.CAP_PROP_FRAME_WIDTH, size[0]),
            (cv2.CAP_PROP_FRAME_HEIGHT, size[1]),
            (cv2.CAP_PROP_FPS, float(rate)),
        ]
        # Uncompressed pictures of more than VGA size at 30 per second do not fit through USB 2.
        if size[0] * size[1] * rate > 640 * 480 * 30:
            mjpg = (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            # Size and rate are checked against the current encoding on Linux and macOS; on Windows they reset it.
            steps = [*steps, mjpg] if SYSTEM == "win32" else [mjpg, *steps]
        if self._stamps:
            steps.append((cv2.CAP_PROP_BUFFERSIZE, DRIVER_BUFFERS))
        for prop, value in steps:
            self._capture.set(prop, value)

    def _compare(self, size: tuple[int, int], rate: Fraction, *, asked: bool, tell: OnEvent) -> None:
        same_rate = self.rate is None or abs(self.rate - rate) < Fraction(1, 2)
        if asked and (self.size != size or not same_rate):
            got = f"{self.size[0]}x{self.size[1]}" if self.size else "an unknown size"
            tell(
                "settings",
                f"{self.name}: asked for {size[0]}x{size[1]} at {float(rate):g} fps, the camera gives {got} at "
                f"{float(self.rate or 0):g} fps; `tracker cameras` lists what it offers",
            )

    def _capture_time_ns(self, now_ns: int) -> int:
        """The driver's stamp when it is one, else ``now_ns``, which is right after the picture arrived.

        Video4Linux drivers stamp buffers with CLOCK_MONOTONIC when the picture begins to arrive, and OpenCV hands that on
        as CAP_PROP_POS_MSEC (property 0).
        """
        if self._stamps:
            stamp_ns = round(self._capture.get(0) * 1_000_000)
            if self._last_stamp_ns < stamp_ns <= now_ns and now_ns - stamp_ns < OLDEST_STAMP_NS:
                self._last_stamp_ns = stamp_ns
                return stamp_ns
        return now_ns


def _rgb(picture: Any) -> ImageRGB:
    import cv2

    conversion = cv2.COLOR_GRAY2RGB if picture.ndim == 2 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(picture, conversion), dtype=np.uint8)


def list_cameras() -> Cameras:
    """Look which cameras there are: by asking the kernel on Linux, by trying the first few numbers elsewhere."""
    if SYSTEM == "linux":
        return find_cameras()
    return probe_cameras(opencv_capture)


def probe_cameras(capture_factory: CaptureFactory, highest: int = 5) -> Cameras:
    """Try to open cameras 0..``highest``; what opens is listed with the size it starts with."""
    import cv2

    from tracker.sources.v4l2 import CameraFormat

    cameras = Cameras()
    for index in range(highest + 1):
        for backend in backends():
            capture = capture_factory(index, backend)
            opened = capture.isOpened()
            if opened:
                width, height = (
                    int(capture.get(prop)) for prop in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
                )
                rate = Fraction(capture.get(cv2.CAP_PROP_FPS)).limit_denominator(1001)
                starts_with = CameraFormat("", width, height, (rate,) if rate > 0 else ())
                cameras.found.append(CameraInfo(index, f"camera {index}", formats=(starts_with,)))
            capture.release()
            if opened:
                break
    return cameras
