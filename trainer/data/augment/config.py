"""Which augmentations a stream applies, how often and how strongly."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from tracker.errors import ConfigError


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """Probabilities (``*_chance``, 0..1) and strengths. The defaults suit crops that a tracker has cut upright."""

    flip_chance: float = 0.5
    """Mirrored left to right."""
    upside_down_chance: float = 0.0
    """Mirrored top to bottom."""
    warp_chance: float = 1.0
    roll_rad: float = math.radians(20.0)
    """Turned in the picture by up to this much either way."""
    scale: tuple[float, float] = (0.85, 1.2)
    """Enlarged by a factor between these, evenly in its logarithm."""
    shift: float = 0.06
    """Moved by up to this fraction of the crop's side along each axis."""
    view_chance: float = 0.0
    """Seen from another side by rotating the image as a mesh; needs points with depth, a rotation and a ``LandmarkMesh``."""
    view_yaw_rad: float = math.radians(50.0)
    view_pitch_rad: float = math.radians(25.0)
    occlusion_chance: float = 0.4
    occluders: int = 3
    """At most so many patterns are laid over one crop."""
    occluder_size: tuple[float, float] = (0.05, 0.28)
    """Mean radius as a fraction of the crop's side."""
    gain_chance: float = 0.8
    channel_gain: tuple[float, float] = (0.6, 1.4)
    """Each colour channel's factor, in sRGB values as in SADRNet, section IV-A."""
    tone_chance: float = 0.5
    contrast: tuple[float, float] = (0.7, 1.35)
    saturation: tuple[float, float] = (0.4, 1.5)
    gamma: tuple[float, float] = (0.75, 1.35)
    grey_chance: float = 0.05
    blur_chance: float = 0.25
    blur_sigma: tuple[float, float] = (0.3, 1.6)
    """Of a soft focus, as pixels of a crop 256 pixels wide."""
    motion_chance: float = 0.15
    motion_length: float = 0.04
    """Longest smear as a fraction of the crop's side."""
    noise_chance: float = 0.4
    noise_sigma: tuple[float, float] = (0.004, 0.05)
    """Of a mid-grey pixel, in 0..1; darker pixels have less (shot noise)."""
    jpeg_chance: float = 0.3
    jpeg_quality: tuple[int, int] = (25, 90)

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_chance") and not 0.0 <= value <= 1.0:
                raise ConfigError(f"augmentation '{field.name}' is a probability between 0 and 1, got {value}")
            if isinstance(value, tuple) and not (len(value) == 2 and 0 < value[0] <= value[1]):
                raise ConfigError(
                    f"augmentation '{field.name}' is a range (low, high) of positive numbers, got {value}"
                )
        if self.jpeg_quality[1] > 100:
            raise ConfigError(f"augmentation 'jpeg_quality' ends at 100, got {self.jpeg_quality}")
        for name in ("roll_rad", "shift", "view_yaw_rad", "view_pitch_rad", "motion_length"):
            if getattr(self, name) < 0.0:
                raise ConfigError(f"augmentation '{name}' is not negative, got {getattr(self, name)}")
        if self.occluders < 1:
            raise ConfigError(f"augmentation 'occluders' is at least 1, got {self.occluders}")


NOTHING = AugmentConfig(
    flip_chance=0.0, warp_chance=0.0, occlusion_chance=0.0, gain_chance=0.0, tone_chance=0.0, grey_chance=0.0,
    blur_chance=0.0, motion_chance=0.0, noise_chance=0.0, jpeg_chance=0.0,
)  # fmt: skip
"""Leaves batches as they are: a start for configurations with a few augmentations only."""

SADRNET = AugmentConfig(
    flip_chance=0.5, roll_rad=math.pi / 2, scale=(0.9, 1.1), shift=0.1, occlusion_chance=0.5, gain_chance=1.0,
    tone_chance=0.0, grey_chance=0.0, blur_chance=0.0, motion_chance=0.0, noise_chance=0.0, jpeg_chance=0.0,
)  # fmt: skip
"""SADRNet, section IV-A: roll to 90 degrees, shift to 10 %, scale 0.9 to 1.1, channels 0.6 to 1.4, synthetic occlusions."""

DENSE_LANDMARKS = AugmentConfig(
    flip_chance=0.5, upside_down_chance=0.5, roll_rad=0.0, scale=(0.8, 1.25), shift=0.0, occlusion_chance=0.0,
    grey_chance=0.0, blur_chance=0.0, motion_chance=0.0, noise_chance=0.0, jpeg_chance=0.0,
)  # fmt: skip
"""The dense-landmark thesis, section 4.5: flips both ways, random scale, altered colours (its strengths are not stated)."""
