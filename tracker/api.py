"""The library face of the tracker: images in, results out, without threads or sockets."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from tracker.config import TrackerConfig
from tracker.errors import SourceError
from tracker.face_model import FaceModel
from tracker.tracking import FrameTracker
from tracker.types import Frame, FrameResult, ImageRGB


class Tracker:
    """Tracks faces through a sequence of images.

    >>> tracker = Tracker(max_faces=2)                        # doctest: +SKIP
    >>> for result in tracker.track(images, fps=30):          # doctest: +SKIP
    ...     for face in result.faces:
    ...         print(face.id, face.quaternion, face.arkit)
    """

    def __init__(self, **settings: Any) -> None:
        """``settings`` are the fields of ``TrackerConfig``.

        Raises:
            ConfigError: a setting is out of range.
            NetworkAssetError: the networks are not on this machine yet (``tracker models fetch``).
            TypeError: there is no setting of that name.
        """
        self._tracker = FrameTracker(TrackerConfig(**settings))
        self._index = 0

    @property
    def face_model(self) -> FaceModel:
        """The model whose parameters come out."""
        return self._tracker.model

    def __call__(self, image: ImageRGB, t_s: float | None = None) -> FrameResult:
        """Track the next image.

        Args:
            image: RGB uint8 (H, W, 3).
            t_s: its capture time in seconds on a clock of your own; images must come in order. Now, by default.

        Raises:
            SourceError: the image has another shape or type, or its time is no number.
        """
        _check_image(image)
        if t_s is not None and not math.isfinite(t_s):
            raise SourceError(f"an image's time must be a number of seconds, got {t_s}")
        unix_ns = time.time_ns()
        t_ns = time.monotonic_ns() if t_s is None else round(t_s * 1e9)
        frame = Frame(image, self._index, t_ns, "CLOCK_MONOTONIC" if t_s is None else "media", unix_ns)
        self._index += 1
        return self._tracker.process(frame)

    def track(self, images: Iterable[ImageRGB], fps: float | Fraction = 30) -> Iterator[FrameResult]:
        """Track images taken ``fps`` times a second; yields one result per image.

        Raises:
            SourceError: an image has another shape or type, or ``fps`` is not above 0.
        """
        if not (math.isfinite(fps) and fps > 0):
            raise SourceError(f"fps must be a positive number, got {fps}")
        period = 1 / Fraction(fps)
        start = self._index
        for image in images:
            yield self(image, float((self._index - start) * period))

    def recenter(self) -> None:
        """Declare the head pose in the next image with a face to be the neutral one."""
        self._tracker.request_recenter()


def _check_image(image: ImageRGB) -> None:
    if (
        not isinstance(image, np.ndarray)
        or image.dtype != np.uint8
        or image.ndim != 3
        or image.shape[2] != 3
        or not image.size
    ):
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise SourceError(f"an image must be an RGB uint8 array of shape (H, W, 3), got {found}")
