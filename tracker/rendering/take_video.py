"""A take beside the video that it was made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tracker.errors import ConfigError, RecordingError
from tracker.sources.base import OnEvent, ignore_event

if TYPE_CHECKING:
    from tracker.recording import Take
    from tracker.sources.base import FrameSource
    from tracker.types import Frame


@dataclass(frozen=True, slots=True)
class TakeVideo:
    """A take and its video, whose frames belong to the take's rows."""

    take: Take
    video: str
    """What a source is opened by: a file, or a folder of images."""

    def open(self, *, threads: int = 2, on_event: OnEvent = ignore_event) -> FrameSource:
        """The video from its beginning; close it after use.

        Raises:
            ConfigError: it is live.
            RecordingError: it has another number of frames than the take.
            SourceError: it cannot be opened.
        """
        from tracker.sources.open import open_source

        source = open_source(self.video, threads=threads, on_event=on_event)
        if source.live:
            source.close()
            raise ConfigError(f"--video {self.video} is live; give the file that {self.take.path} was made from")
        if self.take.complete and source.frame_count_exact and source.frame_count != len(self.take):
            source.close()
            raise RecordingError(
                f"{self.take.path} has {len(self.take)} frames and {self.video} has {source.frame_count}; "
                f"give the video that the take was made from"
            )
        return source

    def pairs(self, source: FrameSource) -> Iterator[tuple[Frame, int]]:
        """Frames of the video that the take knows, each with its row in the take.

        Raises:
            RecordingError: their size is not that of the frames that were tracked.
        """
        row_of = {int(index): row for row, index in enumerate(self.take["frame_index"])}
        for frame in source:
            row = row_of.get(frame.index)
            if row is None:
                continue
            width, height = (int(value) for value in self.take["frame_size"][row])
            if (frame.width, frame.height) != (width, height):
                raise RecordingError(
                    f"{self.take.path} was made from {width}x{height} frames and {self.video} has "
                    f"{frame.width}x{frame.height}; give the video that the take was made from"
                )
            yield frame, row
