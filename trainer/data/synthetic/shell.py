"""Draws what heads wear over a picture of them: transparent at the edges, in two layers, far sides first."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.data.synthetic.styles import Styles, cover
from trainer.data.synthetic.textures import TextureBank, smoothstep
from trainer.data.synthetic.wardrobe import LENS, SHELL, Wardrobe
from trainer.image_formation.normals import NormalField
from trainer.image_formation.rasteriser import rasterise
from trainer.image_formation.shading import shade

_STRANDS_PX: Final = 512
_INSIDE: Final = 0.35
"""Light on the far side's inner face over that outside."""
_HIDES: Final = 0.5
"""Opacity from which on something counts as hiding what is behind."""
_IN_FRONT_M: Final = 0.0005


class ShellPainter:
    """Draws the accessories of a wardrobe."""

    def __init__(self, wardrobe: Wardrobe, device: torch.device) -> None:
        self._wardrobe = wardrobe
        self._normals = NormalField(wardrobe.faces.cpu().numpy(), len(wardrobe.kind)).to(device)
        self._texture = TextureBank(_strand_texture()[None, ..., None], device)
        self._layers = (wardrobe.faces[:, [0, 2, 1]], wardrobe.faces)

    def __call__(
        self, picture: Tensor, depth: Tensor, points: Tensor, distance: Tensor, vertices: Tensor, styles: Styles,
        harmonics: Tensor, size: int,
    ) -> None:  # fmt: skip
        """Draw over a picture, in place.

        Args:
            picture: (B * size * size, 3) linear.
            depth: (B, size, size) metres; becomes that of the accessories where they hide what is behind.
            points: (B, W, 2) accessories in pixels.
            distance: (B, W) their depth, negative where they are not worn.
            vertices: (B, W, 3) in camera axes.
            styles: what they look like.
            harmonics: (B, 9, 3) the light, camera axes.
            size: pixels per side.
        """
        normals = self._normals(vertices)
        lit = shade(normals, harmonics).clamp_min(0.0)
        behind = depth.view(-1)
        for inner, faces in zip((True, False), self._layers, strict=True):
            raster = rasterise(points, distance, faces, size, size)
            if not len(raster.image):
                continue
            place = raster.image * (size * size) + raster.pixel
            far = raster.interpolate(vertices[..., 2:])[:, 0]
            seen = torch.nonzero(far < behind[place] - _IN_FRONT_M)[:, 0]
            raster, place, far = raster.rows(seen), place[seen], far[seen]
            colour, alpha = self._paint(raster.image, raster.corners, raster.interpolate(self._wardrobe.place),
                                        raster.interpolate(lit), styles, inner)  # fmt: skip
            picture[place] = torch.lerp(picture[place], colour, alpha[:, None])
            hides = torch.nonzero(alpha > _HIDES)[:, 0]
            behind[place[hides]] = far[hides]

    def _paint(
        self, image: Tensor, corners: Tensor, place: Tensor, lit: Tensor, styles: Styles, inner: bool
    ) -> tuple[Tensor, Tensor]:
        """Linear colour (N, 3) and opacity (N,)."""
        kinds = self._wardrobe.kind[corners]
        colour = styles.frame_colour[image] * lit + 0.02 * lit
        alpha = torch.ones_like(place[:, 0])
        lens = torch.nonzero((kinds == LENS).any(1))[:, 0]
        colour[lens] = 0.02 * lit[lens] + styles.mirror[image[lens], None] * lit[lens]
        alpha[lens] = torch.maximum(styles.tinted[image[lens]], styles.mirror[image[lens]])
        rows = torch.nonzero((kinds == SHELL).all(1))[:, 0]
        who, where = image[rows], place[rows]
        repeat, strength = styles.strands[who].unbind(1)
        x = torch.remainder(where[:, 0] / 6.2831853 * repeat, 1.0) * (_STRANDS_PX - 1)
        y = torch.remainder(where[:, 1] * 1.2 + 0.37 * who, 1.0) * (_STRANDS_PX - 1)
        strand = self._texture.sample(torch.zeros_like(who), torch.stack([x, y], 1))[:, 0] * 2.0
        inside = cover(styles.outline[who], where[:, 0], where[:, 1], strand - 1.0)
        alpha[rows] = (inside / styles.soft[who] * 0.5 + 0.5).clamp(0.0, 1.0)
        # Light does not get far under hair's edge, nor inside.
        depth = 0.72 + 0.28 * smoothstep(0.0, 0.03, inside)
        grain = (1.0 + strength * ((0.30 + 0.85 * strand * strand) - 1.0)) * depth
        gleam = 0.03 * (1.0 - styles.is_cloth[who]) * (strand - 0.9).clamp_min(0.0)
        painted = (styles.colour[who] * grain[:, None] + gleam[:, None]) * lit[rows]
        colour[rows] = painted * (_INSIDE if inner else 1.0)
        return colour, alpha


def _strand_texture() -> NDArray[np.uint8]:
    """(512, 512) strands running down, alike at its left and right edge."""
    rng = np.random.default_rng(0)
    fine = rng.normal(0.0, 1.0, (_STRANDS_PX, _STRANDS_PX)).astype(np.float32)
    total = np.zeros_like(fine)
    for across, down, amount in ((0.8, 60.0, 1.0), (3.0, 90.0, 0.8), (10.0, 120.0, 0.6)):
        tiled = np.tile(fine, (1, 3))
        blurred = cv2.GaussianBlur(tiled, (0, 0), sigmaX=across, sigmaY=down)[:, _STRANDS_PX : 2 * _STRANDS_PX]
        total += amount * np.asarray(blurred, np.float32) / float(blurred.std())
        fine = np.roll(fine, (131, 57), axis=(0, 1))
    total = total / total.std()
    texture: NDArray[np.uint8] = np.clip(127.5 + 45.0 * total, 0, 255).astype(np.uint8)
    return texture
