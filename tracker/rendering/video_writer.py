"""Writes H.264 video with the time stamps of its source, and its source's sound beside it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final

import av
import av.error
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from tracker.errors import RecordingError

SUFFIXES: Final = (".mp4", ".mov", ".mkv")
_TIME_BASE: Final = Fraction(1, 90_000)
_COPYABLE_AUDIO: Final = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
_DEFAULT_RATE: Final = Fraction(30)


class VideoWriter:
    """One H.264 file. A context manager: leaving it, for whatever reason, leaves a file that plays.

    Attributes:
        frame_count: frames written so far.
        sound: ``none``, ``copied``, or why the sound was left out.
    """

    def __init__(
        self, path: Path, width: int, height: int, rate: Fraction | None = None, sound_from: str | Path | None = None
    ) -> None:
        """Create ``path``, replacing what was there.

        Args:
            path: output ending in .mp4, .mov or .mkv.
            width: frame width in pixels; an odd one loses its last column (H.264 stores colour at half resolution).
            height: frame height in pixels, likewise.
            rate: nominal frame rate, a hint for players; time stamps rule.
            sound_from: a media file whose first audio track is copied.

        Raises:
            RecordingError: the name has another suffix or cannot be written.
        """
        if path.suffix.lower() not in SUFFIXES:
            raise RecordingError(f"cannot write {path}: expected a name ending in {', '.join(SUFFIXES)}")
        if width < 2 or height < 2:
            raise RecordingError(
                f"cannot write {path}: H.264 needs at least 2x2 pixels, the frames have {width}x{height}"
            )
        self.path = path
        self.frame_count = 0
        self._closed = False
        self._size = (width - width % 2, height - height % 2)
        self._first_s: Fraction | None = None
        self._last_pts = -1
        self._sound = _Sound(sound_from)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(str(path), "w")
            self._video = self._add_video(rate or _DEFAULT_RATE)
            self._audio: AudioStream | None = None
            if self._sound.stream is not None:
                self._audio = self._container.add_stream_from_template(self._sound.stream)
            self._container.start_encoding()
        except (OSError, av.error.FFmpegError) as error:
            self._sound.close()
            raise RecordingError(
                f"cannot write {path}: {error.strerror or error}; choose a file in a folder that can be written"
            ) from error

    def _add_video(self, rate: Fraction) -> VideoStream:
        video = self._container.add_stream("libx264", rate=rate)
        assert isinstance(video, VideoStream)
        video.width, video.height = self._size
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = _TIME_BASE
        video.options = {"preset": "veryfast", "crf": "17"}
        return video

    @property
    def sound(self) -> str:
        return self._sound.state

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, image: NDArray[np.uint8], t_s: Fraction) -> None:
        """Append a frame, RGB (H, W, 3), that is shown at ``t_s`` seconds of the source; the first becomes time zero.

        Raises:
            RecordingError: the disk is full or the file cannot be written any more.
        """
        if self._first_s is None:
            self._first_s = t_s
        width, height = self._size
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
        pts = max(self._last_pts + 1, round((t_s - self._first_s) / _TIME_BASE))
        frame.pts, frame.time_base, self._last_pts = pts, _TIME_BASE, pts
        try:
            for packet in self._video.encode(frame):
                self._container.mux(packet)
            self._copy_sound(until_s=t_s)
        except (OSError, av.error.FFmpegError) as error:
            raise RecordingError(f"cannot write {self.path} on: {error.strerror or error}") from error
        self.frame_count += 1

    def close(self) -> None:
        """Write what the encoder still holds and finish the file. May be called twice."""
        if self._closed:
            return
        self._closed = True
        try:
            if self.frame_count:
                for packet in self._video.encode(None):
                    self._container.mux(packet)
            self._container.close()
        except (OSError, av.error.FFmpegError) as error:
            raise RecordingError(f"cannot finish {self.path}: {error.strerror or error}") from error
        finally:
            self._sound.close()

    def _copy_sound(self, until_s: Fraction) -> None:
        if self._audio is None or self._first_s is None:
            return
        for packet in self._sound.packets(self._first_s, until_s):
            packet.stream = self._audio
            self._container.mux(packet)


class _Sound:
    """The packets of a file's first audio track, in step with the pictures."""

    def __init__(self, path: str | Path | None) -> None:
        self.state = "none"
        self.stream: AudioStream | None = None
        self._container: InputContainer | None = None
        self._waiting: Packet[AudioStream] | None = None
        if path is None or not Path(path).is_file():
            return
        try:
            self._container = av.open(str(path))
        except (OSError, av.error.FFmpegError):
            return
        if not self._container.streams.audio:
            return
        stream = self._container.streams.audio[0]
        codec = stream.codec_context.codec.canonical_name
        if codec not in _COPYABLE_AUDIO:
            self.state = f"left out: {codec} cannot be copied"
            return
        self.stream = stream
        self.state = "copied"
        self._packets: Iterator[Packet[AudioStream]] = self._container.demux(stream)

    def packets(self, start_s: Fraction, until_s: Fraction) -> Iterator[Packet[AudioStream]]:
        """Packets that begin between the two times, their own time counted from ``start_s``."""
        while self.stream is not None:
            packet = self._waiting or next(self._packets, None)
            self._waiting = None
            if packet is None or packet.pts is None or packet.time_base is None:
                self.stream = None
                return
            begins_s = packet.pts * packet.time_base
            if begins_s > until_s:
                self._waiting = packet
                return
            if begins_s >= start_s:
                shift = round(start_s / packet.time_base)
                packet.pts -= shift
                packet.dts = packet.pts if packet.dts is None else packet.dts - shift
                yield packet

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
