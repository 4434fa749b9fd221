"""What lamps, white balance and tone curves do to the colours of a crop, and to its light."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from trainer.data.batch import Batch

_LUMA: Final = (0.2126, 0.7152, 0.0722)
_GAMMA: Final = 2.2


def scale_channels(batch: Batch, gain: Tensor) -> Batch:
    """sRGB values times ``gain`` (B, 3). A gain g of sRGB values is one of about g ** 2.2 of light, and the light says so."""
    gain = gain.to(batch.image)
    return replace(
        batch,
        image=(batch.image * gain[:, :, None, None]).clamp(0.0, 1.0),
        light=batch.light * gain[:, None] ** _GAMMA,
    )


def change_tone(batch: Batch, contrast: Tensor, saturation: Tensor, gamma: Tensor) -> Batch:
    """Contrast about the crop's own mean, saturation and gamma, (B,) each: a camera's doing, so the light stays."""
    contrast, saturation, gamma = (
        value.to(batch.image)[:, None, None, None] for value in (contrast, saturation, gamma)
    )
    image = batch.image.clamp(0.0, 1.0) ** gamma
    grey = _luma(image)
    image = grey + (image - grey) * saturation
    mean = grey.mean(dim=(2, 3), keepdim=True)
    return replace(batch, image=(mean + (image - mean) * contrast).clamp(0.0, 1.0))


def make_grey(batch: Batch) -> Batch:
    """Without colour; the light of all channels becomes its luminance, which is what can still be seen of it."""
    weights = batch.light.new_tensor(_LUMA)
    return replace(
        batch,
        image=_luma(batch.image).expand(-1, 3, -1, -1),
        light=(batch.light @ weights)[:, :, None].expand(-1, -1, 3),
    )


def _luma(image: Tensor) -> Tensor:
    return torch.einsum("bchw,c->bhw", image, image.new_tensor(_LUMA))[:, None]
