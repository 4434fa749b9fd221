"""What the picture shows at the skin points of a pose that is only tried: the input of the photometric term.

The light is that of the last frame, brightened and tinted as a whole to this one's: a light solved from scratch at a wrong
pose or on a hand would explain both away.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.appearance.glimpse import Glimpse
from tracker.appearance.light import LUMA
from tracker.types import SkinView

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_GRAZING: Final = 0.15
_CODE_STEP: Final = 0.003
_DARKEST: Final = 0.002
_LEAST_KNOWN: Final = 0.02
_TAIL: Final = 5.0


def skin_view(
    glimpse: Glimpse,
    log_albedo: Float32,
    variance: Float32,
    known: Float32,
    covered: Float32,
    is_bare: NDArray[np.bool_],
    stiffness: Float32,
    light: Float64,
) -> SkinView:
    """The picture against what is predicted.

    Args:
        glimpse: the visible points as the camera sees them.
        log_albedo: (3, P) log reflectance.
        variance: (P,) usual variance of log luminance.
        known: (P,) how well the skin at each point is known, 0..1.
        covered: (P,) probability that something was in front of it in the last frame.
        is_bare: (P,) plain skin.
        stiffness: (P,) 0..1, 1 where expressions move nothing.
        light: (9, 3) spherical harmonics of the last frame.
    """
    index, seen = glimpse.index, glimpse.seen
    under = glimpse.under(log_albedo, light)
    weight = known[index]
    weight *= glimpse.unclipped & (weight > _LEAST_KNOWN)
    hidden = covered[index]
    usual = variance[index]
    robust = weight * np.square(1.0 - hidden) / (1.0 + under.away / (np.float32(3.0 * _TAIL) * usual))
    level = float(LUMA @ (under.off @ robust)) / max(float(robust.sum()), 1e-6)
    error = np.float32(level) - LUMA @ under.off
    noise = np.float32(_CODE_STEP) / np.maximum(LUMA @ glimpse.colour, np.float32(_DARKEST))
    facing = np.minimum((seen.facing[index] - np.float32(_GRAZING)) * np.float32(1.0 / 0.35), np.float32(1.0))
    return SkinView(
        points=np.take(seen.points, index, axis=1),
        error=error,
        slope=lambda: glimpse.cutout.slope(glimpse.pixels),
        sigma=np.sqrt(usual + noise * noise),
        weight=weight * facing,
        covered=hidden,
        is_bare=is_bare[index],
        index=index,
        stiffness=stiffness[index],
        total=known.size,
    )
