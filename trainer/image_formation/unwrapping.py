"""Pictures as textures: what each texel of a mesh's texture shows in a picture, where it can be seen."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from tracker.errors import FaceModelError
from tracker.face_model.model import FaceModel
from trainer.image_formation.points import sample_image, visible_points
from trainer.image_formation.rasteriser import rasterise

_SLACK_M: Final = 0.004


class Unwrapping(nn.Module):
    """Unwraps pictures of one face model into its texture coordinates.

    Args:
        model: with texture coordinates.
        size: texels per side; row 0 is at v = 1, as pictures of textures are stored.

    Raises:
        FaceModelError: the model has no texture coordinates.
    """

    texel: Tensor
    corners: Tensor
    barycentric: Tensor

    def __init__(self, model: FaceModel, size: int = 256) -> None:
        super().__init__()
        if not len(model.uv):
            raise FaceModelError(f"face model {model.name} has no texture coordinates to unwrap into")
        self.size = size
        place = torch.tensor(model.uv * [1.0, -1.0] + [0.0, 1.0], dtype=torch.float32) * size
        faces = torch.tensor(model.uv_faces, dtype=torch.int64)
        raster = rasterise(place[None], torch.ones(1, len(place)), faces, size, size, cull_back=False)
        triangle = raster.triangle.flatten()[raster.pixel].long()
        self.register_buffer("texel", raster.pixel, persistent=False)
        self.register_buffer("corners", torch.tensor(model.faces, dtype=torch.int64)[triangle], persistent=False)
        self.register_buffer("barycentric", raster.barycentric, persistent=False)

    def at_texels(self, values: Tensor) -> Tensor:
        """Vertex values (B, V, C) at the covered texels, (B, T, C)."""
        return (values[:, self.corners] * self.barycentric.to(values.dtype)[None, :, :, None]).sum(2)

    def forward(
        self, image: Tensor, points: Tensor, distance: Tensor, normals: Tensor, depth: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Textures (B, C, size, size) and their visibility (B, 1, size, size), 0..1; 0 off the mesh.

        Differentiable in the picture and in the points.

        Args:
            image: (B, C, H, W).
            points: (B, V, 2) projected vertices in continuous pixels.
            distance: (B, V) their depth, metres.
            normals: (B, V, 3) unit, camera axes.
            depth: (B, H, W) z-buffer of the picture, metres, infinite where no head is.
        """
        place = self.at_texels(points)
        colour = sample_image(image, place)
        seen = visible_points(depth, place, self.at_texels(distance[..., None])[..., 0], _SLACK_M)
        facing = (-self.at_texels(normals)[..., 2]).clamp(0.0, 1.0)
        weight = facing * seen
        batch, channels = len(image), image.shape[1]
        texture = image.new_zeros(batch, channels, self.size * self.size).index_copy(
            2, self.texel, colour.transpose(1, 2)
        )
        visible = image.new_zeros(batch, 1, self.size * self.size).index_copy(
            2, self.texel, weight[:, None].to(image.dtype)
        )
        return texture.view(batch, channels, self.size, self.size), visible.view(batch, 1, self.size, self.size)
