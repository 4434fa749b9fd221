"""Settings of the encoder method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.settings import Settings, ranged


@dataclass(frozen=True)
class EncoderSettings(Settings):
    """What is trained, on what."""

    batch: int = ranged(32, 1, 4096)
    blocks: int = ranged(3, 1, 16)
    """Mixing blocks of the second branch."""
    frozen_stride: Literal[4, 8, 16, 32] = 8
    """The trunk up to this stride stays as it was published: its maps are large and general, and what is deployed shares the
    first two of them with the published network."""
    trunk_rate: float = ranged(0.12, 0.0, 10.0)
    """Learning rate of the trunk, as a multiple."""
    start: str = ""
    """Checkpoint of an earlier run to take the weights from, as far as they fit; empty: the trunk as it was published."""
    shards: str = ""
    """Folder of labelled crops; empty: ``training/encoder`` in the user's cache, made by ``trainer prepare encoder``."""
    material: tuple[str, ...] = ()
    """Folders with the clips and pictures to learn from, for ``prepare``."""
    mixed: int = ranged(4400, 0, 10_000_000)
    """Crops of people who do not exist, blended from the real ones."""
    rendered: int = ranged(2600, 0, 10_000_000)
    """Rendered crops."""
    processes: int = ranged(0, 0, 1024)
    """That ``prepare`` runs at a time; 0: one for each core. What it makes does not depend on it."""
    log_sigma_shift: float = 0.0
    """Added to the deployed network's log sigma: errors against photographs' points, not the teacher's, are what counts
    (`python tools/evaluate.py encoders --parts sigma`)."""
    real_share: float = ranged(0.35, 0.0, 1.0)
    mixed_share: float = ranged(0.40, 0.0, 1.0)
    rendered_share: float = ranged(0.25, 0.0, 1.0)
    """Of each batch."""
