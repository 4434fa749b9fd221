"""What lenses, motion, sensors and codecs do to a crop; no label changes."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def soften(image: Tensor, sigma_px: Tensor) -> Tensor:
    """Images (B, 3, S, S) blurred by Gaussians of ``sigma_px`` (B,)."""
    reach = max(1, math.ceil(2.5 * float(sigma_px.max())))
    place = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
    line = torch.exp(-0.5 * (place / sigma_px.to(image).clamp(min=1e-3)[:, None]) ** 2)
    line = line / line.sum(dim=1, keepdim=True)
    return _filtered(_filtered(image, line[:, None, :]), line[:, :, None])


def smear(image: Tensor, length_px: Tensor, angle_rad: Tensor) -> Tensor:
    """Images (B, 3, S, S) smeared evenly along straight lines of ``length_px`` (B,), as by motion during the exposure."""
    reach = max(1, math.ceil(float(length_px.max()) / 2))
    place = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
    y, x = torch.meshgrid(place, place, indexing="ij")
    angle, half = angle_rad.to(image)[:, None, None], length_px.to(image)[:, None, None] / 2
    along, across = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    kernel = (1.0 - across.abs()).clamp(min=0.0) * (half + 0.5 - along.abs()).clamp(0.0, 1.0)
    return _filtered(image, kernel / kernel.sum(dim=(1, 2), keepdim=True))


def add_noise(image: Tensor, sigma: Tensor, generator: torch.Generator) -> Tensor:
    """Images (B, 3, S, S) with noise of ``sigma`` (B,) at mid grey; its variance grows with brightness, as shot noise's does."""
    noise = torch.randn(image.shape, generator=generator).to(image)
    return (image + noise * sigma.to(image)[:, None, None, None] * (0.1 + 1.8 * image).sqrt()).clamp(0.0, 1.0)


def compress(image: Tensor, quality: Tensor) -> Tensor:
    """Images (B, 3, S, S) through JPEG at ``quality`` (B,), 1..100."""
    pixels = (image.detach().cpu().clamp(0.0, 1.0) * 255.0 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    out = np.empty_like(pixels)
    for index, (picture, level) in enumerate(zip(pixels, quality.tolist(), strict=True)):
        _, encoded = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(level)])
        out[index] = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))[:, :, ::-1]
    return torch.from_numpy(out).permute(0, 3, 1, 2).to(image) / 255.0


def _filtered(image: Tensor, kernel: Tensor) -> Tensor:
    """Each image (B, C, S, S) correlated with a kernel (B, h, w) of its own; edge pixels continue outside."""
    count, channels, height, width = image.shape
    rows, columns = kernel.shape[1] // 2, kernel.shape[2] // 2
    padded = functional.pad(image, (columns, columns, rows, rows), mode="replicate")
    weight = kernel[:, None, None].expand(-1, channels, -1, -1, -1).reshape(count * channels, 1, *kernel.shape[1:])
    stacked = padded.reshape(1, count * channels, *padded.shape[2:])
    return functional.conv2d(stacked, weight, groups=count * channels).reshape(count, channels, height, width)
