"""All augmentations in the order in which a camera would meet them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tracker.errors import ConfigError
from trainer.data.augment import camera, colour
from trainer.data.augment.config import AugmentConfig
from trainer.data.augment.draw import between, between_factors, chosen
from trainer.data.augment.geometry import flip, warp
from trainer.data.augment.mirror import Mirror
from trainer.data.augment.occlusion import occlude
from trainer.data.batch import Batch
from trainer.data.stream import Stream

if TYPE_CHECKING:
    from trainer.data.augment.views import LandmarkMesh


class Augmenter:
    """Augments batches of one landmark set and face model.

    The scene comes first (view, flip, occluders), then where the crop is cut, light and colour, the lens, the sensor, the codec.
    """

    def __init__(self, config: AugmentConfig, mirror: Mirror | None = None, mesh: LandmarkMesh | None = None) -> None:
        """Prepare.

        Args:
            config: what to do.
            mirror: needed for flips.
            mesh: needed for views.

        Raises:
            ConfigError: the configuration asks for something that is not given.
        """
        if mirror is None and (config.flip_chance > 0 or config.upside_down_chance > 0):
            raise ConfigError("flips need to know left from right: give a Mirror, or set flip_chance=0")
        if mesh is None and config.view_chance > 0:
            raise ConfigError("views need the landmarks as a mesh: give a LandmarkMesh, or set view_chance=0")
        self.config = config
        self._mirror = mirror
        self._mesh = mesh

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """``batch`` augmented; the same for the same state of ``generator``, which lives on the CPU."""
        with torch.no_grad():
            return self._camera(self._scene(batch, generator), generator)

    def _scene(self, batch: Batch, generator: torch.Generator) -> Batch:
        config, count = self.config, len(batch)
        if self._mesh is not None and config.view_chance > 0:
            yaw = between(-config.view_yaw_rad, config.view_yaw_rad, count, generator=generator)
            pitch = between(-config.view_pitch_rad, config.view_pitch_rad, count, generator=generator)
            batch = self._mesh.turned(batch, chosen(count, config.view_chance, generator), yaw, pitch)
        upside_down = chosen(count, config.upside_down_chance, generator)
        if self._mirror is not None:
            # Top to bottom is left to right, turned by half a turn.
            batch = flip(batch, self._mirror, chosen(count, config.flip_chance, generator) ^ upside_down)
        rows = chosen(count, config.occlusion_chance, generator)
        batch, _ = occlude(batch, rows, config.occluders, config.occluder_size, generator)
        apply = chosen(count, config.warp_chance, generator).float()
        roll = between(-config.roll_rad, config.roll_rad, count, generator=generator) * apply + torch.pi * upside_down
        scale = between_factors(config.scale, count, generator=generator) ** apply
        shift = between(-config.shift, config.shift, count, 2, generator=generator) * apply[:, None]
        if bool(apply.any() | upside_down.any()):
            batch = warp(batch, roll, scale, shift)
        return batch

    def _camera(self, batch: Batch, generator: torch.Generator) -> Batch:
        config, pixels = self.config, batch.image.shape[-1]

        def factors(span: tuple[float, float], *shape: int) -> Tensor:
            return between_factors(span, *shape, generator=generator)

        def evenly(low: float, high: float, count: int) -> Tensor:
            return between(low, high, count, generator=generator)

        def gain(part: Batch) -> Batch:
            return colour.scale_channels(part, factors(config.channel_gain, len(part), 3))

        def tone(part: Batch) -> Batch:
            n = len(part)
            return colour.change_tone(
                part, factors(config.contrast, n), factors(config.saturation, n), factors(config.gamma, n)
            )

        def soften(part: Batch) -> Batch:
            return replace(
                part, image=camera.soften(part.image, factors(config.blur_sigma, len(part)) * (pixels / 256.0))
            )

        def smear(part: Batch) -> Batch:
            length = evenly(1.0, max(1.0, config.motion_length * pixels), len(part))
            return replace(part, image=camera.smear(part.image, length, evenly(0.0, math.pi, len(part))))

        def noise(part: Batch) -> Batch:
            return replace(part, image=camera.add_noise(part.image, factors(config.noise_sigma, len(part)), generator))

        def compress(part: Batch) -> Batch:
            low, high = config.jpeg_quality
            return replace(part, image=camera.compress(part.image, evenly(low, high + 1, len(part))))

        for chance, change in (
            (config.gain_chance, gain),
            (config.tone_chance, tone),
            (config.grey_chance, colour.make_grey),
            (config.blur_chance, soften),
            (config.motion_chance, smear),
            (config.noise_chance, noise),
            (config.jpeg_chance, compress),
        ):
            batch = _on_rows(batch, chosen(len(batch), chance, generator), change)
        # Sums of weights are one but for rounding.
        return replace(batch, image=batch.image.clamp(0.0, 1.0))


class AugmentedStream(Stream):
    """Another stream's batches, augmented: batch ``i`` the same for the same ``seed``, whoever asks for it and when."""

    def __init__(self, stream: Stream, augmenter: Augmenter, seed: int) -> None:
        self._stream, self._augmenter, self._seed = stream, augmenter, seed
        self.landmark_set, self.face_model = stream.landmark_set, stream.face_model
        self.crop_size, self.length = stream.crop_size, stream.length

    def batch(self, index: int) -> Batch:
        state = int(np.random.SeedSequence((self._seed, index)).generate_state(1)[0])
        return self._augmenter(self._stream.batch(index), torch.Generator().manual_seed(state))


def _on_rows(batch: Batch, rows: Tensor, change: Callable[[Batch], Batch]) -> Batch:
    """``change`` applied to a batch of the chosen rows only."""
    where = torch.nonzero(rows).flatten().to(batch.image.device)
    if not len(where):
        return batch
    tensors = {field.name: getattr(batch, field.name) for field in fields(batch) if field.name != "source"}
    changed = change(Batch(**{name: tensor[where] for name, tensor in tensors.items()}))
    for name, tensor in tensors.items():
        new = getattr(changed, name)
        if new is not tensor:
            tensors[name] = tensor.index_copy(0, where, new.to(tensor))
    return Batch(**tensors, source=batch.source)
