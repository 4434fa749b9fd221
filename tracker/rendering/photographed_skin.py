"""Skins for rendered heads from pictures of people that the tracker has fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tracker.arkit import ARKIT_INDEX
from tracker.face_model import load_face_model
from tracker.rendering.contours import LANDMARK_SET
from tracker.rendering.skin import Complexion, Unfolding, lash_cover, skin_colour
from tracker.rendering.unwrap import ImageRGB, unwrap
from tracker.rotations import matrix_from_rotvec
from tracker.types import Face

Float32 = NDArray[np.float32]

_BRIGHTNESS: Final = (0.10, 0.42)
"""Luminance that a skin's median is brought into: exposure is unknown, complexion is not to be lost."""
_LUMINANCE: Final = np.array([0.2126, 0.7152, 0.0722], np.float32)
_FACE_TEXELS: Final = (slice(300, 700), slice(300, 700))
_LASHES: Final = 0.75


def skin_texture(
    pictures: Sequence[tuple[ImageRGB, Face]], hair: tuple[float, float, float], focal_px: float | None = None
) -> NDArray[np.uint8]:
    """A person's reflectance, square-root encoded (SKIN_PX, SKIN_PX, 3), in the chart of ``skin.Unfolding``.

    Args:
        pictures: RGB pictures (H, W, 3) with their fits of the built-in head; see ``best_views``.
        hair: linear reflectance of the lashes, which cannot be unwrapped.
        focal_px: the focal length the fits assumed, if it was not the default.
    """
    linear = unwrap(pictures, focal_px)
    middle = np.median(linear[_FACE_TEXELS].reshape(-1, 3), axis=0)
    linear *= _natural(middle) / np.maximum(middle, 1e-4)
    # Lashes lie across the gap of the eye, so unwrapping tears them apart; the networks read the lids from them.
    model = load_face_model()
    unfold = Unfolding(model)
    points = unfold(model.landmarks(model.template, LANDMARK_SET))
    cover = np.clip(lash_cover(points, unfold.pixels_per_metre / 1000.0), 0.0, _LASHES)[..., None]
    linear += (np.float32(0.8) * np.asarray(hair, np.float32) - linear) * cover
    return np.asarray(np.sqrt(np.clip(linear, 0.0, 1.0)) * 255.0 + 0.5).astype(np.uint8)


def best_views(found: Sequence[tuple[ImageRGB, Face]], count: int) -> list[tuple[ImageRGB, Face]]:
    """The pictures of one person that show most of a face: well fitted, at rest, from sides as different as possible.

    Raises:
        ValueError: there are none.
    """
    if not found:
        raise ValueError("no face in the pictures that a skin should come from")
    # The person is known best at the end.
    identity = found[-1][1].identity
    same = [(image, replace(face, identity=identity)) for image, face in found]
    moved = np.array([_unrest(face) for _, face in same])
    turned = np.stack([matrix_from_rotvec(face.params.rotation) for _, face in same])
    frontal = turned[:, 2, 2]
    chosen = [int(np.argmin(moved + 0.5 * (1.0 + frontal)))]
    while len(chosen) < min(count, len(same)):
        novelty = np.min([np.linalg.norm(turned - turned[k], axis=(1, 2)) for k in chosen], axis=0)
        chosen.append(int(np.argmax(np.minimum(novelty, 1.0) - 1.5 * moved)))
    return [same[k] for k in chosen]


def _natural(colour: Float32) -> Float32:
    """The colour (3,) that pigments give a skin of this brightness: exposure and white balance of a clip are unknown."""
    wanted = float(np.clip(colour @ _LUMINANCE, *_BRIGHTNESS))
    melanin = np.linspace(0.0, 1.2, 241)[:, None]
    colours = skin_colour(melanin, Complexion().haemoglobin)
    nearest: Float32 = colours[int(np.argmin(np.abs(colours @ _LUMINANCE - wanted)))]
    return nearest


def _unrest(face: Face) -> float:
    """How far a face is from rest, and its fit from the picture: 0 is best."""
    shut = float(face.arkit[[ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]]].max())
    opened = float(face.arkit[ARKIT_INDEX["jawOpen"]])
    return shut + opened + 20.0 * face.residual_px / max(float(face.box[2]), 1.0)
