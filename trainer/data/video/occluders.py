"""Things drawn in front of a face, for training: hands, bars, bands, hair, patches of other pictures, glasses, phones.

They are drawn in other ways than the evaluation's occluders on purpose, or training would learn those by heart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tracker.types import Float32, ImageRGB

Colour = NDArray[np.float64]
Layer = tuple[Float32, Float32]
"""Colour (S, S, 3) in 0..255 and cover (S, S) in 0..1."""
_SKIN: Final = (50, 280, 205, 425, 118, 347, 151, 9)
_EYES: Final = (33, 133, 362, 263)


def cover_face(
    image: ImageRGB, points: Float32, stranger: ImageRGB, rng: np.random.Generator
) -> tuple[ImageRGB, Float32]:
    """A crop with one or two things in front of the face, and the cover (S, S) in 0..1.

    Args:
        image: (S, S, 3).
        points: (478, >=2) landmarks in its pixels.
        stranger: another crop (S, S, 3), whose texture things may wear.
        rng: decides everything.
    """
    out = image.astype(np.float32)
    total = np.zeros(image.shape[:2], np.float32)
    for _ in range(1 if rng.random() < 0.75 else 2):
        draw = _KINDS[int(rng.choice(len(_KINDS), p=_SHARES))]
        colour, cover = draw(image, points, stranger, rng)
        cover = np.asarray(cv2.GaussianBlur(cover, (0, 0), float(rng.uniform(0.4, 1.6))), np.float32)
        if rng.random() < 0.5:
            shadow = cv2.GaussianBlur(cover, (0, 0), float(rng.uniform(3.0, 10.0)))
            out *= 1.0 - float(rng.uniform(0.1, 0.5)) * shadow[..., None]
        out += (colour - out) * cover[..., None]
        total = np.maximum(total, cover)
    return np.clip(out, 0.0, 255.0).astype(np.uint8), total


def _place(points: Float32, rng: np.random.Generator) -> tuple[Colour, float]:
    """Somewhere on or beside the face, and the distance of its outer eye corners."""
    apart = float(np.linalg.norm(points[33, :2] - points[263, :2]))
    height = float(np.linalg.norm(points[10, :2] - points[152, :2]))
    reach = max(apart, 0.5 * height)
    centre = points[int(rng.integers(468)), :2].astype(np.float64) + rng.normal(0.0, 0.25, 2) * reach
    return centre, reach


def _skin_colour(image: ImageRGB, points: Float32, rng: np.random.Generator) -> Colour:
    side = image.shape[0] - 1
    at = np.clip(points[list(_SKIN), :2].astype(int), 0, side)
    colour = np.percentile(image[at[:, 1], at[:, 0]], float(rng.uniform(30, 80)), axis=0)
    return np.asarray(colour * rng.uniform(0.6, 1.35) * rng.uniform(0.92, 1.08, 3), np.float64)


def _any_colour(rng: np.random.Generator) -> Colour:
    grey = rng.uniform(0, 255) if rng.random() < 0.6 else rng.uniform(5, 70)
    return np.asarray(np.clip(grey + rng.normal(0, 45, 3) * (rng.random() < 0.6), 0, 255), np.float64)


def _bar(mask: Float32, start: Colour, end: Colour, radius: float, value: float = 1.0) -> None:
    points = [tuple(round(float(v) * 16) for v in each) for each in (start, end)]
    cv2.line(mask, points[0], points[1], value, max(1, round(2 * radius)), cv2.LINE_AA, 4)


def _lit(mask: Float32, colour: Colour, rng: np.random.Generator, mottle: float = 0.05) -> Float32:
    """Round shading from the distance to the edge, a light from somewhere, low-frequency mottling."""
    inside = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    relief = np.sqrt(np.minimum(inside, 24.0) / 24.0).astype(np.float32)
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 3.0)
    dx, dy = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=3), cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=3)
    shade = 0.72 + 0.28 * relief + strength * 0.2 * (dx * np.cos(angle) + dy * np.sin(angle))
    noise = cv2.resize(
        rng.normal(0.0, mottle, (20, 20)).astype(np.float32), mask.shape[::-1], interpolation=cv2.INTER_CUBIC
    )
    lit: Float32 = np.asarray(colour, np.float32) * (np.clip(shade, 0.25, 1.5) * (1.0 + noise))[..., None]
    return lit


def _hand(image: ImageRGB, points: Float32, stranger: ImageRGB, rng: np.random.Generator) -> Layer:
    centre, unit = _place(points, rng)
    unit *= float(rng.uniform(0.7, 1.8))
    mask = np.zeros(image.shape[:2], np.float32)
    lines = np.zeros_like(mask)
    towards = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(towards), np.sin(towards)])
    across = np.array([-along[1], along[0]])
    if rng.random() < 0.75:
        _bar(mask, centre, centre - along * 3.0 * unit, 0.30 * unit)
        _bar(mask, centre, centre + along * 0.15 * unit, 0.45 * unit)
    for finger in range(int(rng.integers(2, 6))):
        spread = (finger - 1.5) * float(rng.uniform(0.18, 0.30))
        start = centre + across * spread * unit + along * 0.3 * unit
        lean = along + across * ((finger - 1.5) * float(rng.uniform(0.0, 0.25)))
        bend = start + lean * float(rng.uniform(0.3, 0.6)) * unit
        tip = bend + (lean + across * rng.normal(0, 0.35)) * float(rng.uniform(0.2, 0.6)) * unit
        radius = float(rng.uniform(0.09, 0.14)) * unit
        _bar(mask, start, bend, radius)
        _bar(mask, bend, tip, radius * 0.9)
        _bar(lines, start + across * radius, bend + across * radius, 1.0)
    colour = _lit(mask, _skin_colour(image, points, rng), rng)
    return colour * (1.0 - 0.35 * lines[..., None]), mask


def _arm(image: ImageRGB, points: Float32, stranger: ImageRGB, rng: np.random.Generator) -> Layer:
    """A forearm across the picture, bare, in a sleeve, or bare up to where the sleeve ends; sometimes two fists wide."""
    centre, unit = _place(points, rng)
    mask, sleeve = np.zeros(image.shape[:2], np.float32), np.zeros(image.shape[:2], np.float32)
    towards = rng.uniform(0, 2 * np.pi)
    along = np.array([np.cos(towards), np.sin(towards)])
    radius = float(rng.uniform(0.22, 0.5)) * unit
    start = centre + along * rng.uniform(0.0, 1.0) * unit
    _bar(mask, start, start - along * 5.0 * unit, radius)
    _bar(mask, start, start + along * 0.2 * unit, radius * float(rng.uniform(1.0, 1.5)))
    _bar(sleeve, start - along * rng.uniform(0.3, 2.0) * unit, start - along * 5.0 * unit, radius * 1.15)
    skin, cloth = _lit(mask, _skin_colour(image, points, rng), rng), _lit(sleeve, _any_colour(rng), rng, 0.1)
    if rng.random() < 0.3:
        return skin, mask
    return np.where(sleeve[..., None] > 0.5, cloth, skin).astype(np.float32), np.maximum(mask, sleeve)


def _bar_thing(image: ImageRGB, points: Float32, stranger: ImageRGB, rng: np.random.Generator) -> Layer:
    """A stick with a head: microphones, cups, brushes."""
    centre, unit = _place(points, rng)
    mask, head = np.zeros(image.shape[:2], np.float32), np.zeros(image.shape[:2], np.float32)
    towards = rng.uniform(0, 2 * np.pi) if rng.random() < 0.4 else rng.normal(np.pi / 2, 0.5)
    away = np.array([np.cos(towards), np.sin(towards)])
    radius = float(rng.uniform(0.12, 0.5)) * unit
    _bar(head, centre, centre + away * rng.uniform(0, 0.6) * unit, radius)
    _bar(mask, centre, centre + away * 4.0 * unit, radius * float(rng.uniform(0.2, 0.8)))
    body, top = _lit(mask, _any_colour(rng), rng, 0.02), _lit(head, _any_colour(rng), rng, 0.02)
    if rng.random() < 0.5:
        y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
        pitch = float(rng.uniform(0.6, 1.6))
        top *= (0.75 + 0.4 * np.sin((x + y) * pitch) * np.sin((x - y) * pitch))[..., None]
    return np.where(head[..., None] > 0.5, top, body).astype(np.float32), np.maximum(head, mask)


def _band(image: ImageRGB, points: Float32, stranger: ImageRGB, rng: np.random.Generator) -> Layer:
    """A strip across the face, or everything on one side of an edge: scarves, masks, sleeves, hats, the picture's border."""
    centre, unit = _place(points, rng)
    side = image.shape[0]
    angle = rng.normal(0, 0.35) + (np.pi / 2 if rng.random() < 0.25 else 0.0)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    t = np.linspace(-2.0 * side, 2.0 * side, 25)
    wave = rng.normal(0, 0.06) * unit * np.sin(t / unit * rng.uniform(0.5, 2.0) + rng.uniform(0, 6))
    low = centre + along * t[:, None] + across * wave[:, None]
    width = float(rng.uniform(0.25, 1.1)) * unit if rng.random() < 0.6 else 3.0 * side
    high = low[::-1] + across * width * (1.0 if rng.random() < 0.7 else -1.0)
    mask = np.zeros(image.shape[:2], np.float32)
    cv2.fillPoly(mask, [np.round(np.concatenate([low, high])).astype(np.int32)], 1.0, cv2.LINE_AA)
    if rng.random() < 0.35:
        return _texture(stranger, rng), mask
    colour = _lit(mask, _any_colour(rng), rng, 0.10)
    if rng.random() < 0.6:
        y, x = np.mgrid[:side, :side].astype(np.float32)
        phase = (x * np.float32(across[0]) + y * np.float32(across[1])) * np.float32(rng.uniform(0.1, 0.9))
        colour *= (1.0 + float(rng.uniform(0.05, 0.45)) * np.sin(phase + rng.uniform(0, 6)))[..., None]
    return colour, mask


