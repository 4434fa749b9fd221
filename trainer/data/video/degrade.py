"""What cameras do to faces: light, colour, blur, coarse pixels, grain, compression."""

from __future__ import annotations

import cv2
import numpy as np

from tracker.types import ImageRGB


def recoloured(
    image: ImageRGB, rng: np.random.Generator, strength: float = 1.0, from_one_side: bool = False
) -> ImageRGB:
    """Another exposure, contrast, white balance and saturation, and if asked for light from one side."""
    curve = np.linspace(0.0, 1.0, 256) ** np.exp(rng.normal(0.0, 0.22 * strength))
    gains = np.exp(rng.normal(0.0, 0.25 * strength)) * np.exp(rng.normal(0.0, 0.07 * strength, 3))
    out = np.asarray(cv2.LUT(image, (curve[:, None] * gains).astype(np.float32)[None]), np.float32)
    grey = np.asarray(cv2.transform(out, np.full((1, 3), 1.0 / 3.0)), np.float32)[..., None]
    out = grey + (out - grey) * np.float32(rng.uniform(1.0 - 0.5 * strength, 1.0 + 0.3 * strength))
    if from_one_side:
        side = image.shape[0]
        ramp = np.linspace(-1.0, 1.0, side, dtype=np.float32)
        angle = rng.uniform(0, 2 * np.pi)
        slope = ramp[None, :] * np.float32(np.cos(angle)) + ramp[:, None] * np.float32(np.sin(angle))
        out *= np.exp(np.float32(rng.normal(0.0, 0.8)) * slope)[..., None]
    if rng.random() < 0.06 * strength:
        out = np.repeat(grey, 3, axis=2)
    return np.asarray(np.clip(out * 255.0, 0.0, 255.0), np.uint8)


def degraded(image: ImageRGB, rng: np.random.Generator) -> ImageRGB:
    """Blur, motion blur, fewer pixels, grain and compression, each now and then."""
    side = image.shape[0]
    out = image
    if rng.random() < 0.25:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.5, 2.5))).astype(np.uint8)
    if rng.random() < 0.15:
        length = int(rng.integers(3, 14))
        kernel = np.zeros((length, length), np.float32)
        angle = rng.uniform(0, np.pi)
        reach = np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
        middle = np.array([(length - 1) / 2.0] * 2)
        cv2.line(
            kernel, tuple(np.round(middle - reach).astype(int)), tuple(np.round(middle + reach).astype(int)), 1.0, 1
        )
        out = cv2.filter2D(out, -1, kernel / max(kernel.sum(), 1e-6)).astype(np.uint8)
    if rng.random() < 0.35:
        small = max(24, int(side / rng.uniform(1.2, 5.0)))
        how = cv2.INTER_AREA if rng.random() < 0.7 else cv2.INTER_LINEAR
        out = cv2.resize(cv2.resize(out, (small, small), interpolation=how), (side, side)).astype(np.uint8)
    if rng.random() < 0.6:
        # Half resolution for the draw: real grain is correlated, too.
        grain = rng.normal(0.0, rng.uniform(1.0, 9.0), (side // 2, side // 2, 3)).astype(np.float32)
        how = cv2.INTER_NEAREST if rng.random() < 0.5 else cv2.INTER_LINEAR
        grain = np.asarray(cv2.resize(grain, (side, side), interpolation=how), np.float32)
        out = np.clip(out.astype(np.float32) + grain, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        coded = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 90))])[1]
        out = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return out
