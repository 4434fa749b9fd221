"""What people wear on their heads, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

_RADIUS_M = 0.085
"""Of the head, to turn azimuth into a distance."""


@dataclass(frozen=True, slots=True)
class Styles:
    """Accessories of a batch of heads; see ``wardrobe``."""

    has_shell: Tensor
    """(B,) bool."""
    is_cloth: Tensor
    """(B,) 1 for hats and veils, 0 for hair."""
    opening: Tensor
    """(B,) half the azimuth that the face's opening takes, radians."""
    narrowing: Tensor
    """(B,) radians by which the opening narrows per metre upwards."""
    fringe: Tensor
    """(B,) height over the eyes down to which the front is covered, metres."""
    parting: Tensor
    """(B,) slope of the fringe's edge: metres per radian of azimuth."""
    bottom: Tensor
    """(B,) height at which it ends at sides and back, metres."""
    thick: Tensor
    """(B,) metres."""
    bumps: Tensor
    """(B, 3) amplitude, frequency and phase of waves of its thickness."""
    ragged: Tensor
    """(B,) metres by which strands move its edges."""
    soft: Tensor
    """(B,) half the width of its edges, metres."""
    flare: Tensor
    """(B,) how much it widens downwards."""
    colour: Tensor
    """(B, 3) linear reflectance."""
    strands: Tensor
    """(B, 2) how often the strands' texture repeats around, and strength of the strands."""
    has_glasses: Tensor
    """(B,) bool."""
    lens: Tensor
    """(B, 2) half width and half height, metres."""
    roundness: Tensor
    """(B,) exponent of the rim's curve: 1 an ellipse, smaller a box."""
    rim: Tensor
    """(B,) width of the rim, metres."""
    distance: Tensor
    """(B,) from the eyes' corners, metres."""
    lowered: Tensor
    """(B,) metres; negative is lower."""
    frame_colour: Tensor
    """(B, 3)."""
    tinted: Tensor
    """(B,) how dark the lenses are, 0..1."""
    mirror: Tensor
    """(B,) how much they reflect."""
    cloth: Tensor
    """(B, 3) of the torso."""

    @property
    def outline(self) -> Tensor:
        """(B, 6) the numbers that ``cover`` needs."""
        return torch.stack([self.opening, self.narrowing, self.fringe, self.parting, self.bottom, self.ragged], 1)

    def thickness(self, place: Tensor) -> Tensor:
        """(B, N) metres at (N, 2)."""
        amplitude, frequency, phase = self.bumps.unbind(1)
        wave = torch.sin(frequency[:, None] * place[:, 0] + phase[:, None]) + torch.sin(
            60.0 * place[:, 1] + 2.0 * phase[:, None]
        )
        return self.thick[:, None] * (1.0 + amplitude[:, None] * wave)

    def to(self, device: torch.device | str) -> Styles:
        """The same on another device."""
        return Styles(*(getattr(self, name).to(device) for name in self.__slots__))


def cover(outline: Tensor, azimuth: Tensor, height: Tensor, strand: Tensor | float) -> Tensor:
    """How far inside a shell's outline points are, metres, negative outside; (...).

    Args:
        outline: (..., 6) ``Styles.outline``.
        azimuth: (...) radians from the front.
        height: (...) metres over the eyes.
        strand: how far strands reach, 0 on average.
    """
    opening, narrowing, fringe, parting, bottom, ragged = outline.unbind(-1)
    beside = (azimuth.abs() - (opening - narrowing * height)) * _RADIUS_M
    above = height - fringe - parting * azimuth
    return torch.minimum(torch.maximum(beside, above), height - bottom) + ragged * strand


def sample_styles(count: int, hair: Tensor, bald: Tensor, share: float, generator: Generator) -> Styles:
    """Short and long hair, fringes, partings, beanies, caps, veils and hoods; glasses and sunglasses; torsos.

    Args:
        count: heads.
        hair: (count, 3) colour of their hair.
        bald: (count,) bool: no hair grows.
        share: of heads that wear anything.
        generator: on the CPU.
    """

    def rand(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator)

    def between(low: float, high: float) -> Tensor:
        return low + (high - low) * rand()

    def pick(values: list[Tensor], kind: Tensor) -> Tensor:
        return torch.stack(values, 1).gather(1, kind[:, None])[:, 0]

    # 0 short hair, 1 chin-length, 2 long, 3 hat, 4 veil or hood
    kind = torch.multinomial(torch.tensor([0.38, 0.2, 0.24, 0.1, 0.08]), count, True, generator=generator)
    worn = (rand() < share) & ~(bald & (kind < 3))
    cloth = kind >= 3
    fringed = rand() < 0.45
    fringe = torch.where(fringed, between(0.018, 0.05), between(0.055, 0.085))
    parting = torch.where(rand() < 0.5, between(-0.05, 0.05), torch.zeros(count))
    hat_edge = between(0.03, 0.07)

    def reflectance(low: float, high: float, spread: float) -> Tensor:
        hue = torch.exp(spread * torch.randn(count, 3, generator=generator))
        return (torch.exp(between(low, high))[:, None] * hue).clamp(0.004, 0.85)

    ends = [between(-0.01, 0.045), between(-0.13, -0.05), between(-0.3, -0.15), hat_edge - 0.005, between(-0.3, -0.2)]
    depths = [(0.006, 0.026), (0.012, 0.034), (0.010, 0.03), (0.006, 0.02), (0.004, 0.012)]
    return Styles(
        has_shell=worn,
        is_cloth=cloth.float(),
        opening=pick([between(1.45, 1.75), between(0.95, 1.5), between(0.85, 1.6), between(0.0, 0.1), between(0.75, 1.25)], kind),
        narrowing=pick([between(0.0, 3.0), between(-2.0, 4.0), between(-2.0, 4.0), between(0.0, 0.1), between(0.0, 3.0)], kind),
        fringe=pick([fringe, fringe, fringe, hat_edge, between(0.03, 0.075)], kind),
        parting=torch.where(cloth, torch.zeros(count), parting),
        bottom=pick(ends, kind),
        thick=pick([between(*limits) for limits in depths], kind),
        bumps=torch.stack([between(0.0, 0.28), torch.round(between(2.0, 9.0)), between(0.0, 6.28)], 1),
        ragged=torch.where(cloth, torch.zeros(count), between(0.004, 0.03)),
        soft=torch.where(cloth, torch.full((count,), 0.0008), between(0.001, 0.006)),
        flare=between(-0.6, 1.2),
        colour=torch.where(cloth[:, None], reflectance(-4.0, -0.4, 0.6), hair),
        strands=torch.stack([torch.round(between(2.0, 6.0)), torch.where(cloth, between(0.0, 0.25), between(0.6, 1.1))], 1),
        has_glasses=rand() < 0.24 * share,
        lens=torch.stack([between(0.021, 0.029), between(0.013, 0.026)], 1),
        roundness=between(0.45, 1.0),
        rim=between(0.0006, 0.005),
        distance=between(0.012, 0.022),
        lowered=between(-0.008, 0.003),
        frame_colour=reflectance(-4.5, -0.8, 0.3),
        tinted=torch.where(rand() < 0.3, between(0.4, 0.98), between(0.0, 0.12)),
        mirror=between(0.0, 0.25) ** 2,
        cloth=reflectance(-4.0, -0.2, 0.5),
    )  # fmt: skip
