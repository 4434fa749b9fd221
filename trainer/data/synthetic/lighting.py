"""Light on rendered heads: a soft environment seen past the head itself, and lamps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Generator, Tensor

from tracker.directions import even_directions
from tracker.face_model.model import FaceModel
from tracker.rendering.lighting import sky_visibility
from trainer.image_formation.shading import RESPONSE, light_of_radiance, sh_basis

DIRECTIONS: Final = 64
_LOBES: Final = 3
LAMPS: Final = 2
_WRAP: Final = (0.30, 0.14, 0.08)
"""Light bleeds past the terminator through skin, red the farthest."""
_LAMP_SOFTNESS: Final = 24.0
"""Exponent of the lobe of directions over which a lamp's shadow is averaged."""
_INSIDE: Final = {"inner_mouth": 0.10, "tongue": 0.22, "teeth": 0.36, "eye_left": 0.35, "eye_right": 0.35}
"""The mouth was shut and the lids were open when visibility was found: some light gets in from everywhere."""


@dataclass(frozen=True, slots=True)
class Lights:
    """Environments in camera axes, linear; a white surface in even light of radiance 1 gets 1."""

    ambient: Tensor
    """(B, 3) radiance from all around."""
    slope: Tensor
    """(B, 3) how much more comes from one side: factor 1 + slope . direction."""
    axis: Tensor
    """(B, K, 3) unit directions towards broad sources."""
    colour: Tensor
    """(B, K, 3) their radiance."""
    sharpness: Tensor
    """(B, K) exponent of their lobes."""
    lamp: Tensor
    """(B, L, 3) direction towards small lamps, unit."""
    lamp_colour: Tensor
    """(B, L, 3) irradiance over pi on what faces them; 0 without lamp."""

    def radiance(self, towards: Tensor) -> Tensor:
        """(B, D, 3) from unit directions (B, D, 3) in camera axes, lamps left out."""
        sky = (1.0 + torch.einsum("bdi,bi->bd", towards, self.slope)).clamp_min(0.1)
        lobes = torch.einsum("bdi,bki->bdk", towards, self.axis).clamp_min(0.0) ** self.sharpness[:, None]
        return sky[..., None] * self.ambient[:, None] + lobes @ self.colour

    def harmonics(self) -> Tensor:
        """(B, 9, 3) the whole light as ``tracker.appearance.light`` describes it."""
        towards = _directions(512, self.ambient)
        around = self.radiance(towards.expand(len(self.ambient), -1, -1))
        # A lamp is all of its power from one direction.
        lamp = light_of_radiance_at(self.lamp, self.lamp_colour)
        return light_of_radiance(towards, around) + lamp

    def to(self, device: torch.device | str) -> Lights:
        """The same on another device."""
        return Lights(*(getattr(self, name).to(device) for name in self.__slots__))


def light_of_radiance_at(direction: Tensor, colour: Tensor) -> Tensor:
    """The nine terms (B, 9, 3) of distant lamps (B, L, 3) that leave irradiance over pi (B, L, 3) on what faces them."""
    response = torch.tensor(RESPONSE, dtype=colour.dtype, device=colour.device)
    return torch.einsum("blk,blc->bkc", sh_basis(direction) * response * math.pi, colour)


