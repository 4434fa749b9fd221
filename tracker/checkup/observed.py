"""What a look through a camera has shown: frames, faces, times."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from tracker.checkup.measure import FaceMeasure, measure
from tracker.types import Face, Frame, FrameResult

_WINDOW_S: Final = 3.0
"""Only what is recent counts, so that the advice follows what people do."""
_WARM_FRAMES: Final = 3
"""The first frames search for the face and fill caches."""
_NOT_TRACKING: Final = "appearance"
"""A stage that runs here to see what covers the face; `tracker run` leaves it out unless asked."""


class _Seen(NamedTuple):
    time_s: float
    number: int
    """Of the frame, which counts dropped ones too."""
    face: FaceMeasure | None
    work_ms: float
    """0 while warming up."""


@dataclass(slots=True)
class Observed:
    """Collects frames; the properties describe the last seconds."""

    live: bool
    """Whether frames come at their own pace, so that their rate says something about the camera."""
    asked_rate: float | None
    """Frames per second that were asked of the camera, or that the file states."""
    region_names: tuple[str, ...] = ()
    frames: int = 0
    size: tuple[int, int] | None = None
    dropped: int = 0
    picture_level: float = 0.0
    """Mean brightness of the latest picture, 0..1."""
    _seen: deque[_Seen] = field(default_factory=deque)

    def add(self, frame: Frame, result: FrameResult) -> None:
        """Take in a frame with what the tracker made of it."""
        self.frames += 1
        self.size = (frame.width, frame.height)
        self.picture_level = float(frame.image[::8, ::8, 1].mean()) / 255.0
        face = largest(result)
        found = None if face is None else measure(frame.image, face)
        work_ms = sum(ms for stage, ms in result.stage_ms.items() if stage != _NOT_TRACKING)
        now_s = frame.t_capture_ns * 1e-9
        self._seen.append(_Seen(now_s, frame.index, found, work_ms if self.frames > _WARM_FRAMES else 0.0))
        while now_s - self._seen[0].time_s > _WINDOW_S:
            self._seen.popleft()

    @property
    def measures(self) -> list[FaceMeasure]:
        """The face in those of the last frames that had one."""
        return [one.face for one in self._seen if one.face is not None]

    @property
    def found_share(self) -> float:
        """Share of the last frames with a face."""
        return len(self.measures) / len(self._seen) if self._seen else 0.0

    def median(self, name: str) -> float:
        """Median of a measure over the last frames."""
        return float(np.median([getattr(one, name) for one in self.measures]))

    @property
    def covered(self) -> tuple[float, tuple[str, ...]] | None:
        """Covered share of the skin and the regions most of which is covered; None where it is not known."""
        known = [one for one in self.measures if one.covered is not None]
        if not known:
            return None
        regions = np.median([one.covered_regions for one in known], axis=0)
        names = tuple(name for name, share in zip(self.region_names, regions, strict=False) if share > 0.5)
        return float(np.median([one.covered for one in known])), names

    @property
    def rate(self) -> float | None:
        """Frames per second that the camera delivered, dropped ones included; None until that can be told."""
        if len(self._seen) < 5:
            return None
        # Frames that this program was too slow for leave gaps in the numbers.
        steps = np.diff([one.number for one in self._seen])
        middle = float(np.median(np.diff([one.time_s for one in self._seen]) / np.maximum(steps, 1)))
        return 1.0 / middle if middle > 0 else None

    @property
    def work_ms(self) -> float | None:
        """Time that tracking a frame takes, 90th percentile; None until that can be told."""
        known = [one.work_ms for one in self._seen if one.work_ms > 0]
        return float(np.percentile(known, 90)) if len(known) >= 5 else None


def largest(result: FrameResult) -> Face | None:
    """The largest face that is really seen."""
    faces = [face for face in result.faces if face.tracked]
    return max(faces, key=lambda face: float(face.box[2] * face.box[3]), default=None)
