"""The synthetic stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Generator, Tensor

from tracker.directions import even_directions
from tracker.face_model import load_face_model
from trainer.data.batch import Batch
from trainer.data.synthetic.assets import Assets
from trainer.data.synthetic.backgrounds import backgrounds
from trainer.data.synthetic.camera_effects import develop
from trainer.data.synthetic.config import SyntheticConfig
from trainer.data.synthetic.expressions import sample_expressions
from trainer.data.synthetic.heads import Population
from trainer.data.synthetic.library import load_assets
from trainer.data.synthetic.lighting import Lights, sample_lights
from trainer.data.synthetic.looks import Looks, sample_looks
from trainer.data.synthetic.occlusions import Occlusions
from trainer.data.synthetic.poses import Poses, sample_poses
from trainer.data.synthetic.renderer import HeadRenderer, Rendered
from trainer.data.synthetic.styles import sample_styles
from trainer.data.synthetic.textures import TextureBank
from trainer.image_formation.points import sample_image
from trainer.image_formation.shading import sh_basis

_SEED_STEP = 1_000_003
_HIDES = 0.5
_STRAYS = 0.35
"""Share of crops without a face that have gone astray: most of the face lies outside."""
_STRAY_SHIFT = (0.55, 0.85)
_LITTLE = 0.4
"""Crops with fewer of a face's points inside show no face."""
_THINGS = 0.6
"""Share of crops without a face that show a hand or another thing."""


