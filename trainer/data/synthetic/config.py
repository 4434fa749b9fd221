"""Settings of the synthetic stream."""

from __future__ import annotations

from dataclasses import dataclass

from tracker.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SyntheticConfig:
    """What the synthetic stream renders."""

    batch_size: int = 32
    seed: int = 0
    worker: int = 0
    """Streams of the same seed and different workers show different pictures."""
    length: int | None = None
    """Batches; without end if None."""
    landmark_set: str = "head628"
    crop_size: int = 256
    supersample: float = 1.25
    """Rendered pixels per pixel of the crop and direction."""
    device: str = "cpu"
    assets: str | None = None
    """Folder that ``trainer prepare synthetic --pack`` wrote; the user's cache if None."""
    heads: str | None = None
    """Heads to draw, comma-separated, each as often: ``builtin``, and imported ones that the assets hold; all of them if None."""
    identity_sigma: float = 0.9
    """Spread of identity coefficients; the population's is 1."""
    large_poses: float = 0.35
    """Share of heads turned beyond what a person at a screen does, to full profile."""
    occluders: float = 0.3
    """Share with a hand, a microphone, a scarf or a lock of hair before the face."""
    accessories: float = 0.75
    """Share with hair of their own, headgear or glasses."""
    negatives: float = 0.06
    """Share of crops without a face, or with little of one at their edge."""
    degrade: bool = True
    """Blur, noise, compression and the like, as cameras add them."""
    jitter: float = 1.0
    """Size of the crop's displacement over what following landmarks leaves."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, got {self.batch_size}")
        if not 32 <= self.crop_size <= 1024:
            raise ConfigError(f"crop_size must be 32 to 1024 pixels, got {self.crop_size}")
        if not 0.5 <= self.supersample <= 4.0:
            raise ConfigError(f"supersample must be 0.5 to 4, got {self.supersample}")
        for name in ("large_poses", "occluders", "accessories", "negatives"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name} is a share: expected 0 to 1, got {getattr(self, name)}")
