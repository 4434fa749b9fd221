"""What is behind heads."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from trainer.data.synthetic.textures import TextureBank


def backgrounds(count: int, size: int, bank: TextureBank | None, generator: Generator, device: torch.device) -> Tensor:
    """Linear pictures (count, 3, size, size): parts of the bank's, blurred or not, gradients, patches, noise of all scales.

    ``generator`` is a CPU generator: what is drawn does not depend on the device.
    """

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator).to(device)

    base = (rand(count, 3, 1, 1) * 0.5 + 0.5) * (rand(count, 1, 1, 1) ** 1.5)
    out = base.expand(count, 3, size, size).clone()
    axis = torch.linspace(-1.0, 1.0, size, device=device)
    slope = (rand(count, 1, 1, 2) - 0.5) * 0.9
    out *= 1.0 + slope[..., 0].unsqueeze(-1) * axis + slope[..., 1].unsqueeze(-1) * axis[:, None]
    for cells in (3, 9, 30):
        amount = rand(count, 1, 1, 1) ** 3 * 1.2
        noise = rand(count, 3, cells, cells)
        # Things are mostly alike in all channels.
        noise = 0.75 * noise[:, :1] + 0.25 * noise
        mode = "nearest" if cells == 9 else "bilinear"
        grown = torch.nn.functional.interpolate(noise, (size, size), mode=mode)
        out *= 1.0 + amount * (2.0 * grown - 1.0) * (rand(count, 1, 1, 1) < 0.6)
    return out.clamp(0.0, 4.0)
