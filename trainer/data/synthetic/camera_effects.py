"""From light to the picture a camera stores: optics, sensor, tone curve, compression."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import torch
from torch import Generator, Tensor
from torch.nn.functional import conv2d, interpolate, pad

Effect = Callable[[Tensor, Generator], Tensor]

_KNEE: Final = 0.6
_KERNEL: Final = 15
_LUMINANCE_TABLE: Final = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80,
    62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98,
    112, 100, 103, 99,
)  # fmt: skip
"""Quantisation of luminance at quality 50 (ITU-T T.81, annex K)."""


def develop(linear: Tensor, size: int, degrade: bool, generator: Generator) -> Tensor:
    """Pictures (B, 3, size, size) in 0..1, sRGB, of linear light (B, 3, H, W).

    Args:
        linear: a white surface in light of 1 is 1; brighter is compressed.
        size: pixels per side.
        degrade: add what cameras add: a share of pictures each is seen from afar, out of focus, moved, noisy, off in contrast and
            colour, compressed.
        generator: on the CPU, so that what is drawn does not depend on the device.
    """
    small = interpolate(linear, (size, size), mode="bilinear", antialias=True, align_corners=False)
    if not degrade:
        return encode(small)
    small = _some(small, 0.35, generator, _defocused)
    small = _some(small, 0.15, generator, _moved)
    small = _some(small, 0.3, generator, _from_afar)
    shown = _toned(encode(small), generator)
    shown = _noisy(shown, generator)
    return _some(shown, 0.5, generator, compressed).clamp(0.0, 1.0)


def encode(linear: Tensor) -> Tensor:
    """sRGB 0..1 of linear light, highlights rolled off."""
    over = (linear - _KNEE).clamp_min(0.0)
    rolled = linear.clamp(0.0, _KNEE) + (1.0 - _KNEE) * (1.0 - torch.exp(-over / (1.0 - _KNEE)))
    return torch.where(rolled <= 0.0031308, 12.92 * rolled, 1.055 * rolled.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)


def _some(pictures: Tensor, share: float, generator: Generator, effect: Effect) -> Tensor:
    chosen = torch.nonzero(torch.rand(len(pictures), generator=generator) < share)[:, 0].to(pictures.device)
    if not len(chosen):
        return pictures
    return pictures.index_copy(0, chosen, effect(pictures[chosen], generator))


def _defocused(pictures: Tensor, generator: Generator) -> Tensor:
    """Gaussian blur of up to 2.5 pixels of a crop of 256."""
    scale = pictures.shape[-1] / 256.0
    sigma = (0.3 + 2.2 * torch.rand(len(pictures), 1, generator=generator) ** 2) * scale
    axis = torch.arange(_KERNEL) - _KERNEL // 2
    kernel = torch.exp(-0.5 * (axis / sigma.clamp_min(0.05)) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).to(pictures.device)
    once = _filtered(pictures, kernel[:, None, :])
    return _filtered(once, kernel[:, :, None])


def _moved(pictures: Tensor, generator: Generator) -> Tensor:
    """Motion blur along a line of up to 14 pixels of a crop of 256."""
    count, scale = len(pictures), pictures.shape[-1] / 256.0
    length = (2.0 + 12.0 * torch.rand(count, 1, generator=generator) ** 2) * scale
    angle = math.pi * torch.rand(count, 1, generator=generator)
    along = torch.linspace(-0.5, 0.5, 33)[None]
    middle = _KERNEL // 2
    x = (middle + along * length * torch.cos(angle)).clamp(0, _KERNEL - 1)
    y = (middle + along * length * torch.sin(angle)).clamp(0, _KERNEL - 1)
    kernel = torch.zeros(count, _KERNEL * _KERNEL)
    for dx in (0, 1):
        for dy in (0, 1):
            column, row = (x.floor() + dx).clamp_max(_KERNEL - 1), (y.floor() + dy).clamp_max(_KERNEL - 1)
            weight = (1.0 - (x - column).abs()).clamp_min(0.0) * (1.0 - (y - row).abs()).clamp_min(0.0)
            kernel.scatter_add_(1, (row * _KERNEL + column).long(), weight)
    kernel = (kernel / kernel.sum(1, keepdim=True)).view(count, _KERNEL, _KERNEL)
    return _filtered(pictures, kernel.to(pictures.device))


def _filtered(pictures: Tensor, kernel: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) each with its own kernel (B, h, w)."""
    batch, channels, height, width = pictures.shape
    rows, columns = kernel.shape[1:]
    padded = pad(pictures, (columns // 2, columns // 2, rows // 2, rows // 2), mode="replicate")
    weight = kernel[:, None].repeat_interleave(channels, 0)
    flat = conv2d(padded.reshape(1, batch * channels, *padded.shape[2:]), weight, groups=batch * channels)
    return flat.view(batch, channels, height, width)


def _from_afar(pictures: Tensor, generator: Generator) -> Tensor:
    """Small faces enlarged: one resolution for the batch, from a sixth to all of it."""
    size = pictures.shape[-1]
    small = max(24, round(size / (1.0 + 5.0 * float(torch.rand((), generator=generator)) ** 1.5)))
    reduced = interpolate(pictures, (small, small), mode="bilinear", antialias=True)
    return interpolate(reduced, (size, size), mode="bilinear").clamp_min(0.0)


def _toned(shown: Tensor, generator: Generator) -> Tensor:
    """Contrast, black level, saturation."""

    def around(value: float, spread: float, low: float, high: float) -> Tensor:
        drawn = value + spread * torch.randn(len(shown), 1, 1, 1, generator=generator)
        return drawn.clamp(low, high).to(shown.device)

    grey = shown.mean(1, keepdim=True)
    coloured = grey + (shown - grey) * around(0.95, 0.25, 0.0, 1.6)
    contrasted = (coloured - 0.45) * around(1.0, 0.12, 0.6, 1.4) + 0.45 + around(0.0, 0.03, -0.1, 0.1)
    return contrasted.clamp(0.0, 1.0)


def _noisy(shown: Tensor, generator: Generator) -> Tensor:
    """Sensor noise, finer or coarser, more of it in the dark."""
    count, size = len(shown), shown.shape[-1]
    sigma = (0.002 + 0.035 * torch.rand(count, 1, 1, 1, generator=generator) ** 3).to(shown.device)
    seed = int(torch.randint(0, 2**31, (), generator=generator))
    local = Generator(device=shown.device).manual_seed(seed)
    noise = torch.randn(shown.shape, generator=local, device=shown.device)
    half = torch.randn(count, 3, size // 2, size // 2, generator=local, device=shown.device)
    coarse = interpolate(half, (size, size), mode="bilinear") * 1.4
    mixed = torch.where(torch.rand(count, 1, 1, 1, generator=generator).to(shown.device) < 0.5, noise, coarse)
    return shown + mixed * sigma * (1.3 - shown)


def compressed(pictures: Tensor, generator: Generator) -> Tensor:
    """What JPEG of quality 15 to 95 makes of pictures (B, 3, S, S) in 0..1; S need not be a multiple of 16.

    Chroma is at half resolution; blocks are cosine-transformed, quantised and transformed back (ITU-T T.81).
    """
    size = pictures.shape[-1]
    extra = -size % 16
    quality = 15.0 + 80.0 * torch.rand(len(pictures), 1, 1, 1, generator=generator).to(pictures.device)
    factor = torch.where(quality < 50.0, 50.0 / quality, 2.0 - quality / 50.0).clamp_min(0.02) / 255.0
    padded = pad(pictures, (0, extra, 0, extra), mode="replicate")
    red, green, blue = padded.unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = torch.stack([(blue - luma) / 1.772, (red - luma) / 1.402], 1)
    chroma = interpolate(chroma, scale_factor=0.5, mode="area")
    table = torch.tensor(_LUMINANCE_TABLE, dtype=pictures.dtype, device=pictures.device).view(8, 8)
    luma = _quantised(luma[:, None], table * factor)[:, 0]
    chroma = _quantised(chroma, (table * 1.3).clamp_max(99.0) * factor)
    chroma = interpolate(chroma, scale_factor=2.0, mode="bilinear")
    blue_off, red_off = chroma.unbind(1)
    red, blue = luma + 1.402 * red_off, luma + 1.772 * blue_off
    green = (luma - 0.299 * red - 0.114 * blue) / 0.587
    return torch.stack([red, green, blue], 1)[..., :size, :size]


def _quantised(planes: Tensor, table: Tensor) -> Tensor:
    """Planes (B, C, H, W) with the cosine coefficients of their blocks of 8 rounded to multiples of ``table`` (B, 1, 8, 8)."""
    batch, channels, height, width = planes.shape
    index = torch.arange(8, dtype=planes.dtype, device=planes.device)
    transform = 0.5 * torch.cos((2.0 * index + 1.0) * index[:, None] * (math.pi / 16.0))
    transform[0] *= math.sqrt(0.5)
    blocks = planes.reshape(batch, channels, height // 8, 8, width // 8, 8).permute(0, 1, 2, 4, 3, 5)
    step = table.view(batch, 1, 1, 1, 8, 8)
    rounded = torch.round(transform @ blocks @ transform.T / step) * step
    back = transform.T @ rounded @ transform
    return back.permute(0, 1, 2, 4, 3, 5).reshape(batch, channels, height, width)
