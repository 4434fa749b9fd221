"""Things that come between face and camera, drawn: a hand in the person's own skin colour, a microphone, a scarf, hair.

Each is a premultiplied RGBA picture in units of the outer eye distance, with shading, soft edges and a faint shadow, so that it
is not given away by a hard outline. Everything is drawn from a seed and comes out the same on every run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Image = NDArray[np.uint8]
Kind = Literal["hand", "microphone", "scarf", "hair"]
KINDS: Final[tuple[Kind, ...]] = ("hand", "microphone", "scarf", "hair")

_PX_PER_EYES: Final = 160
"""Resolution of the drawings."""
_SHADOW: Final = 0.30


@dataclass(frozen=True, slots=True)
class Occluder:
    """A drawing whose middle is put somewhere on the picture."""

    layer: Float32
    """(h, w, 4) RGB in 0..255 times cover, and cover in 0..1; 160 pixels are one eye distance."""
    shadow: Float32
    """(h, w) how much light it takes from what lies behind, 0..1."""

    def composite(
        self, image: Image, centre_px: NDArray[np.floating], eyes_px: float, angle: float
    ) -> tuple[Image, Float32]:
        """The picture with it in front, and its cover (H, W).

        Args:
            image: (H, W, 3) RGB.
            centre_px: where its middle goes, pixels.
            eyes_px: eye distance of the face times the occluder's own size.
            angle: turn in the image, radians, clockwise.
        """
        height, width = image.shape[:2]
        scale = eyes_px / _PX_PER_EYES
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        rows, columns = self.layer.shape[:2]
        middle = np.array([columns, rows]) / 2.0 - 0.5
        turn = np.array([[cos, -sin], [sin, cos]])
        matrix = np.column_stack([turn, np.asarray(centre_px) - 0.5 - turn @ middle])
        # Reduced by averaging, or the texture would flicker.
        blur = max(0.0, 0.45 / scale - 0.45)
        source = np.dstack([self.layer, self.shadow])
        if blur > 0.2:
            source = np.asarray(cv2.GaussianBlur(source, (0, 0), blur), np.float32)
        warped = np.asarray(cv2.warpAffine(source, matrix, (width, height), flags=cv2.INTER_LINEAR), np.float32)
        cover = warped[..., 3]
        behind = image.astype(np.float32) * (1.0 - _SHADOW * warped[..., 4:5])
        out = behind * (1.0 - cover[..., None]) + warped[..., :3]
        return np.clip(out + 0.5, 0, 255).astype(np.uint8), cover


def make(kind: Kind, skin_rgb: NDArray[np.floating], seed: int = 0) -> Occluder:
    """Draw one. ``skin_rgb`` (3,) 0..255 is the person's own skin as the camera sees it (hands only)."""
    rng = np.random.default_rng(seed)
    draw: dict[Kind, Callable[[NDArray[np.floating], np.random.Generator], tuple[Float32, Float32]]] = {
        "hand": _hand, "microphone": _microphone, "scarf": _scarf, "hair": _hair,
    }  # fmt: skip
    colour, cover = draw[kind](np.asarray(skin_rgb, np.float64), rng)
    soft = cv2.GaussianBlur(cover, (0, 0), 1.6)
    shadow = np.asarray(cv2.GaussianBlur(cover, (0, 0), 0.09 * _PX_PER_EYES), np.float32)
    return Occluder(np.dstack([colour * soft[..., None], soft]).astype(np.float32), shadow)


def _hand(skin: NDArray[np.floating], rng: np.random.Generator) -> tuple[Float32, Float32]:
    """The back of a hand: a palm, four fingers and a thumb as rounded bars, each shaded by its own roundness."""
    size = round(2.6 * _PX_PER_EYES)
    height = np.zeros((size, size), np.float32)
    unit = float(_PX_PER_EYES)
    base = np.array([size / 2.0, size * 0.70])
    _bar(height, base + np.array([0.0, -0.02 * unit]), base + np.array([0.0, 0.30 * unit]), 0.42 * unit)
    _bar(height, base, base + np.array([0.05 * unit, 2.0 * unit]), 0.30 * unit)
    for k in range(4):
        spread = (k - 1.5) * 0.235
        start = base + np.array([spread * unit, -0.30 * unit])
        reach = unit * (0.88, 1.0, 0.94, 0.76)[k]
        lean = (k - 1.5) * 0.045 + rng.normal(0.0, 0.015)
        _bar(height, start, start + reach * np.array([np.sin(lean), -np.cos(lean)]), 0.112 * unit)
    thumb = base + np.array([-0.34 * unit, 0.12 * unit])
    _bar(height, thumb, thumb + unit * np.array([-0.38, -0.50]), 0.125 * unit)
    cover = (height > 0).astype(np.float32)
    return _lit(height, skin, rng, mottle=0.035), cover


