"""Banks of 8-bit pictures that many pixels look into at once."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class TextureBank:
    """Pictures of one size with up to four 8-bit channels.

    Each texel is one 32-bit number, so that a bilinear sample costs four look-ups whatever its channels are.

    Args:
        pictures: (K, H, W, C) uint8, C <= 4.
        device: where samples are taken.
    """

    def __init__(self, pictures: NDArray[np.uint8], device: torch.device) -> None:
        count, height, width, channels = pictures.shape
        padded = np.zeros((count, height, width, 4), np.uint8)
        padded[..., :channels] = pictures
        self.texels = torch.from_numpy(padded.view(np.int32)[..., 0].reshape(-1)).to(device)
        self.count, self.height, self.width, self.channels = count, height, width, channels

    def sample(self, which: Tensor, place: Tensor) -> Tensor:
        """Bilinear samples (N, C), 0..1, of pictures ``which`` (N,) at (N, 2) pixels with integer centres; edges continue."""
        x = place[:, 0].clamp(0.0, self.width - 1.001)
        y = place[:, 1].clamp(0.0, self.height - 1.001)
        left, top = x.floor(), y.floor()
        fx, fy = (x - left)[:, None], (y - top)[:, None]
        base = (which * self.height + top.long()) * self.width + left.long()
        top_row = torch.lerp(self._texel(base), self._texel(base + 1), fx)
        bottom_row = torch.lerp(self._texel(base + self.width), self._texel(base + self.width + 1), fx)
        return torch.lerp(top_row, bottom_row, fy)

    def _texel(self, index: Tensor) -> Tensor:
        bytes_ = self.texels[index].view(torch.uint8).view(-1, 4)[:, : self.channels]
        return bytes_.float() * (1.0 / 255.0)


def smoothstep(low: float, high: float, x: Tensor) -> Tensor:
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = ((x - low) / (high - low)).clamp(0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)
