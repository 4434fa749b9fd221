"""Things between face and camera: drawn hands, microphones, scarves and locks of hair, and plain shapes of all kinds."""

from __future__ import annotations

from functools import cache
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from tracker.rendering.occluders import KINDS, make
from trainer.data.synthetic.textures import TextureBank

_PX: Final = 192
_EACH: Final = 5
_SHAPES: Final = 10
_SKIN: Final = np.array([214.0, 168.0, 140.0])
_GAMMA: Final = 2.2
_SHADOW: Final = 0.45
_PX_PER_EYES: Final = 160.0
_EYES: Final = 0.36
"""Distance of the outer eye corners over the extent of the landmarks."""


class Occlusions:
    """Draws occluders over pictures."""

    def __init__(self, device: torch.device) -> None:
        pictures, sides, hands = _drawings()
        self._bank = TextureBank(pictures, device)
        self._sides = torch.tensor(sides, device=device)
        self._hands = torch.tensor(hands, device=device)

    def __call__(
        self, picture: Tensor, points: Tensor, level: Tensor, skin: Tensor, share: float, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Put something in front of some of the heads.

        Args:
            picture: (B, 3, H, H) linear.
            points: (B, N, 3) landmarks as fractions of the crop; occluders lie around them.
            level: (B, 3) how bright a white surface is there.
            skin: (B, 3) linear reflectance of the people's skin, for their hands.
            share: of pictures that get one.
            generator: on the CPU.

        Returns:
            The pictures, and how much is covered (B, H, H), 0..1.
        """
        batch, _, size, _ = picture.shape
        device = picture.device
        cover = picture.new_zeros(batch, size, size)
        chosen = torch.nonzero(torch.rand(batch, generator=generator) < share)[:, 0].to(device)
        count = len(chosen)

        def rand(*shape: int) -> Tensor:
            return torch.rand(count, *shape, generator=generator).to(device)

        which = torch.randint(0, self._bank.count, (count,), generator=generator).to(device)
        anchor = torch.randint(0, points.shape[1], (count,), generator=generator).to(device)
        aside = 0.08 * torch.randn(count, 2, generator=generator).to(device)
        angle = torch.where(rand() < 0.5, 0.5 * torch.randn(count, generator=generator).to(device), 6.283 * rand())
        stretch = torch.exp(0.25 * (2.0 * rand(2) - 1.0))
        brightness, tint = torch.exp(0.6 * (2.0 * rand(1) - 1.0)), torch.exp(0.5 * (2.0 * rand(3) - 1.0))
        size_factor = 0.7 + 0.8 * rand()
        mirror = torch.where(rand() < 0.5, 1.0, -1.0)
        if not count:
            return picture, cover
        own = points[chosen]
        eyes = (own[:, :, :2].amax(1) - own[:, :, :2].amin(1)).amax(1) * _EYES
        centre = own[torch.arange(count, device=device), anchor, :2].clamp(-0.2, 1.2) + aside
        side = eyes * size_factor * self._sides[which]
        axis = (torch.arange(size, device=device) + 0.5) / size
        dx, dy = axis - centre[:, 0, None], axis - centre[:, 1, None]
        cos, sin = torch.cos(angle)[:, None, None], torch.sin(angle)[:, None, None]
        across = (cos * dx[:, None, :] + sin * dy[:, :, None]) * (mirror / side * stretch[:, 0])[:, None, None]
        down = (-sin * dx[:, None, :] + cos * dy[:, :, None]) * (stretch[:, 1] / side)[:, None, None]
        place = torch.stack([(across + 0.5) * _PX - 0.5, (down + 0.5) * _PX - 0.5], -1)
        seen = self._bank.sample(which.repeat_interleave(size * size), place.reshape(-1, 2)).view(count, size, size, 4)
        alpha = seen[..., 3]
        plain = seen[..., :3] ** _GAMMA
        hand = self._hands[which][:, None]
        own_skin = skin[chosen] / torch.tensor((_SKIN / 255.0) ** _GAMMA, dtype=skin.dtype, device=device)
        colour = torch.where(hand, own_skin * (0.85 + 0.15 * brightness), brightness * tint) * level[chosen]
        front = plain.permute(0, 3, 1, 2) * colour[:, :, None, None]
        # A shadow: the same shape, wider and displaced downwards.
        low = torch.nn.functional.interpolate(alpha[:, None], (size // 8, size // 8), mode="area")
        low = torch.nn.functional.avg_pool2d(low, 5, 1, 2)
        shadow = torch.nn.functional.interpolate(low, (size, size), mode="bilinear")
        shadow = torch.roll(shadow, size // 40, 2)
        behind = picture[chosen] * (1.0 - _SHADOW * shadow)
        out = picture.index_copy(0, chosen, torch.lerp(behind, front, alpha[:, None]))
        return out, cover.index_copy(0, chosen, alpha)


@cache
def _drawings() -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]]:
    """RGBA pictures (K, 192, 192, 4), sides in eye distances (K,), which are hands (K,)."""
    pictures, sides, hands = [], [], []
    for kind in KINDS:
        for seed in range(_EACH):
            layer = make(kind, _SKIN, seed).layer
            side = max(layer.shape[:2])
            square = np.zeros((side, side, 4), np.float32)
            top, left = (side - layer.shape[0]) // 2, (side - layer.shape[1]) // 2
            square[top : top + layer.shape[0], left : left + layer.shape[1]] = layer
            small = np.asarray(cv2.resize(square, (_PX, _PX), interpolation=cv2.INTER_AREA), np.float32)
            pictures.append(_straight(small))
            sides.append(side / _PX_PER_EYES)
            hands.append(kind == "hand")
    for seed in range(_SHAPES):
        pictures.append(_shape(np.random.default_rng(seed)))
        sides.append(1.6)
        hands.append(False)
    return np.stack(pictures), np.array(sides, np.float32), np.array(hands)


def _straight(layer: NDArray[np.float32]) -> NDArray[np.uint8]:
    """8-bit colour and cover of premultiplied colour 0..255 and cover 0..1; colour goes on beyond the edge."""
    cover = layer[..., 3:]
    spread = np.asarray(cv2.GaussianBlur(layer, (0, 0), 3.0), np.float32)
    beyond = spread[..., :3] / np.maximum(spread[..., 3:], 1e-3)
    colour = np.where(cover > 0.02, layer[..., :3] / np.maximum(cover, 1e-3), beyond)
    out = np.concatenate([np.clip(colour, 0, 255), np.clip(cover, 0, 1) * 255.0], axis=2)
    # What lies beyond the picture is transparent.
    out[[0, -1], :, 3] = 0.0
    out[:, [0, -1], 3] = 0.0
    return (out + 0.5).astype(np.uint8)


def _shape(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A box or a blob with something printed on it: a phone, a cup, paper."""
    y, x = (np.mgrid[:_PX, :_PX].astype(np.float32) + 0.5) / _PX * 2.0 - 1.0
    wide, high = rng.uniform(0.3, 0.9, 2)
    power = float(rng.choice([2.0, 8.0, 20.0]))
    inside = 1.0 - (np.abs(x / wide) ** power + np.abs(y / high) ** power) ** (1.0 / power)
    cover = np.clip(inside * _PX / 3.0 + 0.5, 0.0, 1.0)
    coarse = rng.uniform(0.4, 1.0, (int(rng.integers(2, 8)), int(rng.integers(2, 8)), 3)).astype(np.float32)
    printed = np.asarray(cv2.resize(coarse, (_PX, _PX), interpolation=cv2.INTER_CUBIC), np.float32)
    light = 0.75 + 0.25 * x * rng.uniform(-1, 1) + 0.2 * y * rng.uniform(-1, 1)
    colour = 230.0 * rng.uniform(0.15, 1.0) * printed * light[..., None]
    return _straight(np.dstack([colour * cover[..., None], cover]).astype(np.float32))
