"""What is deployed: the trained encoder and, behind the same first stages, the published network to say whether there is a face.

The published network has seen far more faces than can be had here, and sees more surely that there is none.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from tracker.networks import locate
from trainer.methods.encoder.network import EncoderNetwork
from trainer.networks.published import PUBLISHED
from trainer.networks.tflite_graph import TfliteModule

SHARED_STRIDE: Final = 4
"""Up to here the trunk is the published one."""
_LEAST_BELIEF: Final = 0.55
"""Of the presence, where the published network sees no face: enough to go on following one behind a hand, too little to start
with (``tracker.detection.follow``)."""


class DeployedEncoder(nn.Module):
    """Pictures (B, 3, 256, 256) in 0..1 to points (B, N, 3), log sigma (B, N), visibility (B, N), presence (B, 1), rotation
    (B, 3, 3), and what ``tools/build_own_encoder.py`` cuts it by: the trained network's own word on presence, ``kept`` (B, 1),
    and the map at stride 4, ``stem``, up to which it is the published network.

    Raises:
        ValueError: the first stages of the trunk are not the published ones.
    """

    def __init__(self, network: EncoderNetwork, log_sigma_shift: float = 0.0) -> None:
        super().__init__()
        self.network = network
        self.published = TfliteModule.from_file(locate(PUBLISHED))
        self.log_sigma_shift = log_sigma_shift
        ours, theirs = (each.parameters_until(SHARED_STRIDE) for each in (network.trunk, self.published))
        if not all(torch.allclose(a.cpu(), b, atol=1e-5) for a, b in zip(ours, theirs, strict=True)):
            raise ValueError(
                f"the trunk was trained below stride {SHARED_STRIDE}, which it shares with the published one"
            )

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        seen, maps = self.network.seen_and_maps(image)
        _, told_presence, _ = self.published.outputs_from(SHARED_STRIDE, maps[SHARED_STRIDE])
        kept = torch.sigmoid(seen.presence)
        belief = _LEAST_BELIEF + (1.0 - _LEAST_BELIEF) * torch.sigmoid(told_presence.reshape(-1, 1))
        return (
            seen.points,
            seen.log_sigma + self.log_sigma_shift,
            torch.sigmoid(seen.visibility),
            kept * belief,
            seen.rotation,
            kept,
            maps[SHARED_STRIDE],
        )
