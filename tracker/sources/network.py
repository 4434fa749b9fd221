"""Video from the network: RTSP cameras, HTTP streams and files behind a URL."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from urllib.parse import urlsplit

import av.error
from av.video.frame import VideoFrame

from tracker.errors import SourceError
from tracker.sources.base import FrameSource, OnEvent
from tracker.sources.live import LiveSource, Patience, Shot
from tracker.sources.media import MediaReader, RgbConverter
from tracker.sources.video import EARLY_END_S, VideoSource

SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "tcp", "udp", "rtp", "srt")
# What arrives over these is paced by its sender, even where a duration is announced.
PACED_SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "tcp", "udp", "rtp", "srt"})
OPTIONS = {
    "rtsp_flags": "prefer_tcp",  # lost UDP packets smear H.264 pictures; the camera may still choose UDP
    "analyzeduration": "1000000",  # one second of looking at a stream that announces nothing, instead of five
}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the network may be silent, in seconds."""

    open_s: float = 10.0
    read_s: float = 5.0
    give_up_s: float = 60.0
    """Finite videos only: how long to try to go on with one before its reading fails."""


def open_url(
    url: str,
    *,
    threads: int = 1,
    timeouts: Timeouts | None = None,
    patience: Patience | None = None,
    on_event: OnEvent | None = None,
) -> FrameSource:
    """Open a URL as a live source, or as a finite one when it is an HTTP resource with a known duration.

    Raises:
        SourceError: nothing answers, or what answers is no video.
    """
    limits = timeouts or Timeouts()
    open_reader = partial(_open_reader, url, threads, limits)
    reader = open_reader()
    if urlsplit(url).scheme not in PACED_SCHEMES and reader.duration_s is not None:
        return RemoteFile(reader, open_reader, limits, patience or Patience(), on_event)
    waiting = [reader]

    def connect() -> StreamConnection:
        return StreamConnection(waiting.pop() if waiting else open_reader())

    return LiveSource(connect, kind="stream", patience=patience, on_event=on_event)


def _open_reader(url: str, threads: int, timeouts: Timeouts) -> MediaReader:
    return MediaReader(
        url,
        name=without_password(url),
        threads=threads,
        options=OPTIONS,
        timeout_s=(timeouts.open_s, timeouts.read_s),
    )


def stream_error(error: av.error.FFmpegError) -> str:
    """Say in a few words why a stream broke."""
    if isinstance(error, av.error.ExitError | av.error.TimeoutError):
        return "the sender fell silent"
    return f"the connection broke: {error.strerror}"


def without_password(url: str) -> str:
    """Return ``url`` as it may be shown: what stands for user and password is hidden."""
    host = urlsplit(url).netloc
    if "@" not in host:
        return url
    return url.replace(host, "***@" + host.rpartition("@")[2], 1)


class StreamConnection:
    """An endless stream as a ``Connection``. Capture time is when a frame was received and decoded."""

    def __init__(self, reader: MediaReader) -> None:
        self._reader = reader
        self._convert = RgbConverter().convert
        self.name = reader.name
        self.rate = reader.rate
        codec = reader.stream.codec_context
        self.size = (codec.width, codec.height) if codec.width else None

    def read(self) -> Shot | None:
        """Wait for the next frame; None when the sender ended the stream.

        Raises:
            SourceError: the connection broke or nothing came in time.
        """
        try:
            picture = self._reader.next_frame()
        except av.error.FFmpegError as error:
            raise SourceError(stream_error(error)) from error
        if picture is None:
            return None
        # Converted later, perhaps after this connection was closed: nothing of the reader may be needed then.
        to_rgb = partial(self._convert, picture, self._reader.pixel_aspect)
        return Shot(time.monotonic_ns(), to_rgb, self._reader.pts_s(picture))

    def close(self) -> None:
        """Close the connection."""
        self._reader.close()


class RemoteFile(VideoSource):
    """A finite video behind a URL: every frame once, as from a file.

    When the server falls silent or breaks off, the video is opened again after a growing pause and continues behind the
    last frame that was read.
    """

    def __init__(
        self,
        reader: MediaReader,
        reopen: Callable[[], MediaReader],
        timeouts: Timeouts,
        patience: Patience,
        on_event: OnEvent | None,
    ) -> None:
        self._reopen = reopen
        self._timeouts = timeouts
        self._patience = patience
        self._last_pts_s: Fraction | None = None
        self._resumed_at_s: Fraction | None = None
        super().__init__(reader, on_event=on_event)

    def _next_picture(self) -> VideoFrame | None:
        while not self._closed.is_set():
            try:
                picture = self._reader.next_frame()
            except av.error.FFmpegError as error:
                self._recover(stream_error(error))
                continue
            if picture is None:
                # A connection that breaks looks like an end; one that breaks twice at the same place is one.
                if self._missing_s() <= EARLY_END_S or self._resumed_at_s == self._last_pts_s:
                    return None
                self._recover("the connection broke")
                continue
            pts_s = self._reader.pts_s(picture)
            if pts_s is None or self._last_pts_s is None or pts_s > self._last_pts_s:
                self._last_pts_s = pts_s
                return picture
        return None

    def _recover(self, reason: str) -> None:
        self.state = "reopening"
        self._tell("stream-lost", f"{self.name}: {reason}; trying to go on from frame {self._index}")
        self._reader.close()
        give_up_at_s = time.monotonic() + self._timeouts.give_up_s
        retry_s = self._patience.first_retry_s
        while True:
            if time.monotonic() + retry_s > give_up_at_s:
                raise SourceError(
                    f"{self.name} broke off after {self._index} frames and did not come back within "
                    f"{self._timeouts.give_up_s:.0f} s; download the file and process the copy"
                )
            if self._closed.wait(retry_s):
                return
            retry_s = min(2 * retry_s, self._patience.longest_retry_s)
            try:
                self._reader = self._reopen()
                if self._last_pts_s is not None:
                    self._reader.seek(self._last_pts_s)
            except (SourceError, av.error.FFmpegError):
                continue
            break
        self._resumed_at_s = self._last_pts_s
        self.state = "running"
        self._tell("stream-reopened", f"{self.name} goes on from frame {self._index}")
