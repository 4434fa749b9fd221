"""Skin as it looks in most frames of a clip: what one pass over the whole of it can know and a live estimate cannot.

The live belief is a mean, and what is in front of a face at the start is learned as skin. Medians over frames of the whole clip
are not moved by what is there for less than half of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.appearance.learned import LearnedSkin
from tracker.appearance.stage import Explained

Float32 = NDArray[np.float32]

_MOST_FRAMES: Final = 160
_LEAST_FRAMES: Final = 8
_ROUNDS: Final = 3
_LEAST_FACING: Final = 0.3
_VARIANCE_RANGE: Final = (0.05**2, 0.12**2)
_MAD: Final = 1.4826


class TypicalSkin:
    """Collects explained frames of one face; long clips are thinned as they come."""

    def __init__(self) -> None:
        self._frames: list[Float32] = []
        self._stride = 1
        self._count = 0

    def add(self, explained: Explained) -> None:
        """Take in the next frame."""
        self._count += 1
        if self._count % self._stride:
            return
        seen = np.full((3, explained.seen.facing.size), np.nan, np.float32)
        straight = explained.seen.facing[explained.index] > _LEAST_FACING
        shown = np.log(explained.colour) - np.log(explained.irradiance)
        seen[:, explained.index[straight]] = shown[:, straight]
        self._frames.append(seen)
        if len(self._frames) > _MOST_FRAMES:
            del self._frames[::2]
            self._stride *= 2

    def refined(self, learned: LearnedSkin) -> LearnedSkin:
        """``learned`` with the medians of the clip wherever enough frames show a point, its mean tone kept."""
        if len(self._frames) < _LEAST_FRAMES:
            return learned
        frames = np.stack(self._frames)
        enough = np.isfinite(frames[:, 1]).sum(axis=0) >= _LEAST_FRAMES
        frames = frames[:, :, enough]
        typical = np.nanmedian(frames, axis=0)
        for _ in range(_ROUNDS):
            # Each frame's light was solved with the skin as far as it was known then: take out what it is off as a whole.
            frames = frames - np.nanmedian(frames - typical, axis=2, keepdims=True)
            typical = np.nanmedian(frames, axis=0)
        log = np.log(learned.reflectance.T)
        before = log[:, enough]
        log[:, enough] = typical + np.median(before - typical, axis=1, keepdims=True)
        away = np.nanmedian(np.abs((frames - typical).mean(axis=1)), axis=0) * _MAD
        variance = learned.variance.copy()
        variance[enough] = np.clip(np.square(away), *_VARIANCE_RANGE)
        return replace(learned, reflectance=np.ascontiguousarray(np.exp(log).T, np.float32), variance=variance)
