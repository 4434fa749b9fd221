"""What is behind heads."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn.functional import interpolate

from trainer.data.synthetic.textures import TextureBank

_PICTURED = 0.65
_GAMMA = 2.2


def backgrounds(count: int, size: int, bank: TextureBank | None, generator: Generator, device: torch.device) -> Tensor:
    """Linear pictures (count, 3, size, size): parts of the bank's, sharp or blurred, or gradients and noise of all scales.

    ``generator`` is a CPU generator: what is drawn does not depend on the device.
    """

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator).to(device)

    grey = rand(count, 1, 1, 1) ** 1.5
    out = (grey * torch.exp(0.5 * (rand(count, 3, 1, 1) - 0.5))).repeat(1, 1, size, size)
    axis = torch.linspace(-1.0, 1.0, size, device=device)
    slope = (rand(count, 2, 1, 1, 1) - 0.5) * 0.9
    out *= 1.0 + slope[:, 0] * axis + slope[:, 1] * axis[:, None]
    for cells in (3, 9, 30):
        amount = rand(count, 1, 1, 1) ** 3 * 1.1 * (rand(count, 1, 1, 1) < 0.6)
        noise = rand(count, 3, cells, cells)
        # Things are mostly alike in all channels.
        noise = 0.9 * noise[:, :1] + 0.1 * noise
        grown = interpolate(noise, (size, size), mode="nearest" if cells == 9 else "bilinear")
        out *= 1.0 + amount * (2.0 * grown - 1.0)
    if bank is not None:
        chosen = torch.nonzero(rand(count) < _PICTURED)[:, 0]
        out = out.index_copy(0, chosen, _pictures(len(chosen), size, bank, generator, device))
    return out.clamp(0.0, 4.0)


def _pictures(count: int, size: int, bank: TextureBank, generator: Generator, device: torch.device) -> Tensor:
    """Parts of pictures, mirrored, brighter or darker, out of focus more often than not."""

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator).to(device)

    which = torch.randint(0, bank.count, (count,), generator=generator).to(device)
    extent = 0.4 + 0.6 * rand(count, 1)
    start = (1.0 - extent) * rand(count, 2)
    axis = torch.linspace(0.0, 1.0, size, device=device)
    x, y = ((start[:, k, None] + extent * axis) * (side - 1) for k, side in enumerate((bank.width, bank.height)))
    x = torch.where(rand(count, 1) < 0.5, x, bank.width - 1 - x)
    place = torch.stack([x[:, None].expand(-1, size, -1), y[:, :, None].expand(-1, -1, size)], -1).reshape(-1, 2)
    seen = bank.sample(which.repeat_interleave(size * size), place).view(count, size, size, 3).permute(0, 3, 1, 2)
    linear = seen**_GAMMA * torch.exp(1.6 * rand(count, 1, 1, 1) - 0.8) * torch.exp(0.3 * (rand(count, 3, 1, 1) - 0.5))
    # Out of focus: reduced and enlarged again.
    coarse = interpolate(linear, (size // 8, size // 8), mode="area")
    blurred = interpolate(coarse, (size, size), mode="bicubic").clamp_min(0.0)
    return torch.lerp(linear, blurred, (1.4 * rand(count, 1, 1, 1)).clamp_max(1.0))
