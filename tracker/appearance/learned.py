"""What has been learned about a person's skin, in a form that outlives the stream it was learned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.appearance.albedo import FRAMES_SEEN
from tracker.appearance.occlusion import USUAL_DETAIL, USUAL_LUMINANCE
from tracker.errors import EnrolmentError
from tracker.types import Albedo

Float32 = NDArray[np.float32]

COLUMNS: Final = ("red", "green", "blue", "frames", "variance", "detail_variance")
"""Of ``LearnedSkin.to_array``."""


@dataclass(frozen=True, slots=True)
class LearnedSkin:
    """Skin at the P points of ``appearance.points``."""

    reflectance: Float32
    """(P, 3) linear RGB, above 0."""
    frames: Float32
    """(P,) how many faultless frames' worth is known about each point; 0 for those that follow from the others."""
    variance: Float32
    """(P,) of the log luminance that the point usually shows around its prediction."""
    detail_variance: Float32
    """(P,) the same of its difference to its surroundings."""

    @property
    def albedo(self) -> Albedo:
        """As it is published, in its first version."""
        seen = np.minimum(self.frames / np.float32(FRAMES_SEEN), np.float32(1.0))
        return Albedo(np.clip(self.reflectance, 0.0, 1.0), seen, float((seen > 0.5).mean()), 1)

    def to_array(self) -> Float32:
        """(P, 6) as enrolments keep it, see ``COLUMNS``."""
        return np.column_stack([self.reflectance, self.frames, self.variance, self.detail_variance]).astype(np.float32)

    @classmethod
    def from_array(cls, array: Float32, count: int, path: str = "the enrolment") -> LearnedSkin:
        """The way back, for ``count`` points.

        Raises:
            EnrolmentError: the array is not what ``to_array`` gives for so many points.
        """
        again = "enrol again with `tracker enroll`"
        if array.shape != (count, len(COLUMNS)):
            raise EnrolmentError(
                f"{path}: expected skin at {count} points, {len(COLUMNS)} numbers each, got {array.shape}; {again}"
            )
        positive = np.delete(array, COLUMNS.index("frames"), axis=1)
        if not np.isfinite(array).all() or (positive <= 0.0).any() or (array[:, 3] < 0.0).any():
            raise EnrolmentError(f"{path}: its skin holds impossible numbers; {again}")
        return cls(array[:, :3], array[:, 3], array[:, 4], array[:, 5])

    @classmethod
    def from_albedo(cls, albedo: Albedo) -> LearnedSkin:
        """As far as takes and the stream tell: how often a point was seen is only known up to "enough"."""
        count = len(albedo.points)
        return cls(
            np.maximum(albedo.points, np.float32(1e-3)),
            albedo.seen * np.float32(FRAMES_SEEN),
            np.full(count, USUAL_LUMINANCE**2, np.float32),
            np.full(count, USUAL_DETAIL**2, np.float32),
        )
