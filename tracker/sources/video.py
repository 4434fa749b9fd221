"""Video files of any container and codec FFmpeg reads."""

from __future__ import annotations

import gc
import os
import threading
import time
from fractions import Fraction
from pathlib import Path

import av.error
from av.video.frame import VideoFrame

from tracker.errors import SourceError
from tracker.sources.base import FrameSource, OnEvent, ignore_event
from tracker.sources.media import MediaReader, RgbConverter
from tracker.sources.timeline import Timeline, exact_seconds
from tracker.types import Frame

# Sound often outlasts the pictures by a little; more than this is a recording that breaks off.
EARLY_END_S = Fraction(1, 2)


class VideoSource(FrameSource):
    """Every frame of a finite video, in order, with exact presentation times.

    ``Frame.pts_s`` is the time the video states (edit lists applied), strictly increasing; ``Frame.t_capture_ns`` is the
    same in nanoseconds on the clock ``media``. Frames come upright with square pixels: rotation, mirroring and pixel
    aspect metadata are applied. Frame sizes may change in mid-stream.
    """

    def __init__(
        self,
        reader: MediaReader,
        *,
        start_s: float | Fraction = 0,
        end_s: float | Fraction | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        """Decode the first frame of ``reader``. ``start_s`` and ``end_s`` are seconds from the beginning.

        Raises:
            SourceError: nothing of the video can be decoded.
        """
        self.name = reader.name
        self._reader = reader
        self._tell = ignore_event if on_event is None else on_event
        self._convert = RgbConverter().convert
        self.rate = reader.rate
        self._timeline = Timeline(self.rate)
        self._start_s = reader.start_s + exact_seconds(start_s)
        self._end_s = None if end_s is None else reader.start_s + exact_seconds(end_s)
        self._index = 0
        # Closing a container under a thread that decodes from it would crash; the reader finishes its frame first.
        self._reading = threading.RLock()
        self._closed = threading.Event()
        try:
            if start_s:
                reader.seek(self._start_s)
            self._first: Frame | None = self._decode_first(clipped=bool(start_s) or end_s is not None)
        except SourceError:
            reader.close()
            raise
        self.size = (self._first.width, self._first.height)
        self._last_size = self.size
        self.frame_count, self.frame_count_exact = self._count_frames()

    def read(self) -> Frame | None:
        with self._reading:
            return self._read()

    def close(self) -> None:
        self._closed.set()
        with self._reading:
            if self.state != "closed":
                self._first = None
                self._reader.close()
                super().close()
                # The frame whose orientation was read holds itself (see RgbConverter); a batch of files would pile them up.
                gc.collect()

    def _read(self) -> Frame | None:
        if self.state == "ended" or self._closed.is_set():
            return None
        frame = self._first or self._decode_next()
        self._first = None
        if frame is None:
            self._end()
        elif (frame.width, frame.height) != self._last_size:
            self._last_size = (frame.width, frame.height)
            self._tell(
                "size-changed", f"{self.name}: frames are {frame.width}x{frame.height} from frame {frame.index} on"
            )
        return frame

    def _decode_first(self, clipped: bool) -> Frame:
        frame = self._decode_next()
        if frame is None and not clipped:
            codec = self._reader.stream.codec_context.codec.long_name
            raise SourceError(f"{self.name}: not one frame of its video ({codec}) can be decoded; the file is damaged")
        if frame is None:
            raise SourceError(f"{self.name} has no frame between the given start and end; it lasts {self._duration()}")
        return frame

    def _decode_next(self) -> Frame | None:
        while (picture := self._next_picture()) is not None:
            pts_s = self._timeline.stamp(self._reader.pts_s(picture))
            if self._end_s is not None and pts_s >= self._end_s:
                return None
            if pts_s >= self._start_s:
                return self._frame(picture, pts_s)
        return None

    def _next_picture(self) -> VideoFrame | None:
        try:
            return self._reader.next_frame()
        except av.error.FFmpegError as error:
            self._tell("damaged", f"{self.name} cannot be read on: {error.strerror}; {self._index} frames decoded")
            return None

    def _frame(self, picture: VideoFrame, pts_s: Fraction) -> Frame:
        frame = Frame(
            image=self._convert(picture, self._reader.pixel_aspect),
            index=self._index,
            t_capture_ns=round(pts_s * 1_000_000_000),
            clock="media",
            t_unix_ns=time.time_ns(),
            pts_s=pts_s,
            rate=self.rate,
        )
        self._index += 1
        return frame

    def _count_frames(self) -> tuple[int | None, bool]:
        stream = self._reader.stream
        duration_s = self._reader.duration_s
        clipped = self._end_s is not None or self._start_s > self._reader.start_s
        if stream.frames and not clipped:
            # Samples before the start of an edit list are decoded for reference and never shown.
            entries = stream.index_entries
            if len(entries) == stream.frames:
                return sum(not entry.is_discard for entry in entries), True
            return stream.frames, False
        rate = stream.average_rate or self.rate
        if duration_s is None or rate is None:
            return None, False
        end_s = self._reader.start_s + duration_s
        if self._end_s is not None:
            end_s = min(end_s, self._end_s)
        return max(1, round((end_s - self._start_s) * rate)), False

    def _end(self) -> None:
        if self._closed.is_set():
            return
        self.state = "ended"
        if self._timeline.reconstructed:
            self._tell(
                "timing",
                f"{self.name}: {self._timeline.reconstructed} of {self._index} time stamps were missing or ran "
                "backwards; they were rebuilt from the frame rate",
            )
        decoded = f"{self._index} frames decoded"
        if self.frame_count_exact:
            decoded = f"{self._index} of {self.frame_count} frames decoded"
        if self._reader.damaged_packets:
            self._tell("damaged", f"{self.name}: damaged packets left out: {self._reader.damaged_packets}; {decoded}")
        elif self.frame_count_exact and self.frame_count != self._index:
            self._tell("damaged", f"{self.name} breaks off: {decoded}")
        elif self._end_s is None and self._missing_s() > EARLY_END_S:
            early = f"{float(self._missing_s()):.1f} s before the end it announces"
            self._tell("damaged", f"{self.name} breaks off {early}; {decoded}")

    def _missing_s(self) -> Fraction:
        """How long before the announced end the last frame ended."""
        duration_s, last_s = self._reader.duration_s, self._timeline.last_s
        if duration_s is None or last_s is None:
            return Fraction(0)
        return self._reader.start_s + duration_s - last_s - self._timeline.interval_s

    def _duration(self) -> str:
        duration_s = self._reader.duration_s
        return "an unknown time" if duration_s is None else f"{float(duration_s):.3f} s"


class VideoFile(VideoSource):
    """A video file of any container and codec FFmpeg reads.

    Decoding runs on the calling thread by default, which takes the least CPU time; more ``threads`` shorten the wall
    time of large videos.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        start_s: float | Fraction = 0,
        end_s: float | Fraction | None = None,
        threads: int = 1,
        nvdec: bool = False,
        on_event: OnEvent | None = None,
    ) -> None:
        """Open ``path``; see ``VideoSource`` for the other arguments. ``nvdec``: an NVIDIA GPU decodes.

        Raises:
            NvdecError: the GPU cannot be used, or not for this file.
            SourceError: the file is missing, holds no video or nothing of it can be decoded.
        """
        check_file(Path(path))
        # An absolute path keeps FFmpeg from taking a colon in the name for a protocol.
        address = os.path.abspath(path)
        reader: MediaReader
        if nvdec:
            from tracker.sources.nvdec import NvdecReader

            reader = NvdecReader(address, name=str(path))
        else:
            reader = MediaReader(address, name=str(path), threads=threads)
        super().__init__(reader, start_s=start_s, end_s=end_s, on_event=on_event)


def check_file(path: Path) -> None:
    """Raise ``SourceError`` with the plain reason when ``path`` is not a readable, non-empty file."""
    if not path.exists():
        raise SourceError(f"{path} does not exist; check the spelling and the folder ({Path.cwd()})")
    if path.is_dir():
        raise SourceError(f"{path} is a folder, a video file was expected")
    if path.is_file() and path.stat().st_size == 0:
        raise SourceError(f"{path} is empty (0 bytes); copy or record it again")
    if not os.access(path, os.R_OK):
        raise SourceError(f"{path} may not be read by this user; change its permissions or copy it")
