"""Settings of the encoder method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.methods.encoder.crops import CropSettings
from trainer.settings import ranged


@dataclass(frozen=True)
class EncoderSettings(CropSettings):
    """What is trained, on what."""

    blocks: int = ranged(3, 1, 16)
    """Mixing blocks of the second branch."""
    frozen_stride: Literal[4, 8, 16, 32] = 8
    """The trunk up to this stride stays as it was published: its maps are large and general, and what is deployed shares the
    first two of them with the published network."""
    trunk_rate: float = ranged(0.12, 0.0, 10.0)
    """Learning rate of the trunk, as a multiple."""
    log_sigma_shift: float = 0.0
    """Added to the deployed network's log sigma: errors against photographs' points, not the teacher's, are what counts
    (`python tools/evaluate.py encoders --parts sigma`)."""
