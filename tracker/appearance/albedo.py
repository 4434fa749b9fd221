"""The belief about a person's skin: log reflectance per point relative to the mean tone, learned from frame to frame.

Each point is a Gaussian with its own information (inverse variance of log luminance) that grows with every frame by what that
frame is worth there. Between frames the points are reconciled with their mirror partners and neighbours (CEST's symmetry,
section 3.3, and smoothness, as Gaussian links): a point that was never seen takes its partner's value, one whose partner is
unknown too takes its surroundings'. The mean over bare skin is held at zero: ``tone`` decides how light the skin is.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.appearance.points import SkinPoints

Float32 = NDArray[np.float32]

_BARE_SIGMA, _FEATURE_SIGMA = 0.30, 0.60
"""Spread of log luminance around the mean tone on bare skin, and on brows, lids and lips."""
_MIRROR_SIGMA: Final = 0.10
_NEIGHBOUR_SIGMA: Final = 0.20
_FRAMES_REMEMBERED: Final = 600.0
"""Information is capped at so many frames' worth: skin does change (make-up, tan, a shave)."""
_BEST_FRAME: Final = 0.12 / 0.05**2
"""Information of one faultless frame: misfits of successive frames are alike, so it counts an eighth of an independent one."""
FRAMES_SEEN: Final = 3.0
"""Frames' worth of information from which a point counts as seen."""


class AlbedoBelief:
    """Log reflectance relative to the mean tone at the points of one face; colours are channel first, (3, P)."""

    def __init__(self, points: SkinPoints) -> None:
        self._partner = points.partner.astype(np.intp)
        self._neighbours = points.neighbours.astype(np.intp)
        self._bare = points.is_bare.astype(np.float32) / max(int(points.is_bare.sum()), 1)
        count = points.count
        self.measured: Float32 = np.zeros((3, count), np.float32)
        """(3, P) what frames said about each point alone."""
        self.information: Float32 = np.zeros(count, np.float32)
        """(P,) how much they said."""
        self.log: Float32 = np.zeros((3, count), np.float32)
        """(3, P) reconciled: what to predict with."""
        self._prior = np.where(points.is_bare, _BARE_SIGMA, _FEATURE_SIGMA).astype(np.float32) ** -2
        self.variance: Float32 = 1.0 / self._prior
        """(P,) of ``log`` luminance."""
        self.edge: Float32 = np.zeros(count, np.float32)
        """(P,) mean squared difference of log luminance to the neighbours: what a misplaced point gets wrong."""

    @property
    def seen(self) -> Float32:
        """(P,) how well each point itself is known from frames, 0..1."""
        known: Float32 = np.minimum(self.information / np.float32(FRAMES_SEEN * _BEST_FRAME), np.float32(1.0))
        return known

    def learn(self, index: NDArray[np.intp], log_albedo: Float32, weight: Float32) -> None:
        """Take in one frame.

        Args:
            index: (M,) the points it shows.
            log_albedo: (3, M) log colour minus log irradiance.
            weight: (M,) what the frame is worth at each point: 0 nothing, 1 a faultless view.
        """
        gained = weight * np.float32(_BEST_FRAME)
        total = self.information[index] + gained
        share = gained / np.maximum(total, np.float32(1e-6))
        known = np.take(self.measured, index, axis=1)
        self.measured[:, index] = known + share * (log_albedo - known)
        self.information[index] = np.minimum(total, np.float32(_FRAMES_REMEMBERED * _BEST_FRAME))

    @property
    def frames(self) -> Float32:
        """(P,) the information in faultless frames."""
        worth: Float32 = self.information / np.float32(_BEST_FRAME)
        return worth

    def adopt(self, log: Float32, frames: Float32) -> None:
        """Start from what is known already: relative log reflectance (3, P) and its worth (P,) in faultless frames."""
        centred: Float32 = (log - (log @ self._bare)[:, None]).astype(np.float32)
        self.measured = centred.copy()
        self.information = (np.minimum(frames, _FRAMES_REMEMBERED) * _BEST_FRAME).astype(np.float32)
        self.log = centred
        self.reconcile()
        # It was reconciled when it was learned; once more would blur it.
        self.log = centred

    def reconcile(self, sweeps: int = 1) -> None:
        """Pull every point towards its partner and its neighbours, by Jacobi sweeps on the Gaussian field."""
        link, near = np.float32(_MIRROR_SIGMA**-2), np.float32(_NEIGHBOUR_SIGMA**-2)
        mirrored = self.information[self._partner]
        mirror = mirrored * link / (mirrored + link)
        self.variance = 1.0 / (self.information + mirror + near + self._prior)
        fixed = self.measured * self.information + np.take(self.measured, self._partner, axis=1) * mirror
        around = np.empty((4, self.log.shape[1]), np.float32)
        for _ in range(sweeps):
            around[:3] = self.log
            np.square(self.log[1], out=around[3])
            mean = np.take(around, self._neighbours[0], axis=1)
            for row in self._neighbours[1:]:
                mean += np.take(around, row, axis=1)
            mean *= np.float32(1.0 / len(self._neighbours))
            self.log = (fixed + near * mean[:3]) * self.variance
        green = self.log[1]
        self.edge = np.maximum(mean[3] - 2.0 * green * mean[1] + green * green, 0.0)
        self._centre()

    def _centre(self) -> None:
        mean = (self.log @ self._bare)[:, None]
        self.log -= mean
        self.measured -= mean
