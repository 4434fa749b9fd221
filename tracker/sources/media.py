"""Decoding with FFmpeg (PyAV): one video stream of a file or URL, frame by frame, as upright RGB."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideDataContainer
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from tracker.errors import SourceError
from tracker.types import ImageRGB

# FFmpeg draws plain text and tracker music as pictures; nobody means that by giving such a file.
NOT_VIDEO_FORMATS = frozenset({"tty", "ansi", "bin", "xbin", "adf", "idf"})
# A demuxer that keeps failing at one place does not recover; one bad spot in a recording does.
MAX_DEMUX_FAILURES = 50
# Pixel aspect ratios beyond this are damaged headers rather than anamorphic video.
MAX_PIXEL_ASPECT = 3


class RgbConverter:
    """Turns decoded frames of any pixel format into upright RGB with square pixels.

    Applies the display matrix (rotation by quarter turns, mirroring) and the pixel aspect ratio. Keeps the scaler
    between calls and runs it on the calling thread: its own thread pool costs four times the wall time at 640x360.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._orientation = (False, False, False)
        self._turned_deg: int | None = None

    def convert(self, frame: VideoFrame, pixel_aspect: Fraction | None = None) -> ImageRGB:
        """Return ``frame`` as contiguous RGB uint8 (H, W, 3); ``pixel_aspect`` is a pixel's width over its height."""
        # PyAV's side data and its frame hold each other: reading it would keep the frame until the next garbage collection
        # (every frame of motion JPEG: half a gigabyte at 1920x1080), so it is read only when the angle says that it changed.
        if frame.key_frame and frame.rotation != self._turned_deg:
            self._turned_deg = frame.rotation
            self._orientation = _orientation(frame)
        width = _square_width(frame.width, pixel_aspect)
        interpolation = Interpolation.FAST_BILINEAR if width == frame.width else Interpolation.BILINEAR
        rgb = self._reformatter.reformat(
            frame, width=width, height=frame.height, format="rgb24", interpolation=interpolation, threads=1
        )
        image = cast(ImageRGB, rgb.to_ndarray())
        return np.ascontiguousarray(_oriented(image, *self._orientation))


def _square_width(width: int, pixel_aspect: Fraction | None) -> int:
    if not pixel_aspect or pixel_aspect == 1 or not 1 / MAX_PIXEL_ASPECT <= pixel_aspect <= MAX_PIXEL_ASPECT:
        return width
    return max(1, round(width * pixel_aspect))