def _microphone(skin: NDArray[np.floating], rng: np.random.Generator) -> tuple[Float32, Float32]:
    size = round(2.4 * _PX_PER_EYES)
    unit = float(_PX_PER_EYES)
    top = np.array([size / 2.0, size * 0.30])
    head, handle = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
    _bar(head, top, top + np.array([0.0, 0.06 * unit]), 0.36 * unit)
    _bar(handle, top + np.array([0.0, 0.40 * unit]), top + np.array([0.05 * unit, 1.8 * unit]), 0.20 * unit)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    grid = 0.5 + 0.5 * np.sin((x + y) * 0.62) * np.sin((x - y) * 0.62)
    colour = _lit(handle, np.array([38.0, 38.0, 42.0]), rng, mottle=0.01)
    ball = _lit(head, np.array([120.0, 122.0, 126.0]), rng, mottle=0.0) * (0.35 + 0.75 * grid[..., None])
    return np.where((head > 0)[..., None], ball, colour).astype(np.float32), ((head > 0) | (handle > 0)).astype(
        np.float32
    )


def _scarf(skin: NDArray[np.floating], rng: np.random.Generator) -> tuple[Float32, Float32]:
    """Cloth from the nose down: a wide band whose upper edge sags, with folds and a knitted pattern."""
    rows, columns = round(1.5 * _PX_PER_EYES), round(3.2 * _PX_PER_EYES)
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    u = x / columns * 2.0 - 1.0
    edge = rows * (0.08 + 0.10 * (1.0 - u * u)) + 4.0 * np.sin(3.1 * u + 1.0)
    cover = ((y > edge) & (np.abs(u) < 0.96)).astype(np.float32)
    folds = sum(
        a * np.sin(f * y / rows + 2.2 * u * u * s + p) for a, f, s, p in ((0.16, 14, 1.6, 0.3), (0.09, 27, -0.8, 1.7))
    )
    knit = 0.06 * np.sign(np.sin(x * 0.45)) * np.sin(y * 0.6)
    shade = (0.75 + 0.25 * (1.0 - u * u)) * (1.0 + folds + knit)
    stripe = np.where(np.sin(y / rows * 19.0 + 0.6 * u * u) > 0.55, 1.0, 0.0)[..., None]
    cloth = np.array([112.0, 34.0, 40.0]) * (1.0 - stripe) + np.array([168.0, 150.0, 120.0]) * stripe
    return (cloth * shade[..., None] * (1.0 + rng.normal(0.0, 0.03, (rows, columns, 1)))).astype(np.float32), cover


def _hair(skin: NDArray[np.floating], rng: np.random.Generator) -> tuple[Float32, Float32]:
    """A lock of hair: many thin curves, dark with lighter ones among them."""
    rows, columns = round(2.2 * _PX_PER_EYES), round(1.2 * _PX_PER_EYES)
    colour = np.zeros((rows, columns, 3), np.float32)
    cover = np.zeros((rows, columns), np.float32)
    t = np.linspace(0.0, 1.0, 24)
    for _ in range(110):
        offset, bend, end = rng.normal(0.0, 0.11), rng.normal(0.28, 0.05), rng.normal(0.0, 0.10)
        x = columns * (0.35 + offset * (1.0 - 0.5 * t) + bend * np.sin(np.pi * t * 0.9) + end * t)
        path = np.rint(np.stack([x, rows * (0.02 + 0.95 * t * rng.uniform(0.8, 1.0))], axis=1) * 16).astype(np.int32)
        tone = float(rng.uniform(0.35, 1.3))
        cv2.polylines(colour, [path[:, None]], False, (42 * tone, 29 * tone, 21 * tone), 2, cv2.LINE_AA, 4)
        cv2.polylines(cover, [path[:, None]], False, 1.0, 2, cv2.LINE_8, 4)
    return colour, cover


def _bar(height: Float32, start: NDArray[np.floating], end: NDArray[np.floating], radius: float) -> None:
    """Raise a height field to a bar with round ends: half a cylinder."""
    rows, columns = height.shape
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    along = np.asarray(end, np.float64) - start
    length2 = max(float(along @ along), 1e-6)
    t = np.clip(((x - start[0]) * along[0] + (y - start[1]) * along[1]) / length2, 0.0, 1.0)
    distance2 = (x - start[0] - t * along[0]) ** 2 + (y - start[1] - t * along[1]) ** 2
    np.maximum(height, np.sqrt(np.clip(radius**2 - distance2, 0.0, None)), out=height)


def _lit(height: Float32, colour: NDArray[np.floating], rng: np.random.Generator, mottle: float) -> Float32:
    """A height field in this colour under a lamp from the upper left, its mean brightness that of the colour."""
    down = cv2.GaussianBlur(height, (0, 0), 2.0)
    dy, dx = np.gradient(down)
    normal = np.dstack([-dx, -dy, np.ones_like(dx)])
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    shade = 0.42 + 0.72 * np.clip(normal @ np.array([-0.35, -0.5, 0.79]), 0.0, None)
    noise = cv2.resize(
        rng.normal(0.0, mottle, (24, 24)).astype(np.float32), height.shape[::-1], interpolation=cv2.INTER_CUBIC
    )
    lit: Float32 = (np.asarray(colour) * (shade * (1.0 + noise))[..., None]).astype(np.float32)
    return lit
