"""Which skin, hair and eyes each head wears."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Generator, Tensor

from trainer.data.synthetic.assets import Assets

_WAVES: Final = 12
_REAL: Final = 0.8
"""Share of skins that come from pictures of people, where there are any."""


@dataclass(frozen=True, slots=True)
class Looks:
    """Appearance of a batch of heads."""

    skin: Tensor
    """(B,) index of the skin."""
    other: Tensor
    """(B,) index of a second skin."""
    share: Tensor
    """(B,) of the second one in the mixture, 0..1."""
    mirrored: Tensor
    """(B,) 1 where the skin is worn the other way round."""
    tone: Tensor
    """(B, 3) added to log reflectance: more or less of the pigments than the skin itself has."""
    wave: Tensor
    """(B, W, 3) spatial frequencies (radians per metre) of smooth changes of pigment."""
    phase: Tensor
    """(B, W)."""
    swing: Tensor
    """(B, W, 3) their strength in log reflectance."""
    gloss: Tensor
    """(B,) how oily the skin is, 1 on average."""
    eye: Tensor
    """(B,) index of the eyes."""
    sclera: Tensor
    """(B,) brightness of the eyes."""
    hair: Tensor
    """(B, 3) linear reflectance."""
    hairline: Tensor
    """(B,) metres by which the hairline is moved up; large for the bald."""

    def to(self, device: torch.device | str) -> Looks:
        """The same on another device."""
        return Looks(*(getattr(self, name).to(device) for name in self.__slots__))


_MELANIN: Final = (1.57, 2.02, 2.33)
_HAEMOGLOBIN: Final = (0.14, 0.62, 0.52)


def sample_looks(count: int, assets: Assets, generator: Generator) -> Looks:
    """Any skin with any eyes; pigments shifted, mirrored, mottled."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    real = [index for index, origin in enumerate(assets.origin) if origin != "painted"]
    chance = torch.ones(len(assets.skins))
    if real and len(real) < len(chance):
        chance[real] = _REAL * (len(chance) - len(real)) / len(real) / (1.0 - _REAL)
    skin, other = (torch.multinomial(chance, count, True, generator=generator) for _ in range(2))
    share = (0.15 + 0.7 * rand(count)) * (rand(count) < 0.4)
    melanin, blood = torch.tensor(_MELANIN), torch.tensor(_HAEMOGLOBIN)
    tone = -0.10 * normal(count, 1) * melanin - 0.10 * normal(count, 1) * blood + 0.03 * normal(count, 3)
    wave = normal(count, _WAVES, 3) * torch.exp(3.0 + 1.6 * rand(count, _WAVES, 1))
    swing = 0.022 * normal(count, _WAVES, 1) * melanin + 0.03 * normal(count, _WAVES, 1) * blood
    own = torch.from_numpy(assets.hair_colours)[skin]
    grey = rand(count, 1) < 0.12
    dyed = own * torch.exp(0.35 * normal(count, 1) + 0.08 * normal(count, 3))
    hair = torch.where(grey, 0.12 + 0.3 * rand(count, 1), dyed)
    bald = rand(count) < 0.08
    hairline = torch.where(bald, torch.full((count,), 0.3), 0.008 * normal(count))
    return Looks(
        skin=skin,
        other=other,
        share=share,
        mirrored=(rand(count) < 0.5).float(),
        tone=tone,
        wave=wave,
        phase=rand(count, _WAVES) * 6.283,
        swing=swing,
        gloss=torch.exp(0.5 * normal(count)),
        eye=torch.randint(0, len(assets.eyes), (count,), generator=generator),
        sclera=0.6 + 0.5 * rand(count),
        hair=hair,
        hairline=hairline,
    )