def sample_lights(count: int, generator: Generator) -> Lights:
    """Rooms, windows, lamps, offices, screens in the dark; exposed as cameras expose faces, give or take a stop or two."""

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    def tint(strength: float, *shape: int) -> Tensor:
        warmth = torch.randn(count, *shape, 1, generator=generator) * strength
        green = torch.randn(count, *shape, 1, generator=generator) * strength * 0.25
        return torch.exp(torch.cat([warmth, green, -warmth], -1))

    ambient = uniform(0.1, 0.7, 1) * tint(0.12)
    slope = torch.randn(count, 3, generator=generator) * 0.2
    slope[:, 1] -= 0.2
    axis = torch.nn.functional.normalize(
        torch.randn(count, _LOBES, 3, generator=generator) - torch.tensor([0.0, 0.5, 0.7]), dim=-1
    )
    number = torch.randint(0, _LOBES + 1, (count, 1), generator=generator)
    lit = (torch.arange(_LOBES) < number).float()
    sharpness = torch.exp(uniform(0.5, 3.2, _LOBES))
    colour = (lit * uniform(0.3, 1.6, _LOBES) * (sharpness + 1.0) / 4.0)[..., None] * tint(0.15, _LOBES)
    lamp = torch.nn.functional.normalize(
        torch.randn(count, LAMPS, 3, generator=generator) - torch.tensor([0.0, 0.5, 0.9]), dim=-1
    )
    number = torch.multinomial(torch.tensor([0.5, 0.35, 0.15]), count, True, generator=generator)[:, None]
    lamp_colour = ((torch.arange(LAMPS) < number) * uniform(0.1, 1.3, LAMPS))[..., None] * tint(0.2, LAMPS)
    lights = Lights(ambient, slope, axis, colour, sharpness, lamp, lamp_colour)
    facing = torch.tensor([[0.0, -0.25, -0.97], [0.55, -0.2, -0.8], [-0.55, -0.2, -0.8]])
    level = torch.einsum("nk,bkc->bnc", sh_basis(facing), lights.harmonics()).mean((1, 2)).clamp_min(0.05)
    wanted = torch.exp(torch.randn(count, generator=generator) * 0.45 - 0.35)
    dark = torch.rand(count, generator=generator) < 0.08
    wanted = torch.where(dark, wanted * 0.2, wanted)
    gain = (wanted / level)[:, None] * tint(0.08)
    return Lights(ambient * gain, slope, axis, colour * gain[:, None], sharpness, lamp, lamp_colour * gain[:, None])


class HeadLight:
    """Irradiance at the vertices of a head with the shadows that its relaxed mean shape throws on itself."""

    def __init__(self, model: FaceModel, device: torch.device) -> None:
        towards = even_directions(DIRECTIONS)
        seen = sky_visibility(model, towards.astype("float32"))
        self._towards = torch.tensor(towards, dtype=torch.float32, device=device)
        visible = torch.tensor(seen, device=device)
        for index, name in enumerate(model.part_names):
            if name in _INSIDE:
                rows = torch.tensor(model.parts == index, device=device)
                visible[rows] = visible[rows].clamp_min(_INSIDE[name])
        self._visible = visible

    def __call__(self, normals: Tensor, rotation: Tensor, lights: Lights) -> tuple[Tensor, Tensor]:
        """Irradiance over pi (B, V, 3), and how much each lamp reaches each vertex (B, V, L).

        Args:
            normals: (B, V, 3) unit, head axes.
            rotation: (B, 3, 3) head axes to camera axes.
            lights: in camera axes.
        """
        radiance = lights.radiance(torch.einsum("bij,dj->bdi", rotation, self._towards)) * (4.0 / DIRECTIONS)
        cosine = normals @ self._towards.T
        lamp = torch.einsum("bji,blj->bli", rotation, lights.lamp)
        near = torch.einsum("bli,di->bld", lamp, self._towards).clamp_min(0.0) ** _LAMP_SOFTNESS
        near = near / near.sum(-1, keepdim=True).clamp_min(1e-6)
        reached = torch.einsum("vd,bld->bvl", self._visible, near)
        towards_lamp = torch.einsum("bvi,bli->bvl", normals, lamp)
        channels = []
        for channel, wrap in enumerate(_WRAP):
            weight = (cosine + wrap).clamp_min(0.0) * self._visible
            soft = torch.einsum("bvd,bd->bv", weight, radiance[..., channel]) / (1.0 + wrap) ** 2
            direct = ((towards_lamp + 0.5 * wrap) / (1.0 + 0.5 * wrap)).clamp_min(0.0) * reached
            channels.append(soft + torch.einsum("bvl,bl->bv", direct, lights.lamp_colour[..., channel]))
        return torch.stack(channels, -1), reached


def _directions(count: int, like: Tensor) -> Tensor:
    return torch.tensor(even_directions(count), dtype=like.dtype, device=like.device)