def _hair(image: ImageRGB, points: Float32, stranger: ImageRGB, rng: np.random.Generator) -> Layer:
    centre, unit = _place(points, rng)
    root = points[10, :2] + rng.normal(0, 0.5, 2) * unit + np.array([0, -0.3 * unit])
    mask = np.zeros(image.shape[:2], np.float32)
    strands = np.zeros_like(mask)
    bend = rng.normal(0, 0.5, 2) * unit
    spread = float(rng.uniform(0.1, 0.6)) * unit
    t = np.linspace(0, 1, 9)[:, None]
    for _ in range(int(rng.integers(12, 60))):
        start, end = root + rng.normal(0, spread, 2), centre + rng.normal(0, spread, 2) + np.array([0, 0.4 * unit])
        middle = (start + end) / 2 + bend + rng.normal(0, 0.1 * unit, 2)
        path = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
        line = [np.round(path * 16).astype(np.int32)]
        cv2.polylines(mask, line, False, 1.0, int(rng.integers(1, 7)), cv2.LINE_AA, 4)
        cv2.polylines(strands, line, False, float(rng.uniform(0.2, 1.0)), 1, cv2.LINE_AA, 4)
    dark = np.array(
        [[25, 18, 14], [60, 40, 25], [120, 85, 50], [170, 140, 95], [130, 128, 125], [90, 40, 20]][rng.integers(6)]
    )
    colour = np.asarray(dark * rng.uniform(0.6, 1.4), np.float32) * (0.6 + 0.9 * strands[..., None])
    return colour, mask * float(rng.uniform(0.75, 1.0))


