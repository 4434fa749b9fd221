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
_SEEN: Final = 3.0
"""Frames' worth of information from which a point counts as seen."""


class AlbedoBelief:
    """Log reflectance relative to the mean tone at the points of one face."""

    def __init__(self, points: SkinPoints) -> None:
        self._points = points
        count = points.count
        self.measured: Float32 = np.zeros((count, 3), np.float32)
        """(P, 3) what frames said about each point alone."""
        self.information: Float32 = np.zeros(count, np.float32)
        """(P,) how much they said."""
        self.log: Float32 = np.zeros((count, 3), np.float32)
        """(P, 3) reconciled: what to predict with."""
        self._prior = np.where(points.is_bare, _BARE_SIGMA, _FEATURE_SIGMA).astype(np.float32) ** -2
        self.certainty: Float32 = self._prior.copy()
        """(P,) information of ``log``."""
        self.contrast: Float32 = np.zeros(count, np.float32)
        """(P,) spread of ``log`` luminance among a point's neighbours: what a misplaced point gets wrong."""

    @property
    def seen(self) -> Float32:
        """(P,) how well each point itself is known from frames, 0..1."""
        known: Float32 = np.minimum(self.information / np.float32(_SEEN * _BEST_FRAME), np.float32(1.0))
        return known

    def learn(self, log_albedo: Float32, weight: Float32) -> None:
        """Take in one frame.

        Args:
            log_albedo: (P, 3) log colour minus log irradiance.
            weight: (P,) what the frame is worth at each point: 0 nothing, 1 a faultless view.
        """
        gained = weight * np.float32(_BEST_FRAME)
        total = self.information + gained
        share = (gained / np.maximum(total, np.float32(1e-6)))[:, None]
        self.measured += share * (log_albedo - self.measured)
        np.minimum(total, np.float32(_FRAMES_REMEMBERED * _BEST_FRAME), out=self.information)

    def reconcile(self, sweeps: int = 1) -> None:
        """Pull every point towards its partner and its neighbours, by Jacobi sweeps on the Gaussian field."""
        points, information = self._points, self.information
        link = np.float32(_MIRROR_SIGMA**-2)
        mirrored = information[points.partner]
        mirror = mirrored * link / (mirrored + link)
        near = np.float32(_NEIGHBOUR_SIGMA**-2)
        self.certainty = information + mirror + near + self._prior
        fixed = self.measured * information[:, None] + self.measured[points.partner] * mirror[:, None]
        for _ in range(sweeps):
            around = self.log[points.neighbours]
            mean = around.mean(axis=1)
            self.log = (fixed + near * mean) / self.certainty[:, None]
        green = around[:, :, 1]
        self.contrast = np.sqrt(np.square(green - self.log[:, 1:2]).mean(axis=1))
        self._centre()

    def _centre(self) -> None:
        mean = self.log[self._points.is_bare].mean(axis=0)
        self.log -= mean
        self.measured -= mean