class SyntheticStream:
    """An endless (or ``length`` batches long) stream of rendered faces.

    Batch ``n`` of a worker depends on seed, worker and n alone: ``batch(n)`` makes any of them.

    Args:
        config: what is rendered.
        assets: skins and the like; those of the config's folder or the user's cache if None.

    Raises:
        ConfigError: the configuration is out of range, its assets cannot be read, or hold no such heads.
        FaceModelError: no such landmark set.
    """

    def __init__(self, config: SyntheticConfig | None = None, assets: Assets | None = None) -> None:
        self.config = config or SyntheticConfig()
        self.landmark_set = self.config.landmark_set
        self.face_model = "builtin"
        self.crop_size = self.config.crop_size
        self._device = torch.device(self.config.device)
        self._assets = assets or load_assets(self.config.assets)
        self._population = Population(load_face_model(), self._assets.heads, self.config.heads)
        self._renderer = HeadRenderer(self._population.model, self.landmark_set, self._assets, self._device)
        self._occlusions = Occlusions(self._device)
        face = self._assets.skins[:, 300:700, 300:700].astype("float32") / 255.0
        self._skin_colour = torch.tensor((face**2).mean(axis=(1, 2)), device=self._device)
        places = self._assets.backgrounds
        self._backgrounds = TextureBank(places, self._device) if len(places) else None
        self._weight = torch.tensor(self._renderer.embedding.weight, device=self._device)

    @property
    def point_weights(self) -> Tensor:
        """(N,) how well each landmark marks a place at all."""
        return self._weight

    def __iter__(self) -> Iterator[Batch]:
        number = 0
        while self.config.length is None or number < self.config.length:
            yield self.batch(number)
            number += 1

    def batch(self, number: int) -> Batch:
        """Batch ``number`` of this stream, on the configuration's device."""
        config = self.config
        generator = Generator().manual_seed((config.seed * 4096 + config.worker) * _SEED_STEP + number)
        count = config.batch_size
        expression = sample_expressions(count, generator)
        shape, weights, identity = self._population.draw(count, config.identity_sigma, expression, generator)
        poses = sample_poses(count, config, generator)
        absent = torch.rand(count, generator=generator) < config.negatives
        stray = absent & (torch.rand(count, generator=generator) < _STRAYS)
        poses = replace(poses, shift=torch.where(stray[:, None], _far_off(count, generator), poses.shift))
        looks = sample_looks(count, self._assets, generator).to(self._device)
        lights = sample_lights(count, generator).to(self._device)
        size = round(config.crop_size * config.supersample)
        styles = sample_styles(count, looks.hair.cpu(), looks.hairline.cpu() > 0.1, config.accessories, generator)
        behind = backgrounds(count, size, self._backgrounds, generator, self._device)
        rendered = self._renderer.render(
            shape.to(self._device),
            weights.to(self._device),
            poses,
            looks,
            styles.to(self._device),
            lights,
            behind,
        )
        linear, visible = self._occluded(rendered, looks, lights, generator)
        linear = self._without_heads(linear, behind, absent & ~stray, generator)
        gone = absent.to(self._device) & ~(stray.to(self._device) & (_inside(rendered.points) >= _LITTLE))
        image = develop(linear, config.crop_size, config.degrade, generator)
        known = self._labelled(image, rendered, identity, expression, poses, lights.harmonics())
        return _without_face(replace(known, visible=visible, present=1.0 - gone.float()))

    def _occluded(
        self, rendered: Rendered, looks: Looks, lights: Lights, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Pictures with things before the face, and which points are seen then, (B, N) 0 or 1."""
        front = sh_basis(torch.tensor([[0.0, -0.2, -0.98]], device=self._device)) @ lights.harmonics()
        skin = self._skin_colour[looks.skin] * torch.exp(looks.tone)
        linear, cover = self._occlusions(
            rendered.colour, rendered.points, front[:, 0].clamp_min(0.0), skin, self.config.occluders, generator
        )
        size = cover.shape[-1]
        hidden = sample_image(cover[:, None], rendered.points[..., :2].clamp(-1.0, 2.0) * size)[..., 0] > _HIDES
        return linear, (rendered.visible & ~hidden).float()

    def _without_heads(self, linear: Tensor, behind: Tensor, absent: Tensor, generator: Generator) -> Tensor:
        """Pictures, of which those of ``absent`` (B,) show backgrounds alone, or things before them."""
        rows = torch.nonzero(absent)[:, 0].to(self._device)
        count = len(rows)
        if not count:
            return linear
        where = torch.rand(count, 40, 3, generator=generator).to(self._device) * 0.6 + 0.2
        level = torch.full((count, 3), 0.7, device=self._device)
        skin = self._skin_colour[
            torch.randint(0, len(self._skin_colour), (count,), generator=generator).to(self._device)
        ]
        empty, _ = self._occlusions(behind[rows], where, level, skin, _THINGS, generator)
        return linear.index_copy(0, rows, empty)

    def _labelled(
        self, image: Tensor, rendered: Rendered, identity: Tensor, expression: Tensor, poses: Poses, light: Tensor
    ) -> Batch:
        device, count = self._device, len(image)
        looking = rendered.cameras.looking_at_crop
        return Batch(
            image=image,
            points=rendered.points,
            weight=self._weight.expand(count, -1).clone(),
            visible=rendered.visible.float(),
            present=torch.ones(count, device=device),
            rotation=looking @ poses.rotation.to(device),
            expression=expression.to(device),
            identity=identity.to(device),
            light=turned_light(light, looking),
            focal=rendered.cameras.focal,
            source=("synthetic",) * count,
        )


def _far_off(count: int, generator: Generator) -> Tensor:
    """Displacements (B, 2) of crops, in their sides, that leave most of a face outside."""
    direction = torch.randn(count, 2, generator=generator)
    low, high = _STRAY_SHIFT
    size = low + (high - low) * torch.rand(count, 1, generator=generator)
    return direction / direction.abs().amax(1, keepdim=True) * size


def _inside(points: Tensor) -> Tensor:
    """(B,) share of points (B, N, >=2) that lie in the crop."""
    flat = points[..., :2]
    return ((flat >= 0.0) & (flat <= 1.0)).all(-1).float().mean(1)


def _without_face(batch: Batch) -> Batch:
    """The batch with nothing but presence known where no face is."""
    absent = batch.present < 0.5
    nan = float("nan")

    def blank(values: Tensor, value: float = nan) -> Tensor:
        return torch.where(absent.view(-1, *(1,) * (values.ndim - 1)), torch.full_like(values, value), values)

    return replace(
        batch,
        points=blank(batch.points),
        weight=blank(batch.weight, 0.0),
        visible=blank(batch.visible),
        rotation=blank(batch.rotation),
        expression=blank(batch.expression),
        identity=blank(batch.identity),
        light=blank(batch.light),
        focal=blank(batch.focal),
    )


def turned_light(light: Tensor, rotation: Tensor) -> Tensor:
    """Light (B, 9, 3) in axes that ``rotation`` (B, 3, 3) takes its own to."""
    probes = torch.tensor(even_directions(24), dtype=light.dtype, device=light.device)
    # E'(R n) = E(n) at enough directions determines the nine terms.
    wanted = sh_basis(probes) @ light
    basis = sh_basis(torch.einsum("bij,dj->bdi", rotation, probes))
    turned: Tensor = torch.linalg.pinv(basis) @ wanted
    return turned
