"""Which frame of a take shows most of what was tracked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tracker.arkit import ARKIT_INDEX
from tracker.errors import ConfigError, RecordingError

if TYPE_CHECKING:
    from tracker.recording import Take
    from tracker.types import Face, FrameResult


def picture_row(take: Take, wanted: int | None = None) -> int:
    """The row of the frame that was asked for, or of the one with the strongest expression of a face seen well.

    Raises:
        ConfigError: the take has no such frame.
        RecordingError: no face is tracked in it, or in any.
    """
    results = list(take)
    with_face = [row for row, result in enumerate(results) if any(face.tracked for face in result.faces)]
    if not with_face:
        raise RecordingError(f"{take.path} has no face in any of its {len(take)} frames; there is nothing to draw")
    if wanted is None:
        return max(with_face, key=lambda row: _tells(results[row]))
    if not 0 <= wanted < len(results):
        raise ConfigError(f"--frame {wanted}: {take.path} has frames 0..{len(results) - 1}")
    if wanted not in with_face:
        near = min(with_face, key=lambda row: abs(row - wanted))
        raise RecordingError(f"frame {wanted} of {take.path} has no face; the nearest with one is --frame {near}")
    return wanted


def largest_face(result: FrameResult) -> Face:
    """The largest tracked face of a frame that has one."""
    return max((face for face in result.faces if face.tracked), key=lambda face: float(face.box[2] * face.box[3]))


def _tells(result: FrameResult) -> float:
    """How much a frame has to show: expression of its largest face, by how well that face is seen."""
    face = largest_face(result)
    # A face with closed eyes shows little of what is tracked.
    open_eyes = 1.0 - 0.5 * float(face.arkit[ARKIT_INDEX["eyeBlinkLeft"]] + face.arkit[ARKIT_INDEX["eyeBlinkRight"]])
    return face.confidence * open_eyes * (0.2 + float(np.sort(face.arkit)[-8:].sum()))
