"""Several ways of looking at one frame, side by side."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from tracker.camera import Camera
from tracker.errors import ConfigError
from tracker.face_model.model import FaceModel
from tracker.rendering import paint
from tracker.rendering.appearance import APPEARANCE, AppearanceView, AppearanceWhat
from tracker.rendering.frame_size import padded
from tracker.rendering.overlay import WHAT, Overlay
from tracker.rendering.paint import Image
from tracker.types import Face

if TYPE_CHECKING:
    from tracker.appearance.lamps import Light
    from tracker.appearance.points import SkinPoints

KINDS: Final = ("video", *WHAT, *APPEARANCE)
_IN_A_ROW: Final = 3
MOST_TILES: Final = 9


def parse_what(text: str) -> tuple[str, ...]:
    """Kinds from a list with commas.

    Raises:
        ConfigError: one of them does not exist, or there are too many to see.
    """
    kinds = tuple(kind.strip() for kind in text.split(",") if kind.strip())
    for kind in kinds:
        if kind not in KINDS:
            near = difflib.get_close_matches(kind, KINDS, 1)
            guess = f" (did you mean {near[0]}?)" if near else ""
            raise ConfigError(
                f"--what '{kind}'{guess}: expected one or more of {', '.join(KINDS)}, with commas between"
            )
    if not 1 <= len(kinds) <= MOST_TILES:
        raise ConfigError(f"--what takes 1 to {MOST_TILES} kinds of {', '.join(KINDS)}, got {len(kinds)}")
    return kinds


@dataclass(frozen=True, slots=True)
class Relighting:
    """Another light, and what it is called."""

    name: str
    light: Light


class Tiles:
    """Draws ``kinds`` of a frame as tiles of equal size, in rows of three (four: two by two).

    Args:
        model: the face model that the faces were fitted with.
        kinds: of ``KINDS``; what an ``Overlay`` draws, the plain video, or appearance.
        points: the model's skin points; needed for appearance and ``relightings``.
        relightings: each adds a tile of the faces under that light.
    """

    def __init__(
        self,
        model: FaceModel,
        kinds: Sequence[str],
        points: SkinPoints | None = None,
        relightings: Sequence[Relighting] = (),
    ) -> None:
        self.kinds: tuple[str, ...] = (*kinds, *(f"relit: {each.name}" for each in relightings))
        self._lights = dict(zip(self.kinds[len(kinds) :], (each.light for each in relightings), strict=True))
        self._overlays: dict[str, Overlay] = {kind: Overlay(model, kind) for kind in WHAT if kind in kinds}
        self._view = None if points is None else AppearanceView(model, points)
        self.columns = min(len(self.kinds), 2 if len(self.kinds) == 4 else _IN_A_ROW)
        self.rows = -(-len(self.kinds) // self.columns)

    def draw(
        self,
        image: Image,
        camera: Camera,
        faces: Sequence[Face],
        size: tuple[int, int],
        footer: str = "",
        time_s: float = 0.0,
    ) -> Image:
        """All tiles, (rows * height, columns * width, 3), each with ``image`` in the middle of ``size``: width, height.

        ``image`` must not be larger than that.
        """
        tiles = [self._inset(kind, self.tile(kind, image, camera, faces, time_s), faces) for kind in self.kinds]
        width, height = size
        out = np.zeros((self.rows * height, self.columns * width, 3), np.uint8)
        for number, (kind, tile) in enumerate(zip(self.kinds, tiles, strict=True)):
            row, column = divmod(number, self.columns)
            part = out[row * height : (row + 1) * height, column * width : (column + 1) * width]
            part[:] = padded(tile, width, height)
            if len(tiles) > 1:
                letters = min(15.0, max(8.0, height / 40.0))
                paint.pill(part, kind, 0.8 * letters, 0.8 * letters, letters, (240, 246, 250), (12, 16, 24))
        if footer:
            Overlay.footer(out, footer, height)
        return out

    @property
    def only_overlay(self) -> Overlay | None:
        """What draws the one and only tile, where that is an overlay."""
        return self._overlays.get(self.kinds[0]) if len(self.kinds) == 1 else None

    def tile(self, kind: str, image: Image, camera: Camera, faces: Sequence[Face], time_s: float = 0.0) -> Image:
        """One of ``kinds``."""
        if kind in self._overlays:
            return self._overlays[kind].draw(image, camera, faces)
        if kind == "video" or self._view is None:
            return image.copy()
        if kind in self._lights:
            return self._view.relit(image, camera, faces, self._lights[kind], time_s)
        return self._view.draw(cast(AppearanceWhat, kind), image, camera, faces)

    def _inset(self, kind: str, tile: Image, faces: Sequence[Face]) -> Image:
        if kind == "albedo" and self._view is not None:
            self._view.inset_map(tile, faces)
        return tile

    def albedo_map(self, face: Face) -> Image | None:
        """The face's part of its albedo texture, where that is known."""
        return None if self._view is None else self._view.albedo_map(face)