def _orientation(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """Read the display matrix of ``frame`` as (transpose, flip horizontally, flip vertically), in this order.

    The matrix (a, b, u, c, d, v, x, y, w) of ISO/IEC 14496-12 sends source column p and row q to column
    a p + c q + x and row b p + d q + y. Angles other than quarter turns, which no camera writes, count as the nearest one.
    """
    side_data = cast(SideDataContainer, frame.side_data)
    if SideDataType.DISPLAYMATRIX not in side_data:
        return False, False, False
    matrix = np.frombuffer(bytes(side_data[SideDataType.DISPLAYMATRIX]), dtype=np.int32)
    a, b, c, d = (int(matrix[i]) for i in (0, 1, 3, 4))
    if abs(b) > abs(a):
        return True, c < 0, b < 0
    return False, a < 0, d < 0


def _oriented(image: ImageRGB, transpose: bool, flip_x: bool, flip_y: bool) -> ImageRGB:
    if not (transpose or flip_x or flip_y):
        return image
    import cv2  # only phone videos get here; the others start without it

    upright: ImageRGB = image
    if transpose:
        upright = cv2.transpose(upright)  # type: ignore[assignment]
    if flip_x or flip_y:
        upright = cv2.flip(upright, -1 if flip_x and flip_y else 1 if flip_x else 0)  # type: ignore[assignment]
    return upright


class MediaReader:
    """The best video stream of one container, decoded packet by packet; nothing but the current packet is held.

    What cannot be decoded is skipped and counted in ``damaged_packets``. Read errors other than damage (a broken
    connection, a timeout) are raised as ``av.error.FFmpegError``.
    """

    def __init__(
        self,
        address: str,
        *,
        name: str,
        threads: int = 1,
        options: dict[str, str] | None = None,
        timeout_s: tuple[float, float] | None = None,
        format_name: str | None = None,
    ) -> None:
        """Open ``address``. ``timeout_s`` bounds opening and each read.

        ``threads`` above 1 lets FFmpeg decode in parallel: shorter wall time on large frames, more CPU time and memory.

        Raises:
            SourceError: it cannot be opened or holds no video.
        """
        self.name = name
        try:
            container = av.open(
                address, "r", format=format_name, options=options or {}, timeout=timeout_s, metadata_errors="replace"
            )
        except av.error.FFmpegError as error:
            raise SourceError(opening_error(name, error)) from error
        self.container = container
        try:
            self.stream = _video_stream(container, name)
            self.stream.thread_type = "AUTO" if threads > 1 else "NONE"
            self.stream.codec_context.thread_count = threads
        except SourceError:
            container.close()
            raise
        self.damaged_packets = 0
        self._frames = self._decode()

    def next_frame(self) -> VideoFrame | None:
        """Return the next decoded frame in presentation order, None at the end."""
        return next(self._frames, None)

    def seek(self, time_s: Fraction) -> None:
        """Continue from the last key frame at or before ``time_s`` (in the container's own time)."""
        self.container.seek(int(time_s * av.time_base), backward=True)
        self._frames = self._decode()

    def pts_s(self, frame: VideoFrame) -> Fraction | None:
        """Return the frame's own presentation time in seconds."""
        if frame.pts is None or frame.time_base is None:
            return None
        return Fraction(frame.pts) * frame.time_base

    @property
    def pixel_aspect(self) -> Fraction | None:
        """Width of a pixel over its height."""
        return self.stream.codec_context.sample_aspect_ratio or self.stream.sample_aspect_ratio

    @property
    def rate(self) -> Fraction | None:
        """The nominal frame rate in 1/s: the container's guess, which for variable rates is not the mean."""
        return self.stream.guessed_rate or self.stream.average_rate

    @property
    def start_s(self) -> Fraction:
        """When the video begins, in the container's own time."""
        return (self.stream.start_time or 0) * (self.stream.time_base or Fraction(0))

    @property
    def duration_s(self) -> Fraction | None:
        """How long the video lasts; None for endless streams."""
        if self.stream.duration and self.stream.time_base:
            return self.stream.duration * self.stream.time_base
        return Fraction(self.container.duration, av.time_base) if self.container.duration else None

    def close(self) -> None:
        """Close the container. May be called twice."""
        self._frames = iter(())
        self.container.close()

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        failures = 0
        while True:
            try:
                for packet in self.container.demux(self.stream):
                    failures = 0
                    yield packet
                return
            except av.error.InvalidDataError:
                self.damaged_packets += 1
                failures += 1
                if failures > MAX_DEMUX_FAILURES:
                    return

    def _decode(self) -> Iterator[VideoFrame]:
        for packet in self._packets():
            try:
                if packet.is_corrupt:
                    self.damaged_packets += 1
                yield from self.stream.decode(packet)
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self.damaged_packets += 1


def _video_stream(container: InputContainer, name: str) -> VideoStream:
    if container.format.name in NOT_VIDEO_FORMATS:
        raise SourceError(f"{name} is a text file, not a video; give a video, an image folder, webcam or test")
    covers = Disposition.attached_pic
    videos = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not videos:
        kinds = {str(stream.type) for stream in container.streams}
        found = " and ".join(sorted(kind.replace("video", "a cover picture") for kind in kinds))
        raise SourceError(f"{name} has no video, only {found or 'a header'}; give a file with a video stream")
    best = container.streams.best("video")
    stream = next((video for video in videos if best is not None and video.index == best.index), videos[0])
    if stream.codec_context is None:
        raise SourceError(f"{name} has a video stream of a kind that this FFmpeg cannot decode; convert it to H.264")
    return stream


def opening_error(name: str, error: av.error.FFmpegError) -> str:
    """Say in one line why FFmpeg could not open or read ``name``."""
    if isinstance(error, av.error.ExitError | av.error.TimeoutError):
        return f"{name} did not answer in time; check that the address is right and the sender is running"
    if isinstance(error, av.error.ConnectionRefusedError):
        return f"{name} refused the connection; check the port and that the sender is running"
    if isinstance(error, av.error.ProtocolNotFoundError):
        return f"{name} uses a protocol that this FFmpeg was built without; use rtsp, http, https, rtmp, tcp or udp"
    if isinstance(error, av.error.PermissionError):
        return f"{name} may not be read by this user; change its permissions or copy it"
    if isinstance(error, av.error.InvalidDataError | av.error.EOFError):
        return f"{name} is not a video that FFmpeg can read (unfinished recording, damaged, or another kind of file)"
    return f"{name} cannot be opened: {error.strerror}"
