"""How light a person's skin is: what one camera cannot tell from how bright the room is.

Skin twice as dark under twice the light gives the same picture. A prior decides, stated here and nowhere else: skin colour lies
along two pigment axes (reflectance = pale * exp(-melanin * M - haemoglobin * H): Beer-Lambert as in Tsumura 2003) with the
spread of a mixed population; cameras expose faces for about 0.7 of white, give or take a factor of 1.5, and leave a colour
cast of about a tenth in any direction and a third between warm and cold. All of it is Gaussian in the logarithm, so the
posterior mean is linear in the mean log colour.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

_PALE: Final = np.array([0.84, 0.63, 0.48])
_MELANIN: Final = np.array([1.57, 2.02, 2.33])
_HAEMOGLOBIN: Final = np.array([0.14, 0.62, 0.52])
_MELANIN_MEAN, _MELANIN_SIGMA = 0.28, 0.22
_HAEMOGLOBIN_MEAN, _HAEMOGLOBIN_SIGMA = 0.42, 0.15
_TONE_SIGMA: Final = 0.04
"""What the two pigments do not explain, per channel."""
_EXPOSURE_MEAN, _EXPOSURE_SIGMA = np.log(0.7), 0.4
_CAST_SIGMA: Final = 0.08
_WARMTH: Final = np.array([0.20, 0.0, -0.30])
"""One standard deviation of log colour between a lamp and the white balance."""
_FRAMES: Final = 30

MEAN_TONE: Final[Float64] = np.log(_PALE) - _MELANIN_MEAN * _MELANIN - _HAEMOGLOBIN_MEAN * _HAEMOGLOBIN
"""(3,) log reflectance of the average skin."""
_TONE_COVARIANCE: Final = (
    _MELANIN_SIGMA**2 * np.outer(_MELANIN, _MELANIN)
    + _HAEMOGLOBIN_SIGMA**2 * np.outer(_HAEMOGLOBIN, _HAEMOGLOBIN)
    + _TONE_SIGMA**2 * np.eye(3)
)
_LIGHT_COVARIANCE: Final = (
    _EXPOSURE_SIGMA**2 * np.ones((3, 3)) + np.outer(_WARMTH, _WARMTH) + _CAST_SIGMA**2 * np.eye(3)
)
_GAIN: Final = _TONE_COVARIANCE @ np.linalg.inv(_TONE_COVARIANCE + _LIGHT_COVARIANCE)


def skin_tone(mean_log_colour: NDArray[np.floating]) -> Float64:
    """The likeliest mean log reflectance (3,) of skin whose lit colour has the mean logarithm (3,)."""
    tone: Float64 = MEAN_TONE + _GAIN @ (np.asarray(mean_log_colour, np.float64) - MEAN_TONE - _EXPOSURE_MEAN)
    return tone


class ToneAnchor:
    """A person's tone: the mean over the first second of frames, fixed from then on.

    It must not follow the exposure: whatever changes later is light.
    """

    def __init__(self) -> None:
        self._sum = np.zeros(3)
        self._count = 0

    @property
    def log_tone(self) -> Float64:
        """(3,) mean log reflectance."""
        return self._sum / self._count if self._count else MEAN_TONE

    @property
    def settled(self) -> bool:
        return self._count >= _FRAMES

    def fix(self, log_tone: NDArray[np.floating]) -> None:
        """The tone (3,) is known."""
        self._sum, self._count = np.asarray(log_tone, np.float64) * _FRAMES, _FRAMES

    def observe(self, mean_log_colour: NDArray[np.floating]) -> None:
        """Take in the mean log colour (3,) of lit bare skin in one frame."""
        if not self.settled:
            self._sum += skin_tone(mean_log_colour)
            self._count += 1
