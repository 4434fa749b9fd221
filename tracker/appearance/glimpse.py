"""What a picture shows at the skin points of a face in one state, kept while it may be asked for again.

The fit asks the picture at the state that the landmarks give, and mostly ends there: then the appearance stage works on the
same points, colours and harmonics. States tried in one frame lie close together, so that they share one averaged picture.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.appearance.light import floored, middle
from tracker.appearance.sampling import Cutout, cut_out, is_unclipped
from tracker.appearance.surface import SeenSkin, SkinShape, SkinSurface
from tracker.camera import Camera
from tracker.rotations import matrix_from_rotvec
from tracker.srgb import LINEAR
from tracker.types import FaceParams, ImageRGB

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

LEAST_POINTS: Final = 150
_LEAST_SPACING_PX: Final = 0.4
_DARKEST: Final = LINEAR[4]
_SAME_DIRECTION: Final = float(np.cos(np.radians(1.0)))
_SAME_FACE: Final = 0.05
"""Change of any weight, or of the jaw's rotation in radians, that hides nothing new."""


@dataclass(frozen=True, slots=True)
class UnderLight:
    """What M points show beside what an albedo under a light would."""

    log_unlit: Float32
    """(3, M) log colour less log albedo."""
    irradiance: Float32
    """(3, M); 1 without a light."""
    off: Float32
    """(3, M) the former less the log of the latter."""
    away: Float32
    """(M,) squared distance of ``off`` from its median."""

    def part(self, chosen: NDArray[np.intp]) -> UnderLight:
        """Some of the points."""
        parts = (np.take(values, chosen, axis=-1) for values in (self.log_unlit, self.irradiance, self.off, self.away))
        return UnderLight(*parts)


@dataclass(slots=True)
class Glimpse:
    """The M visible skin points of a face in a picture."""

    seen: SeenSkin
    """All of its points."""
    cutout: Cutout
    index: NDArray[np.intp]
    """(M,) the visible ones; the rest is about them."""
    pixels: Float32
    """(2, M)."""
    colour: Float32
    """(3, M) linear RGB."""
    log_colour: Float32
    """(3, M) of it, nearly black lifted to what 8 bits can tell."""
    unclipped: NDArray[np.bool_]
    """(M,) neither black nor white."""
    basis: Float32
    """(9, M) effect of each light term."""
    _under: tuple[Float32, Float64 | None, UnderLight] | None = None

    def under(self, log_albedo: Float32, light: Float64 | None) -> UnderLight:
        """The points beside log reflectance (3, P) under a light (9, 3); the answer is kept while the same is asked."""
        known = self._under
        if known is not None and known[0] is log_albedo and known[1] is light:
            return known[2]
        log_unlit = self.log_colour - np.take(log_albedo, self.index, axis=1)
        if light is None:
            irradiance = np.ones_like(log_unlit)
            off = log_unlit
        else:
            irradiance = floored(light.astype(np.float32).T @ self.basis)
            off = log_unlit - np.log(irradiance)
        under = UnderLight(log_unlit, irradiance, off, np.square(off - middle(off)).sum(axis=0))
        self._under = log_albedo, light, under
        return under


@dataclass(frozen=True, slots=True)
class _Behind:
    """Which points lay behind others, and where that was seen from."""

    shape: SkinShape
    params: FaceParams
    direction: Float64
    hidden: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Asked:
    image: ImageRGB
    shape: SkinShape
    params: FaceParams
    camera: Camera
    glimpse: Glimpse


class Glimpses:
    """The pictures of one face: the last one asked for is kept until ``drop``."""

    def __init__(self, surface: SkinSurface) -> None:
        self._surface = surface
        self._last: _Asked | None = None
        self._behind: _Behind | None = None

    def drop(self) -> None:
        """The frame is done with; its picture is let go."""
        self._last = None

    def has(self, image: ImageRGB) -> bool:
        """Whether the face has been looked at in this picture."""
        return self._last is not None and self._last.image is image

    def __call__(self, image: ImageRGB, shape: SkinShape, params: FaceParams, camera: Camera) -> Glimpse | None:
        """The face of a shape in a state; None when too little of it is in the picture."""
        last = self._last if self.has(image) else None
        if last is not None and last.shape is shape and last.camera == camera and _same(last.params, params):
            return last.glimpse
        seen = self._see(shape, params, camera)
        index = np.flatnonzero(seen.visible)
        if seen.spacing_px < _LEAST_SPACING_PX or index.size < LEAST_POINTS:
            return None
        pixels = np.take(seen.pixels, index, axis=1)
        if last is not None and last.glimpse.cutout.holds(pixels, seen.spacing_px):
            cutout = last.glimpse.cutout
        else:
            cutout = cut_out(image, pixels, seen.spacing_px)
        colour = cutout.read(pixels)
        log_colour = np.log(np.maximum(colour, _DARKEST))
        glimpse = Glimpse(seen, cutout, index, pixels, colour, log_colour, is_unclipped(colour), seen.harmonics(index))
        self._last = _Asked(image, shape, params, camera, glimpse)
        return glimpse

    def _see(self, shape: SkinShape, params: FaceParams, camera: Camera) -> SeenSkin:
        towards = matrix_from_rotvec(params.rotation).T @ params.translation.astype(np.float64)
        towards /= max(float(np.linalg.norm(towards)), 1e-9)
        known = self._behind
        if known is not None and known.shape is shape and float(towards @ known.direction) > _SAME_DIRECTION:
            opened = float(np.abs(known.params.jaw - params.jaw).max())
            if max(opened, float(np.abs(known.params.expression - params.expression).max())) < _SAME_FACE:
                return self._surface.see(shape, params, camera, known.hidden)
        seen = self._surface.see(shape, params, camera)
        self._behind = _Behind(shape, params, towards, seen.hidden)
        return seen


def _same(one: FaceParams, other: FaceParams) -> bool:
    return all(getattr(one, part).tobytes() == getattr(other, part).tobytes() for part in _PARTS)


_PARTS: Final = tuple(part.name for part in fields(FaceParams))