def _patch(image: ImageRGB, points: Float32, stranger: ImageRGB, rng: np.random.Generator) -> Layer:
    """A blob or a box that wears a piece of another picture, or a plain colour."""
    centre, unit = _place(points, rng)
    mask = np.zeros(image.shape[:2], np.float32)
    count = 4 if rng.random() < 0.4 else int(rng.integers(6, 14))
    turn = np.sort(rng.uniform(0, 2 * np.pi, count)) if count > 4 else np.arange(4) * np.pi / 2 + rng.uniform(0, 6)
    radius = unit * float(rng.uniform(0.25, 1.0)) * (rng.uniform(0.6, 1.3, count) if count > 4 else 1.0)
    outline = centre + np.stack([np.cos(turn), np.sin(turn)], 1) * np.broadcast_to(radius, count)[:, None]
    cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
    if rng.random() < 0.6:
        return _texture(stranger, rng), mask
    return _lit(mask, _any_colour(rng) if rng.random() < 0.6 else _skin_colour(image, points, rng), rng), mask


def _glasses(image: ImageRGB, points: Float32, stranger: ImageRGB, rng: np.random.Generator) -> Layer:
    """Frames with clear, tinted or dark lenses."""
    mask, rim = np.zeros(image.shape[:2], np.float32), np.zeros(image.shape[:2], np.float32)
    eyes = points[list(_EYES), :2].astype(np.float64)
    angle = float(np.degrees(np.arctan2(*(eyes[3] - eyes[0])[::-1])))
    thick = int(rng.integers(1, 6))
    opacity = float(rng.choice([0.0, 0.25, 0.85, 1.0]))
    tall, wide = rng.uniform(0.5, 0.95), rng.uniform(0.75, 1.1)
    for corners in (eyes[:2], eyes[2:]):
        middle, width = corners.mean(axis=0), float(np.linalg.norm(corners[1] - corners[0]))
        axes = (max(2, int(width * wide)), max(2, int(width * tall)))
        cv2.ellipse(mask, (int(middle[0]), int(middle[1])), axes, angle, 0, 360, opacity, -1, cv2.LINE_AA)
        cv2.ellipse(rim, (int(middle[0]), int(middle[1])), axes, angle, 0, 360, 1.0, thick, cv2.LINE_AA)
    cv2.line(rim, tuple(eyes[1].astype(int)), tuple(eyes[2].astype(int)), 1.0, thick, cv2.LINE_AA)
    colour = np.broadcast_to(_any_colour(rng) * 0.6, (*mask.shape, 3)).astype(np.float32)
    return colour, np.maximum(mask, rim)


def _texture(stranger: ImageRGB, rng: np.random.Generator) -> Float32:
    """A piece of another picture, enlarged and turned, over the whole crop."""
    side = stranger.shape[0]
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), float(rng.uniform(0, 360)), float(rng.uniform(0.8, 2.5)))
    matrix[:, 2] += rng.uniform(-0.4, 0.4, 2) * side
    moved = cv2.warpAffine(stranger, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.float32) * np.float32(rng.uniform(0.6, 1.3))


_KINDS: Final[tuple[Callable[[ImageRGB, Float32, ImageRGB, np.random.Generator], Layer], ...]] = (
    _hand, _arm, _bar_thing, _band, _hair, _patch, _glasses,
)  # fmt: skip
_SHARES: Final = (0.30, 0.08, 0.13, 0.17, 0.12, 0.15, 0.05)
