"""The synthetic stream."""

from __future__ import annotations

from collections.abc import Iterator

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
from trainer.data.synthetic.library import load_assets
from trainer.data.synthetic.lighting import sample_lights
from trainer.data.synthetic.looks import sample_looks
from trainer.data.synthetic.poses import Poses, sample_poses
from trainer.data.synthetic.renderer import HeadRenderer, Rendered
from trainer.image_formation.shading import sh_basis

_SEED_STEP = 1_000_003


class SyntheticStream:
    """An endless (or ``length`` batches long) stream of rendered faces.

    Batch ``n`` of a worker depends on seed, worker and n alone: ``batch(n)`` makes any of them.

    Args:
        config: what is rendered.
        assets: skins and the like; those of the config's folder or the user's cache if None.

    Raises:
        ConfigError: the configuration is out of range, or its assets cannot be read.
        FaceModelError: no such landmark set.
    """

    def __init__(self, config: SyntheticConfig | None = None, assets: Assets | None = None) -> None:
        self.config = config or SyntheticConfig()
        self.landmark_set = self.config.landmark_set
        self.face_model = "builtin"
        self.crop_size = self.config.crop_size
        self._device = torch.device(self.config.device)
        model = load_face_model()
        self._assets = assets or load_assets(self.config.assets)
        self._renderer = HeadRenderer(model, self.landmark_set, self._assets, self._device)
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
        identity = (
            torch.randn(count, self._renderer.model.identity_count, generator=generator) * config.identity_sigma
        ).clamp(-3, 3)
        expression = sample_expressions(count, generator)
        poses = sample_poses(count, config, generator)
        looks = sample_looks(count, self._assets, generator).to(self._device)
        lights = sample_lights(count, generator).to(self._device)
        size = round(config.crop_size * config.supersample)
        rendered = self._renderer.render(
            identity.to(self._device), expression.to(self._device), poses, looks, lights, size
        )
        behind = backgrounds(count, size, None, generator, self._device)
        cover = torch.isfinite(rendered.depth)[:, None]
        linear = torch.where(cover, rendered.colour, behind)
        image = develop(linear, config.crop_size, config.degrade, generator)
        return self._labelled(image, rendered, identity, expression, poses, lights.harmonics())

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


def turned_light(light: Tensor, rotation: Tensor) -> Tensor:
    """Light (B, 9, 3) in axes that ``rotation`` (B, 3, 3) takes its own to."""
    probes = torch.tensor(even_directions(24), dtype=light.dtype, device=light.device)
    # E'(R n) = E(n) at enough directions determines the nine terms.
    wanted = sh_basis(probes) @ light
    basis = sh_basis(torch.einsum("bij,dj->bdi", rotation, probes))
    turned: Tensor = torch.linalg.pinv(basis) @ wanted
    return turned
