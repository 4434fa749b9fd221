"""The tracker's own encoder: MediaPipe's landmark trunk (Apache-2.0), fine-tuned, with a head that sees the whole face at once.

The trunk answers landmarks as it always did. A second branch takes its maps at strides 16 and 32, mixes all places of the face
with each other, and adds what follows from the whole: corrections to the landmarks, how sure each is, head pose. A landmark under
a hand can only be told from the rest of the face, which the trunk's local filters see late. Whether a point is in sight is a
matter of its own place: that is read from a map at stride 8, where the point is found.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tracker.networks import locate
from trainer.networks.published import PUBLISHED
from trainer.networks.tflite_graph import TfliteModule

CROP: Final = 256
POINTS: Final = 478
_MIDDLE: Final = 160
_CELLS: Final = 64
_LOCAL: Final = 6
"""Values that are read at a point's place."""


class Seen(NamedTuple):
    """What the encoder says about B crops."""

    points: Tensor
    """(B, N, 3) fractions of the crop's side: the 478 landmarks, then the head's further points."""
    log_sigma: Tensor
    """(B, N) log of the standard deviation of x and of y, as a fraction of the crop's side."""
    visibility: Tensor
    """(B, N) logit that the point is in sight."""
    presence: Tensor
    """(B, 1) logit that there is a face."""
    rotation: Tensor
    """(B, 3, 3) head axes to the axes of a camera that looks at the crop's centre."""


class Mixer(nn.Module):
    """All places with each other, then all channels with each other (Tolstikhin 2021), on a map of fixed size."""

    def __init__(self, channels: int, cells: int, hidden: int) -> None:
        super().__init__()
        self.norm_cells, self.norm_channels = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.cells = nn.Sequential(
            nn.Linear(cells, 2 * cells), nn.GELU(approximate="tanh"), nn.Linear(2 * cells, cells)
        )
        self.channels = nn.Sequential(
            nn.Linear(channels, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, cells, channels) -> the same."""
        x = x + self.cells(self.norm_cells(x).transpose(1, 2)).transpose(1, 2)
        mixed: Tensor = x + self.channels(self.norm_channels(x))
        return mixed


class EncoderNetwork(nn.Module):
    """``forward``: pictures (B, 3, 256, 256) in 0..1 -> ``Seen``."""

    def __init__(self, head_points: int = 0, blocks: int = 3, trunk: TfliteModule | None = None) -> None:
        """``head_points``: how many points beyond the 478. Raises NetworkAssetError when the trunk has not been fetched."""
        super().__init__()
        self.trunk = trunk or TfliteModule.from_file(locate(PUBLISHED))
        self.head_points = head_points
        count = POINTS + head_points
        channels = self.trunk.feature_channels
        self.fine = nn.Sequential(
            nn.Conv2d(channels[16], 128, 3, stride=2, padding=1), nn.PReLU(128), nn.Conv2d(128, _MIDDLE // 2, 1)
        )
        self.coarse = nn.Conv2d(channels[32], _MIDDLE // 2, 1)
        self.place = nn.Parameter(torch.zeros(1, _CELLS, _MIDDLE))
        self.mixers = nn.Sequential(*(Mixer(_MIDDLE, _CELLS, 2 * _MIDDLE) for _ in range(blocks)))
        self.gather = nn.Sequential(nn.LayerNorm(_MIDDLE), nn.Linear(_MIDDLE, 24))
        # Few people are known by name: what is left out at random cannot be learnt by heart.
        self.whole = nn.Sequential(nn.Dropout(0.1), nn.Linear(24 * _CELLS, 256))
        # What the trunk answered: a wrong answer is easier to mend than to do without.
        self.told = nn.Linear(POINTS * 3, 256, bias=False)
        self.bend = nn.PReLU(256)
        self.offset = nn.Linear(256, POINTS * 3)
        self.head = nn.Linear(256, head_points * 3) if head_points else None
        self.log_sigma = nn.Linear(256, count)
        self.visibility = nn.Linear(256, count)
        self.near = nn.Conv2d(channels[8], 24, 3, padding=1)
        self.around = nn.Conv2d(_MIDDLE, 24, 1)
        self.local = nn.Sequential(nn.PReLU(24), nn.Conv2d(24, _LOCAL, 3, padding=1))
        self.local_sight, self.local_sigma = nn.Linear(_LOCAL, 1, bias=False), nn.Linear(_LOCAL, 1, bias=False)
        self.presence = nn.Linear(256, 1)
        self.turn = nn.Linear(256, 6)
        for layer, scale in (
            (self.offset, 0.0), (self.log_sigma, 0.1), (self.visibility, 0.1), (self.presence, 0.0), (self.turn, 0.1),
        ):  # fmt: skip
            with torch.no_grad():
                layer.weight.mul_(scale)
                layer.bias.zero_()
        with torch.no_grad():
            self.log_sigma.bias.fill_(-4.6)
            self.visibility.bias.fill_(2.0)
            self.local_sigma.weight.zero_()
            self.told.weight.zero_()
            # A face that looks into the camera: half a turn about x.
            self.turn.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0, -1.0, 0.0]))

    def forward(self, image: Tensor) -> Seen:
        return self.seen_and_maps(image)[0]

    def seen_and_maps(self, image: Tensor) -> tuple[Seen, dict[int, Tensor]]:
        """The answer, and the trunk's maps by stride."""
        (old, presence, _), maps = self.trunk.outputs_and_features(image)
        batch = image.shape[0]
        cells = torch.cat([self.fine(maps[16]), self.coarse(maps[32])], dim=1).flatten(2).transpose(1, 2)
        mixed = self.mixers(cells + self.place)
        answer = old.reshape(batch, POINTS, 3) / CROP
        told = self.told(4.0 * (answer.detach() - 0.5 * answer.new_tensor([1.0, 1.0, 0.0])).flatten(1))
        whole = self.bend(self.whole(self.gather(mixed).flatten(1)) + told)
        points = answer + self.offset(whole).reshape(batch, POINTS, 3)
        if self.head is not None:
            points = torch.cat([points, self.head(whole).reshape(batch, self.head_points, 3)], dim=1)
        local = self._at(points, maps[8], mixed)
        seen = Seen(
            points,
            self.log_sigma(whole) + self.local_sigma(local)[..., 0],
            self.visibility(whole) + self.local_sight(local)[..., 0],
            presence.reshape(batch, 1) + self.presence(whole),
            rotation_of(self.turn(whole)),
        )
        return seen, maps

    def _at(self, points: Tensor, fine: Tensor, mixed: Tensor) -> Tensor:
        """(B, N, _LOCAL) what lies where the points are; the points themselves do not learn from it."""
        coarse = self.around(mixed.transpose(1, 2).reshape(-1, _MIDDLE, 8, 8))
        near = self.near(fine)
        map_ = self.local(near + F.interpolate(coarse, size=near.shape[2:], mode="bilinear", align_corners=False))
        grid = (2.0 * points[..., :2].detach() - 1.0)[:, :, None]
        read = F.grid_sample(map_, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return read[..., 0].transpose(1, 2)


def rotation_of(six: Tensor) -> Tensor:
    """Rotation matrices (B, 3, 3) from their first two columns, made orthonormal (Zhou 2019)."""
    first = F.normalize(six[:, :3], dim=1)
    second = six[:, 3:] - (first * six[:, 3:]).sum(dim=1, keepdim=True) * first
    second = F.normalize(second, dim=1)
    third = torch.linalg.cross(first, second, dim=1)
    return torch.stack([first, second, third], dim=2)
