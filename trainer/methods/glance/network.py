"""The published landmark network, run once and never changed, and a slim head that reads the maps it makes on the way.

On a bare face nothing is as sharp as the published landmarks; under a hand they go astray, and the encoder's branch
(``trainer.methods.encoder``) knows better, at two thirds of the cost again. The head says, from the maps at strides 8, 16
and 32 (a ladder: Sung 2022, arXiv 2206.06522), which landmarks lie behind a thing and how far the head is turned, so that
the branch runs for the crops that need it; and first values for expression, identity and light, for a face that nothing is
known of yet.

Since only the head learns, a training step needs no gradient through the trunk, which is most of the work.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from trainer.methods.encoder.network import POINTS, rotation_of
from trainer.networks.published import Answers, PublishedNetwork

SCORES: Final = 52
IDENTITY: Final = 100
_CELLS: Final = 64
_CHANNELS: Final = 24
"""Of each stride's share in the 8 x 8 map."""
_WHOLE: Final = 128
_ANSWER: Final = 48
"""Directions in which the trunk's landmarks are read."""


class Glance(NamedTuple):
    """What the head says about B crops."""

    covered: Tensor
    """(B, 478) logit that a thing is in front of the landmark."""
    rotation: Tensor
    """(B, 3, 3) head axes to the axes of a camera that looks at the crop's centre."""
    scores: Tensor
    """(B, 52) logits of the expression scores, in ``ARKIT_NAMES`` order."""
    identity: Tensor
    """(B, 100) of the built-in head."""
    light: Tensor
    """(B, 9, 3) spherical harmonics of the light on the face, in that camera's axes, for the crop's own brightness."""


class GlanceNetwork(nn.Module):
    """``forward``: pictures (B, 3, 256, 256) in 0..1 -> ``Glance``.

    Raises:
        NetworkAssetError: on construction, when the trunk has not been fetched.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = PublishedNetwork()
        channels = self.trunk.channels
        self.near = nn.Conv2d(channels[8], _CHANNELS, 4, stride=4)
        self.middle = nn.Conv2d(channels[16], _CHANNELS, 2, stride=2)
        self.far = nn.Conv2d(channels[32], _CHANNELS, 1)
        self.cells = nn.Sequential(
            nn.PReLU(3 * _CHANNELS),
            nn.Conv2d(3 * _CHANNELS, 48, 1), nn.PReLU(48),
            nn.Conv2d(48, 48, 3, padding=1), nn.PReLU(48),
            nn.Conv2d(48, 16, 1),
        )  # fmt: skip
        # Few people are known by name: what is left out at random cannot be learnt by heart.
        self.whole = nn.Sequential(nn.Dropout(0.1), nn.Linear(16 * _CELLS, _WHOLE))
        self.told = nn.Sequential(nn.Linear(POINTS * 3, _ANSWER, bias=False), nn.Linear(_ANSWER, _WHOLE, bias=False))
        self.bend = nn.Sequential(nn.PReLU(_WHOLE), nn.Linear(_WHOLE, _WHOLE), nn.PReLU(_WHOLE))
        last = nn.Linear(32, POINTS)
        self.covered = nn.Sequential(nn.Linear(_WHOLE, 32), last)
        self.turn = nn.Linear(_WHOLE, 6)
        self.known = nn.Linear(_WHOLE, SCORES + IDENTITY + 27)
        """Expression, identity, light."""
        with torch.no_grad():
            for layer, scale in ((last, 0.1), (self.turn, 0.1), (self.known, 0.05)):
                layer.weight.mul_(scale)
                layer.bias.zero_()
            last.bias.fill_(-2.0)
            # A face that looks into the camera: half a turn about x.
            self.turn.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0, -1.0, 0.0]))
            self.known.bias[:SCORES].fill_(-2.0)

    def forward(self, image: Tensor) -> Glance:
        return self.glance(self.trunk(image))

    def glance(self, answers: Answers) -> Glance:
        """The head's word, given what the trunk found."""
        batch = answers.points.shape[0]
        cells = self.cells(
            torch.cat([self.near(answers.map8), self.middle(answers.map16), self.far(answers.map32)], dim=1)
        )
        middle = answers.points.new_tensor([0.5, 0.5, 0.0])
        told = self.told(4.0 * (answers.points - middle).flatten(1))
        whole = self.bend(self.whole(cells.flatten(1)) + told)
        scores, identity, light = self.known(whole).split([SCORES, IDENTITY, 27], dim=1)
        return Glance(self.covered(whole), rotation_of(self.turn(whole)), scores, identity, light.reshape(batch, 9, 3))
